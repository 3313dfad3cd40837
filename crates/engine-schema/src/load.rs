//! Decodes the data files into the tables. The spelling of types is:
//! `string`, `int32` … for scalars, `#name` for a struct (`!` after it: atomic,
//! `~`: granular), `{T}` and `{!T}` for a granular and an atomic map, `[:T]`,
//! `[=:T]` and `[key,key:T]` for an atomic list, a set and an associative list.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;
use serde_json::Value;

use crate::resource::{Column, GroupVersion, GroupVersionKind, Resource, Subresource, Support};
use crate::schema::Schema;
use crate::types::{
    Field, ListKey, ListKind, ListType, MapType, PatchStrategy, Presence, Scalar, StructType, Type,
    TypeId, Types,
};

const TYPES: &str = include_str!("../data/types.json");
const RESOURCES: &str = include_str!("../data/resources.json");

/// Why a data file could not be decoded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    #[error("cannot parse a data file")]
    Parse(#[from] serde_json::Error),
    #[error("type expression `{0}` cannot be read")]
    Expression(String),
    #[error("no struct `{0}`")]
    MissingStruct(String),
}

#[derive(Deserialize)]
struct RawTypes {
    structs: BTreeMap<String, RawStruct>,
    kinds: Vec<[String; 4]>,
}

#[derive(Deserialize)]
struct RawStruct {
    f: BTreeMap<String, RawField>,
    #[serde(default)]
    atomic: bool,
}

#[derive(Deserialize)]
struct RawField {
    t: String,
    #[serde(default)]
    r: bool,
    p: Option<String>,
    g: Option<String>,
    i: Option<String>,
    d: Option<Value>,
    s: Option<String>,
    k: Option<String>,
    #[serde(default)]
    e: Vec<String>,
}

#[derive(Deserialize)]
struct RawResources {
    kubernetes: String,
    resources: Vec<RawResource>,
}

#[derive(Deserialize)]
struct RawResource {
    group: String,
    version: String,
    plural: String,
    singular: String,
    kind: String,
    namespaced: bool,
    verbs: Vec<String>,
    served: bool,
    #[serde(rename = "type")]
    type_name: String,
    short_names: Vec<String>,
    categories: Vec<String>,
    subresources: Vec<RawSubresource>,
    columns: Vec<Column>,
}

#[derive(Deserialize)]
struct RawSubresource {
    name: String,
    group: String,
    version: String,
    kind: String,
    verbs: Vec<String>,
    served: bool,
}

/// Decodes the committed tables.
pub(crate) fn builtin() -> Result<Schema, LoadError> {
    let raw: RawTypes = serde_json::from_str(TYPES)?;
    let mut builder = Builder {
        types: Types::default(),
        interned: HashMap::new(),
    };
    for name in raw.structs.keys() {
        let empty = StructType {
            name: name.clone(),
            fields: Vec::new(),
            atomic: false,
            rest: None,
        };
        let id = builder.push(Type::Struct(empty));
        builder.types.names.insert(name.clone(), id);
    }
    for (name, structure) in raw.structs {
        let fields = structure
            .f
            .into_iter()
            .map(|(name, field)| builder.field(name, field))
            .collect::<Result<Vec<_>, _>>()?;
        let id = builder.types.names[&name];
        builder.types.own[id.0 as usize] = Type::Struct(StructType {
            name,
            fields,
            atomic: structure.atomic,
            rest: None,
        });
    }
    let mut types = builder.types;
    fill_key_defaults(&mut types);
    let mut kinds = HashMap::new();
    for [group, version, kind, name] in raw.kinds {
        let id = *types
            .names
            .get(&name)
            .ok_or(LoadError::MissingStruct(name))?;
        kinds.insert(
            GroupVersionKind {
                group,
                version,
                kind,
            },
            id,
        );
    }
    let raw: RawResources = serde_json::from_str(RESOURCES)?;
    let resources = raw
        .resources
        .into_iter()
        .map(|raw| resource(raw, &types, &kinds))
        .collect::<Result<Vec<_>, _>>()?;
    let mut group_versions: Vec<GroupVersion> = Vec::new();
    for resource in &resources {
        let found = GroupVersion {
            group: resource.group.clone(),
            version: resource.version.clone(),
        };
        if !group_versions.contains(&found) {
            group_versions.push(found);
        }
    }
    Ok(Schema {
        kubernetes: raw.kubernetes,
        types,
        resources,
        kinds,
        group_versions,
    })
}

fn resource(
    raw: RawResource,
    types: &Types,
    kinds: &HashMap<GroupVersionKind, TypeId>,
) -> Result<Resource, LoadError> {
    let support = |served: bool| {
        if served {
            Support::Served
        } else {
            Support::Reserved
        }
    };
    let subresources = raw
        .subresources
        .into_iter()
        .map(|raw| {
            let key = GroupVersionKind {
                group: raw.group,
                version: raw.version,
                kind: raw.kind,
            };
            let type_id = kinds.get(&key).copied();
            Subresource {
                name: raw.name,
                group: key.group,
                version: key.version,
                kind: key.kind,
                verbs: raw.verbs,
                type_id,
                support: support(raw.served),
            }
        })
        .collect();
    Ok(Resource {
        type_id: *types
            .names
            .get(&raw.type_name)
            .ok_or(LoadError::MissingStruct(raw.type_name))?,
        list_kind: format!("{}List", raw.kind),
        group: raw.group,
        version: raw.version,
        plural: raw.plural,
        singular: raw.singular,
        kind: raw.kind,
        short_names: raw.short_names,
        categories: raw.categories,
        namespaced: raw.namespaced,
        verbs: raw.verbs,
        subresources,
        columns: raw.columns,
        support: support(raw.served),
    })
}

