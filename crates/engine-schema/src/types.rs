//! The shape of objects: an arena of types that refer to each other, and
//! [`TypeRef`], the handle with which everything walks it. Built-in kinds and,
//! later, custom resources live in the same form.

use std::collections::HashMap;

use serde_json::Value;

/// Position of a type in its arena.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TypeId(pub(crate) u32);

/// A value without inner structure that the schema knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scalar {
    String,
    Bool,
    Int32,
    Int64,
    Number,
    IntOrString,
    Quantity,
    /// RFC 3339 with whole seconds.
    Time,
    /// RFC 3339 with microseconds.
    MicroTime,
    /// Base64 text.
    Bytes,
    /// Any JSON; nothing inside is known.
    Any,
}

/// What a value looks like.
#[derive(Debug, Clone)]
pub enum Type {
    Scalar(Scalar),
    Struct(StructType),
    Map(MapType),
    List(ListType),
}

/// An object with known fields.
#[derive(Debug, Clone)]
pub struct StructType {
    /// Full name, for example `io.k8s.api.apps.v1.DeploymentSpec`.
    pub name: String,
    /// Sorted by name.
    pub fields: Vec<Field>,
    /// Server-side apply owns it as one value.
    pub atomic: bool,
    /// What fields not named above look like, where such are kept.
    pub rest: Option<TypeId>,
}

/// One field of a struct.
#[derive(Debug, Clone)]
pub struct Field {
    pub name: String,
    pub type_id: TypeId,
    /// Overrides the struct's own atomicity where the field says so.
    pub atomic: Option<bool>,
    pub required: bool,
    /// Default named in the schema (not what the kind's own defaulting adds).
    pub default: Option<Value>,
    pub presence: Presence,
    /// How a strategic merge patch treats the field.
    pub patch: PatchStrategy,
    /// Allowed words, if the schema names them.
    pub allowed: Vec<String>,
    /// Go name of a named scalar, list or map, as the server's error messages print it.
    pub go_name: Option<String>,
    /// Name of the Go struct the field was inlined with, which the messages mention.
    pub inlined: Option<String>,
}

/// When the real server writes a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// Left out when empty, zero or null.
    OmitEmpty,
    /// Left out only when null: `{}`, `0` and `""` are kept.
    OmitNull,
    /// Written always; the zero value where nothing was given.
    Always,
    /// Written always; `null` where nothing was given.
    Null,
    /// Left out when it is the zero time.
    OmitZero,
}

/// Strategic-merge rules of a field. They differ from the server-side apply
/// rules of the same list on purpose.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PatchStrategy {
    /// Lists are merged instead of replaced.
    pub merge: bool,
    /// `$retainKeys` governs which keys of the object survive.
    pub retain_keys: bool,
    /// The object itself is replaced.
    pub replace: bool,
    /// Key by which list elements are matched; `None` in a merged list means a set of scalars.
    pub merge_key: Option<String>,
}

/// An object whose keys are data.
#[derive(Debug, Clone)]
pub struct MapType {
    pub value: TypeId,
    pub atomic: bool,
}

/// A list.
#[derive(Debug, Clone)]
pub struct ListType {
    pub element: TypeId,
    pub kind: ListKind,
}

/// How server-side apply treats a list.
#[derive(Debug, Clone, PartialEq)]
pub enum ListKind {
    Atomic,
    Set,
    Map(Vec<ListKey>),
}

/// A key field of an associative list.
#[derive(Debug, Clone, PartialEq)]
pub struct ListKey {
    pub name: String,
    /// Stands in where an element does not name the key.
    pub default: Option<Value>,
}

/// An arena of types. One with a base goes on counting where that one ends.
#[derive(Debug, Clone, Default)]
pub struct Types {
    pub(crate) base: Option<&'static Self>,
    pub(crate) own: Vec<Type>,
    pub(crate) names: HashMap<String, TypeId>,
}

