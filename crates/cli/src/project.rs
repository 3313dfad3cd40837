//! The project a command is about: a service of ours, or one that shuttle describes.
//!
//! What shuttle's own verbs print is printed byte for byte as shuttle does.

mod files;
mod script;

use std::fs;
use std::path::{Path, PathBuf};

use foreshore_go_template::{Options, Value as TemplateValue};
use foreshore_model::plan::Reference;
use foreshore_model::shuttle::{PlanFile, ProjectFile, Script};
use foreshore_model::{ExitCode, ServiceFile, nearest, plan, service, shuttle, yaml};
use serde_json::Value;

use crate::build::{lock_failure, resolve_failure, resolver};
use crate::failure::Failure;

pub(crate) use files::ProjectFiles;
pub(crate) use script::run_script;

/// A directory with a file of ours, or of shuttle's.
#[derive(Debug)]
pub(crate) struct Project {
    pub(crate) directory: PathBuf,
    pub(crate) kind: Kind,
}

/// What describes the project.
#[derive(Debug)]
pub(crate) enum Kind {
    Foreshore(Box<ServiceFile>),
    Shuttle(Box<ProjectFile>),
}

/// A plan of shuttle's, with where its files are.
#[derive(Debug, Default)]
pub(crate) struct ShuttlePlan {
    pub(crate) directory: Option<PathBuf>,
    pub(crate) file: PlanFile,
}

impl Project {
    /// Reads the file of `directory`, or without one of the nearest directory above that has one.
    pub(crate) fn read(directory: Option<&Path>) -> Result<Self, Failure> {
        let start = directory.unwrap_or_else(|| Path::new("."));
        let start = std::path::absolute(start).map_err(|error| {
            Failure::usage(format!(
                "`{}` is not a directory name: {error}",
                start.display()
            ))
        })?;
        let candidates: Vec<&Path> = match directory {
            Some(_) => vec![&start],
            None => start.ancestors().collect(),
        };
        for candidate in candidates {
            for name in [service::FILE_NAME, shuttle::FILE_NAME] {
                let path = candidate.join(name);
                if path.is_file() {
                    return Self::read_file(candidate, &path, name);
                }
            }
        }
        Err(Failure::usage(format!(
            "there is no {} and no {} in `{}`{}",
            service::FILE_NAME,
            shuttle::FILE_NAME,
            start.display(),
            if directory.is_some() {
                ""
            } else {
                " or above it"
            }
        ))
        .hint("write one with `foreshore init`"))
    }

    fn read_file(directory: &Path, path: &Path, name: &str) -> Result<Self, Failure> {
        let text = fs::read_to_string(path).map_err(|error| {
            Failure::usage(format!("cannot read `{}`: {error}", path.display()))
        })?;
        let origin = path.display().to_string();
        let kind = if name == service::FILE_NAME {
            yaml::read_strict(&origin, &text).map(|file| Kind::Foreshore(Box::new(file)))
        } else {
            yaml::read_legacy(&origin, &text).map(|file| Kind::Shuttle(Box::new(file)))
        };
        Ok(Self {
            directory: directory.to_owned(),
            kind: kind.map_err(|error| Failure::from_error(ExitCode::Usage, &error))?,
        })
    }

    /// What it is called: shuttle's files have no name, so there the directory's counts.
    pub(crate) fn name(&self) -> String {
        match &self.kind {
            Kind::Foreshore(file) => file.name.to_string(),
            Kind::Shuttle(_) => self
                .directory
                .canonicalize()
                .ok()
                .and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
                .unwrap_or_else(|| self.directory.display().to_string()),
        }
    }

    /// The variables of the project.
    pub(crate) fn variables(&self) -> Value {
        match &self.kind {
            Kind::Foreshore(file) => Value::Object(file.variables.clone().into_iter().collect()),
            Kind::Shuttle(file) => Value::Object(file.vars.clone()),
        }
    }

    /// The plan as the file names it; empty for none.
    pub(crate) fn plan(&self) -> &str {
        match &self.kind {
            Kind::Foreshore(file) => &file.plan,
            Kind::Shuttle(file) => &file.plan.0,
        }
    }