/// Takes the defaults of list keys over from the element's fields; a field that
/// is always written stands for its zero value.
fn fill_key_defaults(types: &mut Types) {
    for index in 0..types.own.len() {
        let Type::List(ListType {
            element,
            kind: ListKind::Map(keys),
        }) = &types.own[index]
        else {
            continue;
        };
        let Type::Struct(definition) = &types.own[element.0 as usize] else {
            continue;
        };
        let default = |name: &str| {
            let field = definition.field(name)?;
            field
                .default
                .clone()
                .or_else(|| match &types.own[field.type_id.0 as usize] {
                    _ if field.presence != Presence::Always => None,
                    Type::Scalar(Scalar::String) => Some(Value::from("")),
                    Type::Scalar(Scalar::Int32 | Scalar::Int64) => Some(Value::from(0)),
                    _ => None,
                })
        };
        let filled = keys
            .iter()
            .map(|key| ListKey {
                name: key.name.clone(),
                default: default(&key.name),
            })
            .collect();
        let element = *element;
        types.own[index] = Type::List(ListType {
            element,
            kind: ListKind::Map(filled),
        });
    }
}

struct Builder {
    types: Types,
    /// Types without a name, by their spelling.
    interned: HashMap<String, TypeId>,
}

impl Builder {
    fn push(&mut self, found: Type) -> TypeId {
        let id = TypeId(
            u32::try_from(self.types.own.len()).expect("the tables hold a few thousand types"),
        );
        self.types.own.push(found);
        id
    }

    fn field(&mut self, name: String, raw: RawField) -> Result<Field, LoadError> {
        let (expression, atomic) = match raw.t.strip_suffix(['!', '~']) {
            Some(rest) if rest.starts_with('#') => (rest, Some(raw.t.ends_with('!'))),
            _ => (raw.t.as_str(), None),
        };
        let presence = match raw.p.as_deref() {
            None => Presence::OmitEmpty,
            Some("nil") => Presence::OmitNull,
            Some("null") => Presence::Null,
            Some("zero") => Presence::OmitZero,
            Some(_) => Presence::Always,
        };
        let words: Vec<&str> = raw.s.as_deref().unwrap_or_default().split(',').collect();
        let patch = PatchStrategy {
            merge: words.contains(&"merge"),
            retain_keys: words.contains(&"retainKeys"),
            replace: words.contains(&"replace"),
            merge_key: raw.k,
        };
        let type_id = self.expression(expression)?;
        Ok(Field {
            name,
            type_id,
            atomic,
            required: raw.r,
            default: raw.d,
            presence,
            patch,
            allowed: raw.e,
            go_name: raw.g,
            inlined: raw.i,
        })
    }

    fn expression(&mut self, text: &str) -> Result<TypeId, LoadError> {
        if let Some(name) = text.strip_prefix('#') {
            return self
                .types
                .names
                .get(name)
                .copied()
                .ok_or_else(|| LoadError::MissingStruct(name.to_owned()));
        }
        if let Some(id) = self.interned.get(text) {
            return Ok(*id);
        }
        let unreadable = || LoadError::Expression(text.to_owned());
        let found = if let Some(inner) = text
            .strip_prefix('{')
            .and_then(|rest| rest.strip_suffix('}'))
        {
            let (inner, atomic) = inner
                .strip_prefix('!')
                .map_or((inner, false), |inner| (inner, true));
            Type::Map(MapType {
                value: self.expression(inner)?,
                atomic,
            })
        } else if let Some(inner) = text
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
        {
            let (keys, element) = inner.split_once(':').ok_or_else(unreadable)?;
            let kind = match keys {
                "" => ListKind::Atomic,
                "=" => ListKind::Set,
                keys => ListKind::Map(
                    keys.split(',')
                        .map(|key| ListKey {
                            name: key.to_owned(),
                            default: None,
                        })
                        .collect(),
                ),
            };
            Type::List(ListType {
                element: self.expression(element)?,
                kind,
            })
        } else {
            Type::Scalar(scalar(text).ok_or_else(unreadable)?)
        };
        let id = self.push(found);
        self.interned.insert(text.to_owned(), id);
        Ok(id)
    }
}

fn scalar(word: &str) -> Option<Scalar> {
    Some(match word {
        "string" => Scalar::String,
        "bool" => Scalar::Bool,
        "int32" => Scalar::Int32,
        "int64" => Scalar::Int64,
        "number" => Scalar::Number,
        "int-or-string" => Scalar::IntOrString,
        "quantity" => Scalar::Quantity,
        "time" => Scalar::Time,
        "microtime" => Scalar::MicroTime,
        "bytes" => Scalar::Bytes,
        "any" => Scalar::Any,
        _ => return None,
    })
}
