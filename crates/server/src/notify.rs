//! Tells a webhook of every change, at least once each and in order, and never holds a release up.
//!
//! The config repository is the outbox: what is still to be told is what comes
//! after the commit that was told last. A webhook that is down for a day gets
//! the day's changes when it is back. One that answers that it will never take
//! a message (4xx, a redirect) is not told that one again: it is given up, in
//! the log, in the status and in the metrics. What a message holds is in
//! `docs/reference/webhook.md`.

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use foreshore_git::{CommitInfo, GitError, LogQuery, ObjectId, trailers_of};
use foreshore_model::api::WebhookState;
use foreshore_model::chain;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::platform::write_private;
use crate::state::State;

/// How long a webhook may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Pause after the first failure; it doubles up to the longest.
const RETRY_FIRST: Duration = Duration::from_millis(500);
const RETRY_MOST: Duration = Duration::from_mins(1);
/// Changes older than so many are not told any more: whoever was away that long reads the audit trail.
const BACKLOG_MAX: usize = 1_000;

/// Why a webhook did not take a message.
#[derive(Debug, thiserror::Error)]
enum NotifyError {
    #[error("cannot reach the webhook")]
    Unreachable(#[source] reqwest::Error),
    #[error("the webhook answered {code}")]
    Answer { code: u16 },
    /// Saying the same again would not help.
    #[error("the webhook answered {code}{}", advice(*code))]
    Refused { code: u16 },
    #[error(transparent)]
    Git(#[from] GitError),
}

/// What a person can do about an answer for good.
fn advice(code: u16) -> &'static str {
    match code {
        300..=399 => ": it leads elsewhere, which is not followed; give the final address",
        401 | 403 => ": the address needs a credential in it",
        404 | 410 => ": nobody is there; correct the address",
        _ => "",
    }
}

/// Codes of those who may take the same message later.
fn is_worth_another_try(code: u16) -> bool {
    code >= 500 || matches!(code, 408 | 425 | 429)
}

/// Follows the config repository and tells a webhook.
pub(crate) struct Notifier {
    state: Arc<State>,
    webhook: Url,
    http: reqwest::Client,
    /// Holds the commit that was told last.
    cursor: PathBuf,
}

impl Notifier {
    pub(crate) fn new(
        state: Arc<State>,
        webhook: Url,
        cursor: PathBuf,
    ) -> Result<Self, reqwest::Error> {
        state.note_webhook(|_| {});
        let http = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Self {
            state,
            webhook,
            http,
            cursor,
        })
    }

    pub(crate) async fn run(self, shutdown: CancellationToken) {
        let mut tips = self.state.writer.subscribe();
        let mut pause = RETRY_FIRST;
        loop {
            tips.borrow_and_update();
            let wait = match self.tell_all().await {
                Ok(()) => {
                    pause = RETRY_FIRST;
                    None
                }
                Err(error) => {
                    tracing::warn!(error = &error as &dyn Error, "webhook not told; will retry");
                    self.note(|webhook| webhook.problem = Some(chain(&error)));
                    let wait = pause;
                    pause = (pause * 2).min(RETRY_MOST);
                    Some(wait)
                }
            };
            let next = async {
                match wait {
                    Some(wait) => {
                        tokio::time::sleep(wait).await;
                        true
                    }
                    None => tips.changed().await.is_ok(),
                }
            };
            tokio::select! {
                goes_on = next => if !goes_on { return },
                () = shutdown.cancelled() => return,
            }
        }
    }

    /// Tells everything after the cursor, oldest first.
    async fn tell_all(&self) -> Result<(), NotifyError> {
        let tip = self.state.writer.current();
        let Some(told) = self.read_cursor() else {
            // At the first start there is nothing that anybody has missed.
            self.write_cursor(&tip.commit);
            return Ok(());
        };
        if told == tip.commit {
            return Ok(());
        }
        let repository = tip.snapshot.repository().clone();
        let commits = tokio::task::spawn_blocking(move || {
            let until = repository.is_ancestor(&told, &tip.commit)?.then_some(told);
            repository.log(&LogQuery {
                from: &tip.commit,
                until: until.as_ref(),
                path: None,
                limit: BACKLOG_MAX,
            })
        });
        let commits = commits.await.unwrap_or_else(|cause| {
            Err(GitError::Start {
                command: "log".to_owned(),
                cause: std::io::Error::other(cause),
            })
        })?;
        for commit in commits.into_iter().rev() {
            match self.tell(&message(&commit)).await {
                Ok(()) => self.note(|webhook| {
                    webhook.told += 1;
                    webhook.problem = None;
                }),
                Err(error @ NotifyError::Refused { .. }) => {
                    tracing::error!(
                        error = &error as &dyn Error,
                        commit = %commit.id,
                        "webhook never hears of this change"
                    );
                    let problem = format!(
                        "{}; it never hears of commit {} ({})",
                        chain(&error),
                        commit.id.short(),
                        commit.subject()
                    );
                    self.note(|webhook| {
                        webhook.given_up += 1;
                        webhook.problem = Some(problem);
                    });
                }
                Err(error) => return Err(error),
            }
            self.write_cursor(&commit.id);
        }
        Ok(())
    }

    fn note(&self, change: impl FnOnce(&mut WebhookState)) {
        self.state.note_webhook(change);
    }

    async fn tell(&self, message: &Value) -> Result<(), NotifyError> {
        let answer = self
            .http
            .post(self.webhook.clone())
            .json(message)
            .send()
            .await
            .map_err(|error| NotifyError::Unreachable(error.without_url()))?;
        let code = answer.status().as_u16();
        if answer.status().is_success() {
            Ok(())
        } else if is_worth_another_try(code) {
            Err(NotifyError::Answer { code })
        } else {
            Err(NotifyError::Refused { code })
        }
    }

    fn read_cursor(&self) -> Option<ObjectId> {
        let text = std::fs::read_to_string(&self.cursor).ok()?;
        text.trim().parse().ok()
    }

    fn write_cursor(&self, commit: &ObjectId) {
        if let Err(error) = write_private(&self.cursor, commit.as_str().as_bytes()) {
            // Telling something twice after a restart is better than not at all.
            tracing::warn!(error = chain(&error), "cannot note what was told");
        }
    }
}

/// What is told of a commit: the subject, who and why, and every trailer.
fn message(commit: &CommitInfo) -> Value {
    let trailers = trailers_of(&commit.message);
    let find = |name: &str| {
        let found = trailers.iter().find(|(key, _)| *key == name);
        found.map(|(_, value)| *value)
    };
    json!({
        "commit": commit.id.as_str(),
        "at": commit.committed_at,
        "subject": commit.subject(),
        "actor": find("Actor"),
        "reason": find("Reason"),
        "release": find("Release"),
        "trailers": trailers,
    })
}
