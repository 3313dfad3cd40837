//! The order of merged lists: items the patch names in the patch's order, the
//! others in their old order, interleaved as they were.

use serde_json::Value;

use crate::strategic::{StrategicError, no_key};
use crate::view::same;

/// Whether two items are the same one: by key, or by value.
fn matches(left: &Value, right: &Value, key: Option<&str>) -> bool {
    match key {
        Some(key) => {
            matches!((left.get(key), right.get(key)), (Some(left), Some(right)) if same(left, right))
        }
        None => same(left, right),
    }
}

fn index(list: &[Value], item: &Value, key: Option<&str>) -> Option<usize> {
    list.iter().position(|known| matches(known, item, key))
}

/// Splits `items` into those that `by` names and the others.
pub(crate) fn partition(
    items: Vec<Value>,
    by: &[Value],
    key: Option<&str>,
) -> Result<(Vec<Value>, Vec<Value>), StrategicError> {
    if let Some(key) = key
        && let Some(item) = items.iter().chain(by).find(|item| item.get(key).is_none())
    {
        return Err(no_key(item, key));
    }
    Ok(items
        .into_iter()
        .partition(|item| index(by, item, key).is_some()))
}

/// Puts the two parts together.
pub(crate) fn ordered(
    mut listed: Vec<Value>,
    mut others: Vec<Value>,
    order: &[Value],
    server_order: &[Value],
    key: Option<&str>,
) -> Result<Vec<Value>, StrategicError> {
    if let Some(key) = key
        && let Some(item) = order.iter().find(|item| item.get(key).is_none())
    {
        return Err(no_key(item, key));
    }
    listed.sort_by_key(|item| index(order, item, key));
    others.sort_by_key(|item| index(server_order, item, key));
    let mut result = Vec::with_capacity(listed.len() + others.len());
    let (mut listed, mut others) = (listed.into_iter().peekable(), others.into_iter().peekable());
    loop {
        let take_other = match (others.peek(), listed.peek()) {
            (None, None) => return Ok(result),
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (Some(other), Some(item)) => {
                matches!((index(server_order, other, key), index(server_order, item, key)), (Some(other), Some(item)) if other < item)
            }
        };
        result.extend(if take_other {
            others.next()
        } else {
            listed.next()
        });
    }
}

/// Checks that the patch's items come in the order the directive states.
pub(crate) fn check_order(
    patch: &[Value],
    order: &[Value],
    key: Option<&str>,
) -> Result<(), StrategicError> {
    if order.is_empty() || patch.is_empty() {
        return Ok(());
    }
    let mut left = patch
        .iter()
        .filter(|item| item.get("$patch").is_none())
        .peekable();
    for wanted in order {
        if left.peek().is_some_and(|item| matches(item, wanted, key)) {
            left.next();
        }
    }
    if left.peek().is_some() {
        let spell = |list: &[Value]| Value::Array(list.to_vec()).to_string();
        return Err(StrategicError::OrderMismatch {
            patch: spell(patch),
            order: spell(order),
        });
    }
    Ok(())
}
