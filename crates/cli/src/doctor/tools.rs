//! Are the programs there that others of our commands start, or that people use beside us?

use std::io;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use super::Finding;

const PATIENCE: Duration = Duration::from_secs(5);
/// The minor the embedded cluster speaks.
const KUBERNETES_MINOR: u32 = 36;

struct Tool {
    name: &'static str,
    arguments: &'static [&'static str],
    /// What does not work without it; nothing works where this is empty.
    needed_for: &'static str,
    install: &'static str,
}

const TOOLS: [Tool; 3] = [
    Tool {
        name: "git",
        arguments: &["--version"],
        needed_for: "",
        install: "install git: `apt install git`, `dnf install git` or `brew install git`",
    },
    Tool {
        name: "kubectl",
        arguments: &["version", "--client", "-o", "json"],
        needed_for: "looking into the cluster by hand",
        install: "install kubectl 1.35 to 1.37 from your distribution or kubernetes.io",
    },
    Tool {
        name: "cargo",
        arguments: &["--version"],
        needed_for: "building services of the plan rust-service",
        install: "install Rust with rustup",
    },
];

pub(super) async fn examine() -> Vec<Finding> {
    let mut findings = Vec::new();
    for tool in &TOOLS {
        findings.push(judge(tool, ask(tool).await));
    }
    findings
}

/// What the program says of its version, or why it says nothing.
async fn ask(tool: &Tool) -> io::Result<String> {
    let child = Command::new(tool.name)
        .args(tool.arguments)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = timeout(PATIENCE, child)
        .await
        .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "it does not answer"))??;
    if !output.status.success() {
        return Err(io::Error::other(format!("it ended with {}", output.status)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn judge(tool: &Tool, answer: io::Result<String>) -> Finding {
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => {
            let why = if error.kind() == io::ErrorKind::NotFound {
                "not on the PATH".to_owned()
            } else {
                format!("cannot be used: {error}")
            };
            return if tool.needed_for.is_empty() {
                Finding::broken(tool.name, why, tool.install)
            } else {
                Finding::notice(
                    tool.name,
                    format!("{why}; needed for {}", tool.needed_for),
                    tool.install,
                )
            };
        }
    };
    if tool.name == "kubectl" {
        return judge_kubectl(tool, &answer);
    }
    Finding::fine(tool.name, answer.lines().next().unwrap_or_default())
}

fn judge_kubectl(tool: &Tool, answer: &str) -> Finding {
    let version: serde_json::Value = serde_json::from_str(answer).unwrap_or_default();
    let client = &version["clientVersion"];
    let text = client["gitVersion"].as_str().unwrap_or("unknown version");
    let minor = client["minor"]
        .as_str()
        .and_then(|minor| minor.trim_end_matches('+').parse::<u32>().ok());
    match minor {
        Some(minor) if minor.abs_diff(KUBERNETES_MINOR) <= 1 => Finding::fine(tool.name, text),
        _ => Finding::notice(
            tool.name,
            format!("{text} is more than one minor away from 1.{KUBERNETES_MINOR}"),
            tool.install,
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    fn missing() -> io::Result<String> {
        Err(io::Error::from(io::ErrorKind::NotFound))
    }

    #[test]
    fn git_is_needed_and_the_others_are_missed() {
        assert_eq!(judge(&TOOLS[0], missing()).state, State::Broken);
        let kubectl = judge(&TOOLS[1], missing());
        assert_eq!(kubectl.state, State::Notice);
        assert!(
            kubectl
                .found
                .contains("needed for looking into the cluster")
        );
        let git = judge(&TOOLS[0], Ok("git version 2.39.5".into()));
        assert_eq!(git.found, "git version 2.39.5");
    }

    #[test]
    fn an_old_kubectl_is_noticed() {
        let answer = |minor: u32| {
            Ok(format!(
                r#"{{"clientVersion":{{"gitVersion":"v1.{minor}.0","minor":"{minor}"}}}}"#
            ))
        };
        assert_eq!(judge(&TOOLS[1], answer(36)).state, State::Fine);
        assert_eq!(judge(&TOOLS[1], answer(35)).state, State::Fine);
        assert_eq!(judge(&TOOLS[1], answer(20)).state, State::Notice);
        assert_eq!(judge(&TOOLS[1], Ok("?".into())).state, State::Notice);
    }
}
