//! `shuttle.yaml` and shuttle's `plan.yaml`, read as they are.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserializer, Visitor};
use serde::{Deserialize, Serialize};

/// The project file's name.
pub const FILE_NAME: &str = "shuttle.yaml";

/// A project as shuttle describes it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProjectFile {
    /// A reference, or `false` for none.
    pub plan: PlanField,
    #[serde(default)]
    pub vars: serde_json::Map<String, serde_json::Value>,
    #[serde(default)]
    pub scripts: BTreeMap<String, Script>,
}

/// A plan as shuttle describes it.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanFile {
    #[serde(default)]
    pub documentation: Option<String>,
    /// Read and never used, as in shuttle.
    #[serde(default)]
    pub vars: serde_json::Map<String, serde_json::Value>,
    #[serde(default)]
    pub scripts: BTreeMap<String, Script>,
}

/// The plan's reference; empty where `plan: false`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanField(pub String);

impl<'de> Deserialize<'de> for PlanField {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldVisitor;
        impl Visitor<'_> for FieldVisitor {
            type Value = PlanField;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a plan's address, or `false`")
            }

            fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<PlanField, E> {
                if value {
                    return Err(E::invalid_value(serde::de::Unexpected::Bool(true), &self));
                }
                Ok(PlanField(String::new()))
            }

            fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<PlanField, E> {
                Ok(PlanField(value.to_owned()))
            }
        }
        deserializer.deserialize_any(FieldVisitor)
    }
}

/// One script: actions in order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    #[serde(default)]
    pub description: String,
    #[serde(default)]
    pub args: Vec<ScriptArgument>,
    #[serde(default)]
    pub actions: Vec<ScriptAction>,
}

/// One argument of a script.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScriptArgument {
    pub name: String,
    #[serde(default)]
    pub required: bool,
    #[serde(default)]
    pub description: String,
    /// Only `bool` has a meaning.
    #[serde(rename = "type", default)]
    pub kind: String,
}

/// One step of a script.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScriptAction {
    #[serde(default)]
    pub shell: Option<String>,
    #[serde(default)]
    pub dockerfile: Option<String>,
    #[serde(default)]
    pub task: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml;

    #[test]
    fn a_project_is_read_as_shuttle_reads_it() {
        let text = "plan: ../plan\nvars:\n  docker:\n    image: shop\nscripts:\n  say:\n    description: say it\n    args:\n    - name: what\n      required: true\n    - name: loud\n      type: bool\n    actions:\n    - shell: echo $what\n";
        let project: ProjectFile = yaml::read("shuttle.yaml", text).unwrap();
        assert_eq!(project.plan.0, "../plan");
        assert_eq!(project.scripts["say"].args[1].kind, "bool");
        let none: ProjectFile = yaml::read("shuttle.yaml", "plan: false\n").unwrap();
        assert_eq!(none.plan.0, "");
    }

    #[test]
    fn unknown_fields_are_errors_with_a_place() {
        for text in [
            "plan: x\nvras: {}\n",
            "plan: x\nscripts:\n  a:\n    argz: []\n",
            "plan: true\n",
            "vars: {}\n",
        ] {
            assert!(
                yaml::read::<ProjectFile>("shuttle.yaml", text).is_err(),
                "{text}"
            );
        }
    }
}
