//! From a definition to tables: one [`Version`] for each version that is served.

use std::sync::Arc;

use serde_json::{Value, json};

use super::structural::{Kind, Merge, Node};
use super::{ScalePaths, Version};
use crate::resource::{Column, Resource, Subresource, Support};
use crate::schema::Schema;
use crate::types::{
    Field, ListKey, ListKind, ListType, MapType, PatchStrategy, Presence, Scalar, StructType, Type,
    TypeId, Types,
};

const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
const VERBS: [&str; 8] = [
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "create",
    "update",
    "watch",
];
const PART_VERBS: [&str; 3] = ["get", "patch", "update"];

pub(super) fn versions(definition: &Value) -> Vec<Version> {
    let list = definition["spec"]["versions"].as_array();
    let served = list
        .into_iter()
        .flatten()
        .filter(|version| version["served"] == true);
    served
        .map(|version| compile(&definition["spec"], version))
        .collect()
}

fn compile(spec: &Value, version: &Value) -> Version {
    let empty = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let schema = version.pointer("/schema/openAPIV3Schema").unwrap_or(&empty);
    let root = Node::read(schema);
    let mut types = Types {
        base: Some(Schema::builtin().types()),
        ..Types::default()
    };
    let type_id = root_type(&mut types, &root);
    let resource = resource(spec, version, type_id);
    Version {
        resource: Arc::new(resource),
        scale: scale(version),
        deprecation: deprecation(spec, version),
        has_defaults: root.has_defaults(),
        types,
        root,
        schema: schema.clone(),
    }
}

fn word(value: &Value, pointer: &str) -> String {
    let text = value.pointer(pointer).and_then(Value::as_str);
    text.unwrap_or_default().to_owned()
}

fn words(value: &Value, pointer: &str) -> Vec<String> {
    let list = value.pointer(pointer).and_then(Value::as_array);
    let list = list.into_iter().flatten().filter_map(Value::as_str);
    list.map(str::to_owned).collect()
}

fn resource(spec: &Value, version: &Value, type_id: TypeId) -> Resource {
    let (group, name) = (word(spec, "/group"), word(version, "/name"));
    let kind = word(spec, "/names/kind");
    let part = |part: &str, group: &str, version: &str, kind: &str| Subresource {
        name: part.to_owned(),
        group: group.to_owned(),
        version: version.to_owned(),
        kind: kind.to_owned(),
        verbs: PART_VERBS.map(str::to_owned).to_vec(),
        type_id: None,
        support: Support::Served,
    };
    let mut subresources = vec![];
    if !version["subresources"]["scale"].is_null() {
        subresources.push(part("scale", "autoscaling", "v1", "Scale"));
    }
    if !version["subresources"]["status"].is_null() {
        subresources.push(part("status", &group, &name, &kind));
    }
    Resource {
        plural: word(spec, "/names/plural"),
        singular: word(spec, "/names/singular"),
        list_kind: word(spec, "/names/listKind"),
        short_names: words(spec, "/names/shortNames"),
        categories: words(spec, "/names/categories"),
        namespaced: spec["scope"] == "Namespaced",
        verbs: VERBS.map(str::to_owned).to_vec(),
        subresources,
        columns: columns(version),
        support: Support::Served,
        group,
        version: name,
        kind,
        type_id,
    }
}

fn columns(version: &Value) -> Vec<Column> {
    let column = |name: &str, kind: &str, format: &str, priority: i32, path: Option<&str>| Column {
        name: name.to_owned(),
        kind: kind.to_owned(),
        format: format.to_owned(),
        priority,
        json_path: path.map(str::to_owned),
    };
    let mut columns = vec![column("Name", "string", "name", 0, None)];
    let list = version["additionalPrinterColumns"].as_array();
    if let Some(list) = list.filter(|list| !list.is_empty()) {
        columns.extend(list.iter().map(|given| {
            let priority = given["priority"].as_i64().unwrap_or(0);
            column(
                &word(given, "/name"),
                &word(given, "/type"),
                &word(given, "/format"),
                i32::try_from(priority).unwrap_or(0),
                Some(&word(given, "/jsonPath")),
            )
        }));
    } else {
        let path = Some(".metadata.creationTimestamp");
        columns.push(column("Age", "date", "", 0, path));
    }
    columns
}

fn scale(version: &Value) -> Option<ScalePaths> {
    let scale = version.pointer("/subresources/scale")?.as_object()?;
    let pointer = |field: &str| {
        let path = scale.get(field)?.as_str()?;
        Some(path.replace('.', "/"))
    };
    Some(ScalePaths {
        replicas: pointer("specReplicasPath")?,
        status_replicas: pointer("statusReplicasPath")?,
        selector: pointer("labelSelectorPath"),
    })
}

