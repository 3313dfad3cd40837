//! The table of types: every struct reachable from a known kind, with its
//! fields, merge rules, defaults and how Go writes it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};

use crate::go::{Declaration, GoField, GoType, Packages, Resolved};
use crate::kinds;
use crate::sources::Document;

const REFERENCE: &str = "#/components/schemas/";

/// Schemas that are not structs on the wire, with the word that stands for them.
const SPECIAL: &[(&str, &str)] = &[
    ("io.k8s.apimachinery.pkg.api.resource.Quantity", "quantity"),
    ("io.k8s.apimachinery.pkg.apis.meta.v1.Duration", "string"),
    ("io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1", "any"),
    (
        "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime",
        "microtime",
    ),
    ("io.k8s.apimachinery.pkg.apis.meta.v1.Time", "time"),
    ("io.k8s.apimachinery.pkg.runtime.RawExtension", "any"),
    (
        "io.k8s.apimachinery.pkg.util.intstr.IntOrString",
        "int-or-string",
    ),
    (
        "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON",
        "any",
    ),
    (
        "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrArray",
        "any",
    ),
    (
        "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrBool",
        "any",
    ),
    (
        "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrStringArray",
        "any",
    ),
];

/// The structs by name, and the kinds with the struct each is.
pub(crate) struct Types {
    pub(crate) structs: BTreeMap<String, Value>,
    /// `group/version/kind` to struct name.
    pub(crate) kinds: BTreeMap<(String, String, String), String>,
}

impl Types {
    /// One line per struct and per kind, so that a change reads as a diff.
    pub(crate) fn render(&self) -> Result<String> {
        let mut text = String::from("{\"structs\":{\n");
        let structs: Vec<String> = self
            .structs
            .iter()
            .map(|(name, body)| Ok(format!("\"{name}\":{}", serde_json::to_string(body)?)))
            .collect::<Result<_>>()?;
        text.push_str(&structs.join(",\n"));
        text.push_str("\n},\"kinds\":[\n");
        let kinds: Vec<String> = self
            .kinds
            .iter()
            .map(|((group, version, kind), name)| {
                Ok(serde_json::to_string(&[group, version, kind, name])?)
            })
            .collect::<Result<_>>()?;
        text.push_str(&kinds.join(",\n"));
        writeln!(text, "\n]}}")?;
        Ok(text)
    }
}

/// Collects everything the known group-versions reach.
pub(crate) fn collect(documents: &[Document], go: &Packages) -> Result<Types> {
    let mut schemas: BTreeMap<&str, &Value> = BTreeMap::new();
    let mut kinds = BTreeMap::new();
    for document in documents
        .iter()
        .filter(|document| kinds::known_group_version(&document.group, &document.version))
    {
        for (name, schema) in document.schemas() {
            schemas.entry(name).or_insert(schema);
            for (group, version, kind) in kinds_of(schema) {
                let wanted = kinds::known_group_version(&group, &version) || group == "meta.k8s.io";
                let list = kind.ends_with("List") && schema.pointer("/properties/items").is_some();
                if wanted && !list && kind != "WatchEvent" {
                    kinds.insert((group, version, kind), name.clone());
                }
            }
        }
    }
    let mut collector = Collector {
        schemas: &schemas,
        go,
        structs: BTreeMap::new(),
    };
    let roots: BTreeSet<&String> = kinds.values().collect();
    for name in roots {
        collector.add(name)?;
    }
    Ok(Types {
        structs: collector.structs,
        kinds,
    })
}

fn kinds_of(schema: &Value) -> Vec<(String, String, String)> {
    let word = |value: &Value, key: &str| {
        value
            .get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    schema
        .get("x-kubernetes-group-version-kind")
        .and_then(Value::as_array)
        .map(|kinds| {
            kinds
                .iter()
                .map(|kind| {
                    (
                        word(kind, "group"),
                        word(kind, "version"),
                        word(kind, "kind"),
                    )
                })
                .collect()
        })
        .unwrap_or_default()
}

/// The word for a schema that is not a struct.
pub(crate) fn special(name: &str) -> Option<&'static str> {
    SPECIAL
        .iter()
        .find(|(special, _)| *special == name)
        .map(|(_, word)| *word)
}

struct Collector<'a> {
    schemas: &'a BTreeMap<&'a str, &'a Value>,
    go: &'a Packages,
    structs: BTreeMap<String, Value>,
}

