//! Does the cluster of the kubeconfig answer?

use std::path::PathBuf;
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};
use tokio::time::timeout;

use super::Finding;

const CHECK: &str = "kubeconfig";
const PATIENCE: Duration = Duration::from_secs(5);

/// What became of the question for the cluster's version.
#[derive(Debug)]
enum Answer {
    NoFile,
    Unreadable(String),
    NoContext { file: String },
    Silent { context: String, why: String },
    Version { context: String, version: String },
}

pub(super) async fn examine() -> Finding {
    judge(ask().await)
}

fn files() -> Vec<PathBuf> {
    if let Some(paths) = std::env::var_os("KUBECONFIG").filter(|paths| !paths.is_empty()) {
        return std::env::split_paths(&paths).collect();
    }
    std::env::home_dir()
        .map(|home| home.join(".kube/config"))
        .into_iter()
        .collect()
}

async fn ask() -> Answer {
    let files = files();
    if !files.iter().any(|file| file.exists()) {
        return Answer::NoFile;
    }
    let config = match Kubeconfig::read() {
        Ok(config) => config,
        Err(error) => return Answer::Unreadable(crate::failure::chain(&error)),
    };
    let Some(context) = config
        .current_context
        .clone()
        .filter(|name| !name.is_empty())
    else {
        return Answer::NoContext {
            file: files
                .iter()
                .map(|file| file.display().to_string())
                .collect::<Vec<_>>()
                .join(":"),
        };
    };
    let silent = |why: String| Answer::Silent {
        context: context.clone(),
        why,
    };
    let client = kube::Config::from_custom_kubeconfig(config, &KubeConfigOptions::default())
        .await
        .map_err(|error| crate::failure::chain(&error))
        .and_then(|config| {
            kube::Client::try_from(config).map_err(|error| crate::failure::chain(&error))
        });
    let client = match client {
        Ok(client) => client,
        Err(why) => return silent(why),
    };
    match timeout(PATIENCE, client.apiserver_version()).await {
        Ok(Ok(version)) => Answer::Version {
            context,
            version: version.git_version,
        },
        Ok(Err(error)) => silent(crate::failure::chain(&error)),
        Err(_) => silent(format!("no answer within {} s", PATIENCE.as_secs())),
    }
}

fn judge(answer: Answer) -> Finding {
    match answer {
        Answer::NoFile => Finding::fine(CHECK, "none; the embedded cluster brings its own"),
        Answer::Unreadable(why) => Finding::notice(
            CHECK,
            why,
            "mend the file, or unset KUBECONFIG; the embedded cluster does not need it",
        ),
        Answer::NoContext { file } => Finding::notice(
            CHECK,
            format!("`{file}` has no current context"),
            "`kubectl config use-context NAME`, or give `--context NAME`",
        ),
        Answer::Silent { context, why } => Finding::notice(
            CHECK,
            format!("the cluster of context `{context}` does not answer: {why}"),
            format!(
                "`kubectl --context {context} version` shows the same; log in to the cluster again, or start its machines"
            ),
        ),
        Answer::Version { context, version } => {
            Finding::fine(CHECK, format!("context `{context}` answers with {version}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn a_silent_cluster_is_a_notice_with_its_context() {
        let finding = judge(Answer::Silent {
            context: "prod-eu".into(),
            why: "connection refused".into(),
        });
        assert_eq!(finding.state, State::Notice);
        assert!(finding.found.contains("prod-eu"));
        assert_eq!(judge(Answer::NoFile).state, State::Fine);
    }
}
