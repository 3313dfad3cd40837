//! Damaged requests: whatever comes in, a Kubernetes `Status` goes out and the server lives.
//!
//! A few sound requests are changed at random, from a seed; more rounds run in the soak.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use foreshore_engine_api::UserInfo;
use futures::{StreamExt, stream};
use http::Request;
use http_body::Frame;
use http_body_util::{Full, StreamBody};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use tower::Service;

use crate::ground::{Ground, config_map, deployment, pod, read};

/// Rounds over all samples.
const ROUNDS: u64 = 12;

/// Pieces that mean something to one decoder or another.
const PIECES: &[&[u8]] = &[
    b"null",
    b"{}",
    b"[]",
    b"\"",
    b"\\u0000",
    b"-1",
    b"1e999",
    b"9223372036854775808",
    b"$patch",
    b"managedFields",
    b"metadata",
    b"{\"a\":",
    b"[[[[[[[[",
    b"&a [*a]",
    b"\0",
    b"\xff\xfe",
    b"k8s\0",
    b"..",
    b"%00",
    b"!!",
    b" in (",
    b",",
    b"=",
];

struct Sample {
    method: &'static str,
    path: String,
    kind: &'static str,
    body: Vec<u8>,
}

/// A protobuf field of bytes.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let length = u8::try_from(bytes.len()).unwrap();
    let mut out = vec![number << 3 | 2, length];
    out.extend_from_slice(bytes);
    out
}

/// A `ConfigMap` as client-go sends it.
fn protobuf() -> Vec<u8> {
    let meta = [field(1, b"v1"), field(2, b"ConfigMap")].concat();
    let entry = [field(1, b"key"), field(2, b"value")].concat();
    let object = [field(1, &field(1, b"proto")), field(2, &entry)].concat();
    let envelope = [field(1, &meta), field(2, &object)].concat();
    [b"k8s\0".to_vec(), envelope].concat()
}

#[expect(
    clippy::too_many_lines,
    reason = "it is a table: one request after the other"
)]
fn samples() -> Vec<Sample> {
    let maps = "/api/v1/namespaces/default/configmaps";
    let deployments = "/apis/apps/v1/namespaces/default/deployments";
    let sample = |method, path: &str, kind, body: &[u8]| Sample {
        method,
        path: path.to_owned(),
        kind,
        body: body.to_vec(),
    };
    let text = |value: &Value| value.to_string().into_bytes();
    let widget = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "w.x.org"},
        "spec": {"group": "x.org", "scope": "Cluster", "names": {"plural": "w", "kind": "W"}, "versions": [{"name": "v1", "served": true, "storage": true,
        "schema": {"openAPIV3Schema": {"type": "object", "properties": {"a": {"type": "array", "items": {"type": "string", "pattern": "^a"}}}}}}]}});
    let json_patch = json!([{"op": "replace", "path": "/data/key", "value": "x"}, {"op": "copy", "from": "/data", "path": "/metadata/labels"}]);
    let strategic = json!({"spec": {"template": {"spec": {"$setElementOrder/containers": [{"name": "main"}], "containers": [{"name": "main", "image": "b"}]}}}});
    let yaml =
        b"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: yaml\ndata: {a: b, c: \"d\"}\n";
    vec![
        sample("POST", maps, "application/json", &text(&config_map("made"))),
        sample("POST", maps, "application/yaml", yaml),
        sample(
            "POST",
            maps,
            "application/vnd.kubernetes.protobuf",
            &protobuf(),
        ),
        sample(
            "POST",
            deployments,
            "application/json",
            &text(&deployment("other")),
        ),
        sample(
            "POST",
            "/api/v1/namespaces/default/pods",
            "application/json",
            &text(&pod("made")),
        ),
        sample(
            "POST",
            "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
            "application/json",
            &text(&widget),
        ),
        sample(
            "PUT",
            &format!("{maps}/there"),
            "application/json",
            &text(&config_map("there")),
        ),
        sample(
            "PATCH",
            &format!("{maps}/there"),
            "application/json-patch+json",
            &text(&json_patch),
        ),
        sample(
            "PATCH",
            &format!("{maps}/there"),
            "application/merge-patch+json",
            &text(&json!({"data": {"key": null}})),
        ),
        sample(
            "PATCH",
            &format!("{deployments}/there"),
            "application/strategic-merge-patch+json",
            &text(&strategic),
        ),
        sample(
            "PATCH",
            &format!("{deployments}/there?fieldManager=m&force=true"),
            "application/apply-patch+yaml",
            &text(&deployment("there")),
        ),
        sample(
            "DELETE",
            &format!("{maps}/there?dryRun=All"),
            "application/json",
            &text(&json!({"propagationPolicy": "Background"})),
        ),
        sample(
            "GET",
            &format!("{maps}?labelSelector=app%20in%20(a,b),!c&limit=1"),
            "",
            b"",
        ),
        sample(
            "GET",
            &format!("{maps}?fieldSelector=metadata.name=a,metadata.namespace!=b"),
            "",
            b"",
        ),
        sample(
            "GET",
            &format!("{maps}?resourceVersion=1&resourceVersionMatch=NotOlderThan"),
            "",
            b"",
        ),
        sample(
            "GET",
            &format!(
                "{maps}?limit=1&continue=eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MSwic3RhcnQiOiJhIn0"
            ),
            "",
            b"",
        ),
    ]
}

