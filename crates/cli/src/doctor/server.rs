//! Does the server answer, does it know who we are, and is its clock ours?

use foreshore_model::api::Info;
use foreshore_model::{ExitCode, clock};
use foreshore_server::credentials::Credential;
use jiff::Timestamp;

use super::Finding;
use crate::client::Client;
use crate::failure::Failure;

const CHECK: &str = "server";
/// Tokens of a pod and approvals are judged by time; a minute is noticed by nobody.
const SKEW: i64 = 60;

pub(super) async fn examine(credential: Option<&Credential>) -> Vec<Finding> {
    let Some(credential) = credential else {
        return vec![Finding::fine(
            CHECK,
            "none is known; `foreshore up` starts one, FORESHORE_SERVER and FORESHORE_TOKEN name one",
        )];
    };
    let answer = match Client::new(&credential.server, &credential.token) {
        Ok(client) => client.get_dated::<Info>("/info").await,
        Err(failure) => Err(failure),
    };
    judge(&credential.server, answer, clock::now())
}

fn judge(
    server: &str,
    answer: Result<(Info, Option<Timestamp>), Failure>,
    now: Timestamp,
) -> Vec<Finding> {
    let (info, date) = match answer {
        Ok(answer) => answer,
        Err(failure) => {
            let mend = failure
                .hints
                .first()
                .cloned()
                .unwrap_or_else(|| "ask who runs the server".to_owned());
            // A platform that is merely not up is no illness.
            return vec![if failure.code == ExitCode::Unreachable {
                Finding::notice(CHECK, failure.message, mend)
            } else {
                Finding::broken(CHECK, failure.message, mend)
            }];
        }
    };
    let who = info
        .actor
        .as_ref()
        .map_or("nobody", |actor| actor.name.as_str());
    let own = env!("CARGO_PKG_VERSION");
    let mut findings = vec![if info.version == own {
        Finding::fine(CHECK, format!("{server} answers, and knows you as {who}"))
    } else {
        Finding::notice(
            CHECK,
            format!(
                "{server} is version {}, this program is {own}",
                info.version
            ),
            "use the same version on both sides",
        )
    }];
    if let Some(date) = date {
        let skew = now.duration_since(date).as_secs();
        if skew.abs() > SKEW {
            findings.push(Finding::notice(
                "clock of the server",
                format!(
                    "{} s {} ours",
                    skew.abs(),
                    if skew > 0 { "behind" } else { "ahead of" }
                ),
                "let both machines take their time from NTP: `timedatectl set-ntp true`",
            ));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    fn info(version: &str) -> Info {
        Info {
            version: version.into(),
            registry: "127.0.0.1:7070".into(),
            actor: None,
            environments: vec![],
            ingress: None,
            signing_key: None,
        }
    }

    #[test]
    fn skew_and_version_are_told() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let own = env!("CARGO_PKG_VERSION");
        let same = judge("s", Ok((info(own), Some(at(1_000)))), at(1_010));
        assert_eq!(same.len(), 1);
        assert_eq!(same[0].state, State::Fine);
        let skewed = judge("s", Ok((info("0.0.9"), Some(at(1_000)))), at(2_000));
        assert_eq!(skewed[0].state, State::Notice);
        assert_eq!(skewed[1].found, "1000 s behind ours");
    }

    #[test]
    fn a_silent_server_is_a_notice_and_a_refused_token_keeps_its_hint() {
        let silent =
            Failure::new(ExitCode::Unreachable, "cannot reach the server").hint("start it");
        let findings = judge("s", Err(silent), Timestamp::UNIX_EPOCH);
        assert_eq!(findings[0].state, State::Notice);
        assert_eq!(findings[0].mend.as_deref(), Some("start it"));
    }
}
