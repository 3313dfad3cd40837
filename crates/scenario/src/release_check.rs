//! Checks of a release: scenarios that run by themselves after a rollout, far from whoever wrote them.
//!
//! Nobody is there to give an address or a secret, so everything such a
//! scenario needs must come with it, or be one of a few facts about the release.

use std::collections::BTreeMap;

use foreshore_model::Check;

use crate::bind::{BindError, Inputs, Setup, bind};
use crate::compile::compile;
use crate::problem::Problems;
use crate::program::{Profile, Program, Source};

/// Where the release answers.
pub const TARGET_URL: &str = "TARGET_URL";
/// The version that was just released.
pub const EXPECTED_VERSION: &str = "EXPECTED_VERSION";
/// Environment variables a check of a release is given; it sees no others.
pub const RELEASE_VARIABLES: [&str; 4] = [
    TARGET_URL,
    EXPECTED_VERSION,
    "FORESHORE_SERVICE",
    "FORESHORE_ENVIRONMENT",
];
/// The profile that is run when a check names none.
pub const SMOKE: &str = "smoke";
/// What a scenario without a profile `smoke` is given.
const SMOKE_LINE: &str = "profile smoke iterations 1 timeout 10s stop-on-first-failure";

/// Why a scenario cannot be a check of a release.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CheckError {
    #[error(transparent)]
    Scenario(#[from] Problems),
    #[error("check `{check}`: the scenario has no profile `{profile}`; it has {known}")]
    Profile {
        check: String,
        profile: String,
        known: String,
    },
    #[error(
        "check `{check}`: profile `{profile}` is a load; a release is checked with a profile that counts passes, and load is for `foreshore load`"
    )]
    Load { check: String, profile: String },
    #[error(
        "check `{check}`: {what} `{name}` comes from the environment variable {variable}, which the agent does not have; give it a default, or use one of {}",
        RELEASE_VARIABLES.join(", ")
    )]
    Variable {
        check: String,
        what: &'static str,
        name: String,
        variable: String,
    },
    #[error(
        "check `{check}`: secret `{name}` would have to travel with the artifact; a check of a release cannot use secrets"
    )]
    Secret { check: String, name: String },
    #[error(
        "check `{check}`: target `{name}` names certificates of its own, `{file}`; the agent does not have the file"
    )]
    Certificates {
        check: String,
        name: String,
        file: String,
    },
    #[error(
        "check `{check}`: no target of the scenario comes from {TARGET_URL}, so it would not measure the release; write `target base = env {TARGET_URL}`"
    )]
    NoTarget { check: String },
    #[error("check `{check}` cannot be run")]
    Bind {
        check: String,
        #[source]
        cause: BindError,
    },
}

/// Compiles a scenario; one without a profile `smoke` is given the usual one.
pub fn compile_with_smoke(file: &str, text: &str) -> Result<Program, Problems> {
    let program = compile(file, text)?;
    if program.profile(SMOKE).is_some() {
        return Ok(program);
    }
    // A scenario of which nothing may be sent unasked has no smoke test; its other profiles stay.
    Ok(compile(file, &format!("{text}\n{SMOKE_LINE}\n")).unwrap_or(program))
}

/// Compiles the scenario of a check and says whether it can run after a rollout; `file` is for messages.
pub fn compile_check(file: &str, check: &Check, text: &str) -> Result<Program, CheckError> {
    let program = compile_with_smoke(file, text)?;
    let name = check.name.clone();
    let profile = chosen(&program, check)?;
    if !profile.load.is_functional() {
        return Err(CheckError::Load {
            check: name,
            profile: profile.name.clone(),
        });
    }
    if let Some(secret) = program.secrets.first() {
        return Err(CheckError::Secret {
            check: name,
            name: secret.name.clone(),
        });
    }
    let targets = program
        .targets
        .iter()
        .map(|it| ("target", &it.name, &it.source));
    let values = program
        .values
        .iter()
        .map(|it| ("value", &it.name, &it.source));
    for (what, of, source) in targets.chain(values) {
        if let Source::Environment {
            variable,
            default: None,
        } = source
            && !RELEASE_VARIABLES.contains(&variable.as_str())
        {
            return Err(CheckError::Variable {
                check: name,
                what,
                name: of.clone(),
                variable: variable.clone(),
            });
        }
    }
    let is_release = |source: &Source| matches!(source, Source::Environment { variable, .. } if variable == TARGET_URL);
    if !program.targets.iter().any(|it| is_release(&it.source)) {
        return Err(CheckError::NoTarget { check: name });
    }
    let own = program
        .targets
        .iter()
        .find_map(|it| Some((it, it.ca.clone()?)));
    if let Some((target, file)) = own {
        return Err(CheckError::Certificates {
            check: name,
            name: target.name.clone(),
            file,
        });
    }
    Ok(program)
}

