//! What people look at when a pod does not start: its log and its events.

use serde_json::Value;

use crate::call::{Call, Cluster, escaped};
use crate::error::CallError;

/// The most bytes of a log that are asked for.
const LOG_BYTES_MAX: usize = 64 * 1024;

impl Cluster {
    /// Returns the last lines of a container's log; of its run before this one with `previous`.
    pub async fn log_tail(
        &self,
        namespace: &str,
        pod: &str,
        container: &str,
        lines: usize,
        previous: bool,
    ) -> Result<Vec<String>, CallError> {
        let path = format!(
            "/api/v1/namespaces/{namespace}/pods/{pod}/log?container={}&tailLines={lines}&limitBytes={LOG_BYTES_MAX}&previous={previous}",
            escaped(container)
        );
        let answer = self.call(&Call::get(path)).await?;
        let text = String::from_utf8_lossy(&answer.body);
        let all: Vec<&str> = text.lines().collect();
        let first = all.len().saturating_sub(lines);
        Ok(all[first..].iter().map(|line| (*line).to_owned()).collect())
    }

    /// Returns the events about one object, oldest first.
    pub async fn events(&self, namespace: &str, uid: &str) -> Result<Vec<Value>, CallError> {
        let selector = escaped(&format!("involvedObject.uid={uid}"));
        let path =
            format!("/api/v1/namespaces/{namespace}/events?limit=100&fieldSelector={selector}");
        let mut answer = self.call(&Call::get(path)).await?.json("list of events")?;
        let Value::Array(mut events) = answer["items"].take() else {
            return Err(CallError::Unreadable {
                what: "list of events".to_owned(),
                cause: "it has no items".into(),
            });
        };
        events.sort_by(|one, other| {
            one["lastTimestamp"]
                .as_str()
                .cmp(&other["lastTimestamp"].as_str())
        });
        Ok(events)
    }
}
