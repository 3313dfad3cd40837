//! What an agent needs to live in a cluster: an account, the least rights, a deployment.
//!
//! Text only: nothing here asks a cluster.

use foreshore_model::{EnvironmentName, SiteName, yaml};
use serde_json::{Value, json};

/// Where an agent is to be installed and how.
#[derive(Debug, Clone)]
pub struct Installation {
    pub image: String,
    /// Address of the server, as the cluster reaches it.
    pub server: String,
    pub environments: Vec<EnvironmentName>,
    pub site: SiteName,
    /// Accounts of the environments' namespaces that the agent acts as.
    pub acts_as: Vec<String>,
    /// Words that tell it where artifacts are and whose signature counts: its own folder does not last.
    pub supply: Vec<String>,
    /// One works, the others stand by.
    pub replicas: u32,
}

/// The namespace that the agent lives in.
pub const NAMESPACE: &str = "foreshore-system";
/// The agent's account there.
pub const ACCOUNT: &str = "foreshore-agent";
/// The secret with its token for the server, under the key `token`.
pub const SECRET: &str = "foreshore-agent";

/// One right, and what no longer works without it.
#[derive(Debug, Clone, Copy)]
pub struct Grant {
    pub groups: &'static [&'static str],
    pub resources: &'static [&'static str],
    pub verbs: &'static [&'static str],
    pub without: &'static str,
}

/// Every right of the agent, each with what breaks when it is taken away.
pub const GRANTS: &[Grant] = &[
    Grant {
        groups: &[""],
        resources: &["namespaces"],
        verbs: &["get", "create", "patch"],
        without: "no release is written: the environment's namespace is neither found nor made",
    },
    Grant {
        groups: &["coordination.k8s.io"],
        resources: &["leases"],
        verbs: &["get", "create", "update"],
        without: "nothing at all is done: agents cannot tell which of them leads",
    },
    Grant {
        groups: &[""],
        resources: &["configmaps"],
        verbs: &["get", "list", "watch", "create", "patch", "delete"],
        without: "nothing at all is done: inventories are config maps",
    },
    Grant {
        groups: &[""],
        resources: &[
            "services",
            "serviceaccounts",
            "persistentvolumeclaims",
            "secrets",
        ],
        verbs: &["get", "list", "watch", "create", "patch", "delete"],
        without: "releases with a service, an account, a claim or a secret fail as forbidden",
    },
    Grant {
        groups: &["apps"],
        resources: &["deployments", "statefulsets", "daemonsets"],
        verbs: &["get", "list", "watch", "create", "patch", "delete"],
        without: "releases with a workload fail as forbidden",
    },
    Grant {
        groups: &["apps"],
        resources: &["deployments/scale", "statefulsets/scale"],
        verbs: &["get", "patch"],
        without: "operations are not carried out: replicas stay as they are",
    },
    Grant {
        groups: &["", "apps"],
        resources: &["pods", "replicasets"],
        verbs: &["get", "list", "watch"],
        without: "no release is written: its health could not be read from replica sets and pods",
    },
    Grant {
        groups: &[""],
        resources: &["pods/log"],
        verbs: &["get"],
        without: "a failed release is told without the last lines of its log",
    },
    Grant {
        groups: &["batch"],
        resources: &["jobs", "cronjobs"],
        verbs: &["get", "list", "watch", "create", "patch", "delete"],
        without: "releases with a job fail as forbidden",
    },
    Grant {
        groups: &["networking.k8s.io", "autoscaling", "policy"],
        resources: &[
            "ingresses",
            "networkpolicies",
            "horizontalpodautoscalers",
            "poddisruptionbudgets",
        ],
        verbs: &["get", "list", "watch", "create", "patch", "delete"],
        without: "releases with an ingress, a network policy, an autoscaler or a disruption budget fail as forbidden",
    },
    Grant {
        groups: &[""],
        resources: &["events"],
        verbs: &["create", "patch"],
        without: "outcomes are not said as events of the cluster; the server has them all the same",
    },
];

impl Grant {
    /// Returns the rule of a role that gives this right.
    pub fn rule(&self) -> Value {
        json!({"apiGroups": self.groups, "resources": self.resources, "verbs": self.verbs})
    }
}

/// Returns the objects of the account with these rights.
pub fn rights(grants: &[Grant]) -> Vec<Value> {
    let labels =
        json!({"app.kubernetes.io/name": ACCOUNT, "app.kubernetes.io/managed-by": "foreshore"});
    let rules: Vec<Value> = grants.iter().map(Grant::rule).collect();
    vec![
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}}),
        json!({"apiVersion": "v1", "kind": "ServiceAccount",
            "metadata": {"name": ACCOUNT, "namespace": NAMESPACE, "labels": labels}}),
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
            "metadata": {"name": ACCOUNT, "labels": labels}, "rules": rules}),
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
            "metadata": {"name": ACCOUNT, "labels": labels},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": ACCOUNT},
            "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": NAMESPACE}]}),
    ]
}

