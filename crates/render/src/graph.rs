//! In which order actions are done: what is needed first, and what may run at the same time.

use std::collections::{BTreeMap, BTreeSet};

use foreshore_model::nearest;
use foreshore_model::plan::Action;

use crate::error::suggestion;

/// Why there is no order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    #[error("there is no action `{action}`{}", suggestion(near.as_deref()))]
    Unknown {
        action: String,
        near: Option<String>,
    },
    #[error("action `{by}` needs `{action}`, which is not there{}", suggestion(near.as_deref()))]
    Missing {
        by: String,
        action: String,
        near: Option<String>,
    },
    #[error("actions need each other in a circle: {}", path.join(" -> "))]
    Cycle { path: Vec<String> },
}

/// Returns the actions that `wanted` takes, each after those it needs, with what each waits for.
pub fn order(
    actions: &BTreeMap<String, Action>,
    wanted: &str,
) -> Result<Vec<(String, BTreeSet<String>)>, GraphError> {
    if !actions.contains_key(wanted) {
        return Err(GraphError::Unknown {
            action: wanted.to_owned(),
            near: near(actions, wanted),
        });
    }
    let mut walk = Walk {
        actions,
        done: BTreeSet::new(),
        path: Vec::new(),
        order: Vec::new(),
    };
    walk.visit(wanted)?;
    Ok(walk.order)
}

fn near(actions: &BTreeMap<String, Action>, name: &str) -> Option<String> {
    nearest(name, actions.keys().map(String::as_str)).map(str::to_owned)
}

struct Walk<'a> {
    actions: &'a BTreeMap<String, Action>,
    done: BTreeSet<String>,
    path: Vec<String>,
    order: Vec<(String, BTreeSet<String>)>,
}

impl Walk<'_> {
    fn visit(&mut self, name: &str) -> Result<(), GraphError> {
        if let Some(start) = self.path.iter().position(|known| known == name) {
            let mut path = self.path[start..].to_vec();
            path.push(name.to_owned());
            return Err(GraphError::Cycle { path });
        }
        if self.done.contains(name) {
            return Ok(());
        }
        let actions = self.actions;
        let Some(action) = actions.get(name) else {
            return Err(GraphError::Missing {
                by: self.path.last().cloned().unwrap_or_default(),
                action: name.to_owned(),
                near: near(actions, name),
            });
        };
        self.path.push(name.to_owned());
        for needed in &action.needs {
            self.visit(needed)?;
        }
        self.path.pop();
        self.done.insert(name.to_owned());
        self.order
            .push((name.to_owned(), action.needs.iter().cloned().collect()));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn actions(needs: &[(&str, &[&str])]) -> BTreeMap<String, Action> {
        needs
            .iter()
            .map(|(name, needs)| {
                let needs = needs.iter().map(|need| (*need).to_owned()).collect();
                (
                    (*name).to_owned(),
                    Action {
                        needs,
                        ..Action::default()
                    },
                )
            })
            .collect()
    }

    #[track_caller]
    fn check(needs: &[(&str, &[&str])], wanted: &str, expected: Result<&[&str], &str>) {
        let found = order(&actions(needs), wanted);
        match expected {
            Ok(names) => {
                let found: Vec<String> = found.unwrap().into_iter().map(|(name, _)| name).collect();
                assert_eq!(found, names);
            }
            Err(message) => assert_eq!(found.unwrap_err().to_string(), message),
        }
    }

    #[test]
    fn what_is_needed_comes_first_and_once() {
        check(
            &[
                ("all", &["test", "lint"]),
                ("test", &["build"]),
                ("lint", &["build"]),
                ("build", &[]),
                ("other", &[]),
            ],
            "all",
            Ok(&["build", "test", "lint", "all"]),
        );
    }

    #[test]
    fn circles_and_slips_are_refused() {
        check(
            &[("a", &["b"]), ("b", &["c"]), ("c", &["b"])],
            "a",
            Err("actions need each other in a circle: b -> c -> b"),
        );
        check(
            &[("a", &["a"])],
            "a",
            Err("actions need each other in a circle: a -> a"),
        );
        check(
            &[("a", &["biuld"]), ("build", &[])],
            "a",
            Err("action `a` needs `biuld`, which is not there; did you mean `build`?"),
        );
        check(
            &[("build", &[])],
            "biuld",
            Err("there is no action `biuld`; did you mean `build`?"),
        );
    }

    proptest! {
        #[test]
        fn every_order_has_what_is_needed_before(edges in prop::collection::vec((0..8_usize, 0..8_usize), 0..20)) {
            let mut all: BTreeMap<String, Action> = (0..8).map(|index| (format!("a{index}"), Action::default())).collect();
            for (from, to) in edges {
                if let Some(action) = all.get_mut(&format!("a{from}")) {
                    action.needs.push(format!("a{to}"));
                }
            }
            if let Ok(order) = order(&all, "a0") {
                let mut done = BTreeSet::new();
                for (name, needs) in order {
                    prop_assert!(needs.is_subset(&done));
                    done.insert(name);
                }
            }
        }
    }
}
