//! `foreshore server`: the server by itself.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use foreshore_model::SiteName;
use foreshore_server::roles::{self, ClusterFile, ServerRole};
use foreshore_server::{CertificateFiles, Url};
use tokio_util::sync::CancellationToken;

use super::roles::stopped_by_signal;
use crate::context::Context;
use crate::failure::Failure;
use crate::terminal::Outcome;

/// Run the server: API, registry, config repository and pages
///
/// On loopback the pages need no login. Other machines reach the server by
/// TLS and with a login only: make a user with `foreshore user add`, then give
/// `--public`, `--certificate` and `--key`.
#[derive(Debug, Args)]
pub(crate) struct ServerArgs {
    /// Address to listen on without TLS; loopback only
    #[arg(long, default_value = "127.0.0.1:7070", value_name = "ADDRESS")]
    listen: SocketAddr,

    /// Address that other machines reach, by TLS
    #[arg(
        long,
        value_name = "ADDRESS",
        requires = "certificate",
        requires = "key"
    )]
    public: Option<SocketAddr>,

    /// Certificate of the public address, in PEM form; read again when it changes
    #[arg(long, value_name = "FILE", requires = "public")]
    certificate: Option<PathBuf>,

    /// Private key of the certificate, in PEM form
    #[arg(long, value_name = "FILE", requires = "public")]
    key: Option<PathBuf>,

    /// Ask for a login on loopback too; with `--public` it always does
    #[arg(long)]
    login: bool,

    /// Show a cluster on the pages; `#CONTEXT` chooses a context of the file (can be repeated)
    #[arg(long = "cluster", value_name = "SITE=KUBECONFIG[#CONTEXT]", value_parser = cluster)]
    clusters: Vec<ClusterFile>,

    /// Tell this address of every change of the config repository, as JSON
    #[arg(long, env = "FORESHORE_WEBHOOK", value_name = "URL", value_parser = webhook)]
    webhook: Option<Url>,
}

/// Reads an address that messages can be posted to.
fn webhook(text: &str) -> Result<Url, String> {
    let url: Url = text.parse().map_err(|error| format!("{error}"))?;
    match url.scheme() {
        "http" | "https" if url.has_host() => Ok(url),
        scheme => Err(format!(
            "`{scheme}` is no scheme of a webhook; use http or https"
        )),
    }
}

/// Reads which cluster a kubeconfig leads to, and what it is called on the pages.
fn cluster(text: &str) -> Result<ClusterFile, String> {
    let Some((site, file)) = text.split_once('=') else {
        return Err("say what the cluster is called: SITE=KUBECONFIG".to_owned());
    };
    let site: SiteName = site.parse().map_err(|error| format!("{error}"))?;
    let (file, context) = match file.rsplit_once('#') {
        Some((file, context)) if !context.is_empty() => (file, Some(context.to_owned())),
        Some(_) => return Err("there is no context after `#`".to_owned()),
        None => (file, None),
    };
    if file.is_empty() {
        return Err("there is no kubeconfig after `=`".to_owned());
    }
    Ok(ClusterFile {
        site,
        kubeconfig: PathBuf::from(file),
        context,
    })
}

pub(crate) async fn run(args: ServerArgs, context: &Context) -> Result<Outcome, Failure> {
    let shutdown = CancellationToken::new();
    let signals = tokio::spawn(stopped_by_signal(shutdown.clone()));
    let terminal = context.terminal.clone();
    let files = args.certificate.zip(args.key);
    let role = ServerRole {
        data: context.data()?,
        address: args.listen,
        public: args
            .public
            .zip(files.map(|(certificate, key)| CertificateFiles { certificate, key })),
        login: args.login,
        clusters: args.clusters,
        webhook: args.webhook,
    };
    let ended = roles::server(role, shutdown, |line| {
        terminal.say(line);
    })
    .await;
    signals.abort();
    ended.map_err(|error| {
        let failure = Failure::from_error(error.exit_code(), &error);
        error.hints().into_iter().fold(failure, Failure::hint)
    })?;
    Ok(Outcome::done())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_is_named_with_its_file_and_perhaps_a_context() {
        let read = |text: &str| {
            let file = cluster(text)?;
            let path = file.kubeconfig.display().to_string();
            Ok::<_, String>((file.site.to_string(), path, file.context))
        };
        assert_eq!(
            read("dc1=/etc/kube/dc1.yaml"),
            Ok(("dc1".to_owned(), "/etc/kube/dc1.yaml".to_owned(), None))
        );
        assert_eq!(
            read("dc2=kube#admin@dc2"),
            Ok((
                "dc2".to_owned(),
                "kube".to_owned(),
                Some("admin@dc2".to_owned())
            ))
        );
        for text in [
            "",
            "dc1",
            "=file",
            "dc1=",
            "dc1=#x",
            "dc1=file#",
            "DC 1=file",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
