//! The protocol as other clients use it, and misuse it.

use foreshore_image::{Descriptor, media_type};
use foreshore_model::Digest;
use foreshore_registry::Options;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::fixture::Running;

async fn code(response: reqwest::Response) -> (u16, String) {
    let status = response.status().as_u16();
    let body: Value = response.json().await.unwrap();
    (
        status,
        body["errors"][0]["code"].as_str().unwrap().to_owned(),
    )
}

fn manifest(config: &[u8], subject: Option<&Descriptor>) -> Vec<u8> {
    let mut manifest = json!({
        "schemaVersion": 2,
        "mediaType": media_type::MANIFEST,
        "artifactType": "application/vnd.test",
        "config": Descriptor::of(media_type::EMPTY, config),
        "layers": [],
        "annotations": { "colour": "blue" },
    });
    if let Some(subject) = subject {
        manifest["subject"] = serde_json::to_value(subject).unwrap();
    }
    serde_json::to_vec(&manifest).unwrap()
}

async fn upload(running: &Running, http: &reqwest::Client) -> String {
    let response = http
        .post(running.url("web/blobs/uploads/"))
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 202);
    format!(
        "http://{}{}",
        running.address,
        response.headers()["location"].to_str().unwrap()
    )
}

#[tokio::test]
async fn a_blob_may_come_in_pieces_and_be_read_in_parts() {
    let running = Running::start(Options::default()).await;
    let http = reqwest::Client::new();
    let location = upload(&running, &http).await;
    let append = async |range: &str, piece: &'static str| {
        http.patch(&location)
            .header("content-range", range)
            .body(piece)
            .send()
            .await
            .unwrap()
    };
    assert_eq!(append("0-4", "hello").await.headers()["range"], "0-4");
    let early = append("9-11", "xxx").await;
    assert_eq!(
        (early.status().as_u16(), &early.headers()["range"]),
        (416, &"0-4".parse().unwrap())
    );
    let status = http.get(&location).send().await.unwrap();
    assert_eq!(
        (status.status().as_u16(), &status.headers()["range"]),
        (204, &"0-4".parse().unwrap())
    );
    append("5-5", " ").await;
    let digest = Digest::of(b"hello world");
    let done = http
        .put(format!("{location}?digest={digest}"))
        .body("world")
        .send()
        .await
        .unwrap();
    assert_eq!(done.status(), 201);
    let blob = running.url(&format!("web/blobs/{digest}"));
    let part = http
        .get(&blob)
        .header("range", "bytes=6-")
        .send()
        .await
        .unwrap();
    assert_eq!(
        (part.status().as_u16(), &part.headers()["content-range"]),
        (206, &"bytes 6-10/11".parse().unwrap())
    );
    assert_eq!(part.text().await.unwrap(), "world");
    let head = http.head(&blob).send().await.unwrap();
    assert_eq!(
        (head.status().as_u16(), &head.headers()["content-length"]),
        (200, &"11".parse().unwrap())
    );
    assert_eq!(
        code(http.get(&location).send().await.unwrap()).await,
        (404, "BLOB_UPLOAD_UNKNOWN".into())
    );
}

#[tokio::test]
async fn wrong_content_is_refused_and_leaves_nothing() {
    let running = Running::start(Options {
        blob_bytes_max: 100,
        ..Options::default()
    })
    .await;
    let http = reqwest::Client::new();
    let digest = Digest::of(b"right");
    let put = async |digest: &str, content: Vec<u8>| {
        let location = upload(&running, &http).await;
        code(
            http.put(format!("{location}?digest={digest}"))
                .body(content)
                .send()
                .await
                .unwrap(),
        )
        .await
    };
    assert_eq!(
        put(digest.as_str(), b"wrong".to_vec()).await,
        (400, "DIGEST_INVALID".into())
    );
    assert_eq!(
        put("sha256:0", b"x".to_vec()).await,
        (400, "DIGEST_INVALID".into())
    );
    assert_eq!(
        put(digest.as_str(), vec![0; 101]).await,
        (413, "SIZE_INVALID".into())
    );
    let monolithic = running.url(&format!("web/blobs/uploads/?digest={digest}"));
    let response = http.post(monolithic).body("wrong").send().await.unwrap();
    assert_eq!(code(response).await, (400, "DIGEST_INVALID".into()));
    assert_eq!(running.files().0, 0);
    assert!(running.registry.repositories().is_empty());
}

