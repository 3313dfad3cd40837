//! Counters of the API server, in the Prometheus text form.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};

/// Requests by verb, resource and code; all three come from small fixed sets.
#[derive(Default)]
pub(crate) struct Metrics {
    requests: Mutex<BTreeMap<(String, String, u16), u64>>,
}

impl Metrics {
    pub(crate) fn count(&self, verb: &str, resource: &str, code: u16) {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        *requests
            .entry((verb.to_owned(), resource.to_owned(), code))
            .or_default() += 1;
    }

    /// `objects` and `watchers` are what the store holds now.
    pub(crate) fn render(
        &self,
        revision: u64,
        objects: &[(String, usize)],
        watchers: usize,
    ) -> String {
        let mut text = String::from(
            "# HELP apiserver_request_total Requests by verb, resource and response code.\n\
             # TYPE apiserver_request_total counter\n",
        );
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        for ((verb, resource, code), count) in requests.iter() {
            writeln!(
                text,
                "apiserver_request_total{{verb=\"{verb}\",resource=\"{resource}\",code=\"{code}\"}} {count}"
            )
            .expect("writing to a string cannot fail");
        }
        text.push_str(
            "# HELP apiserver_storage_objects Stored objects by resource.\n\
             # TYPE apiserver_storage_objects gauge\n",
        );
        for (resource, count) in objects {
            writeln!(
                text,
                "apiserver_storage_objects{{resource=\"{resource}\"}} {count}"
            )
            .expect("writing to a string cannot fail");
        }
        write!(
            text,
            "# HELP foreshore_store_revision Newest revision.\n\
             # TYPE foreshore_store_revision counter\nforeshore_store_revision {revision}\n\
             # HELP foreshore_store_watchers Open watches.\n\
             # TYPE foreshore_store_watchers gauge\nforeshore_store_watchers {watchers}\n"
        )
        .expect("writing to a string cannot fail");
        text
    }
}
