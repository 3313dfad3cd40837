//! From a kubeconfig file to a client.

use std::path::{Path, PathBuf};
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};

/// A connection on which nothing arrives for this long is dead. Watches end
/// before it by themselves (see `watch`), so only a silent peer reaches it.
const READ_TIMEOUT: Duration = Duration::from_secs(150);
/// How long a TCP and TLS handshake may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Why no client could be made from a kubeconfig.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("cannot read kubeconfig `{path}`")]
    Read {
        path: PathBuf,
        #[source]
        cause: Box<KubeconfigError>,
    },
    #[error("kubeconfig `{path}` has no context `{context}` (it has: {present})")]
    UnknownContext {
        path: PathBuf,
        context: String,
        present: String,
    },
    #[error(
        "kubeconfig `{path}` runs a program (`{field}`) for user `{user}`; use one with a token or a certificate"
    )]
    RunsProgram {
        path: PathBuf,
        user: String,
        field: &'static str,
    },
    #[error(
        "kubeconfig `{path}` does not check who answers as cluster `{cluster}` (`insecure-skip-tls-verify`); name its certificate authority"
    )]
    Insecure { path: PathBuf, cluster: String },
    #[error("kubeconfig `{path}` names no current context")]
    NoContext { path: PathBuf },
    #[error("cannot use context `{context}` of kubeconfig `{path}`")]
    Context {
        path: PathBuf,
        context: String,
        #[source]
        cause: Box<KubeconfigError>,
    },
    #[error("this process runs in no pod with a service account")]
    NotInCluster(#[source] Box<kube::config::InClusterError>),
    #[error("cannot set up TLS for the cluster around this pod")]
    InClusterTls(#[source] Box<kube::Error>),
    #[error("cannot set up TLS for kubeconfig `{path}`")]
    Tls {
        path: PathBuf,
        #[source]
        cause: Box<kube::Error>,
    },
}

/// Makes ring the TLS provider of this process, once.
pub fn install_tls_provider() {
    // An error only says that another part of the process was first, with the same provider.
    drop(rustls::crypto::ring::default_provider().install_default());
}

/// Returns a client for a context of a kubeconfig, or for its current context.
///
/// It does not speak to the server yet, and it does not retry: [`crate::Cluster`] does.
pub async fn connect(kubeconfig: &Path, context: Option<&str>) -> Result<Client, ConnectError> {
    install_tls_provider();
    let path = kubeconfig.to_owned();
    let file = Kubeconfig::read_from(kubeconfig).map_err(|cause| ConnectError::Read {
        path: path.clone(),
        cause: Box::new(cause),
    })?;
    let Some(context) = context
        .map(str::to_owned)
        .or_else(|| file.current_context.clone())
    else {
        return Err(ConnectError::NoContext { path });
    };
    if !file.contexts.iter().any(|known| known.name == context) {
        let names: Vec<&str> = file
            .contexts
            .iter()
            .map(|known| known.name.as_str())
            .collect();
        return Err(ConnectError::UnknownContext {
            path,
            context,
            present: names.join(", "),
        });
    }
    check(&file, &context, &path)?;
    let options = KubeConfigOptions {
        context: Some(context.clone()),
        ..KubeConfigOptions::default()
    };
    let mut config = Config::from_custom_kubeconfig(file, &options)
        .await
        .map_err(|cause| ConnectError::Context {
            path: path.clone(),
            context,
            cause: Box::new(cause),
        })?;
    limit(&mut config);
    Client::try_from(config).map_err(|cause| ConnectError::Tls {
        path,
        cause: Box::new(cause),
    })
}

/// Refuses what would run somebody's program, or believe whoever answers.
fn check(file: &Kubeconfig, context: &str, path: &Path) -> Result<(), ConnectError> {
    let chosen = file.contexts.iter().find(|known| known.name == context);
    let Some(chosen) = chosen.and_then(|chosen| chosen.context.as_ref()) else {
        return Ok(());
    };
    let user = chosen.user.clone().unwrap_or_default();
    let of_user = file.auth_infos.iter().find(|known| known.name == user);
    if let Some(info) = of_user.and_then(|known| known.auth_info.as_ref()) {
        let field = match (info.exec.is_some(), info.auth_provider.is_some()) {
            (true, _) => Some("exec"),
            (_, true) => Some("auth-provider"),
            _ => None,
        };
        if let Some(field) = field {
            return Err(ConnectError::RunsProgram {
                path: path.to_owned(),
                user,
                field,
            });
        }
    }
    let of_cluster = file
        .clusters
        .iter()
        .find(|known| known.name == chosen.cluster);
    let is_insecure = of_cluster
        .and_then(|known| known.cluster.as_ref())
        .is_some_and(|cluster| cluster.insecure_skip_tls_verify == Some(true));
    if is_insecure {
        return Err(ConnectError::Insecure {
            path: path.to_owned(),
            cluster: chosen.cluster.clone(),
        });
    }
    Ok(())
}

/// Returns a client for the cluster that this process runs in, as its pod's account.
pub fn connect_in_cluster() -> Result<Client, ConnectError> {
    install_tls_provider();
    let mut config =
        Config::incluster().map_err(|cause| ConnectError::NotInCluster(Box::new(cause)))?;
    limit(&mut config);
    Client::try_from(config).map_err(|cause| ConnectError::InClusterTls(Box::new(cause)))
}

fn limit(config: &mut Config) {
    config.default_retry = false;
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    config.read_timeout = Some(READ_TIMEOUT);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(user: &str, cluster: &str, part: &str) {
        let text = format!(
            "{{current-context: c, contexts: [{{name: c, context: {{cluster: k, user: u}}}}], \
             clusters: [{{name: k, cluster: {{server: 'https://127.0.0.1:1', {cluster}}}}}], \
             users: [{{name: u, user: {{{user}}}}}]}}"
        );
        let file = Kubeconfig::from_yaml(&text).unwrap();
        let checked = check(&file, "c", Path::new("config"));
        let told = checked.map_or_else(|error| error.to_string(), |()| "fine".to_owned());
        assert!(told.contains(part), "{told}");
    }

    #[test]
    fn a_kubeconfig_that_runs_programs_or_trusts_anybody_is_refused() {
        refused("token: a", "", "fine");
        let exec = "exec: {apiVersion: client.authentication.k8s.io/v1, command: evil}";
        refused(exec, "", "runs a program (`exec`) for user `u`");
        let provider = "auth-provider: {name: gcp, config: {}}";
        refused(provider, "", "(`auth-provider`)");
        refused(
            "token: a",
            "insecure-skip-tls-verify: true",
            "does not check who answers",
        );
    }
}
