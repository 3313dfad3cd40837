//! Nobody grants what they do not have: roles and bindings are checked against their
//! writer's own permissions.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Attributes, Policy, Rule, covers};
use crate::user::{MASTERS, UserInfo};

impl Policy {
    /// Refuses rules the user does not have in the namespace, in the real server's words.
    pub(crate) fn confirm(
        &self,
        user: &UserInfo,
        namespace: &str,
        granted: &[Rule],
    ) -> Result<(), String> {
        if user.belongs_to(MASTERS) {
            return Ok(());
        }
        let own: Vec<&Rule> = self.rules(user, namespace).collect();
        let missing: Vec<Rule> = granted
            .iter()
            .flat_map(single)
            .filter(|wanted| !own.iter().any(|rule| rule.covers(wanted)))
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        let lines: BTreeSet<String> = compact(missing).iter().map(Rule::to_string).collect();
        let lines: Vec<String> = lines.into_iter().collect();
        Err(format!(
            "user {:?} (groups={}) is attempting to grant RBAC permissions not currently \
             held:\n{}",
            user.name,
            quoted(&user.groups),
            lines.join("\n")
        ))
    }

    /// Whether the user may write or bind any role, whatever it grants.
    pub(crate) fn may(
        &self,
        user: &UserInfo,
        verb: &str,
        plural: &str,
        namespace: &str,
        name: &str,
    ) -> bool {
        let wanted = Attributes {
            verb: verb.to_owned(),
            resource: plural.to_owned(),
            group: "rbac.authorization.k8s.io".to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            ..Attributes::default()
        };
        self.allows(user, &wanted)
    }

    /// The rules of a role, those it gathers included; nothing if there is no such role.
    pub(crate) fn role(&self, kind: &str, namespace: &str, name: &str) -> Option<&[Rule]> {
        let rules = match kind {
            "ClusterRole" => self.cluster.get(name),
            _ => self.local.get(&(namespace.to_owned(), name.to_owned())),
        };
        rules.map(Vec::as_slice)
    }
}

/// The rules a role object grants.
pub(crate) fn rules_of_object(role: &Value) -> Vec<Rule> {
    if !role["aggregationRule"].is_null() {
        // It may come to gather anything.
        return vec![
            Rule {
                verbs: vec!["*".into()],
                api_groups: vec!["*".into()],
                resources: vec!["*".into()],
                ..Rule::default()
            },
            Rule {
                verbs: vec!["*".into()],
                non_resource_urls: vec!["*".into()],
                ..Rule::default()
            },
        ];
    }
    let rules = role["rules"].as_array().into_iter().flatten();
    rules
        .filter_map(|rule| serde_json::from_value(rule.clone()).ok())
        .collect()
}

/// Takes a rule apart: one verb and one thing each.
fn single(rule: &Rule) -> Vec<Rule> {
    let mut found = vec![];
    for verb in &rule.verbs {
        let one = |rule: Rule| Rule {
            verbs: vec![verb.clone()],
            ..rule
        };
        for path in &rule.non_resource_urls {
            found.push(one(Rule {
                non_resource_urls: vec![path.clone()],
                ..Rule::default()
            }));
        }
        for group in &rule.api_groups {
            for resource in &rule.resources {
                let plain = Rule {
                    api_groups: vec![group.clone()],
                    resources: vec![resource.clone()],
                    ..Rule::default()
                };
                if rule.resource_names.is_empty() {
                    found.push(one(plain.clone()));
                }
                for name in &rule.resource_names {
                    found.push(one(Rule {
                        resource_names: vec![name.clone()],
                        ..plain.clone()
                    }));
                }
            }
        }
    }
    found
}

/// Puts rules about the same thing together again.
fn compact(rules: Vec<Rule>) -> Vec<Rule> {
    let mut found: Vec<Rule> = vec![];
    for rule in rules {
        let same = found.iter_mut().find(|known| {
            known.api_groups == rule.api_groups
                && known.resources == rule.resources
                && known.resource_names == rule.resource_names
                && known.non_resource_urls == rule.non_resource_urls
        });
        match same {
            Some(known) => known.verbs.extend(rule.verbs),
            None => found.push(rule),
        }
    }
    found
}

fn quoted(words: &[String]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
    format!("[{}]", words.join(" "))
}

impl std::fmt::Display for Rule {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let parts = [
            ("APIGroups", &self.api_groups),
            ("Resources", &self.resources),
            ("NonResourceURLs", &self.non_resource_urls),
            ("ResourceNames", &self.resource_names),
            ("Verbs", &self.verbs),
        ];
        let shown: Vec<String> = parts
            .iter()
            .filter(|(_, words)| !words.is_empty())
            .map(|(name, words)| format!("{name}:{}", quoted(words)))
            .collect();
        write!(formatter, "{{{}}}", shown.join(", "))
    }
}

impl Rule {
    /// Whether this rule allows all that one [`single`] rule does.
    fn covers(&self, wanted: &Self) -> bool {
        if !wanted.verbs.iter().all(|verb| covers(&self.verbs, verb)) {
            return false;
        }
        if let [path] = wanted.non_resource_urls.as_slice() {
            return self.non_resource_urls.iter().any(|own| {
                own == path
                    || own
                        .strip_suffix('*')
                        .is_some_and(|prefix| path.starts_with(prefix))
            });
        }
        let resource = wanted.resources.first().map_or("", String::as_str);
        let below = resource
            .split_once('/')
            .map(|(_, part)| format!("*/{part}"));
        let resource_fits = covers(&self.resources, resource)
            || below.is_some_and(|below| self.resources.contains(&below));
        let names_fit = self.resource_names.is_empty()
            || (!wanted.resource_names.is_empty()
                && wanted
                    .resource_names
                    .iter()
                    .all(|name| self.resource_names.contains(name)));
        wanted
            .api_groups
            .iter()
            .all(|group| covers(&self.api_groups, group))
            && resource_fits
            && names_fit
    }
}