/// Changes some bytes: flips, cuts, repeats, or puts a piece in.
fn mutate(bytes: &mut Vec<u8>, random: &mut StdRng) {
    for _ in 0..random.random_range(1..4) {
        let at = random.random_range(0..=bytes.len());
        let end = (at + random.random_range(0..16)).min(bytes.len());
        match random.random_range(0..5) {
            0 if at < bytes.len() => bytes[at] ^= 1 << random.random_range(0..8),
            1 => drop(bytes.drain(at..end)),
            2 => {
                let copy = bytes[at..end].to_vec();
                bytes.splice(at..at, copy);
            }
            3 => bytes.truncate(at),
            _ => {
                let piece = PIECES[random.random_range(0..PIECES.len())];
                bytes.splice(at..at, piece.iter().copied());
            }
        }
    }
}

/// Seeds of the rounds; the soak makes many more, from its own seed.
fn rounds() -> std::ops::Range<u64> {
    #[expect(clippy::disallowed_methods, reason = "the soak says where to begin")]
    let number = |name| std::env::var(name).ok()?.parse::<u64>().ok();
    let seed = number("FORESHORE_SEED").filter(|_| number("FORESHORE_SOAK").is_some());
    match seed {
        None => 0..ROUNDS,
        Some(seed) => {
            let first = seed.wrapping_mul(1_000_003) >> 12;
            first..first + 50 * ROUNDS
        }
    }
}

#[tokio::test]
async fn damaged_requests_are_refused_with_a_status() {
    let ground = Ground::start().await;
    ground
        .post("/api/v1/namespaces/default/configmaps", config_map("there"))
        .await
        .expect(201);
    ground
        .post(
            "/apis/apps/v1/namespaces/default/deployments",
            deployment("there"),
        )
        .await
        .expect(201);
    let samples = samples();
    for seed in rounds() {
        for (index, sample) in samples.iter().enumerate() {
            let mut random = StdRng::seed_from_u64(seed * 256 + index as u64);
            let (mut path, mut body) = (sample.path.clone().into_bytes(), sample.body.clone());
            if body.is_empty() {
                mutate(&mut path, &mut random);
            } else {
                mutate(&mut body, &mut random);
            }
            let Ok(request) = Request::builder()
                .method(sample.method)
                .uri(path.as_slice())
                .header("content-type", sample.kind)
                .body(Full::new(Bytes::from(body.clone())))
            else {
                // No HTTP server would have passed it on.
                continue;
            };
            if request
                .uri()
                .query()
                .is_some_and(|query| query.contains("watch"))
            {
                continue;
            }
            let answer = ground.ask(&UserInfo::admin(), request).await;
            let said = || {
                format!(
                    "seed {seed}, sample {index}: {} {}\n{}",
                    answer.status,
                    answer.text,
                    String::from_utf8_lossy(&body)
                )
            };
            if answer.status.as_u16() >= 400 {
                let status = answer.json();
                assert_eq!(status["kind"], "Status", "{}", said());
                assert_ne!(status["reason"], "InternalError", "{}", said());
            }
        }
    }
    ground
        .get("/api/v1/namespaces/default/configmaps")
        .await
        .expect(200);
}

#[tokio::test]
async fn too_large_and_too_deep_bodies_are_refused() {
    let ground = Ground::start().await;
    let maps = "/api/v1/namespaces/default/configmaps";
    let large = vec![b' '; (3 << 20) + 1];
    ground
        .post_raw(maps, "application/json", large)
        .await
        .refused(413, "RequestEntityTooLarge");
    let depth = 100_000;
    for (kind, open, close) in [
        ("application/json", "[", "]"),
        ("application/json", "{\"a\":", "}"),
        ("application/yaml", "[", "]"),
    ] {
        let body = format!("{}{}", open.repeat(depth), close.repeat(depth));
        ground
            .post_raw(maps, kind, body)
            .await
            .refused(400, "BadRequest");
    }
    let nested = (0..200).fold(vec![], |inner: Vec<u8>, _| {
        let inner = &inner[..inner.len().min(100)];
        field(2, inner)
    });
    let body = [b"k8s\0".to_vec(), nested].concat();
    ground
        .post_raw(maps, "application/vnd.kubernetes.protobuf", body)
        .await
        .refused(400, "BadRequest");
}

#[tokio::test]
async fn a_body_that_never_ends_is_given_up() {
    let ground = Ground::start_with(|options| options.body_limit = Duration::from_millis(50)).await;
    let first = stream::once(async { Ok::<_, Infallible>(Frame::data(Bytes::from("{"))) });
    let body = StreamBody::new(first.chain(stream::pending()));
    let request = Request::post("/api/v1/namespaces/default/configmaps")
        .header("content-type", "application/json")
        .body(body)
        .unwrap();
    let mut service = ground.server.service_as(UserInfo::admin());
    let response = service.call(request).await.unwrap();
    read(response).await.refused(504, "Timeout");
}
