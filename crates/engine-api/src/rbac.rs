//! Who may do what, by the stored roles and bindings. A pure function of them.

mod escalation;

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::user::{MASTERS, UserInfo};

pub(crate) use self::escalation::rules_of_object;

/// What somebody wants to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Attributes {
    pub(crate) verb: String,
    /// Empty for requests that name no resource.
    pub(crate) resource: String,
    pub(crate) subresource: String,
    pub(crate) group: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
    /// Only for requests that name no resource.
    pub(crate) path: String,
}

/// One permission.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Rule {
    verbs: Vec<String>,
    api_groups: Vec<String>,
    resources: Vec<String>,
    resource_names: Vec<String>,
    #[serde(rename = "nonResourceURLs")]
    non_resource_urls: Vec<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Subject {
    kind: String,
    name: String,
    namespace: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RoleRef {
    kind: String,
    name: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Stored {
    metadata: Metadata,
    rules: Option<Vec<Rule>>,
    subjects: Option<Vec<Subject>>,
    role_ref: RoleRef,
    aggregation_rule: Option<Aggregation>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Metadata {
    name: String,
    namespace: String,
    labels: HashMap<String, String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Aggregation {
    cluster_role_selectors: Vec<Selector>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Selector {
    match_labels: HashMap<String, String>,
}

struct Binding {
    /// Empty for bindings of the whole cluster.
    namespace: String,
    subjects: Vec<Subject>,
    rules: Vec<Rule>,
}

/// All roles and bindings, made ready for questions.
#[derive(Default)]
pub(crate) struct Policy {
    bindings: Vec<Binding>,
    /// Rules of cluster roles by name.
    cluster: HashMap<String, Vec<Rule>>,
    /// Rules of roles by namespace and name.
    local: HashMap<(String, String), Vec<Rule>>,
}

impl Policy {
    /// Takes the stored objects; what cannot be read grants nothing.
    pub(crate) fn new<'a>(
        roles: impl Iterator<Item = &'a [u8]>,
        cluster_roles: impl Iterator<Item = &'a [u8]>,
        bindings: impl Iterator<Item = &'a [u8]>,
        cluster_bindings: impl Iterator<Item = &'a [u8]>,
    ) -> Self {
        let read = |bytes: &[u8]| serde_json::from_slice::<Stored>(bytes).ok();
        let cluster_stored: Vec<Stored> = cluster_roles.filter_map(read).collect();
        let cluster: HashMap<String, Vec<Rule>> = cluster_stored
            .iter()
            .map(|role| (role.metadata.name.clone(), rules_of(role, &cluster_stored)))
            .collect();
        let local: HashMap<(String, String), Vec<Rule>> = roles
            .filter_map(read)
            .map(|role| {
                let place = (role.metadata.namespace, role.metadata.name);
                (place, role.rules.unwrap_or_default())
            })
            .collect();
        let bind = |stored: Stored| {
            let namespace = stored.metadata.namespace;
            let granted = match stored.role_ref.kind.as_str() {
                "ClusterRole" => cluster.get(stored.role_ref.name.as_str()).cloned(),
                _ => local
                    .get(&(namespace.clone(), stored.role_ref.name))
                    .cloned(),
            };
            let subjects = stored.subjects.unwrap_or_default();
            Binding {
                namespace,
                subjects,
                rules: granted.unwrap_or_default(),
            }
        };
        let bindings = bindings
            .chain(cluster_bindings)
            .filter_map(read)
            .map(bind)
            .collect();
        Self {
            bindings,
            cluster,
            local,
        }
    }

    pub(crate) fn allows(&self, user: &UserInfo, wanted: &Attributes) -> bool {
        user.belongs_to(MASTERS)
            || self
                .rules(user, &wanted.namespace)
                .any(|rule| rule.allows(wanted))
    }

    fn rules(&self, user: &UserInfo, namespace: &str) -> impl Iterator<Item = &Rule> {
        self.bindings
            .iter()
            .filter(move |binding| {
                (binding.namespace.is_empty() || binding.namespace == namespace)
                    && binding
                        .subjects
                        .iter()
                        .any(|subject| subject.is(user, &binding.namespace))
            })
            .flat_map(|binding| &binding.rules)
    }

    /// Everything the user may do in a namespace, as `SelfSubjectRulesReview` tells it.
    pub(crate) fn review(&self, user: &UserInfo, namespace: &str) -> Value {
        let everything = Rule {
            verbs: vec!["*".into()],
            api_groups: vec!["*".into()],
            resources: vec!["*".into()],
            ..Rule::default()
        };
        let every_path = Rule {
            verbs: vec!["*".into()],
            non_resource_urls: vec!["*".into()],
            ..Rule::default()
        };
        let all = [everything, every_path];
        let masters = user.belongs_to(MASTERS);
        let granted = self
            .rules(user, namespace)
            .chain(all.iter().filter(|_| masters));
        let (mut resources, mut paths) = (vec![], vec![]);
        for rule in granted {
            if rule.non_resource_urls.is_empty() {
                let mut shown = json!({
                    "verbs": rule.verbs, "apiGroups": rule.api_groups, "resources": rule.resources,
                });
                if !rule.resource_names.is_empty() {
                    shown["resourceNames"] = json!(rule.resource_names);
                }
                resources.push(shown);
            } else {
                paths.push(json!({"verbs": rule.verbs, "nonResourceURLs": rule.non_resource_urls}));
            }
        }
        json!({"resourceRules": resources, "nonResourceRules": paths, "incomplete": false})
    }
}

/// A role's own rules, or those of the roles it gathers by label.
fn rules_of(role: &Stored, all: &[Stored]) -> Vec<Rule> {
    let Some(aggregation) = &role.aggregation_rule else {
        return role.rules.clone().unwrap_or_default();
    };
    all.iter()
        .filter(|other| {
            aggregation.cluster_role_selectors.iter().any(|selector| {
                !selector.match_labels.is_empty()
                    && selector
                        .match_labels
                        .iter()
                        .all(|(key, value)| other.metadata.labels.get(key) == Some(value))
            })
        })
        .flat_map(|other| match &other.aggregation_rule {
            // One level deeper suffices for admin, which gathers edit, which gathers view.
            Some(_) if other.metadata.name != role.metadata.name => rules_below(other, all),
            _ => other.rules.clone().unwrap_or_default(),
        })
        .chain(role.rules.clone().unwrap_or_default())
        .collect()
}

fn rules_below(role: &Stored, all: &[Stored]) -> Vec<Rule> {
    let plain: Vec<Stored> = all
        .iter()
        .filter(|other| other.metadata.name != role.metadata.name)
        .map(|other| Stored {
            aggregation_rule: None,
            ..other.clone()
        })
        .collect();
    rules_of(role, &plain)
}

fn covers(allowed: &[String], wanted: &str) -> bool {
    allowed
        .iter()
        .any(|allowed| allowed == "*" || allowed == wanted)
}

impl Rule {
    fn allows(&self, wanted: &Attributes) -> bool {
        if !covers(&self.verbs, &wanted.verb) {
            return false;
        }
        if wanted.resource.is_empty() {
            return self
                .non_resource_urls
                .iter()
                .any(|allowed| match allowed.strip_suffix('*') {
                    Some(prefix) => wanted.path.starts_with(prefix),
                    None => *allowed == wanted.path,
                });
        }
        covers(&self.api_groups, &wanted.group)
            && self.covers_resource(wanted)
            && (self.resource_names.is_empty() || self.resource_names.contains(&wanted.name))
    }

    fn covers_resource(&self, wanted: &Attributes) -> bool {
        self.resources.iter().any(|allowed| {
            if allowed == "*" {
                return true;
            }
            match (allowed.split_once('/'), wanted.subresource.as_str()) {
                (None, "") => *allowed == wanted.resource,
                (Some((resource, subresource)), wanted_subresource) => {
                    (resource == "*" || resource == wanted.resource)
                        && subresource == wanted_subresource
                }
                (None, _) => false,
            }
        })
    }
}

impl Subject {
    fn is(&self, user: &UserInfo, binding_namespace: &str) -> bool {
        match self.kind.as_str() {
            "User" => self.name == user.name,
            "Group" => user.belongs_to(&self.name),
            "ServiceAccount" => {
                let namespace = match self.namespace.as_str() {
                    "" => binding_namespace,
                    namespace => namespace,
                };
                user.name == format!("system:serviceaccount:{namespace}:{}", self.name)
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> Policy {
        let roles = [json!({
            "metadata": {"name": "reader", "namespace": "a"},
            "rules": [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods", "pods/log"]}],
        })];
        let cluster_roles = [
            json!({
                "metadata": {"name": "all-of-it"},
                "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"into": "all"}}]},
            }),
            json!({
                "metadata": {"name": "part", "labels": {"into": "all"}},
                "rules": [
                    {"verbs": ["*"], "apiGroups": ["apps"], "resources": ["*"]},
                    {"verbs": ["get"], "nonResourceURLs": ["/healthz", "/api/*"]},
                    {"verbs": ["update"], "apiGroups": ["apps"], "resources": ["*/scale"]},
                    {"verbs": ["get"], "apiGroups": [""], "resources": ["secrets"],
                     "resourceNames": ["mine"]},
                ],
            }),
        ];
        let bindings = [json!({
            "metadata": {"name": "b", "namespace": "a"},
            "subjects": [{"kind": "ServiceAccount", "name": "bot"}, {"kind": "User", "name": "eve"}],
            "roleRef": {"kind": "Role", "name": "reader"},
        })];
        let cluster_bindings = [json!({
            "metadata": {"name": "c"},
            "subjects": [{"kind": "Group", "name": "team"}],
            "roleRef": {"kind": "ClusterRole", "name": "all-of-it"},
        })];
        let texts = |values: &[Value]| {
            values
                .iter()
                .map(|value| value.to_string().into_bytes())
                .collect::<Vec<_>>()
        };
        let all = [
            texts(&roles),
            texts(&cluster_roles),
            texts(&bindings),
            texts(&cluster_bindings),
        ];
        let [roles, cluster_roles, bindings, cluster_bindings] =
            all.each_ref().map(|texts| texts.iter().map(Vec::as_slice));
        Policy::new(roles, cluster_roles, bindings, cluster_bindings)
    }

    /// `wanted` is `verb group resource[/subresource] namespace name`, `-` for empty.
    #[track_caller]
    fn check(user: &UserInfo, wanted: &str, expected: bool) {
        let words: Vec<String> = wanted
            .split(' ')
            .map(|word| word.trim_matches('-').to_owned())
            .collect();
        let (resource, subresource) = words[2].split_once('/').unwrap_or((&words[2], ""));
        let attributes = Attributes {
            verb: words[0].clone(),
            group: words[1].clone(),
            resource: resource.to_owned(),
            subresource: subresource.to_owned(),
            namespace: words[3].clone(),
            name: words[4].clone(),
            path: String::new(),
        };
        assert_eq!(
            policy().allows(user, &attributes),
            expected,
            "{} {wanted}",
            user.name
        );
    }

    #[test]
    fn a_role_binds_within_its_namespace_only() {
        for user in [
            UserInfo::new("eve", &[]),
            UserInfo::service_account("a", "bot", ""),
        ] {
            check(&user, "get - pods a x", true);
            check(&user, "get - pods/log a x", true);
            check(&user, "get - pods/exec a x", false);
            check(&user, "get - pods b x", false);
            check(&user, "list - pods a -", false);
        }
        check(
            &UserInfo::service_account("b", "bot", ""),
            "get - pods a x",
            false,
        );
    }

    #[test]
    fn an_aggregated_role_has_the_rules_of_its_parts() {
        let member = UserInfo::new("dev", &["team"]);
        check(&member, "delete apps deployments b x", true);
        check(&member, "delete batch jobs b x", false);
        check(&member, "get - secrets b mine", true);
        check(&member, "get - secrets b other", false);
        check(&member, "list - secrets b -", false);
        let path = |path: &str| Attributes {
            verb: "get".into(),
            path: path.into(),
            ..Attributes::default()
        };
        assert!(policy().allows(&member, &path("/api/v1")));
        assert!(!policy().allows(&member, &path("/metrics")));
    }

    #[test]
    fn masters_may_do_everything_and_strangers_nothing() {
        check(&UserInfo::admin(), "delete - nodes - x", true);
        check(&UserInfo::new("stranger", &[]), "get - pods a x", false);
    }
}
