//! The decoder's words against the real server's.

use super::*;
use crate::Schema;
use serde_json::json;

#[track_caller]
fn check(object: &Value, unknown: &[&str], mismatch: Option<&str>) {
    let type_ref = Schema::builtin().kind("apps", "v1", "Deployment").unwrap();
    let report = check_fields(type_ref, object);
    assert_eq!(report.unknown, unknown);
    assert_eq!(
        report.mismatch.map(|found| found.to_string()).as_deref(),
        mismatch
    );
}

#[test]
fn unknown_fields_are_named_with_list_positions() {
    check(
        &json!({"spec": {"foo": 1, "template": {"spec": {"containers": [{"name": "a", "foo": {"bar": 1}}]}}}}),
        &["spec.foo", "spec.template.spec.containers[0].foo"],
        None,
    );
}

#[test]
fn field_names_are_case_sensitive() {
    check(&json!({"Spec": {}}), &["Spec"], None);
}

#[test]
fn wrong_types_are_worded_as_the_real_server_words_them() {
    check(
        &json!({"spec": {"replicas": "x"}}),
        &[],
        Some(
            "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
    );
    check(
        &json!({"spec": {"replicas": 1.5}}),
        &[],
        Some(
            "json: cannot unmarshal number 1.5 into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
    );
    check(
        &json!({"metadata": {"labels": []}}),
        &[],
        Some(
            "json: cannot unmarshal array into Go struct field ObjectMeta.metadata.labels of type map[string]string",
        ),
    );
    check(
        &json!({"spec": {"template": {"spec": {"containers": [{"image": 1}]}}}}),
        &[],
        Some(
            "json: cannot unmarshal number into Go struct field Container.spec.template.spec.containers.image of type string",
        ),
    );
}

#[test]
fn microtimes_need_their_six_digits() {
    let type_ref = Schema::builtin()
        .kind("coordination.k8s.io", "v1", "Lease")
        .unwrap();
    let fits = |time: &str| {
        check_fields(type_ref, &json!({"spec": {"renewTime": time}}))
            .mismatch
            .is_none()
    };
    assert!(fits("2026-01-02T03:04:05.123456Z"));
    assert!(fits("2026-01-02T03:04:05.123456+02:00"));
    assert!(!fits("2026-01-02T03:04:05Z"));
    assert!(!fits("2026-01-02T03:04:05.123Z"));
    assert!(!fits("2026-01-02 03:04:05.123456Z"));
}

#[test]
fn quantities_and_times_are_parsed() {
    let limits = |cpu: &str| json!({"spec": {"template": {"spec": {"containers": [{"resources": {"limits": {"cpu": cpu}}}]}}}});
    check(&limits("100m"), &[], None);
    check(
        &limits("abc"),
        &[],
        Some(
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
        ),
    );
    check(
        &json!({"metadata": {"creationTimestamp": "x"}}),
        &[],
        Some(r#"parsing time "x" as "2006-01-02T15:04:05Z07:00": cannot parse "x" as "2006""#),
    );
}

#[derive(serde::Deserialize)]
struct Recorded {
    group: String,
    version: String,
    kind: String,
    body: String,
    code: u16,
    message: String,
}

#[test]
fn bodies_are_refused_as_the_real_server_refuses_them() {
    let all: Vec<Recorded> = serde_json::from_str(include_str!("recorded.json")).unwrap();
    let mut different = Vec::new();
    for one in all {
        let type_ref = Schema::builtin()
            .kind(&one.group, &one.version, &one.kind)
            .unwrap();
        let (object, duplicates) = crate::parse_json(one.body.as_bytes()).unwrap();
        let report = check_fields(type_ref, &object);
        let mut strict = report.strict_messages(&duplicates);
        strict.sort();
        let reason = match &report.mismatch {
            Some(mismatch) => Some(mismatch.to_string()),
            None if strict.is_empty() => None,
            None => Some(format!("strict decoding error: {}", strict.join(", "))),
        };
        let prefix = format!(
            "{} in version {:?} cannot be handled as a {}: ",
            one.kind, one.version, one.kind
        );
        let wanted = (one.code == 400).then(|| {
            one.message
                .strip_prefix(&prefix)
                .unwrap_or(&one.message)
                .to_owned()
        });
        // The real server lists them in the order of the body.
        let wanted = wanted.map(
            |message| match message.strip_prefix("strict decoding error: ") {
                None => message,
                Some(list) => {
                    let mut list: Vec<&str> = list.split(", ").collect();
                    list.sort_unstable();
                    format!("strict decoding error: {}", list.join(", "))
                }
            },
        );
        if reason != wanted {
            different.push(format!(
                "{}\n   got {reason:?}\n  want {wanted:?}",
                one.body
            ));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}
