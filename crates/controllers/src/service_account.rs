//! What every namespace gets: the `default` service account and the
//! certificate bundle of the cluster.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ConfigMap, Namespace, ServiceAccount};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::change::{Change, name};

/// The service account of pods that name none.
pub const DEFAULT_ACCOUNT: &str = "default";
/// The config map that carries the certificate authority of the cluster.
pub const ROOT_CA: &str = "kube-root-ca.crt";

/// What is known about one namespace.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    pub namespace: &'a Namespace,
    pub account: Option<&'a ServiceAccount>,
    pub root_ca: Option<&'a ConfigMap>,
    /// The PEM bundle clients inside the cluster should trust.
    pub certificate_authority: &'a str,
}

/// Returns what is missing in the namespace, unless it is being deleted.
pub fn decide(inputs: Inputs<'_>) -> Vec<Change> {
    if inputs.namespace.metadata.deletion_timestamp.is_some() {
        return Vec::new();
    }
    let metadata = |object: &str| ObjectMeta {
        name: Some(object.to_owned()),
        namespace: Some(name(inputs.namespace).to_owned()),
        ..ObjectMeta::default()
    };
    let mut changes = Vec::new();
    if inputs.account.is_none() {
        let account = ServiceAccount {
            metadata: metadata(DEFAULT_ACCOUNT),
            ..ServiceAccount::default()
        };
        changes.push(Change::create(&account, None));
    }
    let data = BTreeMap::from([("ca.crt".to_owned(), inputs.certificate_authority.to_owned())]);
    match inputs.root_ca {
        None => {
            let bundle = ConfigMap {
                metadata: metadata(ROOT_CA),
                data: Some(data),
                ..ConfigMap::default()
            };
            changes.push(Change::create(&bundle, None));
        }
        Some(existing) => {
            let mut wanted = existing.clone();
            wanted.data = Some(data);
            changes.extend(Change::update(existing, &wanted));
        }
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn namespace() -> Namespace {
        Namespace {
            metadata: ObjectMeta {
                name: Some("dev".to_owned()),
                ..ObjectMeta::default()
            },
            ..Namespace::default()
        }
    }

    #[track_caller]
    fn check(account: bool, certificate: Option<&str>, changes: usize) {
        let namespace = namespace();
        let account = account.then(ServiceAccount::default);
        let root_ca = certificate.map(|pem| ConfigMap {
            data: Some(BTreeMap::from([("ca.crt".to_owned(), pem.to_owned())])),
            ..ConfigMap::default()
        });
        let decided = decide(Inputs {
            namespace: &namespace,
            account: account.as_ref(),
            root_ca: root_ca.as_ref(),
            certificate_authority: "new",
        });
        assert_eq!(decided.len(), changes, "{decided:?}");
    }

    #[test]
    fn a_new_namespace_gets_account_and_certificate() {
        check(false, None, 2);
    }

    #[test]
    fn a_changed_certificate_authority_is_written_again() {
        check(true, Some("old"), 1);
        check(true, Some("new"), 0);
    }

    #[test]
    fn a_namespace_being_deleted_gets_nothing() {
        let mut namespace = namespace();
        namespace.metadata.deletion_timestamp = Some(
            k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(jiff::Timestamp::UNIX_EPOCH),
        );
        let inputs = Inputs {
            namespace: &namespace,
            account: None,
            root_ca: None,
            certificate_authority: "",
        };
        assert_eq!(decide(inputs), Vec::new());
    }
}
