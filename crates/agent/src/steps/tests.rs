//! Order, write-ahead and guards of the steps.

use jiff::Timestamp;
use serde_json::json;

use super::*;
use crate::fixture;

fn desired(objects: &[&str]) -> Desired {
    let made = objects.iter().map(|object| {
        let reference = fixture::reference(object);
        json!({"apiVersion": reference.api_version, "kind": reference.kind,
            "metadata": {"name": reference.name, "namespace": reference.namespace}})
    });
    Desired {
        namespace: "shop-dev".to_owned(),
        tree: "t".to_owned(),
        commit: "c".to_owned(),
        release: fixture::release(1),
        operations: foreshore_model::Operations::default(),
        confirmed: Vec::new(),
        manifests_tree: "m".to_owned(),
        checks: Vec::new(),
        dependencies: Vec::new(),
        objects: made.collect(),
        hooks: Vec::new(),
    }
}

/// Stages as lines; steps of one stage are joined by ` | `.
fn lines(stages: &[Stage]) -> Vec<String> {
    let line = |stage: &Stage| {
        stage
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(" | ")
    };
    stages.iter().map(line).collect()
}

fn steps(wanted: &[&str], has: &[&str], confirmed: &[&str]) -> Result<Vec<Stage>, Refusal> {
    let mut made = desired(wanted);
    made.confirmed = confirmed
        .iter()
        .map(|object| (*object).to_owned())
        .collect();
    release_steps(&made, &fixture::inventory(has), Timestamp::UNIX_EPOCH)
}

#[track_caller]
fn check(wanted: &[&str], has: &[&str], expected: &[&str]) {
    let stages = release_steps(
        &desired(wanted),
        &fixture::inventory(has),
        Timestamp::UNIX_EPOCH,
    )
    .expect("is not refused");
    assert_eq!(lines(&stages), expected);
}

#[track_caller]
fn refused(wanted: &[&str], has: &[&str], part: &str) {
    let refusal = release_steps(
        &desired(wanted),
        &fixture::inventory(has),
        Timestamp::UNIX_EPOCH,
    )
    .expect_err("is refused")
    .to_string();
    assert!(refusal.contains(part), "`{part}` is not in: {refusal}");
}

#[test]
fn everything_is_validated_before_anything_is_written() {
    check(
        &[
            "Ingress/web",
            "Deployment/web",
            "Service/web",
            "ConfigMap/web",
            "ServiceAccount/web",
        ],
        &[],
        &[
            "make namespace shop-dev",
            "validate Ingress/web | validate Deployment/web | validate Service/web | validate ConfigMap/web | validate ServiceAccount/web",
            "expect 5 objects",
            "apply ServiceAccount/web",
            "apply ConfigMap/web",
            "apply Service/web",
            "apply Deployment/web",
            "apply Ingress/web",
            "record release 1",
        ],
    );
}

#[test]
fn what_is_remembered_already_is_not_written_ahead_again() {
    let expected = [
        "make namespace shop-dev",
        "validate Service/web",
        "apply Service/web",
        "record release 1",
    ];
    check(&["Service/web"], &["Service/web"], &expected);
    let expected = [
        "make namespace shop-dev",
        "validate Service/new",
        "expect 2 objects",
        "apply Service/new",
        "record release 1",
    ];
    check(&["Service/new"], &["Service/old"], &expected);
}

#[test]
fn replicas_are_set_after_a_new_workload_and_before_one_that_is_there() {
    let mut made = desired(&["Deployment/web"]);
    made.operations.replicas = [("web".to_owned(), 3)].into();
    let mut inventory = fixture::inventory(&["Deployment/web"]);
    let stages = release_steps(&made, &inventory, Timestamp::UNIX_EPOCH).unwrap();
    inventory.entries[0].uid = "u".to_owned();
    let again = release_steps(&made, &inventory, Timestamp::UNIX_EPOCH).unwrap();
    assert_eq!(
        lines(&again)[2..],
        [
            "scale Deployment/web to 3",
            "apply Deployment/web",
            "record release 1"
        ]
    );
    assert_eq!(
        lines(&stages)[2..],
        [
            "apply Deployment/web",
            "scale Deployment/web to 3",
            "record release 1"
        ]
    );
}

#[test]
fn removals_run_backwards_and_end_with_a_record() {
    let stages = prune_steps(
        &desired(&["Service/new"]),
        &fixture::inventory(&["ConfigMap/a", "Ingress/a", "Service/new", "Deployment/a"]),
    );
    assert_eq!(
        lines(&stages),
        [
            "prune Ingress/a",
            "prune Deployment/a",
            "prune ConfigMap/a",
            "record release 1"
        ]
    );
    assert_eq!(
        prune_steps(
            &desired(&["Service/a"]),
            &fixture::inventory(&["Service/a"])
        ),
        Vec::<Stage>::new()
    );
}

#[test]
fn a_release_without_objects_is_refused() {
    refused(&[], &["Service/web"], "no objects");
}

#[test]
fn more_than_five_and_thirty_percent_removals_are_refused() {
    let has: Vec<String> = (0..20)
        .map(|number| format!("ConfigMap/{number}"))
        .collect();
    let has: Vec<&str> = has.iter().map(String::as_str).collect();
    refused(&["Service/web"], &has[..6], "remove 6 of 6");
    refused(&has[7..], &has, "remove 7 of 20");
    for fine in [
        steps(&["Service/web"], &has[..5], &[]),
        steps(&has[6..], &has, &[]),
        steps(&["Service/web"], &has, &["*"]),
    ] {
        fine.unwrap();
    }
}

#[test]
fn what_keeps_data_is_never_removed_by_a_release() {
    refused(
        &["Service/web"],
        &["Service/web", "PersistentVolumeClaim/data"],
        "PersistentVolumeClaim/data",
    );
    refused(
        &["Service/web"],
        &["Service/web", "StatefulSet/db"],
        "StatefulSet/db",
    );
}

#[test]
fn what_keeps_data_goes_only_by_its_name() {
    let has = ["Service/web", "PersistentVolumeClaim/data"];
    steps(&["Service/web"], &has, &["*"]).unwrap_err();
    steps(&["Service/web"], &has, &["PersistentVolumeClaim/other"]).unwrap_err();
    steps(&["Service/web"], &has, &["PersistentVolumeClaim/data"]).unwrap();
}

#[test]
fn a_retired_service_loses_everything_but_data_only_by_its_name() {
    let inventory = fixture::inventory(&["Service/web", "Ingress/web", "StatefulSet/db"]);
    retire_steps(&inventory, &[]).unwrap_err();
    let stages = retire_steps(&inventory, &["StatefulSet/db".to_owned()]).unwrap();
    assert_eq!(
        lines(&stages),
        [
            "prune Ingress/web",
            "prune StatefulSet/db",
            "prune Service/web",
            "forget"
        ]
    );
    retire_steps(&fixture::inventory(&["PersistentVolumeClaim/data"]), &[]).unwrap_err();
}
