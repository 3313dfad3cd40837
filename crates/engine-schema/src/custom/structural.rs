//! A structural schema: what may stand where, which values it may have.

use std::collections::BTreeMap;

use regex::Regex;
use serde_json::Value;

/// What kind of value a node describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Kind {
    /// Nothing is said.
    #[default]
    Any,
    Object,
    Array,
    String,
    Integer,
    Number,
    Boolean,
    IntOrString,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Any => "",
            Self::Object => "object",
            Self::Array => "array",
            Self::String => "string",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::IntOrString => "integer,string",
        }
    }

    fn of(word: &str) -> Self {
        match word {
            "object" => Self::Object,
            "array" => Self::Array,
            "string" => Self::String,
            "integer" => Self::Integer,
            "number" => Self::Number,
            "boolean" => Self::Boolean,
            _ => Self::Any,
        }
    }
}

/// How lists merge.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) enum Merge {
    #[default]
    Atomic,
    Set,
    Map(Vec<String>),
}

/// One place in a schema.
#[derive(Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of the schema language with a name of its own"
)]
pub(super) struct Node {
    pub(super) kind: Kind,
    pub(super) nullable: bool,
    pub(super) preserve: bool,
    pub(super) embedded: bool,
    pub(super) default: Option<Value>,
    pub(super) properties: BTreeMap<String, Self>,
    /// The form of fields not among the properties.
    pub(super) additional: Option<Box<Self>>,
    pub(super) items: Option<Box<Self>>,
    pub(super) merge: Merge,
    pub(super) atomic_map: bool,
    pub(super) rules: Rules,
}

/// What holds for values.
#[derive(Debug, Default)]
pub(super) struct Rules {
    pub(super) allowed: Vec<Value>,
    pub(super) minimum: Option<Limit>,
    pub(super) maximum: Option<Limit>,
    pub(super) multiple_of: Option<f64>,
    pub(super) length_min: Option<u64>,
    pub(super) length_max: Option<u64>,
    pub(super) pattern: Option<Regex>,
    pub(super) format: String,
    pub(super) items_min: Option<u64>,
    pub(super) items_max: Option<u64>,
    pub(super) unique: bool,
    pub(super) properties_min: Option<u64>,
    pub(super) properties_max: Option<u64>,
    pub(super) required: Vec<String>,
    pub(super) all_of: Vec<Node>,
    pub(super) any_of: Vec<Node>,
    pub(super) one_of: Vec<Node>,
    pub(super) not: Option<Box<Node>>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Limit {
    pub(super) value: f64,
    pub(super) exclusive: bool,
}

impl Node {
    /// Reads a schema; what is wrong with it was said by `check_definition`.
    pub(super) fn read(schema: &Value) -> Self {
        let flag = |name: &str| schema[name] == true;
        let kind = if flag("x-kubernetes-int-or-string") {
            Kind::IntOrString
        } else {
            Kind::of(schema["type"].as_str().unwrap_or_default())
        };
        let additional = match &schema["additionalProperties"] {
            Value::Bool(true) => Some(Box::new(Self {
                preserve: true,
                ..Self::default()
            })),
            Value::Object(_) => Some(Box::new(Self::read(&schema["additionalProperties"]))),
            _ => None,
        };
        let items = schema["items"]
            .is_object()
            .then(|| Box::new(Self::read(&schema["items"])));
        let properties = schema["properties"].as_object();
        let properties = properties
            .into_iter()
            .flatten()
            .map(|(name, schema)| (name.clone(), Self::read(schema)))
            .collect();
        let merge = match schema["x-kubernetes-list-type"].as_str() {
            Some("set") => Merge::Set,
            Some("map") => Merge::Map(words(&schema["x-kubernetes-list-map-keys"])),
            _ => Merge::Atomic,
        };
        Self {
            kind,
            nullable: flag("nullable"),
            preserve: flag("x-kubernetes-preserve-unknown-fields"),
            embedded: flag("x-kubernetes-embedded-resource"),
            default: schema
                .get("default")
                .filter(|value| !value.is_null())
                .cloned(),
            properties,
            additional,
            items,
            merge,
            atomic_map: schema["x-kubernetes-map-type"] == "atomic",
            rules: Rules::read(schema),
        }
    }

    pub(super) fn has_defaults(&self) -> bool {
        self.default.is_some()
            || self.properties.values().any(Self::has_defaults)
            || self.additional.as_deref().is_some_and(Self::has_defaults)
            || self.items.as_deref().is_some_and(Self::has_defaults)
    }
}

fn words(list: &Value) -> Vec<String> {
    let list = list.as_array().into_iter().flatten();
    list.filter_map(Value::as_str).map(str::to_owned).collect()
}

impl Rules {
    fn read(schema: &Value) -> Self {
        let limit = |name: &str, exclusive: &str| {
            schema[name].as_f64().map(|value| Limit {
                value,
                exclusive: schema[exclusive] == true,
            })
        };
        let count = |name: &str| schema[name].as_u64();
        let nodes = |name: &str| {
            let list = schema[name].as_array().into_iter().flatten();
            list.map(Node::read).collect()
        };
        let pattern = schema["pattern"].as_str();
        Self {
            allowed: schema["enum"].as_array().cloned().unwrap_or_default(),
            minimum: limit("minimum", "exclusiveMinimum"),
            maximum: limit("maximum", "exclusiveMaximum"),
            multiple_of: schema["multipleOf"].as_f64(),
            length_min: count("minLength"),
            length_max: count("maxLength"),
            pattern: pattern.and_then(|pattern| Regex::new(pattern).ok()),
            format: schema["format"].as_str().unwrap_or_default().to_owned(),
            items_min: count("minItems"),
            items_max: count("maxItems"),
            unique: schema["uniqueItems"] == true,
            properties_min: count("minProperties"),
            properties_max: count("maxProperties"),
            required: words(&schema["required"]),
            all_of: nodes("allOf"),
            any_of: nodes("anyOf"),
            one_of: nodes("oneOf"),
            not: schema["not"]
                .is_object()
                .then(|| Box::new(Node::read(&schema["not"]))),
        }
    }
}
