//! Jobs that run before or after a release: which, under what name, and what is next.
//!
//! A hook is a `Job` of the manifests that is marked as one. It runs once for
//! what it says and the artifact it came with, whatever else is asked again.

use foreshore_cluster::{HookRun, HookState, Reference};
use foreshore_model::{Digest, ReleaseFile};
use serde_json::{Value, json};

/// Annotation of a Job: `pre-release` or `post-release`.
pub(crate) const HOOK: &str = "foreshore.local/hook";
/// Annotation: `failed` (the default) keeps the Job of a run that failed, `all` of every run.
const KEEP: &str = "foreshore.local/hook-keep";
/// Annotation: `skip` (the default) or `run` when the release is a rollback.
const ON_ROLLBACK: &str = "foreshore.local/hook-on-rollback";
/// The longest name of a Job whose pods can be named after it.
const NAME_MAX: usize = 63;

/// When a hook runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Before anything of the release is written.
    Before,
    /// Once the release is healthy.
    After,
}

/// A Job to run around a release.
#[derive(Debug, Clone, PartialEq)]
pub struct Hook {
    pub moment: Moment,
    /// The same as long as artifact and manifest are the same.
    pub key: String,
    /// Whether its Job stays although it succeeded.
    pub stays: bool,
    /// A rollback does not run it.
    pub skipped: bool,
    /// Named after the release.
    pub job: Value,
}

/// Why a hook is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HookError {
    #[error("{object} is marked as a hook; only a Job of `batch/v1` can be one")]
    NotAJob { object: String },
    #[error("{object} has annotation `{annotation}: {word}`; it can be {choices}")]
    Word {
        object: String,
        annotation: &'static str,
        word: String,
        choices: &'static str,
    },
    #[error("{object} is a hook without `spec.activeDeadlineSeconds`; a hook must end")]
    NoDeadline { object: String },
    #[error(
        "{object} is a hook whose name becomes too long: `{name}`, at most {NAME_MAX} characters"
    )]
    NameTooLong { object: String, name: String },
}

/// Reads an object as a hook, none if it is not marked as one.
pub(crate) fn hook(object: &Value, release: &ReleaseFile) -> Result<Option<Hook>, HookError> {
    let named = || Reference::of(object).map_or_else(String::new, |found| found.to_string());
    let moment = match word(object, HOOK) {
        None => return Ok(None),
        Some("pre-release") => Moment::Before,
        Some("post-release") => Moment::After,
        Some(other) => {
            return Err(unknown(
                named(),
                HOOK,
                other,
                "`pre-release` or `post-release`",
            ));
        }
    };
    if object["kind"] != "Job" || object["apiVersion"] != "batch/v1" {
        return Err(HookError::NotAJob { object: named() });
    }
    if object["spec"]["activeDeadlineSeconds"]
        .as_u64()
        .is_none_or(|seconds| seconds == 0)
    {
        return Err(HookError::NoDeadline { object: named() });
    }
    let stays = match word(object, KEEP) {
        None | Some("failed") => false,
        Some("all") => true,
        Some(other) => return Err(unknown(named(), KEEP, other, "`failed` or `all`")),
    };
    let skips = match word(object, ON_ROLLBACK) {
        None | Some("skip") => true,
        Some("run") => false,
        Some(other) => return Err(unknown(named(), ON_ROLLBACK, other, "`skip` or `run`")),
    };
    let key = Digest::of(format!("{} {object}", release.artifact).as_bytes());
    let own = object["metadata"]["name"].as_str().unwrap_or_default();
    let name = format!("{own}-r{}", release.sequence);
    if name.len() > NAME_MAX {
        return Err(HookError::NameTooLong {
            object: named(),
            name,
        });
    }
    let mut job = object.clone();
    job["metadata"]["name"] = json!(name);
    if let Some(spec) = job["spec"].as_object_mut() {
        // Whoever cleans up must have seen the end.
        spec.remove("ttlSecondsAfterFinished");
    }
    Ok(Some(Hook {
        moment,
        key: key.short().to_owned(),
        stays,
        skipped: skips && release.intent.is_rollback(),
        job,
    }))
}