#[tokio::test]
async fn a_torn_upload_is_invisible() {
    let running = Running::start(Options::default()).await;
    let digest = Digest::of(b"0123456789");
    let mut socket = tokio::net::TcpStream::connect(&running.address)
        .await
        .unwrap();
    let head = format!(
        "POST /v2/web/blobs/uploads/?digest={digest} HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n01234"
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    socket.shutdown().await.unwrap();
    // The registry answers or hangs up once it has given the upload up.
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await.ok();
    assert!(!String::from_utf8_lossy(&answer).contains("201"));
    let blob = reqwest::get(running.url(&format!("web/blobs/{digest}")))
        .await
        .unwrap();
    assert_eq!(code(blob).await, (404, "BLOB_UNKNOWN".into()));
    assert_eq!(running.files().0, 0);
}

#[tokio::test]
async fn a_manifest_is_taken_only_when_it_is_whole_and_true() {
    let running = Running::start(Options {
        manifest_bytes_max: 2000,
        ..Options::default()
    })
    .await;
    let http = reqwest::Client::new();
    let put = async |target: &str, media_type: &str, content: Vec<u8>| {
        let request = http.put(running.url(&format!("web/manifests/{target}")));
        request
            .header("content-type", media_type)
            .body(content)
            .send()
            .await
            .unwrap()
    };
    let good = manifest(b"{}", None);
    let early = put("v1", media_type::MANIFEST, good.clone()).await;
    assert_eq!(code(early).await, (400, "MANIFEST_BLOB_UNKNOWN".into()));
    running.anyone().push_content("web", b"{}").await.unwrap();
    for (target, media_type, content, expected) in [
        (
            "v1",
            media_type::INDEX,
            good.clone(),
            (400, "MANIFEST_INVALID"),
        ),
        (
            "v1",
            "text/plain",
            b"{}".to_vec(),
            (400, "MANIFEST_INVALID"),
        ),
        (
            "v1",
            media_type::MANIFEST,
            b"not json".to_vec(),
            (400, "MANIFEST_INVALID"),
        ),
        (
            "v1",
            media_type::MANIFEST,
            vec![b' '; 2001],
            (413, "SIZE_INVALID"),
        ),
        (
            Digest::of(b"other").as_str(),
            media_type::MANIFEST,
            good.clone(),
            (400, "DIGEST_INVALID"),
        ),
    ] {
        let (status, found) = code(put(target, media_type, content).await).await;
        assert_eq!((status, found.as_str()), expected, "{target} {media_type}");
    }
    assert!(running.registry.arrivals(0).is_empty());
    let done = put("v1", media_type::MANIFEST, good.clone()).await;
    assert_eq!(done.status(), 201);
    assert_eq!(
        done.headers()["docker-content-digest"],
        Digest::of(&good).as_str()
    );
    let head = http
        .head(running.url("web/manifests/v1"))
        .send()
        .await
        .unwrap();
    assert_eq!(
        head.headers()["content-length"],
        good.len().to_string().as_str()
    );
    assert_eq!(head.headers()["content-type"], media_type::MANIFEST);
}

#[tokio::test]
async fn tags_come_in_pages() {
    let running = Running::start(Options::default()).await;
    let client = running.anyone();
    client.push_content("web", b"{}").await.unwrap();
    let content = manifest(b"{}", None);
    for tag in ["c", "a", "d", "b"] {
        client
            .push_manifest("web", Some(tag), media_type::MANIFEST, &content)
            .await
            .unwrap();
    }
    let page = async |query: &str| {
        let response = reqwest::get(running.url(&format!("web/tags/list{query}")))
            .await
            .unwrap();
        let link = response
            .headers()
            .get("link")
            .map(|link| link.to_str().unwrap().to_owned());
        let body: Value = response.json().await.unwrap();
        (body["tags"].to_string(), link)
    };
    assert_eq!(page("").await, (r#"["a","b","c","d"]"#.into(), None));
    let next = "</v2/web/tags/list?n=2&last=b>; rel=\"next\"".to_owned();
    assert_eq!(page("?n=2").await, (r#"["a","b"]"#.into(), Some(next)));
    assert_eq!(page("?n=2&last=b").await, (r#"["c","d"]"#.into(), None));
    assert_eq!(page("?n=0").await, ("[]".into(), None));
    let wrong = reqwest::get(running.url("web/tags/list?n=x"))
        .await
        .unwrap();
    assert_eq!(code(wrong).await, (400, "PAGINATION_NUMBER_INVALID".into()));
    let none = reqwest::get(running.url("nothing/tags/list"))
        .await
        .unwrap();
    assert_eq!(code(none).await, (404, "NAME_UNKNOWN".into()));
}

#[tokio::test]
async fn evidence_is_found_from_what_it_is_about() {
    let running = Running::start(Options::default()).await;
    let client = running.anyone();
    client.push_content("web", b"{}").await.unwrap();
    let subject = manifest(b"{}", None);
    client
        .push_manifest("web", Some("v1"), media_type::MANIFEST, &subject)
        .await
        .unwrap();
    let descriptor = Descriptor::of(media_type::MANIFEST, &subject);
    let evidence = manifest(b"{}", Some(&descriptor));
    client
        .push_manifest("web", None, media_type::MANIFEST, &evidence)
        .await
        .unwrap();
    let found = client
        .referrers("web", &descriptor.digest, Some("application/vnd.test"))
        .await
        .unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].digest, Digest::of(&evidence));
    assert_eq!(found[0].annotations["colour"], "blue");
    assert!(
        client
            .referrers("web", &descriptor.digest, Some("other"))
            .await
            .unwrap()
            .is_empty()
    );
    assert!(
        client
            .referrers("web", &Digest::of(b"unknown"), None)
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn what_is_needed_cannot_be_deleted_and_the_rest_can() {
    let running = Running::start(Options::default()).await;
    let client = running.anyone();
    client.push_content("web", b"{}").await.unwrap();
    let content = manifest(b"{}", None);
    let digest = client
        .push_manifest("web", Some("v1"), media_type::MANIFEST, &content)
        .await
        .unwrap();
    let http = reqwest::Client::new();
    let blob = running.url(&format!("web/blobs/{}", Digest::of(b"{}")));
    assert_eq!(
        code(http.delete(&blob).send().await.unwrap()).await,
        (409, "DENIED".into())
    );
    client.delete_manifest("web", "v1").await.unwrap();
    assert!(
        client
            .resolve("web", "v1")
            .await
            .unwrap_err()
            .is_not_found()
    );
    client.resolve("web", digest.as_str()).await.unwrap();
    client
        .delete_manifest("web", digest.as_str())
        .await
        .unwrap();
    assert!(
        client
            .resolve("web", digest.as_str())
            .await
            .unwrap_err()
            .is_not_found()
    );
    assert_eq!(http.delete(&blob).send().await.unwrap().status(), 202);
    assert_eq!(
        code(http.delete(&blob).send().await.unwrap()).await,
        (404, "BLOB_UNKNOWN".into())
    );
}

#[tokio::test]
async fn unknown_paths_and_methods_are_answered_in_the_protocols_words() {
    let running = Running::start(Options::default()).await;
    let http = reqwest::Client::new();
    let answer = async |method: reqwest::Method, path: &str| {
        code(
            http.request(method, running.url(path))
                .send()
                .await
                .unwrap(),
        )
        .await
    };
    assert_eq!(
        answer(reqwest::Method::GET, "Web/manifests/v1").await,
        (404, "NAME_INVALID".into())
    );
    assert_eq!(
        answer(reqwest::Method::GET, "web/nonsense").await,
        (404, "NAME_INVALID".into())
    );
    assert_eq!(
        answer(reqwest::Method::POST, "web/manifests/v1").await,
        (405, "UNSUPPORTED".into())
    );
    assert_eq!(
        answer(reqwest::Method::GET, "web/manifests/v1").await,
        (404, "MANIFEST_UNKNOWN".into())
    );
}
