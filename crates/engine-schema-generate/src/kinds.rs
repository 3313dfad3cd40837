//! Which resources the tables contain, and which of them are served. This is
//! the one list a person edits to add a built-in kind.

/// A resource by group, version and plural.
pub(crate) type Name = (&'static str, &'static str, &'static str);

/// Resources that answer requests, with the subresources that do.
pub(crate) const SERVED: &[(Name, &[&str])] = &[
    (("", "v1", "configmaps"), &[]),
    (("", "v1", "endpoints"), &[]),
    (("", "v1", "events"), &[]),
    (("", "v1", "namespaces"), &["finalize", "status"]),
    (("", "v1", "nodes"), &["status"]),
    (("", "v1", "persistentvolumeclaims"), &["status"]),
    (("", "v1", "persistentvolumes"), &["status"]),
    (
        ("", "v1", "pods"),
        &["binding", "eviction", "exec", "log", "status"],
    ),
    (("", "v1", "secrets"), &[]),
    (("", "v1", "serviceaccounts"), &["token"]),
    (("", "v1", "services"), &["status"]),
    (
        ("apiextensions.k8s.io", "v1", "customresourcedefinitions"),
        &["status"],
    ),
    (("apps", "v1", "controllerrevisions"), &[]),
    (("apps", "v1", "daemonsets"), &["status"]),
    (("apps", "v1", "deployments"), &["scale", "status"]),
    (("apps", "v1", "replicasets"), &["scale", "status"]),
    (("apps", "v1", "statefulsets"), &["scale", "status"]),
    (("authentication.k8s.io", "v1", "selfsubjectreviews"), &[]),
    (("authentication.k8s.io", "v1", "tokenreviews"), &[]),
    (
        ("authorization.k8s.io", "v1", "localsubjectaccessreviews"),
        &[],
    ),
    (
        ("authorization.k8s.io", "v1", "selfsubjectaccessreviews"),
        &[],
    ),
    (
        ("authorization.k8s.io", "v1", "selfsubjectrulesreviews"),
        &[],
    ),
    (("authorization.k8s.io", "v1", "subjectaccessreviews"), &[]),
    (
        ("autoscaling", "v1", "horizontalpodautoscalers"),
        &["status"],
    ),
    (
        ("autoscaling", "v2", "horizontalpodautoscalers"),
        &["status"],
    ),
    (("batch", "v1", "cronjobs"), &["status"]),
    (("batch", "v1", "jobs"), &["status"]),
    (("coordination.k8s.io", "v1", "leases"), &[]),
    (("discovery.k8s.io", "v1", "endpointslices"), &[]),
    (("events.k8s.io", "v1", "events"), &[]),
    (("networking.k8s.io", "v1", "ingressclasses"), &[]),
    (("networking.k8s.io", "v1", "ingresses"), &["status"]),
    (("networking.k8s.io", "v1", "networkpolicies"), &[]),
    (("policy", "v1", "poddisruptionbudgets"), &["status"]),
    (
        ("rbac.authorization.k8s.io", "v1", "clusterrolebindings"),
        &[],
    ),
    (("rbac.authorization.k8s.io", "v1", "clusterroles"), &[]),
    (("rbac.authorization.k8s.io", "v1", "rolebindings"), &[]),
    (("rbac.authorization.k8s.io", "v1", "roles"), &[]),
    (("scheduling.k8s.io", "v1", "priorityclasses"), &[]),
    (("storage.k8s.io", "v1", "storageclasses"), &[]),
];

/// Resources whose data is complete but which nothing serves yet.
pub(crate) const RESERVED: &[Name] = &[
    ("", "v1", "bindings"),
    ("", "v1", "limitranges"),
    ("", "v1", "replicationcontrollers"),
    ("", "v1", "resourcequotas"),
];

/// The served subresources of a resource; `None` if the resource is not served.
pub(crate) fn served(group: &str, version: &str, plural: &str) -> Option<&'static [&'static str]> {
    SERVED
        .iter()
        .find(|(name, _)| *name == (group, version, plural))
        .map(|(_, subresources)| *subresources)
}

/// Whether the tables contain a resource at all.
pub(crate) fn known(group: &str, version: &str, plural: &str) -> bool {
    served(group, version, plural).is_some() || RESERVED.contains(&(group, version, plural))
}

/// Whether the tables contain anything of a group-version.
pub(crate) fn known_group_version(group: &str, version: &str) -> bool {
    SERVED
        .iter()
        .map(|(name, _)| name)
        .chain(RESERVED)
        .any(|name| (name.0, name.1) == (group, version))
}

/// All resources of the tables.
pub(crate) fn all() -> impl Iterator<Item = Name> {
    SERVED
        .iter()
        .map(|(name, _)| *name)
        .chain(RESERVED.iter().copied())
}

/// Whether a resource can be listed; reviews and bindings are only created.
pub(crate) fn can_be_listed(name: Name) -> bool {
    !name.2.ends_with("reviews") && name != ("", "v1", "bindings")
}
