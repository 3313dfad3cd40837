//! Strategic merge patch: a merge patch that knows list keys, with directives
//! inside the patch (`$patch`, `$retainKeys`, `$setElementOrder/…`,
//! `$deleteFromPrimitiveList/…`).

use foreshore_engine_schema::{PatchStrategy, Scalar, Shape, TypeRef};
use serde_json::{Map, Value};

use crate::strategic_order::{check_order, ordered, partition};
use crate::view::same;

const PATCH: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const SET_ELEMENT_ORDER: &str = "$setElementOrder/";
const DELETE_FROM_PRIMITIVE_LIST: &str = "$deleteFromPrimitiveList/";

/// Why a strategic merge patch was refused; all of these are 400 but
/// [`StrategicError::UnknownField`], which the real server answers with 500.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StrategicError {
    #[error("invalid JSON document")]
    NotAnObject,
    #[error("unknown patch type: {word} in map: {map}")]
    UnknownDirective { word: String, map: String },
    #[error("merging lists cannot yet be specified in the patch")]
    MergeDirective,
    #[error("invalid patch format of retainKeys")]
    RetainKeys,
    #[error("invalid patch format of setElementOrder list")]
    SetElementOrder,
    #[error("The order in patch list:\n{patch}\n doesn't match $setElementOrder list:\n{order}\n")]
    OrderMismatch { patch: String, order: String },
    #[error("map: {map} does not contain declared merge key: {key}")]
    NoMergeKey { map: String, key: String },
    #[error("cannot merge lists without merge key for {name}")]
    NoKeyDeclared { name: String },
    #[error("expected a {expected}, but received a {found}")]
    BadType {
        expected: &'static str,
        found: &'static str,
    },
    #[error("unable to find api field in struct {owner} for the json field {field:?}")]
    UnknownField { owner: String, field: String },
}

/// Applies `patch` to `target`, an object of the type.
pub fn strategic_merge(
    type_ref: TypeRef<'_>,
    target: &Value,
    patch: &Value,
) -> Result<Value, StrategicError> {
    let (Value::Object(target), Value::Object(patch)) = (target, patch) else {
        return Err(StrategicError::NotAnObject);
    };
    merge_map(View::of(type_ref), target.clone(), patch.clone()).map(Value::Object)
}

/// A type as strategic merge sees it; `None` where any JSON may be.
#[derive(Clone, Copy)]
pub(crate) struct View<'a>(Option<TypeRef<'a>>);

impl<'a> View<'a> {
    fn of(type_ref: TypeRef<'a>) -> Self {
        match type_ref.shape() {
            Shape::Scalar(Scalar::Any) => Self(None),
            _ => Self(Some(type_ref)),
        }
    }

    /// Type and strategy of what is under `key`.
    fn child(self, key: &str) -> Result<(Self, PatchStrategy), StrategicError> {
        let Some(type_ref) = self.0 else {
            return Ok((Self(None), PatchStrategy::default()));
        };
        match type_ref.shape() {
            Shape::Struct { definition, .. } => {
                let unknown = || StrategicError::UnknownField {
                    owner: definition.short_name().to_owned(),
                    field: key.to_owned(),
                };
                let field = definition.field(key).ok_or_else(unknown)?;
                Ok((Self::of(type_ref.field_type(field)), field.patch.clone()))
            }
            Shape::Map { value, .. } => Ok((Self::of(value), PatchStrategy::default())),
            _ => Ok((Self(None), PatchStrategy::default())),
        }
    }

    fn element(self) -> Self {
        Self(self.0.and_then(TypeRef::element))
    }

    fn name(self) -> String {
        self.0
            .and_then(TypeRef::as_struct)
            .map(|definition| definition.short_name().to_owned())
            .unwrap_or_default()
    }
}

