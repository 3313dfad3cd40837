//! Scripts of shuttle's: arguments as environment variables, one shell for each action.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use foreshore_action::{Input, Options, Output, Stop};
use foreshore_model::ExitCode;
use foreshore_model::shuttle::{Script, ScriptArgument};
use foreshore_render::Command;

use super::{Kind, Project, ShuttlePlan, near};
use crate::build::{action_failure, cache};
use crate::failure::Failure;

/// Runs a script to its end and returns the exit code of the action that failed, or 0.
pub(crate) async fn run_script(
    project: &Project,
    plan: &ShuttlePlan,
    name: &str,
    words: &[String],
    environment: BTreeMap<String, String>,
    input: Input,
    stop: Stop,
) -> Result<u8, Failure> {
    let scripts = project.scripts(plan);
    let Some(script) = scripts.get(name) else {
        let go = [Some(&project.directory), plan.directory.as_ref()];
        if go
            .into_iter()
            .flatten()
            .any(|directory| has_go_actions(directory))
        {
            return Err(Failure::usage(format!(
                "there is no script `{name}`; Go actions (the folder `actions`) are not supported"
            ))
            .hint("write the action as a script"));
        }
        return Err(Failure::usage(format!(
            "there is no script `{name}`{}",
            near(name, scripts.keys().map(String::as_str))
        ))
        .hint("`foreshore ls` lists the scripts"));
    };
    let arguments = arguments(name, script, words)?;
    let own = variables(project, plan, arguments, &environment)?;
    let options = Options {
        directory: project.directory.clone(),
        environment,
        whole_environment: true,
        output: Output::Inherit,
        input,
        jail: None,
        timeout: None,
    };
    for (index, action) in script.actions.iter().enumerate() {
        let Some(shell) = &action.shell else {
            let kind = if action.dockerfile.is_some() {
                "dockerfile"
            } else {
                "task"
            };
            return Err(Failure::usage(format!(
                "action {} of script `{name}` is a `{kind}`; only `shell` is supported",
                index + 1
            )));
        };
        let command = Command {
            program: "sh".to_owned(),
            arguments: vec!["-c".to_owned(), shell.clone()],
            environment: own.clone(),
            output: None,
        };
        let ended = foreshore_action::run(&command, &options, stop.clone())
            .await
            .map_err(|error| action_failure(&error))?;
        if ended.code != 0 {
            return Ok(ended.code);
        }
    }
    Ok(0)
}

fn has_go_actions(directory: &Path) -> bool {
    let entries = fs::read_dir(directory.join("actions"))
        .into_iter()
        .flatten()
        .flatten();
    entries.take(1000).any(|entry| {
        entry
            .path()
            .extension()
            .is_some_and(|extension| extension == "go")
    })
}

/// Sorts words as shuttle does: `--kebab-name value`, `--kebab-name=value`, `name=value`; a bool may stand alone.
fn arguments(
    script_name: &str,
    script: &Script,
    words: &[String],
) -> Result<BTreeMap<String, String>, Failure> {
    let mut given: BTreeMap<String, String> = BTreeMap::new();
    let known = |name: &str| {
        let name = name.replace('_', "-");
        script
            .args
            .iter()
            .find(|argument| argument.name.replace('_', "-") == name)
    };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let flag = word.strip_prefix("--");
        let (name, value) = match (flag.unwrap_or(word)).split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (flag.unwrap_or(word), None),
        };
        let Some(argument) = known(name) else {
            // A bare word after a bool is not its value, and shuttle lets it pass.
            if flag.is_none() && value.is_none() {
                continue;
            }
            let names = script.args.iter().map(|argument| argument.name.as_str());
            return Err(Failure::usage(format!(
                "script `{script_name}` has no argument `{name}`{}",
                near(name, names)
            )));
        };
        let value = match (value, flag) {
            (Some(value), _) => value,
            (None, None) => continue,
            (None, Some(_)) if argument.kind == "bool" => "true".to_owned(),
            (None, Some(_)) => words.next().cloned().ok_or_else(|| {
                Failure::usage(format!(
                    "argument `--{name}` of script `{script_name}` needs a value"
                ))
            })?,
        };
        given.insert(argument.name.clone(), value);
    }
    let missing: Vec<&ScriptArgument> = script
        .args
        .iter()
        .filter(|argument| argument.required && !given.contains_key(&argument.name))
        .collect();
    if let Some(argument) = missing.first() {
        return Err(Failure::usage(format!(
            "script `{script_name}` needs the argument `--{}`{}",
            argument.name.replace('_', "-"),
            if argument.description.is_empty() {
                String::new()
            } else {
                format!(": {}", argument.description)
            }
        )));
    }
    for argument in &script.args {
        given.entry(argument.name.clone()).or_default();
    }
    Ok(given)
}