fn chosen<'a>(program: &'a Program, check: &Check) -> Result<&'a Profile, CheckError> {
    let wanted = check.profile.as_deref().unwrap_or(SMOKE);
    program.profile(wanted).ok_or_else(|| {
        let known: Vec<&str> = program.profiles.iter().map(|it| it.name.as_str()).collect();
        CheckError::Profile {
            check: check.name.clone(),
            profile: wanted.to_owned(),
            known: if known.is_empty() {
                "none, and nothing of it may be sent unasked".to_owned()
            } else {
                known.join(", ")
            },
        }
    })
}

/// Puts a check of a release together with the facts of the release.
pub fn bind_check(
    check: &Check,
    text: &str,
    facts: &BTreeMap<&'static str, String>,
) -> Result<Setup, CheckError> {
    let program = compile_check(&check.name, check, text)?;
    let profile = chosen(&program, check)?;
    let inputs = Inputs {
        environment: facts
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect(),
        files: check.files.clone(),
        ..Inputs::default()
    };
    bind(&program, profile, &inputs).map_err(|cause| CheckError::Bind {
        check: check.name.clone(),
        cause,
    })
}

#[cfg(test)]
mod tests {
    use foreshore_model::Scenario;

    use super::*;

    fn check(profile: Option<&str>) -> Check {
        Check {
            name: "front".into(),
            scenario: Scenario::Text(String::new()),
            environments: Vec::new(),
            gate: true,
            profile: profile.map(str::to_owned),
            outside: false,
            files: BTreeMap::new(),
        }
    }

    #[track_caller]
    fn refused(text: &str, profile: Option<&str>, part: &str) {
        let error = compile_check("front.scn", &check(profile), text)
            .expect_err("is refused")
            .to_string();
        assert!(error.contains(part), "`{part}` is not in: {error}");
    }

    const FRONT: &str = "scenario \"front\"\ntarget base = env TARGET_URL\n";

    #[test]
    fn a_scenario_that_knows_only_the_release_is_a_check_of_it() {
        let text = format!(
            "{FRONT}value version = env EXPECTED_VERSION\nstep home GET {{{{base}}}}/?v={{{{version}}}}\n"
        );
        let facts = BTreeMap::from([
            (TARGET_URL, "http://10.0.0.7:8080".to_owned()),
            (EXPECTED_VERSION, "main-1".to_owned()),
        ]);
        let setup = bind_check(&check(None), &text, &facts).unwrap();
        assert_eq!(setup.profile.name, SMOKE);
        assert_eq!(setup.targets[0].address.to_string(), "http://10.0.0.7:8080");
        assert!(setup.hosts.contains("10.0.0.7"));
    }

    #[test]
    fn what_the_agent_cannot_have_is_refused_by_name_before_anything_is_built() {
        let home = "step home GET {{base}}/\n";
        refused("scenario \"x\"\nstep a GET {{nobody}}/\n", None, "nobody");
        refused(
            &format!("{FRONT}{home}"),
            Some("acceptance"),
            "no profile `acceptance`",
        );
        refused(
            &format!("{FRONT}{home}profile big\n  users 5 for 10s\n"),
            Some("big"),
            "`big` is a load",
        );
        refused(
            &format!(
                "{FRONT}secret key = env ADMIN\nstep home GET {{{{base}}}}/\n  Authorization: {{{{key}}}}\n"
            ),
            None,
            "secret `key`",
        );
        refused(
            "scenario \"x\"\ntarget other = env OTHER_URL\nstep a GET {{other}}/\n",
            None,
            "OTHER_URL",
        );
        refused(
            "scenario \"x\"\ntarget base = \"http://127.0.0.1:1\"\nstep a GET {{base}}/\n",
            None,
            "would not measure the release",
        );
        refused(
            &format!("{FRONT}step buy POST {{{{base}}}}/buy\n"),
            None,
            "nothing of it may be sent unasked",
        );
    }

    #[test]
    fn data_travels_with_the_check() {
        let text = format!(
            "{FRONT}data items = csv \"items.csv\" shared\nstep item GET {{{{base}}}}/{{{{items.id}}}}\n"
        );
        let facts = BTreeMap::from([(TARGET_URL, "http://a".to_owned())]);
        let missing = bind_check(&check(None), &text, &facts).unwrap_err();
        assert!(missing.to_string().contains("front"), "{missing}");
        let mut with = check(None);
        with.files = BTreeMap::from([("items.csv".to_owned(), "id\n7\n".to_owned())]);
        assert_eq!(bind_check(&with, &text, &facts).unwrap().rows, [[["7"]]]);
    }
}