fn word<'a>(object: &'a Value, annotation: &str) -> Option<&'a str> {
    object["metadata"]["annotations"].get(annotation)?.as_str()
}

fn unknown(
    object: String,
    annotation: &'static str,
    word: &str,
    choices: &'static str,
) -> HookError {
    HookError::Word {
        object,
        annotation,
        word: word.to_owned(),
        choices,
    }
}

impl Hook {
    pub fn reference(&self) -> Reference {
        Reference::of(&self.job).expect("an object without name is no hook")
    }
}

/// What is to be done about the hooks of one moment.
#[derive(Debug, PartialEq)]
pub(crate) enum Next<'a> {
    /// All have succeeded, or there are none.
    Done,
    /// Runs of an earlier release have not ended; two at once could harm each other.
    Wait(&'a HookRun),
    Start(&'a Hook),
    Follow(&'a Hook, &'a HookRun),
    /// It failed, and is not run again.
    Failed(&'a HookRun),
}

/// Decides by what has run; hooks of one moment run one after the other.
pub(crate) fn next<'a>(hooks: &'a [Hook], moment: Moment, runs: &'a [HookRun]) -> Next<'a> {
    let wanted = hooks
        .iter()
        .filter(|hook| hook.moment == moment && !hook.skipped);
    for hook in wanted {
        match runs.iter().find(|run| run.key == hook.key) {
            None => {
                let other = runs.iter().find(|run| run.state == HookState::Started);
                return other.map_or(Next::Start(hook), Next::Wait);
            }
            Some(run) => match run.state {
                HookState::Succeeded => {}
                HookState::Started => return Next::Follow(hook, run),
                HookState::Failed => return Next::Failed(run),
            },
        }
    }
    Next::Done
}

/// Runs that the present release says nothing of any more and that have ended.
pub(crate) fn outdated<'a>(hooks: &[Hook], runs: &'a [HookRun]) -> Vec<&'a HookRun> {
    runs.iter()
        .filter(|run| run.state != HookState::Started)
        .filter(|run| !hooks.iter().any(|hook| hook.key == run.key))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use foreshore_model::Intent;

    fn job(annotations: &str, spec: &str) -> Value {
        let text = format!(
            "{{apiVersion: batch/v1, kind: Job, metadata: {{name: migrate, annotations: {{{annotations}}}}}, spec: {{{spec}}}}}"
        );
        foreshore_model::yaml::read_manifests("hook", &text)
            .unwrap()
            .remove(0)
    }

    const PRE: &str = "foreshore.local/hook: pre-release";
    const LIMIT: &str = "activeDeadlineSeconds: 60";

    #[track_caller]
    fn refused(object: &Value, part: &str) {
        let message = hook(object, &fixture::release(1)).unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
    }

    #[test]
    fn what_is_not_marked_is_no_hook() {
        assert_eq!(hook(&job("", ""), &fixture::release(1)), Ok(None));
    }

    #[test]
    fn a_hook_that_may_never_end_or_is_misspelt_is_refused_by_name() {
        refused(
            &job(PRE, ""),
            "Job/migrate is a hook without `spec.activeDeadlineSeconds`",
        );
        refused(&job(PRE, "activeDeadlineSeconds: 0"), "a hook must end");
        refused(
            &job("foreshore.local/hook: before", LIMIT),
            "`pre-release` or `post-release`",
        );
        refused(
            &job(&format!("{PRE}, foreshore.local/hook-keep: none"), LIMIT),
            "`failed` or `all`",
        );
        refused(
            &job(
                &format!("{PRE}, foreshore.local/hook-on-rollback: maybe"),
                LIMIT,
            ),
            "`skip` or `run`",
        );
        let mut pod = job(PRE, LIMIT);
        pod["kind"] = json!("Pod");
        refused(&pod, "only a Job of `batch/v1`");
        let mut long = job(PRE, LIMIT);
        long["metadata"]["name"] = json!("m".repeat(62));
        refused(&long, "too long");
    }

    #[test]
    fn the_same_artifact_has_the_same_key_under_another_name() {
        let object = job(PRE, "activeDeadlineSeconds: 60, ttlSecondsAfterFinished: 5");
        let mut again = fixture::release(1);
        again.sequence = 2;
        let first = hook(&object, &fixture::release(1)).unwrap().unwrap();
        let second = hook(&object, &again).unwrap().unwrap();
        let other = hook(&object, &fixture::release(3)).unwrap().unwrap();
        assert_eq!(first.key, second.key);
        assert_ne!(first.key, other.key);
        assert_eq!(second.job["metadata"]["name"], "migrate-r2");
        assert_eq!(second.job["spec"], json!({"activeDeadlineSeconds": 60}));
    }

    #[test]
    fn a_rollback_runs_only_what_asks_for_it() {
        let mut back = fixture::release(3);
        back.intent = Intent::Rollback {
            from: Digest::of(b"2"),
        };
        let skipped = |annotations: &str| {
            let made = hook(&job(annotations, LIMIT), &back).unwrap().unwrap();
            made.skipped
        };
        assert!(skipped(PRE));
        assert!(!skipped(&format!(
            "{PRE}, foreshore.local/hook-on-rollback: run"
        )));
    }

    fn run(hook: &Hook, state: HookState) -> HookRun {
        HookRun {
            key: hook.key.clone(),
            job: hook.reference().name,
            uid: String::new(),
            state,
            message: String::new(),
        }
    }

    #[test]
    fn hooks_run_one_after_the_other_once_each() {
        let made = |annotations: &str, spec: &str| {
            hook(&job(annotations, spec), &fixture::release(1))
                .unwrap()
                .unwrap()
        };
        let one = made(PRE, LIMIT);
        let two = made(PRE, "activeDeadlineSeconds: 61");
        let after = made("foreshore.local/hook: post-release", LIMIT);
        let hooks = [one.clone(), two.clone(), after.clone()];
        let next = |runs: &[HookRun], moment| format!("{:?}", next(&hooks, moment, runs));
        let is = |told: String, word: &str, hook: &Hook| {
            assert!(told.starts_with(word) && told.contains(&hook.key), "{told}");
        };
        is(next(&[], Moment::Before), "Start", &one);
        let started = [run(&one, HookState::Started)];
        is(next(&started, Moment::Before), "Follow", &one);
        let half = [run(&one, HookState::Succeeded)];
        is(next(&half, Moment::Before), "Start", &two);
        let failed = [run(&one, HookState::Failed)];
        is(next(&failed, Moment::Before), "Failed", &one);
        let whole = [
            run(&one, HookState::Succeeded),
            run(&two, HookState::Succeeded),
        ];
        assert_eq!(next(&whole, Moment::Before), "Done");
        is(next(&whole, Moment::After), "Start", &after);
        let mut earlier = run(&one, HookState::Started);
        earlier.key = "earlier".to_owned();
        assert!(next(&[earlier], Moment::Before).starts_with("Wait"));
    }

    #[test]
    fn what_ended_and_is_of_no_use_any_more_goes() {
        let made = hook(&job(PRE, LIMIT), &fixture::release(1))
            .unwrap()
            .unwrap();
        let mut old = run(&made, HookState::Failed);
        old.key = "old".to_owned();
        let mut open = old.clone();
        open.state = HookState::Started;
        let runs = [old.clone(), open, run(&made, HookState::Failed)];
        assert_eq!(outdated(&[made], &runs), [&old]);
    }
}
