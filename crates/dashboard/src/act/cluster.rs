//! Changes at a cluster, in the name of the person who asked.
//!
//! The dashboard's own account reads and impersonates; what a person may do is
//! for the cluster to say.

use http::{Method, Request, header};
use kube::Client;
use serde_json::{Value, json};

/// Prefix of people's names towards clusters, so that nobody is taken for one of the cluster's own.
pub(crate) const USER_PREFIX: &str = "foreshore:";
/// The group that people of the dashboard act in.
pub(crate) const GROUP: &str = "foreshore:operators";

/// Why the cluster did not do it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ActError {
    #[error("the cluster does not let `{user}` do this: {message}")]
    Forbidden { user: String, message: String },
    #[error("a disruption budget does not allow it now: {0}")]
    Budget(String),
    #[error("it is not there any more")]
    Gone,
    #[error("the cluster refused: {0}")]
    Refused(String),
    #[error("the cluster did not answer")]
    Unreachable(#[source] kube::Error),
}

/// Speaks to a cluster as somebody.
pub(crate) struct Hand {
    client: Client,
    user: String,
}

impl Hand {
    pub(crate) fn new(client: Client, actor: &str) -> Self {
        Self {
            client,
            user: format!("{USER_PREFIX}{actor}"),
        }
    }

    pub(crate) async fn restart(
        &self,
        kind: &str,
        namespace: &str,
        name: &str,
        at: &str,
    ) -> Result<(), ActError> {
        let plural = match kind {
            "StatefulSet" => "statefulsets",
            "DaemonSet" => "daemonsets",
            _ => "deployments",
        };
        // What kubectl writes for `rollout restart`.
        let patch = json!({"spec": {"template": {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": at}}}}});
        self.patch(
            &format!("/apis/apps/v1/namespaces/{namespace}/{plural}/{name}"),
            &patch,
        )
        .await
    }

    pub(crate) async fn cordon(&self, node: &str, on: bool) -> Result<(), ActError> {
        let wanted = if on { json!(true) } else { Value::Null };
        self.patch(
            &format!("/api/v1/nodes/{node}"),
            &json!({"spec": {"unschedulable": wanted}}),
        )
        .await
    }

    /// Asks a pod to leave, within what disruption budgets allow.
    pub(crate) async fn evict(
        &self,
        namespace: &str,
        pod: &str,
        uid: &str,
    ) -> Result<(), ActError> {
        let eviction = json!({
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": pod, "namespace": namespace},
            "deleteOptions": {"preconditions": {"uid": uid}},
        });
        let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}/eviction");
        self.send(Method::POST, &path, "application/json", &eviction)
            .await
    }

    async fn patch(&self, path: &str, change: &Value) -> Result<(), ActError> {
        let path = format!("{path}?fieldManager=foreshore-dashboard");
        self.send(Method::PATCH, &path, "application/merge-patch+json", change)
            .await
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        kind: &str,
        body: &Value,
    ) -> Result<(), ActError> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::CONTENT_TYPE, kind)
            .header("impersonate-user", &self.user)
            .header("impersonate-group", GROUP)
            .body(body.to_string().into_bytes())
            .map_err(|error| ActError::Refused(error.to_string()))?;
        match self.client.request_text(request).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) => Err(match status.code {
                403 => ActError::Forbidden {
                    user: self.user.clone(),
                    message: status.message,
                },
                404 | 409 => ActError::Gone,
                429 => ActError::Budget(status.message),
                _ => ActError::Refused(status.message),
            }),
            Err(error) => Err(ActError::Unreachable(error)),
        }
    }
}

/// What people of the dashboard may do in a cluster: the role and who has it.
pub fn rights() -> [Value; 2] {
    let rule = |groups: &[&str], resources: &[&str], verbs: &[&str]| json!({"apiGroups": groups, "resources": resources, "verbs": verbs});
    [
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
            "metadata": {"name": "foreshore-operators"},
            "rules": [
                rule(&[""], &["nodes"], &["get", "patch"]),
                rule(&[""], &["pods/eviction"], &["create"]),
                rule(&["apps"], &["deployments", "statefulsets", "daemonsets"], &["get", "patch"]),
            ],
        }),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
            "metadata": {"name": "foreshore-operators"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "foreshore-operators"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": GROUP}],
        }),
    ]
}

/// Writes the role and its binding, where this process may.
pub(crate) async fn install_rights(client: &Client) -> Result<(), kube::Error> {
    for (object, plural) in rights().iter().zip(["clusterroles", "clusterrolebindings"]) {
        let request = Request::builder()
            .method(Method::PATCH)
            .uri(format!("/apis/rbac.authorization.k8s.io/v1/{plural}/foreshore-operators?fieldManager=foreshore&force=true"))
            .header(header::CONTENT_TYPE, "application/apply-patch+yaml")
            .body(object.to_string().into_bytes())
            .map_err(kube::Error::HttpError)?;
        client.request_text(request).await?;
    }
    Ok(())
}
