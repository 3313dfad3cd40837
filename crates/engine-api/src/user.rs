//! Who is asking.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// Members may do everything, whatever the stored roles say.
pub(crate) const MASTERS: &str = "system:masters";
pub(crate) const AUTHENTICATED: &str = "system:authenticated";
pub(crate) const UNAUTHENTICATED: &str = "system:unauthenticated";

/// An authenticated (or explicitly anonymous) user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserInfo {
    pub name: String,
    pub uid: String,
    pub groups: Vec<String>,
    pub extra: BTreeMap<String, Vec<String>>,
}

impl UserInfo {
    /// A user of these groups, authenticated.
    pub fn new(name: impl Into<String>, groups: &[&str]) -> Self {
        let groups = groups
            .iter()
            .copied()
            .chain([AUTHENTICATED])
            .map(str::to_owned)
            .collect();
        Self {
            name: name.into(),
            groups,
            ..Self::default()
        }
    }

    /// The owner of the machine: may do everything.
    pub fn admin() -> Self {
        Self::new("kubernetes-admin", &[MASTERS])
    }

    /// A part of the control plane, such as `system:kube-controller-manager`: may do everything.
    pub fn component(name: impl Into<String>) -> Self {
        Self::new(name, &[MASTERS])
    }

    /// Somebody without credentials.
    pub(crate) fn anonymous() -> Self {
        Self {
            name: "system:anonymous".into(),
            groups: vec![UNAUTHENTICATED.into()],
            ..Self::default()
        }
    }

    pub(crate) fn service_account(namespace: &str, name: &str, uid: &str) -> Self {
        let all = "system:serviceaccounts".to_owned();
        let groups = vec![
            all.clone(),
            format!("{all}:{namespace}"),
            AUTHENTICATED.to_owned(),
        ];
        Self {
            name: format!("system:serviceaccount:{namespace}:{name}"),
            uid: uid.to_owned(),
            groups,
            extra: BTreeMap::new(),
        }
    }

    pub(crate) fn belongs_to(&self, group: &str) -> bool {
        self.groups.iter().any(|member| member == group)
    }

    /// The user as reviews show it.
    pub(crate) fn to_value(&self) -> Value {
        let mut value = json!({"username": self.name, "groups": self.groups});
        if !self.uid.is_empty() {
            value["uid"] = self.uid.as_str().into();
        }
        if !self.extra.is_empty() {
            value["extra"] = json!(self.extra);
        }
        value
    }
}