impl Types {
    /// The struct with that full name.
    pub fn named(&self, name: &str) -> Option<TypeRef<'_>> {
        self.names.get(name).map(|id| self.get(*id))
    }

    fn base_len(&self) -> usize {
        self.base.map_or(0, |base| base.own.len())
    }

    fn at(&self, id: TypeId) -> &Type {
        let index = id.0 as usize;
        match self.base {
            Some(base) if index < base.own.len() => base.at(id),
            _ => &self.own[index - self.base_len()],
        }
    }

    pub(crate) fn push(&mut self, found: Type) -> TypeId {
        let index = self.base_len() + self.own.len();
        self.own.push(found);
        TypeId(u32::try_from(index).expect("the tables hold a few thousand types"))
    }

    /// The handle of a type of this arena.
    pub fn get(&self, id: TypeId) -> TypeRef<'_> {
        TypeRef {
            types: self,
            id,
            atomic: None,
        }
    }
}

/// A type together with its arena: what callers pass around.
#[derive(Debug, Clone, Copy)]
pub struct TypeRef<'a> {
    types: &'a Types,
    id: TypeId,
    atomic: Option<bool>,
}

/// What a [`TypeRef`] points at, with overrides applied.
#[derive(Debug, Clone, Copy)]
pub enum Shape<'a> {
    Scalar(Scalar),
    Struct {
        definition: &'a StructType,
        atomic: bool,
    },
    Map {
        value: TypeRef<'a>,
        atomic: bool,
    },
    List {
        element: TypeRef<'a>,
        kind: &'a ListKind,
    },
}

impl<'a> TypeRef<'a> {
    pub fn id(self) -> TypeId {
        self.id
    }

    /// What the type looks like.
    pub fn shape(self) -> Shape<'a> {
        match self.types.at(self.id) {
            Type::Scalar(scalar) => Shape::Scalar(*scalar),
            Type::Struct(definition) => Shape::Struct {
                definition,
                atomic: self.atomic.unwrap_or(definition.atomic),
            },
            Type::Map(map) => Shape::Map {
                value: self.types.get(map.value),
                atomic: self.atomic.unwrap_or(map.atomic),
            },
            Type::List(list) => Shape::List {
                element: self.types.get(list.element),
                kind: &list.kind,
            },
        }
    }

    /// The struct's definition, if it is one.
    pub fn as_struct(self) -> Option<&'a StructType> {
        match self.shape() {
            Shape::Struct { definition, .. } => Some(definition),
            _ => None,
        }
    }

    /// The field of a struct.
    pub fn field(self, name: &str) -> Option<&'a Field> {
        self.as_struct()?.field(name)
    }

    /// The type of one of the struct's own fields.
    #[must_use]
    pub fn field_type(self, field: &Field) -> Self {
        Self {
            types: self.types,
            id: field.type_id,
            atomic: field.atomic,
        }
    }

    /// The type of the value under `key`: a struct's field or a map's value.
    pub fn child(self, key: &str) -> Option<Self> {
        match self.shape() {
            Shape::Struct { definition, .. } => {
                let field = definition.field(key).map(|field| self.field_type(field));
                field.or_else(|| definition.rest.map(|rest| self.types.get(rest)))
            }
            Shape::Map { value, .. } => Some(value),
            Shape::Scalar(_) | Shape::List { .. } => None,
        }
    }

    /// The type of a list's elements.
    pub fn element(self) -> Option<Self> {
        match self.shape() {
            Shape::List { element, .. } => Some(element),
            _ => None,
        }
    }
}

impl StructType {
    /// The field called `name`.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields
            .binary_search_by(|field| field.name.as_str().cmp(name))
            .ok()
            .map(|index| &self.fields[index])
    }

    /// The last part of the name: what the server's messages call the Go struct.
    pub fn short_name(&self) -> &str {
        self.name.rsplit('.').next().unwrap_or(&self.name)
    }
}
