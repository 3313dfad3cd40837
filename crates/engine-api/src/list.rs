//! Lists: which state they show, which objects, and where a page ends.

use std::time::Duration;

use foreshore_engine_store::{Snapshot, Store};

use crate::call::{Call, bad_list_option};
use crate::paging::Position;
use crate::reply::{Content, Page, Reply};
use crate::selection::Selection;
use crate::status::{Answer, Failure};

/// How long a read waits for a revision that is not there yet, as the real server does.
const FRESH_WAIT: Duration = Duration::from_secs(3);

/// Which state a read asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Freshness {
    Newest,
    NotOlderThan(u64),
    Exactly(u64),
}

/// Reads a `resourceVersion` parameter.
pub(crate) fn revision_of(text: Option<&str>) -> Answer<Option<u64>> {
    let Some(text) = text else { return Ok(None) };
    text.parse().map(Some).map_err(|_| {
        Failure::bad_request(format!(
            "Invalid value: {text:?}: resourceVersion must be a number"
        ))
    })
}

fn freshness(call: &Call, limited: bool) -> Answer<Freshness> {
    let version = revision_of(call.query.get("resourceVersion"))?;
    let rule = call.query.get("resourceVersionMatch");
    if call.query.get("sendInitialEvents").is_some() {
        return Err(bad_list_option(
            "sendInitialEvents",
            "sendInitialEvents is forbidden for list",
        ));
    }
    match (rule, version) {
        (None, None | Some(0)) | (Some("NotOlderThan"), Some(0)) => Ok(Freshness::Newest),
        (None, Some(version)) if limited => Ok(Freshness::Exactly(version)),
        (None | Some("NotOlderThan"), Some(version)) => Ok(Freshness::NotOlderThan(version)),
        (Some("Exact"), Some(version)) if version > 0 => Ok(Freshness::Exactly(version)),
        (Some("Exact"), Some(_)) => Err(bad_list_option(
            "resourceVersionMatch",
            "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
        )),
        (Some(_), None) => Err(bad_list_option(
            "resourceVersionMatch",
            "resourceVersionMatch is forbidden unless resourceVersion is provided",
        )),
        (Some(other), _) => Err(bad_list_option(
            "resourceVersionMatch",
            &format!("{other:?} is not supported: use \"Exact\" or \"NotOlderThan\""),
        )),
    }
}

/// Waits until the store has reached `revision`.
pub(crate) async fn wait_for(store: &Store, revision: u64) -> Answer<()> {
    if store.revision() >= revision || store.wait_for(revision, FRESH_WAIT).await {
        Ok(())
    } else {
        Err(Failure::revision_too_large(revision, store.revision()))
    }
}

async fn snapshot(store: &Store, freshness: Freshness) -> Answer<Snapshot> {
    match freshness {
        Freshness::Newest => Ok(store.snapshot()),
        Freshness::NotOlderThan(revision) => {
            wait_for(store, revision).await?;
            Ok(store.snapshot())
        }
        Freshness::Exactly(revision) => {
            wait_for(store, revision).await?;
            store.snapshot_at(revision).ok_or_else(|| {
                Failure::expired(format!(
                    "The resourceVersion for the provided list is too old: {revision}"
                ))
            })
        }
    }
}

const TOKEN_TOO_OLD: &str = "The provided continue parameter is too old to display a consistent \
     list result. You can start a new list without the continue parameter, or use the continue \
     token in this response to retrieve the remainder of the results. Continuing with the \
     provided token results in an inconsistent list - objects that were created, modified, or \
     deleted between the time the first chunk was returned and now may show up in the list.";

/// The state and place at which a continued list goes on.
fn resume(store: &Store, token: &str) -> Answer<(Snapshot, Position)> {
    let position = Position::decode(token)?;
    let Some(revision) = position.revision else {
        return Ok((store.snapshot(), position));
    };
    if let Some(snapshot) = store.snapshot_at(revision) {
        return Ok((snapshot, position));
    }
    let fresh = Position {
        revision: None,
        ..position
    };
    Err(Failure::expired(TOKEN_TOO_OLD).continuing(fresh.encode()))
}

pub(crate) async fn list(store: &Store, call: &Call) -> Answer<Reply> {
    let page = page(store, call).await?;
    Ok(Reply::ok(Content::Page(page)))
}

async fn page(store: &Store, call: &Call) -> Answer<Page> {
    let selection = Selection::of(call)?;
    let limit: Option<i64> = call.query.number("limit")?;
    let limit = limit
        .and_then(|limit| usize::try_from(limit).ok())
        .filter(|limit| *limit > 0);
    let (snapshot, position) = match call.query.get("continue") {
        Some(token) => {
            if call.query.get("resourceVersionMatch").is_some() {
                return Err(bad_list_option(
                    "resourceVersionMatch",
                    "resourceVersionMatch is forbidden when continue is provided",
                ));
            }
            if !matches!(call.query.get("resourceVersion"), None | Some("0")) {
                return Err(Failure::bad_request(
                    "specifying resource version is not allowed when using continue",
                ));
            }
            let (snapshot, position) = resume(store, token)?;
            (snapshot, Some(position))
        }
        None => (
            snapshot(store, freshness(call, limit.is_some())?).await?,
            None,
        ),
    };
    Ok(collect(
        store,
        call,
        &selection,
        &snapshot,
        position.as_ref(),
        limit,
    ))
}

fn collect(
    store: &Store,
    call: &Call,
    selection: &Selection,
    snapshot: &Snapshot,
    position: Option<&Position>,
    limit: Option<usize>,
) -> Page {
    let namespace = match call.path.namespace.as_str() {
        "" => selection
            .namespace()
            .filter(|_| call.entry.resource.namespaced),
        namespace => Some(namespace),
    };
    let after = position.map(|position| (position.namespace.as_str(), position.name.as_str()));
    let mut rest = snapshot.list(&call.entry.rows, namespace, after);
    let found = rest
        .by_ref()
        .filter(|object| selection.matches(object))
        .cloned();
    let objects: Vec<_> = match limit {
        Some(limit) => found.take(limit).collect(),
        None => found.collect(),
    };
    let revision = snapshot.revision();
    let mut page = Page {
        objects,
        revision,
        continues: None,
        remaining: None,
    };
    let full = limit.is_some_and(|limit| page.objects.len() == limit);
    let more = full && rest.any(|object| selection.matches(object));
    if let Some(last) = page.objects.last().filter(|_| more) {
        let position = Position {
            revision: Some(revision),
            namespace: last.key.namespace.to_string(),
            name: last.key.name.to_string(),
        };
        page.continues = Some(position.encode());
        // One was taken from the rest to learn that there is more.
        page.remaining = selection.is_everything().then(|| 1 + rest.count());
        store.pin(snapshot.clone());
    }
    page
}