/// What a script sees besides the environment of whoever started it.
fn variables(
    project: &Project,
    plan: &ShuttlePlan,
    arguments: BTreeMap<String, String>,
    environment: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, Failure> {
    let temporary = project.temporary();
    fs::create_dir_all(&temporary).map_err(|error| {
        Failure::new(
            ExitCode::Failed,
            format!("cannot make `{}`: {error}", temporary.display()),
        )
    })?;
    let shown = |path: &Path| path.display().to_string();
    let plan_directory = plan.directory.as_deref().map_or_else(String::new, shown);
    let path = environment.get("PATH").map_or("", String::as_str);
    let mut variables = arguments;
    variables.extend([
        ("plan".to_owned(), plan_directory.clone()),
        ("tmp".to_owned(), shown(&temporary)),
        ("project".to_owned(), shown(&project.directory)),
        (
            "PATH".to_owned(),
            format!("{}:{path}", shown(&call_as_shuttle()?)),
        ),
        ("SHUTTLE_PLANS_ALREADY_VALIDATED".to_owned(), plan_directory),
        ("SHUTTLE_INTERACTIVE".to_owned(), "default".to_owned()),
        (
            "SHUTTLE_CONTEXT_ID".to_owned(),
            ulid::Ulid::generate().to_string(),
        ),
    ]);
    debug_assert!(matches!(project.kind, Kind::Shuttle(_)));
    Ok(variables)
}

/// Returns a directory in which this very program is called `shuttle`.
fn call_as_shuttle() -> Result<PathBuf, Failure> {
    let failed = |error: std::io::Error| {
        Failure::new(
            ExitCode::Failed,
            format!("cannot call this program `shuttle`: {error}"),
        )
    };
    let program = std::env::current_exe().map_err(failed)?;
    let name = foreshore_model::Digest::of(program.as_os_str().as_encoded_bytes());
    let directory = cache()?.join("shuttle").join(name.short());
    let link = directory.join("shuttle");
    if fs::read_link(&link).is_ok_and(|target| target == program) {
        return Ok(directory);
    }
    fs::create_dir_all(&directory).map_err(failed)?;
    match std::os::unix::fs::symlink(&program, &link) {
        // Another run was faster.
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(directory),
        result => result.map(|()| directory).map_err(failed),
    }
}

#[cfg(test)]
mod tests {
    use foreshore_model::yaml;

    use super::*;

    fn read(words: &[&str]) -> Result<String, String> {
        let script: Script = yaml::read_legacy(
            "s",
            "args:\n- name: tag_name\n  required: true\n- name: silent\n  type: bool\n",
        )
        .unwrap();
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        arguments("say", &script, &words)
            .map(|found| format!("{}|{}", found["tag_name"], found["silent"]))
            .map_err(|failure| failure.message)
    }

    #[test]
    fn arguments_are_read_as_shuttle_reads_them() {
        for (words, expected) in [
            (&["--tag-name", "v1"][..], "v1|"),
            (&["--tag-name=v1=", "--silent"], "v1=|true"),
            (&["tag_name=v1", "--silent=false"], "v1|false"),
            (&["tag_name=v1", "--silent", "false"], "v1|true"),
        ] {
            assert_eq!(read(words).unwrap(), expected, "{words:?}");
        }
    }

    #[test]
    fn wrong_arguments_are_refused_before_anything_runs() {
        for (words, part) in [
            (&[][..], "needs the argument `--tag-name`"),
            (&["--tag-nmae", "x"], "has no argument `tag-nmae`"),
            (&["tga=x"], "has no argument `tga`"),
            (&["--tag-name"], "needs a value"),
        ] {
            let error = read(words).unwrap_err();
            assert!(error.contains(part), "{words:?}: {error}");
        }
    }
}
