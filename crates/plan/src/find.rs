//! From files to a plan, and from a name or a directory to one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use foreshore_model::plan::{FILE_NAME, Reference, ReferenceError};
use foreshore_model::service::Overrides;
use foreshore_model::yaml::{self, YamlError};
use foreshore_model::{Digest, Plan, PlanFile};

use crate::content::{Content, ContentError, File};
use crate::lock_file::near_name;
use crate::shipped::{SHIPPED, names};

/// Where templates are in a plan.
const TEMPLATES: &str = "templates";

/// Why a plan could not be had.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    #[error("there is no plan `{reference}`{}", suggestion(near.as_deref()))]
    Unknown {
        reference: String,
        near: Option<String>,
    },
    #[error("`{reference}` has no {FILE_NAME}")]
    NoFile { reference: String },
    #[error(
        "`{reference}` is a plan of shuttle; it works with a shuttle.yaml, not with a foreshore.yaml"
    )]
    ShuttlePlan { reference: String },
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    #[error(transparent)]
    Content(#[from] ContentError),
    #[error(transparent)]
    Format(#[from] YamlError),
    #[error("action `{action}` of plan `{plan}` has neither a command nor needs")]
    NoCommand { plan: String, action: String },
    #[error("there is no directory `{path}` for the templates that the service overrides")]
    NoTemplates { path: PathBuf },
}

fn suggestion(near: Option<&str>) -> String {
    near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"))
}

/// Finds a shipped plan, or one in a directory seen from that of `foreshore.yaml`; none if it is neither.
pub fn find(reference: &str, directory: &Path) -> Result<Option<Plan>, PlanError> {
    let Reference::Local(name) = Reference::parse(reference)? else {
        return Ok(None);
    };
    if let Some(shipped) = SHIPPED.iter().find(|plan| plan.name == name) {
        return assemble(&name, &shipped.content()?).map(Some);
    }
    let path = directory.join(&name);
    if !path.is_dir() {
        return Err(PlanError::Unknown {
            near: near_name(&name, names()),
            reference: name,
        });
    }
    assemble(&path.display().to_string(), &plan_files(&path)?).map(Some)
}

/// Reads what makes a plan, and nothing else: beside it there may be a whole repository.
fn plan_files(directory: &Path) -> Result<Content, ContentError> {
    let mut content = Content::default();
    let path = directory.join(FILE_NAME);
    if path.symlink_metadata().is_ok() {
        let (bytes, executable) = (crate::content::read_plain(&path, FILE_NAME)?, false);
        content.add(FILE_NAME, File { bytes, executable })?;
    }
    for folder in [TEMPLATES, "checks"] {
        let path = directory.join(folder);
        if path.is_dir() {
            for (name, file) in Content::of_directory(&path)?.files() {
                content.add(&format!("{folder}/{name}"), file.clone())?;
            }
        }
    }
    Ok(content)
}

/// Makes a plan of its files; `origin` names it in errors.
pub fn assemble(origin: &str, content: &Content) -> Result<Plan, PlanError> {
    let Some(text) = content.text(FILE_NAME)? else {
        return Err(PlanError::NoFile {
            reference: origin.to_owned(),
        });
    };
    let file_origin = format!("{origin}/{FILE_NAME}");
    let parsed: PlanFile = yaml::read_strict(&file_origin, text).map_err(|error| {
        let shuttle = yaml::read::<foreshore_model::shuttle::PlanFile>(&file_origin, text);
        match shuttle {
            Ok(plan) if !plan.scripts.is_empty() => PlanError::ShuttlePlan {
                reference: origin.to_owned(),
            },
            _ => error.into(),
        }
    })?;
    check_actions(&parsed)?;
    Ok(Plan {
        file: parsed,
        templates: templates(content, &format!("{TEMPLATES}/"))?,
        hash: content.hash(),
        commit: None,
    })
}

fn check_actions(file: &PlanFile) -> Result<(), PlanError> {
    let empty = file
        .actions
        .iter()
        .find(|(_, action)| action.command.is_empty() && action.needs.is_empty());
    match empty {
        None => Ok(()),
        Some((action, _)) => Err(PlanError::NoCommand {
            plan: file.name.clone(),
            action: action.clone(),
        }),
    }
}

fn templates(content: &Content, prefix: &str) -> Result<BTreeMap<String, String>, ContentError> {
    let mut templates = BTreeMap::new();
    for path in content.files().keys() {
        let Some(name) = path
            .strip_prefix(prefix)
            .filter(|name| Path::new(name).extension().is_some_and(|end| end == "yaml"))
        else {
            continue;
        };
        let text = content.text(path)?.unwrap_or_default();
        templates.insert(name.to_owned(), text.to_owned());
    }
    Ok(templates)
}

/// Puts what a service does otherwise in the place of what its plan says.
///
/// The plan's hash then covers both, because what is built depends on both.
pub fn apply_overrides(
    plan: &mut Plan,
    overrides: &Overrides,
    directory: &Path,
) -> Result<(), PlanError> {
    if *overrides == Overrides::default() {
        return Ok(());
    }
    plan.file.actions.extend(overrides.actions.clone());
    check_actions(&plan.file)?;
    let mut content = Content::default();
    if let Some(folder) = &overrides.templates {
        let path = directory.join(folder);
        if !path.is_dir() {
            return Err(PlanError::NoTemplates { path });
        }
        content = Content::of_directory(&path)?;
        plan.templates.extend(templates(&content, "")?);
    }
    let both = format!("{}\n{}", plan.hash, content.hash());
    plan.hash = Digest::of(both.as_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn write(directory: &Path, files: &[(&str, &str)]) {
        for (name, text) in files {
            let path = directory.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }

    const FILE: &str = "name: own\ndescription: d\n";

    #[test]
    fn a_shipped_plan_is_found_by_name_and_a_slip_is_told() {
        let nowhere = Path::new("/nonexistent");
        let plan = find("rust-service", nowhere).unwrap().unwrap();
        assert_eq!(plan.file.name, "rust-service");
        assert!(plan.templates.contains_key("deployment.yaml"));
        let error = find("rust-servce", nowhere).unwrap_err().to_string();
        assert_eq!(
            error,
            "there is no plan `rust-servce`; did you mean `rust-service`?"
        );
    }

    #[test]
    fn the_hash_changes_with_any_byte() {
        let directory = tempfile::tempdir().unwrap();
        write(
            directory.path(),
            &[("p/plan.yaml", FILE), ("p/templates/a.yaml", "a")],
        );
        let first = find("p", directory.path()).unwrap().unwrap();
        assert_eq!(
            find("./p", directory.path()).unwrap().unwrap().hash,
            first.hash
        );
        write(directory.path(), &[("p/templates/a.yaml", "b")]);
        assert_ne!(
            find("p", directory.path()).unwrap().unwrap().hash,
            first.hash
        );
    }

    #[test]
    fn a_template_that_is_a_link_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        write(
            directory.path(),
            &[("p/plan.yaml", FILE), ("p/templates/a.yaml", "a")],
        );
        std::os::unix::fs::symlink("/etc/passwd", directory.path().join("p/templates/b.yaml"))
            .unwrap();
        assert!(matches!(
            find("p", directory.path()),
            Err(PlanError::Content(ContentError::Refused { .. }))
        ));
    }

    #[test]
    fn a_remote_plan_is_not_found_here() {
        for reference in [
            "https://host/plan.git",
            "git@host:plan.git",
            "oci://host/plan",
        ] {
            assert!(
                find(reference, Path::new(".")).unwrap().is_none(),
                "{reference}"
            );
        }
    }

    #[test]
    fn a_plan_of_shuttle_is_told_apart() {
        let directory = tempfile::tempdir().unwrap();
        let text = "scripts:\n  a:\n    actions:\n    - shell: echo\n";
        write(directory.path(), &[("p/plan.yaml", text)]);
        assert!(matches!(
            find("p", directory.path()),
            Err(PlanError::ShuttlePlan { .. })
        ));
        std::fs::remove_file(directory.path().join("p/plan.yaml")).unwrap();
        assert!(matches!(
            find("p", directory.path()),
            Err(PlanError::NoFile { .. })
        ));
    }

    #[test]
    fn what_a_service_overrides_wins_and_counts() {
        let directory = tempfile::tempdir().unwrap();
        let file = "name: own\ndescription: d\nactions:\n  test: {description: d, command: [a]}\n";
        write(
            directory.path(),
            &[
                ("p/plan.yaml", file),
                ("p/templates/a.yaml", "a"),
                ("mine/a.yaml", "b"),
            ],
        );
        let plan = find("p", directory.path()).unwrap().unwrap();
        let overrides: Overrides = yaml::read(
            "o",
            "templates: mine\nactions:\n  test: {description: d, command: [b]}\n  lint: {description: d, command: [c]}\n",
        )
        .unwrap();
        let mut changed = plan.clone();
        apply_overrides(&mut changed, &overrides, directory.path()).unwrap();
        assert_eq!(changed.templates["a.yaml"], "b");
        assert_eq!(changed.file.actions["test"].command, ["b"]);
        assert!(changed.file.actions.contains_key("lint"));
        assert_ne!(changed.hash, plan.hash);
        let missing: Overrides = yaml::read("o", "templates: nope\n").unwrap();
        assert!(apply_overrides(&mut changed, &missing, directory.path()).is_err());
    }

    #[test]
    fn a_mistake_in_the_file_has_a_place() {
        let directory = tempfile::tempdir().unwrap();
        write(
            directory.path(),
            &[
                ("p/plan.yaml", "name: own\ndescription: d\nactoins: {}\n"),
                ("p/templates/a.yaml", ""),
            ],
        );
        let error = find("p", directory.path()).unwrap_err().to_string();
        assert!(error.contains("plan.yaml:3:1"), "{error}");
    }
}