impl Collector<'_> {
    fn add(&mut self, name: &str) -> Result<()> {
        if self.structs.contains_key(name) || special(name).is_some() {
            return Ok(());
        }
        self.structs.insert(name.to_owned(), Value::Null);
        let schema = *self
            .schemas
            .get(name)
            .with_context(|| format!("no schema `{name}`"))?;
        let tags = self
            .tags(name)
            .with_context(|| format!("read the Go fields of `{name}`"))?;
        let required: BTreeSet<&str> = schema
            .get("required")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let mut fields = Map::new();
        for (field, property) in schema
            .get("properties")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            let tag = tags
                .get(field)
                .with_context(|| format!("`{name}` has no Go field for `{field}`"))?;
            let body = self
                .field(property, tag, required.contains(field.as_str()))
                .with_context(|| format!("field `{field}` of `{name}`"))?;
            fields.insert(field.clone(), body);
        }
        let mut body = Map::new();
        body.insert("f".to_owned(), Value::Object(fields));
        if schema.get("x-kubernetes-map-type").and_then(Value::as_str) == Some("atomic") {
            body.insert("atomic".to_owned(), json!(true));
        }
        self.structs.insert(name.to_owned(), Value::Object(body));
        Ok(())
    }

    /// The Go fields of a struct by JSON name, inlined structs opened.
    fn tags(&self, name: &str) -> Result<BTreeMap<String, GoField>> {
        let Some(Declaration::Struct(fields)) = self.go.get(name) else {
            bail!("`{name}` is not a Go struct")
        };
        let mut found = BTreeMap::new();
        for field in fields {
            match &field.json {
                Some(json) => {
                    found.insert(json.clone(), field.clone());
                }
                None => {
                    if let Resolved::Struct(inlined) = self.go.resolve(&field.go_type) {
                        let short = inlined.rsplit('.').next().unwrap_or(inlined).to_owned();
                        for (json, mut field) in self.tags(inlined)? {
                            field.inlined = Some(short.clone());
                            found.insert(json, field);
                        }
                    }
                }
            }
        }
        Ok(found)
    }

    fn field(&mut self, property: &Value, tag: &GoField, required: bool) -> Result<Value> {
        let mut body = Map::new();
        body.insert("t".to_owned(), Value::String(self.expression(property)?));
        if required {
            body.insert("r".to_owned(), json!(true));
        }
        if let Some(presence) = presence(self.go, tag) {
            body.insert("p".to_owned(), json!(presence));
        }
        if let Some(name) = scalar_name(self.go, &tag.go_type) {
            body.insert("g".to_owned(), json!(name));
        }
        if let Some(inlined) = tag
            .inlined
            .as_ref()
            .filter(|inlined| *inlined != "TypeMeta")
        {
            body.insert("i".to_owned(), json!(inlined));
        }
        let pointer = matches!(tag.go_type, GoType::Pointer(_));
        // Defaults that only repeat the zero value say nothing: the presence says it.
        let zeros = [json!({}), json!(""), json!(0), json!(false)];
        let default = property
            .get("default")
            .filter(|default| !zeros.contains(default) || (pointer && **default != zeros[0]));
        if let Some(default) = default {
            body.insert("d".to_owned(), default.clone());
        }
        if let Some(strategy) = property.get("x-kubernetes-patch-strategy") {
            body.insert("s".to_owned(), strategy.clone());
        }
        if let Some(key) = property.get("x-kubernetes-patch-merge-key") {
            body.insert("k".to_owned(), key.clone());
        }
        if let Some(allowed) = property.get("enum") {
            body.insert("e".to_owned(), allowed.clone());
        }
        Ok(Value::Object(body))
    }

    /// Spells a property's type: see the reader in `engine-schema`.
    fn expression(&mut self, property: &Value) -> Result<String> {
        let reference = property
            .get("$ref")
            .or_else(|| property.pointer("/allOf/0/$ref"))
            .and_then(Value::as_str);
        let relation = property
            .get("x-kubernetes-map-type")
            .and_then(Value::as_str);
        if let Some(name) = reference.and_then(|reference| reference.strip_prefix(REFERENCE)) {
            if let Some(word) = special(name) {
                return Ok(word.to_owned());
            }
            self.add(name)?;
            let mark = match relation {
                Some("atomic") => "!",
                Some(_) => "~",
                None => "",
            };
            return Ok(format!("#{name}{mark}"));
        }
        let word = |key: &str| property.get(key).and_then(Value::as_str);
        Ok(match (word("type"), word("format")) {
            (Some("string"), Some("byte")) => "bytes".to_owned(),
            (Some("string"), _) => "string".to_owned(),
            (Some("boolean"), _) => "bool".to_owned(),
            (Some("integer"), Some("int64") | None) => "int64".to_owned(),
            (Some("integer"), Some(_)) => "int32".to_owned(),
            (Some("number"), _) => "number".to_owned(),
            (Some("array"), _) => {
                let element =
                    self.expression(property.get("items").context("array without items")?)?;
                let keys = property
                    .get("x-kubernetes-list-map-keys")
                    .and_then(Value::as_array);
                match word("x-kubernetes-list-type") {
                    Some("set") => format!("[=:{element}]"),
                    Some("map") => {
                        let keys: Vec<&str> = keys
                            .into_iter()
                            .flatten()
                            .filter_map(Value::as_str)
                            .collect();
                        format!("[{}:{element}]", keys.join(","))
                    }
                    _ => format!("[:{element}]"),
                }
            }
            (Some("object"), _) => match property.get("additionalProperties") {
                Some(Value::Object(_)) => {
                    let value = self.expression(&property["additionalProperties"])?;
                    format!(
                        "{{{}{value}}}",
                        if relation == Some("atomic") { "!" } else { "" }
                    )
                }
                _ => "any".to_owned(),
            },
            other => bail!("no spelling for type {other:?}"),
        })
    }
}

/// When Go writes the field: `None` leaves it out when empty.
fn presence(go: &Packages, field: &GoField) -> Option<&'static str> {
    let pointer = matches!(field.go_type, GoType::Pointer(_));
    let structure = matches!(go.resolve(&field.go_type), Resolved::Struct(..));
    match (field.omit_zero, field.omit_empty) {
        (true, _) => Some("zero"),
        (false, true) if pointer => Some("nil"),
        (false, true) if structure => Some("always"),
        (false, true) => None,
        (false, false) if pointer => Some("null"),
        (false, false) => Some("always"),
    }
}

/// The Go name of a scalar that has one of its own, as error messages print it.
fn scalar_name(go: &Packages, go_type: &GoType) -> Option<String> {
    match go_type {
        GoType::Pointer(inner) => scalar_name(go, inner),
        GoType::Named(name) if !matches!(go.resolve(go_type), Resolved::Struct(_)) => {
            let mut parts = name.rsplit('.');
            let (name, package) = (parts.next()?, parts.next()?);
            Some(format!("{package}.{name}"))
        }
        _ => None,
    }
}
