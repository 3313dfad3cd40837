//! Defaults of custom resource definitions.

use serde_json::json;

use super::{Fields, object, set_null, set_unset, text};

pub(super) fn set_defaults(fields: &mut Fields) {
    if let Some(names) = object(fields, "names") {
        let kind = text(names, "kind").to_owned();
        set_unset(names, "singular", kind.to_lowercase());
        if !kind.is_empty() {
            set_unset(names, "listKind", format!("{kind}List"));
        }
    }
    set_null(fields, "conversion", json!({"strategy": "None"}));
}
