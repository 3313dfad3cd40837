//! Merges a configuration into a live object: the configuration wins, maps and
//! associative lists are merged, atomic values are replaced.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use foreshore_engine_schema::{ListKind, TypeRef};
use serde_json::{Map, Value};

use crate::path::PathElement;
use crate::view::{Node, TypeView, entries, identify, items};

/// Merges `config` into `live`.
pub(crate) fn merged(type_ref: TypeRef<'_>, live: &Value, config: &Value) -> Value {
    merge(TypeView::Typed(type_ref), Some(live), Some(config))
        .unwrap_or_else(|| Value::Object(Map::new()))
}

fn merge(view: TypeView<'_>, left: Option<&Value>, right: Option<&Value>) -> Option<Value> {
    let leaf = || right.or(left).cloned();
    match view.node(right.filter(|value| !value.is_null()).or(left)) {
        Node::Leaf | Node::Map { atomic: true } | Node::List(ListKind::Atomic) => leaf(),
        Node::Map { atomic: false } => {
            let (left, right) = (entries(left), entries(right));
            // Both empty: keep the difference between empty and null.
            if left.is_none_or(Map::is_empty) && right.is_none_or(Map::is_empty) {
                return leaf();
            }
            let keys: BTreeSet<&String> =
                left.into_iter().chain(right).flat_map(Map::keys).collect();
            let merged: Map<String, Value> = keys
                .into_iter()
                .filter_map(|key| {
                    let value = merge(
                        view.child(key),
                        left.and_then(|left| left.get(key)),
                        right.and_then(|right| right.get(key)),
                    )?;
                    Some((key.clone(), value))
                })
                .collect();
            (!merged.is_empty()).then_some(Value::Object(merged))
        }
        Node::List(kind) => {
            let (left, right) = (items(left), items(right));
            if left.is_none_or(Vec::is_empty) && right.is_none_or(Vec::is_empty) {
                return leaf();
            }
            let empty = Vec::new();
            let merged =
                ListMerge::new(view, kind, left.unwrap_or(&empty), right.unwrap_or(&empty)).run();
            (!merged.is_empty()).then_some(Value::Array(merged))
        }
    }
}

/// Merging of associative lists. Items that both sides have come in the
/// configuration's order; items that only the live object has keep their place
/// relative to their live neighbours.
struct ListMerge<'a> {
    view: TypeView<'a>,
    left: Vec<(PathElement, &'a Value)>,
    right: Vec<(PathElement, &'a Value)>,
    /// Live items by identity; `None` for one that occurs more than once.
    left_by: BTreeMap<PathElement, Option<&'a Value>>,
    right_by: BTreeMap<PathElement, &'a Value>,
}

impl<'a> ListMerge<'a> {
    fn new(view: TypeView<'a>, kind: &ListKind, left: &'a [Value], right: &'a [Value]) -> Self {
        let index = |list: &'a [Value]| -> Vec<(PathElement, &'a Value)> {
            list.iter()
                .filter_map(|item| Some((identify(kind, item)?, item)))
                .collect()
        };
        let (left, right) = (index(left), index(right));
        let mut left_by: BTreeMap<PathElement, Option<&Value>> = BTreeMap::new();
        for (element, item) in &left {
            left_by
                .entry(element.clone())
                .and_modify(|known| *known = None)
                .or_insert(Some(item));
        }
        let right_by = right
            .iter()
            .map(|(element, item)| (element.clone(), *item))
            .collect();
        Self {
            view,
            left,
            right,
            left_by,
            right_by,
        }
    }

    fn run(self) -> Vec<Value> {
        let mut shared: VecDeque<&PathElement> = self
            .right
            .iter()
            .map(|(element, _)| element)
            .filter(|element| self.left_by.contains_key(element))
            .collect();
        let mut next_shared = shared.pop_front();
        let mut done: BTreeSet<&PathElement> = BTreeSet::new();
        let mut out = Vec::new();
        let (mut l, mut r) = (0, 0);
        while l < self.left.len() || r < self.right.len() {
            if let (Some((element, _)), Some((wanted, _))) = (self.left.get(l), self.right.get(r)) {
                if element == wanted {
                    done.insert(element);
                    self.both(element, &mut out);
                    l += 1;
                    r += 1;
                    next_shared = shared.pop_front();
                    continue;
                }
                // Shared, but its turn comes later in the configuration's order.
                if self.right_by.contains_key(element)
                    && next_shared.is_some_and(|next| next != element)
                {
                    l += 1;
                    continue;
                }
            }
            if let Some((element, item)) = self.left.get(l) {
                if !self.right_by.contains_key(element) {
                    out.extend(merge(self.view.element(), Some(item), None));
                    l += 1;
                    continue;
                }
                if done.contains(element) {
                    l += 1;
                }
            }
            if let Some((element, _)) = self.right.get(r) {
                done.insert(element);
                self.both(element, &mut out);
                r += 1;
                if next_shared == Some(element) {
                    next_shared = shared.pop_front();
                }
            }
        }
        out
    }

    fn both(&self, element: &PathElement, out: &mut Vec<Value>) {
        let left = self.left_by.get(element).copied().flatten();
        out.extend(merge(
            self.view.element(),
            left,
            self.right_by.get(element).copied(),
        ));
    }
}
