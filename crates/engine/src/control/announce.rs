//! The sentences of events about creations and deletions, as each controller words them.

use foreshore_controllers::{Kind, Target};
use k8s_openapi::api::core::v1::ObjectReference;

pub(super) fn created(regarding: &ObjectReference, kind: &Kind, name: &str) -> String {
    match owner(regarding) {
        "StatefulSet" => stateful("create", regarding, kind, name, None),
        "CronJob" => format!("Created {} {name}", noun(kind)),
        _ => format!("Created {}: {name}", noun(kind)),
    }
}

pub(super) fn not_created(
    regarding: &ObjectReference,
    kind: &Kind,
    name: &str,
    error: &str,
) -> String {
    match owner(regarding) {
        "StatefulSet" => stateful("create", regarding, kind, name, Some(error)),
        "CronJob" => format!("Error creating job: {error}"),
        _ => format!("Error creating: {error}"),
    }
}

/// With `error` it did not happen.
pub(super) fn deleted(regarding: &ObjectReference, target: &Target, error: Option<&str>) -> String {
    let (kind, name) = (&target.kind, &target.name);
    match (owner(regarding), error) {
        ("StatefulSet", error) => stateful("delete", regarding, kind, name, error),
        ("CronJob", None) => format!("Deleted {} {name}", noun(kind)),
        ("CronJob", Some(error)) => format!("Deleted job: {error}"),
        (_, None) => format!("Deleted {}: {name}", noun(kind)),
        (_, Some(error)) => format!("Error deleting: {error}"),
    }
}

fn stateful(
    verb: &str,
    regarding: &ObjectReference,
    kind: &Kind,
    name: &str,
    error: Option<&str>,
) -> String {
    let set = regarding.name.as_deref().unwrap_or_default();
    // A claim is named after its pod: template, then set and number.
    let (what, success) = match name.find(&format!("-{set}-")) {
        Some(dash) if kind.kind == "PersistentVolumeClaim" => {
            (format!("Claim {name} Pod {}", &name[dash + 1..]), "success")
        }
        _ => (format!("{} {name}", kind.kind), "successful"),
    };
    match error {
        None => format!("{verb} {what} in StatefulSet {set} {success}"),
        Some(error) => format!("{verb} {what} in StatefulSet {set} failed error: {error}"),
    }
}

fn owner(regarding: &ObjectReference) -> &str {
    regarding.kind.as_deref().unwrap_or_default()
}

fn noun(kind: &Kind) -> String {
    kind.kind.to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};

    fn about(kind: &str) -> ObjectReference {
        ObjectReference {
            kind: Some(kind.to_owned()),
            name: Some("db".to_owned()),
            ..ObjectReference::default()
        }
    }

    #[test]
    fn each_controller_has_its_own_words() {
        let (pod, claim) = (Kind::of::<Pod>(), Kind::of::<PersistentVolumeClaim>());
        assert_eq!(
            created(&about("ReplicaSet"), &pod, "db-x"),
            "Created pod: db-x"
        );
        assert_eq!(
            created(&about("StatefulSet"), &pod, "db-0"),
            "create Pod db-0 in StatefulSet db successful"
        );
        assert_eq!(
            created(&about("StatefulSet"), &claim, "data-db-0"),
            "create Claim data-db-0 Pod db-0 in StatefulSet db success"
        );
        assert_eq!(
            not_created(&about("StatefulSet"), &pod, "db-0", "no room"),
            "create Pod db-0 in StatefulSet db failed error: no room"
        );
    }
}
