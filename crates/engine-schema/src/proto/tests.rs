//! Bodies recorded from the real server in both encodings, and bad input.

use proptest::prelude::*;
use serde::Deserialize;

use super::*;
use crate::conform;

#[derive(Deserialize)]
struct Recorded {
    name: String,
    protobuf: String,
    json: Value,
}

fn recorded() -> Vec<(String, Vec<u8>, Value)> {
    let all: Vec<Recorded> = serde_json::from_str(include_str!("recorded.json")).unwrap();
    all.into_iter()
        .map(|one| (one.name, STANDARD.decode(one.protobuf).unwrap(), one.json))
        .collect()
}

#[test]
fn both_encodings_of_an_object_mean_the_same() {
    for (name, body, expected) in recorded() {
        let mut decoded = decode(&body).unwrap();
        let api_version = decoded["apiVersion"].as_str().unwrap().to_owned();
        let (group, version) = api_version.split_once('/').unwrap_or(("", &api_version));
        let type_ref = Schema::builtin()
            .kind(group, version, decoded["kind"].as_str().unwrap())
            .unwrap();
        conform(type_ref, &mut decoded);
        let mut conformed = expected.clone();
        conform(type_ref, &mut conformed);
        assert_eq!(
            conformed, expected,
            "{name}: what the server sends is conformed"
        );
        assert_eq!(decoded, expected, "{name}");
    }
}

/// An envelope around a message of a kind.
fn envelope(api_version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
    let field = |number: u8, bytes: &[u8]| {
        [
            &[number << 3 | 2, u8::try_from(bytes.len()).unwrap()],
            bytes,
        ]
        .concat()
    };
    let type_meta = [field(1, api_version.as_bytes()), field(2, kind.as_bytes())].concat();
    [MAGIC, &field(1, &type_meta), &field(2, raw)].concat()
}

#[test]
fn delete_options_are_known_in_every_version() {
    let raw = [
        8, 0, 34, 10, b'B', b'a', b'c', b'k', b'g', b'r', b'o', b'u', b'n', b'd',
    ];
    let decoded = decode(&envelope("v1", "DeleteOptions", &raw)).unwrap();
    assert_eq!(
        decoded,
        json!({"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0, "propagationPolicy": "Background"})
    );
    assert!(decode(&envelope("apps/v1", "DeleteOptions", &raw)).is_ok());
}

#[test]
fn what_is_not_an_envelope_is_refused() {
    assert_eq!(decode(b"{}"), Err(DecodeError::NoEnvelope));
    assert_eq!(decode(b"k8s\0"), Err(DecodeError::NoKind));
    assert!(matches!(
        decode(&envelope("v1", "Nothing", &[])),
        Err(DecodeError::UnknownKind { .. })
    ));
    assert!(matches!(
        decode(&vec![0; BYTES_MAX + 1]),
        Err(DecodeError::TooLarge { .. })
    ));
    assert!(matches!(
        decode(&envelope("v1", "Pod", &[0x0a, 0x7f])),
        Err(DecodeError::Field { .. })
    ));
}

#[test]
fn messages_without_end_are_refused() {
    // A JSON schema's `not` (field 28) holds a JSON schema.
    let mut nested = Vec::new();
    for _ in 0..1000 {
        let mut outer = vec![0xe2, 0x01];
        let mut length = nested.len();
        while length >= 0x80 {
            outer.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
            length >>= 7;
        }
        outer.push(u8::try_from(length).unwrap());
        outer.extend_from_slice(&nested);
        nested = outer;
    }
    let name = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps";
    assert!(messages().contains_key(name));
    assert_eq!(
        message(name, &nested, 0, &mut Map::new()),
        Err(DecodeError::TooDeep)
    );
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(kind in prop::sample::select(vec!["Pod", "ConfigMap", "Secret", "Event"]), raw in prop::collection::vec(any::<u8>(), 0..100)) {
        let _outcome = decode(&envelope("v1", kind, &raw));
    }

    #[test]
    fn damaged_bodies_do_not_make_it_panic(index in 0_usize..14, position in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let (_, mut body, _) = recorded().swap_remove(index);
        let position = position.index(body.len());
        body[position] = byte;
        let _outcome = decode(&body);
    }
}