fn deprecation(spec: &Value, version: &Value) -> Option<String> {
    if version["deprecated"] != true {
        return None;
    }
    let given = version["deprecationWarning"].as_str().map(str::to_owned);
    Some(given.unwrap_or_else(|| {
        format!(
            "{}/{} {} is deprecated",
            word(spec, "/group"),
            word(version, "/name"),
            word(spec, "/names/kind")
        )
    }))
}

fn field(name: &str, type_id: TypeId, atomic: Option<bool>, default: Option<Value>) -> Field {
    Field {
        name: name.to_owned(),
        type_id,
        atomic,
        required: false,
        default,
        presence: Presence::OmitNull,
        patch: PatchStrategy::default(),
        allowed: vec![],
        go_name: None,
        inlined: None,
    }
}

/// The whole object: what every object has, and the schema's own fields.
fn root_type(types: &mut Types, root: &Node) -> TypeId {
    let mut fields = object_fields(types);
    for (name, node) in &root.properties {
        if !fields.iter().any(|field| field.name == *name) {
            let type_id = type_of(types, node);
            fields.push(field(name, type_id, None, None));
        }
    }
    fields.sort_by(|left, right| left.name.cmp(&right.name));
    let rest = root.preserve.then(|| types.push(Type::Scalar(Scalar::Any)));
    types.push(Type::Struct(StructType {
        name: String::new(),
        fields,
        atomic: false,
        rest,
    }))
}

fn object_fields(types: &mut Types) -> Vec<Field> {
    let metadata = Schema::builtin().named(OBJECT_META);
    let metadata = metadata.expect("the tables hold it; a test looks").id();
    let text = types.push(Type::Scalar(Scalar::String));
    vec![
        field("apiVersion", text, None, None),
        field("kind", text, None, None),
        field("metadata", metadata, None, None),
    ]
}

fn type_of(types: &mut Types, node: &Node) -> TypeId {
    let made = match node.kind {
        Kind::Any => Type::Scalar(Scalar::Any),
        Kind::String => Type::Scalar(Scalar::String),
        Kind::Boolean => Type::Scalar(Scalar::Bool),
        Kind::Integer => Type::Scalar(Scalar::Int64),
        Kind::Number => Type::Scalar(Scalar::Number),
        Kind::IntOrString => Type::Scalar(Scalar::IntOrString),
        Kind::Array => {
            let element = match &node.items {
                Some(items) => type_of(types, items),
                None => types.push(Type::Scalar(Scalar::Any)),
            };
            let kind = match &node.merge {
                Merge::Atomic => ListKind::Atomic,
                Merge::Set => ListKind::Set,
                Merge::Map(keys) => {
                    ListKind::Map(keys.iter().map(|key| list_key(node, key)).collect())
                }
            };
            Type::List(ListType { element, kind })
        }
        Kind::Object => object_type(types, node),
    };
    types.push(made)
}

fn list_key(list: &Node, key: &str) -> ListKey {
    let items = list.items.as_deref();
    let field = items.and_then(|items| items.properties.get(key));
    ListKey {
        name: key.to_owned(),
        default: field.and_then(|field| field.default.clone()),
    }
}

fn object_type(types: &mut Types, node: &Node) -> Type {
    if node.properties.is_empty() && !node.embedded {
        let value = match &node.additional {
            Some(inner) => type_of(types, inner),
            None if node.preserve => types.push(Type::Scalar(Scalar::Any)),
            None => {
                return Type::Struct(StructType {
                    name: String::new(),
                    fields: vec![],
                    atomic: node.atomic_map,
                    rest: None,
                });
            }
        };
        return Type::Map(MapType {
            value,
            atomic: node.atomic_map,
        });
    }
    let mut fields = if node.embedded {
        object_fields(types)
    } else {
        vec![]
    };
    for (name, inner) in &node.properties {
        if !fields.iter().any(|field| field.name == *name) {
            let type_id = type_of(types, inner);
            fields.push(field(name, type_id, None, inner.default.clone()));
        }
    }
    fields.sort_by(|left, right| left.name.cmp(&right.name));
    let rest = node.preserve.then(|| types.push(Type::Scalar(Scalar::Any)));
    Type::Struct(StructType {
        name: String::new(),
        fields,
        atomic: node.atomic_map,
        rest,
    })
}
