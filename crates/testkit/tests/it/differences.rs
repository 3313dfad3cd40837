//! The reviewed list of what the engine does otherwise than the real API.

/// Lines of a contract's name, a colon and the reason.
const LIST: &str = include_str!("differences.txt");

/// Why the engine differs in `contract`, if it is known to.
fn known(list: &'static str, contract: &str) -> Option<&'static str> {
    let lines = list.lines().filter(|line| !line.starts_with('#'));
    let mut entries = lines.filter_map(|line| line.split_once(": "));
    entries.find_map(|(name, reason)| (name == contract).then_some(reason))
}

/// Holds the engine to `contract`, or to the difference that is listed.
pub(crate) async fn hold(name: &str, contract: impl Future<Output = ()> + Send + 'static) {
    let outcome = tokio::spawn(contract).await;
    match (known(LIST, name), outcome) {
        (None, Ok(())) => {}
        (None, Err(error)) => std::panic::resume_unwind(error.into_panic()),
        (Some(reason), Ok(())) => {
            panic!("the engine keeps `{name}` now; take it off the list of differences ({reason})")
        }
        (Some(_reason), Err(error)) => assert!(error.is_panic()),
    }
}

#[test]
fn a_listed_contract_is_found_with_its_reason() {
    let list = "# Why.\none: because\ntwo: of this: and that\n";
    assert_eq!(known(list, "one"), Some("because"));
    assert_eq!(known(list, "two"), Some("of this: and that"));
    assert_eq!(known(list, "three"), None);
}
