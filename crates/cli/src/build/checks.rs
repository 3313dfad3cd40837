//! The checks of a release: read with everything they need, and tried by the compiler, before anything is pushed.

use std::fs;
use std::path::{Path, PathBuf};

use foreshore_model::service::FILE_NAME;
use foreshore_model::{Check, ExitCode, Scenario};
use foreshore_scenario::{CheckError, compile_check};

use super::sources::Sources;
use crate::failure::Failure;

/// The check that every service passes, which needs no scenario.
const CONTRACT: &str = "contract";
/// Bytes of all scenarios and their data; every release carries them into the config repository.
const SIZE_MAX: usize = 512 * 1024;

/// Returns the checks of plan and service, each with its scenario's text and data.
pub(crate) fn gather(sources: &Sources) -> Result<Vec<Check>, Failure> {
    let plan = Path::new(&sources.host.plan);
    let of_plan = sources.plan.file.checks.iter().map(|check| (check, plan));
    let own = sources.service.checks.iter();
    let own = own.map(|check| (check, sources.directory.as_path()));
    let mut gathered: Vec<Check> = Vec::new();
    for (check, folder) in of_plan.chain(own) {
        if check.name == CONTRACT {
            return Err(Failure::usage(format!(
                "`{CONTRACT}` is the name of the check that every service passes; give yours another"
            )));
        }
        // A service may do otherwise than its plan.
        gathered.retain(|known| known.name != check.name);
        gathered.push(whole(check, folder)?);
    }
    let size: usize = gathered.iter().map(size_of).sum();
    if size > SIZE_MAX {
        return Err(Failure::usage(format!(
            "the checks are {size} bytes with their data, and at most {SIZE_MAX} travel with an artifact"
        ))
        .hint("take fewer rows of data, or leave the big ones to `foreshore load`"));
    }
    Ok(gathered)
}

fn size_of(check: &Check) -> usize {
    let text = match &check.scenario {
        Scenario::File(text) | Scenario::Text(text) => text.len(),
    };
    text + check.files.values().map(String::len).sum::<usize>()
}

/// Puts the scenario's text and data where its file's name was.
fn whole(check: &Check, folder: &Path) -> Result<Check, Failure> {
    let (text, file, beside) = match &check.scenario {
        Scenario::Text(text) => {
            let file = format!("{FILE_NAME} (check {})", check.name);
            (text.clone(), file, folder.to_owned())
        }
        Scenario::File(file) => {
            if folder.as_os_str().is_empty() {
                return Err(Failure::usage(format!(
                    "check `{}` of the plan names the file `{file}`, and only plans in a directory have files",
                    check.name
                ))
                .hint("write the scenario into the plan: `scenario: |`"));
            }
            let path = folder.join(file);
            let beside = path.parent().map_or_else(PathBuf::new, Path::to_owned);
            (
                read(&path, &check.name)?,
                path.display().to_string(),
                beside,
            )
        }
    };
    let program = compile_check(&file, check, &text).map_err(|error| mistake(&error))?;
    let mut made = check.clone();
    for data in &program.data {
        if !made.files.contains_key(&data.file) {
            let text = read(&beside.join(&data.file), &check.name)?;
            made.files.insert(data.file.clone(), text);
        }
    }
    made.scenario = Scenario::Text(text);
    Ok(made)
}

fn read(path: &Path, check: &str) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(|error| {
        Failure::usage(format!("cannot read `{}`: {error}", path.display()))
            .hint(format!("check `{check}` names it"))
    })
}

fn mistake(error: &CheckError) -> Failure {
    Failure::from_error(ExitCode::Usage, error)
}
