//! What the engine serves, keeps without effect, and refuses: told from the same tables
//! that answer requests.

use foreshore_engine_schema::{Resource, Schema, Support};
use serde::Serialize;

use crate::catalog::Catalog;
use crate::discovery::served_subresources;
use crate::strategy;
use crate::usage;

/// How far a resource works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// As on a real API server.
    Exact,
    /// Stored and answered with a warning; nothing acts on it.
    StoredWithoutEffect,
    /// Answered with 404, like a kind nobody has heard of.
    Refused,
}

/// One resource and what it offers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SupportedResource {
    pub group: String,
    pub version: String,
    pub kind: String,
    pub plural: String,
    pub namespaced: bool,
    pub level: Level,
    pub verbs: Vec<String>,
    pub subresources: Vec<String>,
    /// Subresources a real API server has and this one refuses.
    pub refused_subresources: Vec<String>,
    /// Why it is not exact; empty if it is.
    pub reason: String,
}

/// Something that is not a resource, and what happens to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RefusedFeature {
    pub feature: &'static str,
    pub answer: &'static str,
}

/// The whole matrix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SupportMatrix {
    /// The release whose behaviour is followed.
    pub kubernetes: String,
    pub resources: Vec<SupportedResource>,
    pub refused_features: Vec<RefusedFeature>,
}

/// Features without a resource of their own that somebody may look for.
const REFUSED: &[(&str, &str)] = &[
    (
        "every resource not listed",
        "404: the server could not find the requested resource",
    ),
    (
        "admission webhooks and policies",
        "404: their resources are not served",
    ),
    (
        "aggregated API servers (APIService)",
        "404: the resource is not served; metrics.k8s.io is built in",
    ),
    (
        "CEL rules in custom resource definitions",
        "stored, with a Warning that they are not evaluated",
    ),
    (
        "selectableFields of custom resource definitions",
        "stored, with a Warning that selectors do not know them",
    ),
    (
        "conversion webhooks of custom resource definitions",
        "422: spec.conversion.strategy is forbidden; strategy None works",
    ),
    (
        "protobuf answers",
        "JSON, if the client accepts it, as client-go does; else 406",
    ),
    (
        "SPDY streams",
        "refused by the node; WebSocket streams work",
    ),
    (
        "node authorizer and NodeRestriction",
        "absent: what a node's credential may do is decided by RBAC alone; nodes share one ground",
    ),
    (
        "preemption by priority",
        "nothing is evicted for a pod of higher priority; FailedScheduling says why it waits",
    ),
    (
        "quotas and limit ranges",
        "404: their resources are not served",
    ),
];

/// What a resource that is known and not served would be for.
const NOT_SERVED: &[(&str, &str)] = &[
    ("bindings", "use pods/binding"),
    (
        "limitranges",
        "defaults and bounds by namespace are not enforced here",
    ),
    (
        "replicationcontrollers",
        "use apps/v1 ReplicaSet or Deployment",
    ),
    ("resourcequotas", "quotas are not enforced here"),
];

/// Works out the matrix.
pub fn support() -> SupportMatrix {
    let catalog = Catalog::builtin();
    let builtin = Schema::builtin().resources().iter();
    let mut resources: Vec<SupportedResource> = builtin.map(|known| row(&catalog, known)).collect();
    resources.extend(usage::resources().iter().map(|known| row(&catalog, known)));
    let refused = REFUSED
        .iter()
        .map(|&(feature, answer)| RefusedFeature { feature, answer });
    SupportMatrix {
        kubernetes: Schema::builtin().kubernetes_version().to_owned(),
        resources,
        refused_features: refused.collect(),
    }
}

