//! From a reference in `foreshore.yaml` to a plan.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use foreshore_model::plan::FILE_NAME;
use foreshore_model::yaml::{self, YamlError};
use foreshore_model::{Digest, Plan, PlanFile, nearest};

use crate::shipped::{SHIPPED, names};

/// A plan's template may not be larger; what people write is far smaller.
const TEMPLATE_BYTES_MAX: u64 = 256 * 1024;
const TEMPLATES_MAX: usize = 200;

/// Why a plan could not be had.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    #[error("there is no plan `{reference}`{}", suggestion(near.as_deref()))]
    Unknown {
        reference: String,
        near: Option<String>,
    },
    #[error("plan `{reference}` is remote; only shipped plans and directories are supported")]
    Remote { reference: String },
    #[error("cannot read the plan's file `{path}`")]
    Read {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("plan file `{path}` is not a regular file; links are not followed")]
    NotAFile { path: PathBuf },
    #[error(
        "plan `{path}` is too large (at most {TEMPLATES_MAX} templates of {TEMPLATE_BYTES_MAX} bytes)"
    )]
    TooLarge { path: PathBuf },
    #[error(transparent)]
    Format(#[from] YamlError),
    #[error("action `{action}` of plan `{plan}` has no command")]
    NoCommand { plan: String, action: String },
}

fn suggestion(near: Option<&str>) -> String {
    near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"))
}

/// Finds the plan that `reference` names, seen from the directory of `foreshore.yaml`.
pub fn find(reference: &str, directory: &Path) -> Result<Plan, PlanError> {
    if let Some(shipped) = SHIPPED.iter().find(|plan| plan.name == reference) {
        let templates = shipped
            .templates
            .iter()
            .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
            .collect();
        return assemble(&format!("{reference}/{FILE_NAME}"), shipped.file, templates);
    }
    if reference.contains("://") || reference.starts_with("git@") {
        return Err(PlanError::Remote {
            reference: reference.to_owned(),
        });
    }
    let path = directory.join(reference);
    if !path.is_dir() {
        let near = nearest(reference, names()).map(str::to_owned);
        return Err(PlanError::Unknown {
            reference: reference.to_owned(),
            near,
        });
    }
    let file_path = path.join(FILE_NAME);
    let file = read(&file_path)?;
    assemble(
        &file_path.display().to_string(),
        &file,
        read_templates(&path.join("templates"))?,
    )
}

fn assemble(
    origin: &str,
    file: &str,
    templates: BTreeMap<String, String>,
) -> Result<Plan, PlanError> {
    let parsed: PlanFile = yaml::read(origin, file)?;
    if let Some((action, _)) = parsed
        .actions
        .iter()
        .find(|(_, action)| action.command.is_empty())
    {
        return Err(PlanError::NoCommand {
            plan: parsed.name.clone(),
            action: action.clone(),
        });
    }
    Ok(Plan {
        hash: hash(file, &templates),
        file: parsed,
        templates,
    })
}

/// Hashes name, length and text of each part, so that no two plans run together.
fn hash(file: &str, templates: &BTreeMap<String, String>) -> Digest {
    let mut content = format!("{FILE_NAME} {}\n{file}", file.len());
    for (name, text) in templates {
        content.push_str(name);
        content.push(' ');
        content.push_str(&text.len().to_string());
        content.push('\n');
        content.push_str(text);
    }
    Digest::of(content.as_bytes())
}

fn read_templates(directory: &Path) -> Result<BTreeMap<String, String>, PlanError> {
    let failed = |cause| PlanError::Read {
        path: directory.to_owned(),
        cause,
    };
    let mut templates = BTreeMap::new();
    for entry in fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        if Path::new(&name)
            .extension()
            .is_none_or(|extension| extension != "yaml")
        {
            continue;
        }
        if templates.len() == TEMPLATES_MAX {
            return Err(PlanError::TooLarge {
                path: directory.to_owned(),
            });
        }
        templates.insert(name, read(&entry.path())?);
    }
    Ok(templates)
}

fn read(path: &Path) -> Result<String, PlanError> {
    let failed = |cause| PlanError::Read {
        path: path.to_owned(),
        cause,
    };
    let metadata = fs::symlink_metadata(path).map_err(failed)?;
    if !metadata.is_file() {
        return Err(PlanError::NotAFile {
            path: path.to_owned(),
        });
    }
    if metadata.len() > TEMPLATE_BYTES_MAX {
        return Err(PlanError::TooLarge {
            path: path.to_owned(),
        });
    }
    fs::read_to_string(path).map_err(failed)
}

#[cfg(test)]
mod tests {
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
        let plan = find("rust-service", nowhere).unwrap();
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
        let first = find("p", directory.path()).unwrap();
        assert_eq!(find("./p", directory.path()).unwrap().hash, first.hash);
        write(directory.path(), &[("p/templates/a.yaml", "b")]);
        assert_ne!(find("p", directory.path()).unwrap().hash, first.hash);
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
            Err(PlanError::NotAFile { .. })
        ));
    }

    #[test]
    fn a_remote_plan_is_refused_by_name() {
        for reference in [
            "https://host/plan.git",
            "git@host:plan.git",
            "oci://host/plan",
        ] {
            assert!(
                matches!(
                    find(reference, Path::new(".")),
                    Err(PlanError::Remote { .. })
                ),
                "{reference}"
            );
        }
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
