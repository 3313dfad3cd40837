//! The reviewed list of what the engine does otherwise than the real API.

use std::any::Any;

/// Lines of a contract's name, what its failure says, and the reason.
const LIST: &str = include_str!("differences.txt");

/// A way in which the engine is known to differ.
#[derive(Debug, PartialEq, Eq)]
struct Difference<'a> {
    /// Words of the failure: the contract may fail in this way and no other.
    says: &'a str,
    reason: &'a str,
}

/// How the engine differs in `contract`, if it is known to.
fn known<'a>(list: &'a str, contract: &str) -> Option<Difference<'a>> {
    let lines = list.lines().filter(|line| !line.starts_with('#'));
    let mut entries = lines.filter_map(|line| {
        let (name, rest) = line.split_once(" | ")?;
        let (says, reason) = rest.split_once(" | ")?;
        Some((name, Difference { says, reason }))
    });
    entries.find_map(|(name, difference)| (name == contract).then_some(difference))
}

/// What a panic said.
fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or_default()
}

/// Holds the engine to `contract`, or to the difference that is listed.
pub(crate) async fn hold(name: &str, contract: impl Future<Output = ()> + Send + 'static) {
    let outcome = tokio::spawn(contract).await;
    match (known(LIST, name), outcome) {
        (None, Ok(())) => {}
        (None, Err(error)) => std::panic::resume_unwind(error.into_panic()),
        (Some(difference), Ok(())) => panic!(
            "the engine keeps `{name}` now; take it off the list of differences ({})",
            difference.reason
        ),
        (Some(difference), Err(error)) => {
            let panic = error.into_panic();
            if !words(&*panic).contains(difference.says) {
                std::panic::resume_unwind(panic);
            }
        }
    }
}

#[test]
fn a_listed_contract_is_found_with_what_it_says_and_why() {
    let list = "# Why.\none | says 1 | because\ntwo | says: 2 | of this: and that\n";
    let difference = |says, reason| Some(Difference { says, reason });
    assert_eq!(known(list, "one"), difference("says 1", "because"));
    assert_eq!(
        known(list, "two"),
        difference("says: 2", "of this: and that")
    );
    assert_eq!(known(list, "three"), None);
}

#[test]
fn every_line_of_the_list_is_whole() {
    for line in LIST.lines().filter(|line| !line.starts_with('#')) {
        assert_eq!(line.split(" | ").count(), 3, "{line}");
    }
}
