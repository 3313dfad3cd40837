//! JSON Schema (draft 7) of the files that people write, for their editors.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value;

use crate::plan::PlanFile;
use crate::service::ServiceFile;

fn of<T: JsonSchema>() -> Value {
    SchemaSettings::draft07()
        .into_generator()
        .into_root_schema_for::<T>()
        .to_value()
}

/// Returns the schema of `foreshore.yaml`.
pub fn service_file() -> Value {
    of::<ServiceFile>()
}

/// Returns the schema of `plan.yaml`.
pub fn plan_file() -> Value {
    of::<PlanFile>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_schemas_are_those_of_the_code() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference");
        for (name, schema) in [
            ("foreshore.schema.json", service_file()),
            ("plan.schema.json", plan_file()),
        ] {
            let committed = std::fs::read_to_string(folder.join(name)).unwrap_or_default();
            let expected = format!("{}\n", serde_json::to_string_pretty(&schema).unwrap());
            assert!(
                committed == expected,
                "docs/reference/{name} is not that of the code; write it anew with `foreshore docs schema`:\n{expected}"
            );
        }
    }

    #[test]
    fn it_is_draft_7_and_refuses_unknown_keys() {
        let schema = service_file();
        assert_eq!(schema["$schema"], "http://json-schema.org/draft-07/schema#");
        assert_eq!(schema["additionalProperties"], false);
        assert!(schema["properties"]["checks"]["description"].is_string());
    }
}
