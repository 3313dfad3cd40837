//! `checks` of a service or a plan: what is measured, where the scenario is, and whether it must hold.
//!
//! What a scenario says is for another crate to read; here it is a file's name or a text.

use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

use crate::name::{EnvironmentName, check_label};

/// One check: a scenario file (`checks/smoke.scenario`), or a scenario written in place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Unique among the checks of a service; a file's name without its ending, if not given.
    pub name: String,
    /// Where the scenario is.
    #[serde(flatten)]
    pub scenario: Scenario,
    /// Where it is run; everywhere, if empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub environments: Vec<EnvironmentName>,
    /// Whether it must hold before the next environment gets the artifact.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub gate: bool,
    /// Profile of the scenario that is run; `smoke`, if none is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// Whether it goes the way users come, through the ingress.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub outside: bool,
    /// Data that the scenario names, by the name it gives them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, String>,
}

/// Where a scenario's text is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Scenario {
    /// A file, relative to `foreshore.yaml` or to the plan's directory.
    File(String),
    /// The text itself.
    #[serde(rename = "scenario")]
    Text(String),
}

/// A check as it is written when it is more than a file's name.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Written {
    /// Unique among the checks; the file's name without its ending, if not given.
    #[serde(default)]
    name: Option<String>,
    /// Scenario file, relative to this one.
    #[serde(default)]
    file: Option<String>,
    /// The scenario itself.
    #[serde(default)]
    scenario: Option<String>,
    /// Where it is run; everywhere, if empty.
    #[serde(default)]
    environments: Vec<EnvironmentName>,
    /// Whether it must hold before the next environment gets the artifact.
    #[serde(default)]
    gate: bool,
    /// Profile of the scenario that is run after a rollout; `smoke`, if none is named.
    #[serde(default)]
    profile: Option<String>,
    /// Whether it goes the way users come, through the ingress; inside the cluster otherwise.
    #[serde(default)]
    outside: bool,
    /// Data that a scenario written here names; a build adds those of scenario files.
    #[serde(default)]
    files: BTreeMap<String, String>,
}

impl Check {
    /// A scenario file that is run everywhere.
    fn of_file(file: &str) -> Result<Self, String> {
        Ok(Self {
            name: name_of(file)?,
            scenario: Scenario::File(checked_path(file)?),
            environments: Vec::new(),
            gate: false,
            profile: None,
            outside: false,
            files: BTreeMap::new(),
        })
    }

    fn of_written(written: Written) -> Result<Self, String> {
        let (name, scenario) = match (written.file, written.scenario) {
            (Some(file), None) => {
                let name = written.name.map_or_else(|| name_of(&file), Ok)?;
                (name, Scenario::File(checked_path(&file)?))
            }
            (None, Some(text)) => {
                let name = written
                    .name
                    .ok_or("a check that is written in place needs a `name`")?;
                (name, Scenario::Text(text))
            }
            (Some(_), Some(_)) => {
                return Err("a check has either a `file` or a `scenario`, not both".to_owned());
            }
            (None, None) => return Err("a check needs a `file` or a `scenario`".to_owned()),
        };
        check_label("check name", &name).map_err(|error| error.to_string())?;
        Ok(Self {
            name,
            scenario,
            environments: written.environments,
            gate: written.gate,
            profile: written.profile,
            outside: written.outside,
            files: written.files,
        })
    }

    /// Whether it is run after a rollout in an environment.
    pub fn is_for(&self, environment: &EnvironmentName) -> bool {
        self.environments.is_empty() || self.environments.contains(environment)
    }
}

fn name_of(file: &str) -> Result<String, String> {
    let name = file.rsplit('/').next().unwrap_or(file);
    let name = name.split('.').next().unwrap_or(name).replace('_', "-");
    check_label("check name", &name)
        .map_err(|error| format!("{error}; give the check a `name`"))?;
    Ok(name)
}

/// A path that stays below the directory it is relative to.
fn checked_path(path: &str) -> Result<String, String> {
    let inside = !path.is_empty() && path.split('/').all(|part| !matches!(part, "" | "." | ".."));
    if inside && !path.contains(['\\', '\0']) {
        return Ok(path.to_owned());
    }
    Err(format!(
        "`{path}` is not a path below this file (no leading `/`, no `.` or `..`)"
    ))
}

struct CheckVisitor;

impl<'de> Visitor<'de> for CheckVisitor {
    type Value = Check;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a scenario file's name, or a check with `file` or `scenario`")
    }

    fn visit_str<E: serde::de::Error>(self, file: &str) -> Result<Check, E> {
        Check::of_file(file).map_err(E::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Check, A::Error> {
        let written = Written::deserialize(MapAccessDeserializer::new(map))?;
        Check::of_written(written).map_err(serde::de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Check {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CheckVisitor)
    }
}

impl JsonSchema for Check {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Check".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let written = generator.subschema_for::<Written>();
        json_schema!({
            "description": "A scenario file's name, or a check with `file` or `scenario`.",
            "anyOf": [{ "type": "string" }, written],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml;

    fn read(text: &str) -> Result<Vec<Check>, String> {
        yaml::read("f", text).map_err(|error| error.to_string())
    }

    #[test]
    fn a_file_name_alone_is_a_check() {
        let checks = read("- checks/front_page.scenario\n").unwrap();
        assert_eq!(checks[0].name, "front-page");
        assert_eq!(
            checks[0].scenario,
            Scenario::File("checks/front_page.scenario".into())
        );
        assert!(!checks[0].gate);
    }

    #[test]
    fn a_check_written_in_place_reads_back() {
        let text = "- name: smoke\n  scenario: |\n    get /\n    expect 200\n  environments: [dev]\n  gate: true\n";
        let checks = read(text).unwrap();
        assert_eq!(
            checks[0].scenario,
            Scenario::Text("get /\nexpect 200\n".into())
        );
        assert!(checks[0].gate);
        assert_eq!(read(&yaml::write(&checks).unwrap()).unwrap(), checks);
    }

    #[test]
    fn mistakes_are_named() {
        for (text, part) in [
            ("- {name: a}\n", "needs a `file` or a `scenario`"),
            ("- {scenario: x}\n", "needs a `name`"),
            ("- {file: a, scenario: b}\n", "not both"),
            ("- ../x.scenario\n", "not a path below"),
            ("- {name: A, file: x}\n", "`A` at position 1"),
            ("- {file: a, gaet: true}\n", "gaet"),
            ("- 7x.scenario\n", "give the check a `name`"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
