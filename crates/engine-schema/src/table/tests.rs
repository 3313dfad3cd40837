//! Rows recorded from the real server.

use jiff::{Span, Timestamp};
use serde::Deserialize;

use super::*;
use crate::Schema;

#[derive(Deserialize)]
struct Recorded {
    group: String,
    version: String,
    plural: String,
    now: Timestamp,
    cells: Vec<Value>,
    object: Value,
}

#[test]
fn rows_are_those_of_the_real_server() {
    let all: Vec<Recorded> = serde_json::from_str(include_str!("recorded.json")).unwrap();
    assert!(all.len() > 50);
    for one in all {
        let resource = Schema::builtin()
            .resource(&one.group, &one.version, &one.plural)
            .unwrap();
        let exact = row(resource, &one.object, one.now);
        // The answer's date has whole seconds, the ages in it were taken within that second.
        let later = row(resource, &one.object, one.now + Span::new().seconds(1));
        let earlier = row(resource, &one.object, one.now - Span::new().seconds(1));
        let matches = [&exact, &later, &earlier].contains(&&one.cells);
        assert!(
            matches,
            "{} {}\n got {exact:?}\nwant {:?}",
            one.plural, one.object["metadata"]["name"], one.cells
        );
        assert_eq!(exact.len(), columns(resource).len());
    }
}

#[test]
fn kinds_without_a_row_of_their_own_show_name_and_age() {
    let resource = Schema::builtin().resource("", "v1", "limitranges").unwrap();
    let object = json!({"metadata": {"name": "a", "creationTimestamp": "2026-01-02T03:04:05Z"}});
    assert_eq!(
        row(resource, &object, Timestamp::UNIX_EPOCH),
        [json!("a"), json!("2026-01-02T03:04:05Z")]
    );
}