fn merge_map(
    view: View<'_>,
    mut original: Map<String, Value>,
    mut patch: Map<String, Value>,
) -> Result<Map<String, Value>, StrategicError> {
    if let Some(directive) = patch.remove(PATCH) {
        return match directive.as_str() {
            Some("replace") => Ok(patch),
            Some("delete") => Ok(Map::new()),
            _ => Err(StrategicError::UnknownDirective {
                word: plain(&directive),
                map: Value::Object(patch).to_string(),
            }),
        };
    }
    retain_keys(&mut original, &mut patch)?;
    merge_ordered_lists(view, &mut original, &mut patch)?;
    for (key, change) in patch {
        let (key, deletes) = key
            .strip_prefix(DELETE_FROM_PRIMITIVE_LIST)
            .map_or((key.as_str(), false), |field| (field, true));
        if change.is_null() {
            original.remove(key);
            continue;
        }
        let Some(current) = original.remove(key) else {
            if !deletes && let Some(value) = taken(change) {
                original.insert(key.to_owned(), value);
            }
            continue;
        };
        let merged = match (current, change) {
            (Value::Object(current), Value::Object(change)) => {
                let (inner, strategy) = view.child(key)?;
                Some(Value::Object(if strategy.replace {
                    change
                } else {
                    merge_map(inner, current, change)?
                }))
            }
            (Value::Array(current), Value::Array(change)) => {
                let (inner, strategy) = view.child(key)?;
                Some(Value::Array(merge_list(
                    inner, &strategy, current, change, deletes,
                )?))
            }
            (current, _) if deletes => Some(current),
            (_, change) => taken(change),
        };
        if let Some(value) = merged {
            original.insert(key.to_owned(), value);
        }
    }
    Ok(original)
}

fn retain_keys(
    original: &mut Map<String, Value>,
    patch: &mut Map<String, Value>,
) -> Result<(), StrategicError> {
    let Some(directive) = patch.remove(RETAIN_KEYS) else {
        return Ok(());
    };
    let listed = directive.as_array().ok_or(StrategicError::RetainKeys)?;
    let retained = |key: &str| listed.iter().any(|word| word.as_str() == Some(key));
    let stray = patch.iter().any(|(key, value)| {
        !(value.is_null()
            || key.starts_with(DELETE_FROM_PRIMITIVE_LIST)
            || key.starts_with(SET_ELEMENT_ORDER)
            || retained(key))
    });
    if stray {
        return Err(StrategicError::RetainKeys);
    }
    original.retain(|key, _| retained(key));
    Ok(())
}

/// Merges the lists for which the patch states an order.
fn merge_ordered_lists(
    view: View<'_>,
    original: &mut Map<String, Value>,
    patch: &mut Map<String, Value>,
) -> Result<(), StrategicError> {
    let directives: Vec<String> = patch
        .keys()
        .filter(|key| key.starts_with(SET_ELEMENT_ORDER))
        .cloned()
        .collect();
    for directive in directives {
        let field = directive[SET_ELEMENT_ORDER.len()..].to_owned();
        let order = list(patch.remove(&directive))?.unwrap_or_default();
        let current = list(original.get(&field).cloned())?;
        let change = list(patch.remove(&field))?;
        let (inner, strategy) = view.child(&field)?;
        let key = strategy.merge_key.as_deref();
        check_order(change.as_deref().unwrap_or_default(), &order, key)?;
        let server_order = current.clone().unwrap_or_default();
        let merged = match (current, change) {
            (None, None) => continue,
            (Some(current), None) => current,
            (None, Some(change)) => match without_directives(Value::Array(change)) {
                Some(Value::Array(items)) => items,
                _ => continue,
            },
            (Some(current), Some(change)) => merge_list(inner, &strategy, current, change, false)?,
        };
        let (listed, others) = partition(merged, &order, key)?;
        original.insert(
            field,
            Value::Array(ordered(listed, others, &order, &server_order, key)?),
        );
    }
    Ok(())
}