fn row(catalog: &Catalog, resource: &Resource) -> SupportedResource {
    let entry = catalog.find(&resource.group, &resource.version, &resource.plural);
    let without_effect = entry.and_then(|entry| strategy::without_effect(entry.rows.as_str()));
    let served = resource.is_served();
    let (level, reason) = match (served, without_effect) {
        (false, _) => {
            let found = NOT_SERVED
                .iter()
                .find(|(plural, _)| *plural == resource.plural);
            (Level::Refused, found.map_or("not served", |(_, why)| why))
        }
        (true, Some(why)) => (Level::StoredWithoutEffect, why),
        (true, None) => (Level::Exact, ""),
    };
    let subresources = served_subresources(resource).filter(|_| served);
    let refused = resource.subresources.iter();
    let refused = refused.filter(|part| !served || part.support != Support::Served);
    SupportedResource {
        group: resource.group.clone(),
        version: resource.version.clone(),
        kind: resource.kind.clone(),
        plural: resource.plural.clone(),
        namespaced: resource.namespaced,
        level,
        verbs: if served {
            resource.verbs.clone()
        } else {
            vec![]
        },
        subresources: subresources.map(|part| part.name.clone()).collect(),
        refused_subresources: refused.map(|part| part.name.clone()).collect(),
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find<'a>(matrix: &'a SupportMatrix, plural: &str) -> &'a SupportedResource {
        let mut rows = matrix.resources.iter();
        rows.find(|row| row.plural == plural).unwrap()
    }

    /// Groups with the kinds that are served as on a real API server.
    const EXACT: &[(&str, &str)] = &[
        (
            "",
            "Namespace Node Pod Service Endpoints ConfigMap Secret ServiceAccount Event \
             PersistentVolumeClaim",
        ),
        ("events.k8s.io", "Event"),
        (
            "apps",
            "Deployment ReplicaSet StatefulSet DaemonSet ControllerRevision",
        ),
        ("batch", "Job CronJob"),
        ("autoscaling", "HorizontalPodAutoscaler"),
        ("policy", "PodDisruptionBudget"),
        ("networking.k8s.io", "Ingress IngressClass"),
        ("discovery.k8s.io", "EndpointSlice"),
        ("coordination.k8s.io", "Lease"),
        (
            "rbac.authorization.k8s.io",
            "Role RoleBinding ClusterRole ClusterRoleBinding",
        ),
        ("apiextensions.k8s.io", "CustomResourceDefinition"),
        (
            "authorization.k8s.io",
            "SubjectAccessReview SelfSubjectAccessReview LocalSubjectAccessReview \
             SelfSubjectRulesReview",
        ),
        ("authentication.k8s.io", "TokenReview SelfSubjectReview"),
        ("metrics.k8s.io", "NodeMetrics PodMetrics"),
    ];
    /// Kinds that charts bring along and nothing acts on.
    const KEPT: &[&str] = &["NetworkPolicy", "PriorityClass"];

    #[test]
    fn every_promised_kind_is_served_exactly() {
        let matrix = support();
        let level = |group: &str, kind: &str| {
            let mut rows = matrix.resources.iter();
            let row = rows.find(|row| row.group == group && row.kind == kind);
            row.map(|row| row.level)
        };
        for (group, kinds) in EXACT {
            for kind in kinds.split(' ') {
                assert_eq!(level(group, kind), Some(Level::Exact), "{kind}.{group}");
            }
        }
        let kept = matrix
            .resources
            .iter()
            .filter(|row| row.level == Level::StoredWithoutEffect);
        assert!(kept.clone().count() >= KEPT.len());
        for row in kept {
            assert!(KEPT.contains(&row.kind.as_str()), "{}", row.kind);
        }
    }

    #[test]
    fn every_level_has_its_words() {
        let matrix = support();
        let pods = find(&matrix, "pods");
        assert_eq!((pods.level, pods.reason.as_str()), (Level::Exact, ""));
        assert!(pods.subresources.contains(&"exec".to_owned()));
        assert!(pods.refused_subresources.contains(&"attach".to_owned()));
        let policies = find(&matrix, "networkpolicies");
        assert_eq!(policies.level, Level::StoredWithoutEffect);
        assert!(policies.reason.contains("has no effect"));
        let quotas = find(&matrix, "resourcequotas");
        assert_eq!((quotas.level, quotas.verbs.len()), (Level::Refused, 0));
        let unexplained = matrix.resources.iter().filter(|row| {
            row.level != Level::Exact && (row.reason.is_empty() || row.reason == "not served")
        });
        assert_eq!(unexplained.count(), 0);
    }
}