    /// Finds the plan of a project of shuttle's.
    pub(crate) async fn shuttle_plan(
        &self,
        overload: Option<&str>,
        refresh: bool,
    ) -> Result<ShuttlePlan, Failure> {
        let named = match overload {
            Some(overload) => foreshore_plan::overloaded(self.plan(), overload)
                .map_err(|error| resolve_failure(&error))?,
            None => self.plan().to_owned(),
        };
        if named.is_empty() {
            return Ok(ShuttlePlan::default());
        }
        let reference = Reference::parse(&named)
            .map_err(|error| Failure::from_error(ExitCode::Usage, &error))?;
        let directory = match reference {
            Reference::None => return Ok(ShuttlePlan::default()),
            Reference::Local(path) => {
                // What a person types is seen from where they are; what the file says, from the file.
                let base = if overload.is_some() {
                    Path::new(".")
                } else {
                    &self.directory
                };
                let directory = base.join(&path);
                directory.canonicalize().map_err(|error| {
                    Failure::usage(format!(
                        "there is no plan at `{}`: {error}",
                        directory.display()
                    ))
                })?
            }
            Reference::Git(_) | Reference::Oci(_) => self.fetched(&named, refresh).await?,
        };
        let path = directory.join(plan::FILE_NAME);
        let text = fs::read_to_string(&path).map_err(|error| {
            Failure::usage(format!("cannot read `{}`: {error}", path.display()))
        })?;
        let file = yaml::read_legacy(&path.display().to_string(), &text)
            .map_err(|error| Failure::from_error(ExitCode::Usage, &error))?;
        Ok(ShuttlePlan {
            directory: Some(directory),
            file,
        })
    }

    async fn fetched(&self, named: &str, refresh: bool) -> Result<PathBuf, Failure> {
        let resolver = resolver()?;
        // What a person asks for once is not what the lock is about.
        let lock = if named == self.plan() {
            foreshore_plan::read_lock(&self.directory, named)
                .map_err(|error| lock_failure(&error))?
        } else {
            None
        };
        let fetched = match lock {
            Some(lock) if !refresh => resolver.pinned(&lock).await,
            _ if refresh => resolver.refreshed(named).await,
            _ => resolver.unpinned(named).await,
        };
        Ok(fetched.map_err(|error| resolve_failure(&error))?.directory)
    }

    /// All scripts: the project's replace the plan's of the same name.
    pub(crate) fn scripts(&self, plan: &ShuttlePlan) -> std::collections::BTreeMap<String, Script> {
        let mut scripts = plan.file.scripts.clone();
        if let Kind::Shuttle(file) = &self.kind {
            scripts.extend(file.scripts.clone());
        }
        scripts
    }

    /// Where shuttle's scripts put what they make on the way.
    pub(crate) fn temporary(&self) -> PathBuf {
        self.directory.join(".shuttle/temp")
    }
}

/// Follows a dotted path through maps; what is not there is null.
pub(crate) fn get<'a>(value: &'a Value, path: &str) -> &'a Value {
    path.split('.').fold(value, |value, part| {
        value
            .as_object()
            .and_then(|map| map.get(part))
            .unwrap_or(&Value::Null)
    })
}

/// Renders one of the small templates that shuttle's verbs take.
pub(crate) fn render_flag(template: &str, data: &TemplateValue) -> Result<String, Failure> {
    let environment = std::collections::BTreeMap::new();
    let options = Options {
        left: "{{",
        right: "}}",
        files: &foreshore_go_template::NoFiles,
        now: None,
        environment: &environment,
    };
    foreshore_go_template::render("--template", template, data, &options)
        .map_err(|error| Failure::from_error(ExitCode::Usage, &error))
}

/// A hint at the name most like the one that was typed.
pub(crate) fn near<'a>(typed: &str, names: impl Iterator<Item = &'a str>) -> String {
    nearest(typed, names).map_or_else(String::new, |near| format!("; did you mean `{near}`?"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_path_leads_through_maps_only() {
        let value = json!({"docker": {"image": "shop"}, "list": [1], "ratio": 0.5});
        assert_eq!(get(&value, "docker.image"), "shop");
        for path in [
            "docker.nope",
            "nope.deep.er",
            "list.0",
            "ratio.x",
            "docker.image.x",
        ] {
            assert_eq!(get(&value, path), &Value::Null, "{path}");
        }
    }
}