/// Returns the right to act as the accounts of namespaces, and as nobody else; nothing if there are none.
pub fn acting(accounts: &[String]) -> Vec<Value> {
    if accounts.is_empty() {
        return Vec::new();
    }
    let labels =
        json!({"app.kubernetes.io/name": ACCOUNT, "app.kubernetes.io/managed-by": "foreshore"});
    let name = format!("{ACCOUNT}-acts-as");
    let rule = json!({"apiGroups": [""], "resources": ["serviceaccounts"], "resourceNames": accounts, "verbs": ["impersonate"]});
    vec![
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
            "metadata": {"name": name, "labels": labels}, "rules": [rule]}),
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
            "metadata": {"name": name, "labels": labels},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": NAMESPACE}]}),
    ]
}

/// Returns every object of an installation; the secret with the token is made by hand.
pub fn objects(installation: &Installation) -> Vec<Value> {
    let labels =
        json!({"app.kubernetes.io/name": ACCOUNT, "app.kubernetes.io/managed-by": "foreshore"});
    let mut arguments = vec![
        "agent".to_owned(),
        "--in-cluster".to_owned(),
        "--site".to_owned(),
        installation.site.to_string(),
    ];
    for environment in &installation.environments {
        arguments.extend(["--environment".to_owned(), environment.to_string()]);
    }
    arguments.extend(installation.supply.iter().cloned());
    let token = json!({"secretKeyRef": {"name": SECRET, "key": "token"}});
    let container = json!({
        "name": "agent",
        "image": installation.image,
        "args": arguments,
        "env": [
            {"name": "FORESHORE_SERVER", "value": installation.server},
            {"name": "FORESHORE_TOKEN", "valueFrom": token},
            {"name": "FORESHORE_DATA", "value": "/data"},
        ],
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    });
    let mut objects = rights(GRANTS);
    objects.extend(acting(&installation.acts_as));
    objects.push(json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": ACCOUNT, "namespace": NAMESPACE, "labels": labels},
        "spec": {
            // Two may run: one leads, the other stands by and holds no memory of the cluster.
            "replicas": installation.replicas,
            "selector": {"matchLabels": {"app.kubernetes.io/name": ACCOUNT}},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "serviceAccountName": ACCOUNT,
                    "securityContext": {"runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
                    "containers": [container],
                    "volumes": [{"name": "data", "emptyDir": {}}],
                },
            },
        }}));
    objects
}

/// Writes an installation as one YAML text, each right with what breaks without it.
pub fn manifests(installation: &Installation) -> Result<String, yaml::WriteError> {
    let mut text = format!(
        "# An agent of Foreshore with the least rights. Its token comes from a secret made by hand:\n\
         # kubectl -n {NAMESPACE} create secret generic {SECRET} --from-file=token\n#\n\
         # What breaks without a right:\n"
    );
    for grant in GRANTS {
        let resources = grant.resources.join(", ");
        text.extend([
            "# - ",
            &resources,
            ": ",
            grant.without,
            "
",
        ]);
    }
    for object in objects(installation) {
        text.push_str("---\n");
        text.push_str(&yaml::write(&object)?);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn installation() -> Installation {
        Installation {
            image: "registry.example.org/foreshore:1".into(),
            server: "https://foreshore.example.org".into(),
            environments: vec!["dev".parse().unwrap(), "prod".parse().unwrap()],
            site: "dc1".parse().unwrap(),
            acts_as: vec!["deployer".into()],
            supply: vec!["--registry".into(), "registry.example.org".into()],
            replicas: 2,
        }
    }

    #[test]
    fn the_text_reads_back_as_the_objects_and_names_every_right() {
        let text = manifests(&installation()).unwrap();
        assert_eq!(
            yaml::read_manifests("install", &text).unwrap(),
            objects(&installation())
        );
        for grant in GRANTS {
            assert!(text.contains(grant.without), "{}", grant.without);
        }
    }

    #[test]
    fn the_guide_names_every_right_with_what_breaks_without_it() {
        let guide = include_str!("../../../docs/guides/install.md");
        let rows: Vec<String> = guide
            .lines()
            .filter(|line| line.starts_with("| `") && line.matches('|').count() == 4)
            .map(str::to_owned)
            .collect();
        let expected: Vec<String> = GRANTS
            .iter()
            .map(|grant| {
                let verbs = grant.verbs.join(", ");
                format!(
                    "| `{}` | {verbs} | {} |",
                    grant.resources.join("`, `"),
                    grant.without
                )
            })
            .collect();
        assert_eq!(rows, expected, "docs/guides/install.md");
    }

    #[test]
    fn the_agent_acts_as_named_accounts_only() {
        assert_eq!(acting(&[]), Vec::<Value>::new());
        let role = &acting(&["deployer".to_owned()])[0];
        assert_eq!(
            role["rules"],
            json!([{"apiGroups": [""], "resources": ["serviceaccounts"], "resourceNames": ["deployer"], "verbs": ["impersonate"]}])
        );
    }

    #[test]
    fn no_right_is_a_wildcard_and_none_reaches_roles_or_nodes() {
        for grant in GRANTS {
            for word in grant
                .groups
                .iter()
                .chain(grant.resources)
                .chain(grant.verbs)
            {
                assert!(!word.contains('*'), "{word}");
            }
            for resource in [
                "nodes",
                "clusterroles",
                "roles",
                "rolebindings",
                "pods/exec",
            ] {
                assert!(!grant.resources.contains(&resource), "{resource}");
            }
        }
    }
}
