//! Holds every answer of every test to the OpenAPI document that the server publishes.

use serde_json::Value;

/// The document, as far as the tests need it: the subset of JSON Schema that our types make.
pub(crate) struct Contract {
    document: Value,
}

impl Contract {
    pub(crate) fn new() -> Self {
        Self {
            document: serde_json::from_str(&foreshore_server::openapi()).unwrap(),
        }
    }

    pub(crate) fn document(&self) -> &Value {
        &self.document
    }

    /// Panics unless request and answer are as the document says.
    #[track_caller]
    pub(crate) fn check(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
        is_good: bool,
        answer: &Value,
    ) {
        let bare = path.split('?').next().unwrap();
        let Some(operation) = self.operation(&method.to_lowercase(), bare) else {
            assert!(!is_good, "{method} {path} is not in the document");
            return;
        };
        let schema =
            |place: &str| operation.pointer(&format!("{place}/content/application~1json/schema"));
        // Some requests carry a body that nobody reads.
        if let (Some(body), true, Some(schema)) = (body, is_good, schema("/requestBody")) {
            self.must(schema, body, &format!("body of {method} {path}"));
        }
        let place = if is_good { "200" } else { "default" };
        let schema = schema(&format!("/responses/{place}")).unwrap();
        self.must(schema, answer, &format!("answer of {method} {path}"));
    }

    fn operation(&self, method: &str, path: &str) -> Option<&Value> {
        let paths = self.document["paths"].as_object().unwrap();
        let fits = |template: &str| {
            let (asked, known): (Vec<_>, Vec<_>) = (
                path.split('/').collect(),
                template.trim_start_matches("/api/v1").split('/').collect(),
            );
            asked.len() == known.len()
                && asked
                    .iter()
                    .zip(&known)
                    .all(|(asked, known)| asked == known || known.starts_with('{'))
        };
        let mut candidates: Vec<_> = paths.iter().filter(|(path, _)| fits(path)).collect();
        // A path without a placeholder is meant rather than one with.
        candidates.sort_by_key(|(path, _)| path.matches('{').count());
        candidates.iter().find_map(|(_, item)| item.get(method))
    }

    #[track_caller]
    fn must(&self, schema: &Value, value: &Value, what: &str) {
        if let Err(why) = self.fits(schema, value, "") {
            panic!("{what} is not as the document says: {why}\n{value:#}");
        }
    }

    fn fits(&self, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
        match schema {
            Value::Bool(true) => return Ok(()),
            Value::Bool(false) => return Err(format!("{at}: nothing is allowed here")),
            _ => {}
        }
        if let Some(reference) = schema["$ref"].as_str() {
            let target = self.document.pointer(reference.trim_start_matches('#'));
            let target = target.ok_or_else(|| format!("{reference} leads nowhere"))?;
            self.fits(target, value, at)?;
        }
        kind(&schema["type"], value, at)?;
        if let Some(all) = schema["allOf"].as_array() {
            all.iter().try_for_each(|one| self.fits(one, value, at))?;
        }
        if let Some(any) = schema["anyOf"]
            .as_array()
            .or_else(|| schema["oneOf"].as_array())
        {
            let failures: Vec<String> = any
                .iter()
                .filter_map(|one| self.fits(one, value, at).err())
                .collect();
            if failures.len() == any.len() {
                return Err(format!("{at}: none fits: {}", failures.join(" | ")));
            }
        }
        if let Some(allowed) = schema["enum"].as_array()
            && !allowed.contains(value)
        {
            return Err(format!("{at}: {value} is not one of {allowed:?}"));
        }
        if let Some(only) = schema.get("const")
            && only != value
        {
            return Err(format!("{at}: {value} is not {only}"));
        }
        self.object(schema, value, at)?;
        self.array(schema, value, at)
    }

    fn object(&self, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
        let Some(object) = value.as_object() else {
            return Ok(());
        };
        for name in schema["required"].as_array().into_iter().flatten() {
            if !object.contains_key(name.as_str().unwrap()) {
                return Err(format!("{at}: {name} is missing"));
            }
        }
        for (name, value) in object {
            let at = format!("{at}/{name}");
            // The names of our types are checked by the types; here it is about what they lead to.
            let by_pattern = schema["patternProperties"]
                .as_object()
                .and_then(|patterns| patterns.values().next());
            let others = schema.get("additionalProperties");
            let known = schema["properties"].get(name);
            if let Some(schema) = known.or(by_pattern).or(others) {
                self.fits(schema, value, &at)?;
            }
        }
        Ok(())
    }

    fn array(&self, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
        let Some(items) = value.as_array() else {
            return Ok(());
        };
        let empty = Vec::new();
        let first = schema["prefixItems"].as_array().unwrap_or(&empty);
        for (index, item) in items.iter().enumerate() {
            let at = format!("{at}/{index}");
            if let Some(schema) = first.get(index).or_else(|| schema.get("items")) {
                self.fits(schema, item, &at)?;
            }
        }
        Ok(())
    }
}

fn kind(wanted: &Value, value: &Value, at: &str) -> Result<(), String> {
    let is = |name: &str| match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        other => panic!("{other} is no kind of JSON"),
    };
    let fits = match wanted {
        Value::Null => true,
        Value::String(name) => is(name),
        Value::Array(names) => names.iter().any(|name| is(name.as_str().unwrap())),
        other => panic!("{other} is no type of a schema"),
    };
    if fits {
        Ok(())
    } else {
        Err(format!("{at}: {value} is no {wanted}"))
    }
}