fn merge_list(
    view: View<'_>,
    strategy: &PatchStrategy,
    original: Vec<Value>,
    patch: Vec<Value>,
    deletes: bool,
) -> Result<Vec<Value>, StrategicError> {
    if !strategy.merge && !deletes {
        return Ok(patch);
    }
    if original.is_empty() && patch.is_empty() {
        return Ok(original);
    }
    let objects = original
        .first()
        .or_else(|| patch.first())
        .is_some_and(Value::is_object);
    if !objects {
        if deletes {
            return Ok(original
                .into_iter()
                .filter(|item| !patch.iter().any(|gone| same(gone, item)))
                .collect());
        }
        let mut merged: Vec<Value> = Vec::new();
        for item in original.iter().chain(&patch) {
            if !merged.iter().any(|known| same(known, item)) {
                merged.push(item.clone());
            }
        }
        let (listed, others) = partition(merged, &patch, None)?;
        return ordered(listed, others, &patch, &original, None);
    }
    let element = view.element();
    let key = strategy
        .merge_key
        .as_deref()
        .ok_or_else(|| StrategicError::NoKeyDeclared {
            name: element.name(),
        })?;
    let (original, patch) = directed(original, patch, key)?;
    let mut merged = original.clone();
    for change in &patch {
        let wanted = change.get(key).ok_or_else(|| no_key(change, key))?;
        match merged
            .iter()
            .position(|item| item.get(key).is_some_and(|value| same(value, wanted)))
        {
            Some(index) => {
                let (Some(current), Some(change)) = (
                    merged[index].as_object().cloned(),
                    change.as_object().cloned(),
                ) else {
                    return Err(StrategicError::NotAnObject);
                };
                merged[index] = Value::Object(merge_map(element, current, change)?);
            }
            None => merged.push(change.clone()),
        }
    }
    let (listed, others) = partition(merged, &patch, Some(key))?;
    ordered(listed, others, &patch, &original, Some(key))
}

/// Carries out the `$patch` directives among a list's items.
fn directed(
    mut original: Vec<Value>,
    patch: Vec<Value>,
    key: &str,
) -> Result<(Vec<Value>, Vec<Value>), StrategicError> {
    let mut rest = Vec::new();
    let mut replace = false;
    for item in patch {
        match item.get(PATCH).map(plain).as_deref() {
            None => rest.push(item),
            Some("delete") => {
                let gone = item.get(key).ok_or_else(|| no_key(&item, key))?;
                original.retain(|item| !item.get(key).is_some_and(|value| same(value, gone)));
            }
            Some("replace") => replace = true,
            Some("merge") => return Err(StrategicError::MergeDirective),
            Some(word) => {
                return Err(StrategicError::UnknownDirective {
                    word: word.to_owned(),
                    map: item.to_string(),
                });
            }
        }
    }
    Ok(if replace {
        (rest, Vec::new())
    } else {
        (original, rest)
    })
}

pub(crate) fn no_key(item: &Value, key: &str) -> StrategicError {
    StrategicError::NoMergeKey {
        map: item.to_string(),
        key: key.to_owned(),
    }
}

fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

fn list(value: Option<Value>) -> Result<Option<Vec<Value>>, StrategicError> {
    match value {
        None => Ok(None),
        Some(Value::Array(items)) => Ok(Some(items)),
        Some(Value::Object(_)) => Err(StrategicError::BadType {
            expected: "[]interface {}",
            found: "map[string]interface {}",
        }),
        Some(_) => Err(StrategicError::SetElementOrder),
    }
}

/// A value of the patch that lands where nothing was: nulls and directives go.
fn taken(mut value: Value) -> Option<Value> {
    discard_nulls(&mut value);
    without_directives(value)
}

fn discard_nulls(value: &mut Value) {
    match value {
        Value::Object(entries) => {
            entries.retain(|_, value| !value.is_null());
            entries.values_mut().for_each(discard_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(discard_nulls),
        _ => {}
    }
}

fn without_directives(value: Value) -> Option<Value> {
    match value {
        Value::Object(entries) if entries.contains_key(PATCH) => None,
        Value::Object(entries) => Some(Value::Object(
            entries
                .into_iter()
                .filter_map(|(key, value)| Some((key, without_directives(value)?)))
                .collect(),
        )),
        Value::Array(items) => Some(Value::Array(
            items.into_iter().filter_map(without_directives).collect(),
        )),
        other => Some(other),
    }
}
