//! The thread behind the writer's handle.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use foreshore_git::{Expected, GitError, ObjectId, Push, PushError, RefUpdate, Remote, Repository};
use foreshore_release::Decision;
use jiff::tz::TimeZone;
use tokio::sync::{oneshot, watch};

use super::draft::{Draft, Numbered, Planned};
use super::keys::Keys;
use super::{Answer, Job, Message, Options, Tip};
use crate::error::{ReadError, WriteError, WriteFailure};
use crate::follow::follow;
use crate::layout::{MAIN_REF, REQUESTS_REF};
use crate::reader::Reader;

/// Most jobs in one batch: one batch stays below a second even on a slow disk.
const BATCH_MAX: usize = 64;

/// How often a batch decides again before it gives up.
const ATTEMPTS_MAX: u32 = 10;

type Waiting = (Job, oneshot::Sender<Result<Answer, WriteError>>);

/// Where the newest state is seen: all of it, and its commit alone.
type Watches = (watch::Receiver<Tip>, watch::Receiver<String>);

pub(super) struct Worker {
    repository: Repository,
    options: Options,
    reader: Reader,
    keys: Keys,
    /// Commit up to which reader and keys have read.
    seen: Option<ObjectId>,
    published: watch::Sender<Tip>,
    commit: watch::Sender<String>,
    verified_version: Option<u64>,
    /// Why nothing is acknowledged any more.
    failed_disk: Option<String>,
}

impl Worker {
    pub(super) fn new(
        repository: Repository,
        options: Options,
    ) -> Result<(Self, Watches), WriteFailure> {
        if let Some(remote) = &options.remote {
            fetch(&repository, remote)?;
        }
        let mut reader = Reader::default();
        reader.world.zones = Arc::new(zones());
        let mut keys = Keys::default();
        let refs = repository.refs("refs/heads").map_err(WriteFailure::Git)?;
        let tip = main_of(&refs)?;
        reader.advance_to(&repository, &tip)?;
        reader.read_requests(&repository, &refs);
        keys.read(&repository, None, &tip)?;
        let first = tip_of(&reader).expect("the reader has just read a commit");
        let (commit, commits) = watch::channel(first.commit.to_string());
        let (published, tips) = watch::channel(first);
        let mut worker = Self {
            repository,
            options,
            reader,
            keys,
            seen: Some(tip),
            published,
            commit,
            verified_version: None,
            failed_disk: None,
        };
        worker.read_verified();
        worker.publish();
        Ok((worker, (tips, commits)))
    }

    pub(super) fn run(mut self, receiver: &Receiver<Message>) {
        while let Ok(first) = receiver.recv() {
            let mut waiting = Vec::new();
            let mut looking = Vec::new();
            let rest = std::iter::from_fn(|| receiver.try_recv().ok());
            for message in std::iter::once(first).chain(rest.take(BATCH_MAX - 1)) {
                match message {
                    Message::Job(job, answer) => waiting.push((job, answer)),
                    Message::Refresh(answer) => looking.extend(answer),
                }
            }
            let looked = self.look();
            for answer in looking {
                // Whoever asked may have stopped waiting.
                let _gone = answer.send(looked.clone());
            }
            if !waiting.is_empty() {
                self.carry_out(waiting, looked);
            }
            if let Err(error) = self.repository.tidy() {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "packs of the config repository stay as they are"
                );
            }
        }
    }

    /// Brings the worker to the present tip.
    fn look(&mut self) -> Result<(), WriteError> {
        self.refresh().map_err(|failure| {
            tracing::error!(
                error = &failure as &dyn std::error::Error,
                "config repository cannot be read"
            );
            WriteError::Failed(Arc::new(failure))
        })
    }

    fn refresh(&mut self) -> Result<(), WriteFailure> {
        if let Some(remote) = &self.options.remote {
            fetch(&self.repository, remote)?;
        }
        let refs = self
            .repository
            .refs("refs/heads")
            .map_err(WriteFailure::Git)?;
        let tip = main_of(&refs)?;
        if self.seen.as_ref() != Some(&tip) {
            // A failure half way must not leave a mixture: work on a copy.
            let mut reader = self.reader.clone();
            reader.advance_to(&self.repository, &tip)?;
            self.keys.read(&self.repository, self.seen.as_ref(), &tip)?;
            self.reader = reader;
            self.seen = Some(tip);
        }
        self.reader.read_requests(&self.repository, &refs);
        self.read_verified();
        self.publish();
        Ok(())
    }

    fn read_verified(&mut self) {
        let Some(outcomes) = &self.options.outcomes else {
            return;
        };
        let version = outcomes.version();
        if self.verified_version != Some(version) {
            self.reader.world.verified = outcomes.all_verified();
            self.reader.world.verdicts = outcomes.all_verdicts();
            self.verified_version = Some(version);
        }
    }

    fn publish(&self) {
        let Some(tip) = tip_of(&self.reader) else {
            return;
        };
        let commit = tip.commit.to_string();
        self.published.send_if_modified(|before| {
            let news = before.commit != tip.commit || before.world != tip.world;
            if news {
                *before = tip;
            }
            news
        });
        // After the world, so that who hears of a commit finds it there.
        self.commit.send_if_modified(|before| {
            let news = *before != commit;
            *before = commit;
            news
        });
    }

    fn carry_out(&mut self, mut waiting: Vec<Waiting>, looked: Result<(), WriteError>) {
        let result = match looked {
            Ok(()) => self.write_batch(&mut waiting).map_err(|failure| {
                tracing::error!(
                    error = &failure as &dyn std::error::Error,
                    "config repository cannot be written"
                );
                WriteError::Failed(Arc::new(failure))
            }),
            Err(error) => Err(error),
        };
        match result {
            Ok(answers) => {
                for ((_, sender), answer) in waiting.into_iter().zip(answers) {
                    // Whoever asked may be gone; the key tells the answer again.
                    let _gone = sender.send(answer);
                }
            }
            Err(error) => {
                for (_, sender) in waiting {
                    let _gone = sender.send(Err(error.clone()));
                }
            }
        }
    }

    fn write_batch(
        &mut self,
        waiting: &mut [Waiting],
    ) -> Result<Vec<Result<Answer, WriteError>>, WriteFailure> {
        if let Some(earlier) = &self.failed_disk {
            return Err(WriteFailure::ReadOnly {
                earlier: earlier.clone(),
            });
        }
        for _ in 0..ATTEMPTS_MAX {
            let (draft, planned) = self.decide(waiting)?;
            if draft.is_empty() {
                return Ok(answers(planned, &[]));
            }
            match self.write(&draft) {
                Ok(Some(commits)) => {
                    for (key, index) in draft.keys() {
                        self.keys.insert(key.clone(), commits[index].clone());
                    }
                    let answers = answers(planned, &commits);
                    // Durable already: a failure to read it back must not hide that.
                    if let Err(error) = self.refresh() {
                        tracing::error!(
                            error = &error as &dyn std::error::Error,
                            "config repository cannot be read after a write"
                        );
                    }
                    return Ok(answers);
                }
                Ok(None) => self.refresh()?,
                Err(failure) => {
                    if let WriteFailure::Git(error) = &failure
                        && error.is_fatal()
                    {
                        self.failed_disk = Some(error.to_string());
                    }
                    return Err(failure);
                }
            }
        }
        Err(WriteFailure::Contended {
            attempts: ATTEMPTS_MAX,
        })
    }

    /// Lets every job decide, one after another on what the ones before leave.
    fn decide(&self, waiting: &mut [Waiting]) -> Result<(Draft, Vec<Planned>), WriteFailure> {
        let now = (self.options.clock)();
        let tip = self
            .seen
            .clone()
            .expect("the worker has read a commit before it takes jobs");
        let mut draft = Draft::new(self.reader.clone(), tip);
        let mut planned = Vec::with_capacity(waiting.len());
        for (job, _) in waiting {
            if let Some(answer) = self.keys.answer(&self.repository, &job.key)? {
                planned.push(Planned::Answer(Box::new(answer)));
                continue;
            }
            if let Some(known) = draft.known(&job.key) {
                planned.push(known);
                continue;
            }
            planned.push(match (job.decide)(&draft.reader.world, now) {
                Ok(Decision::Commit(commit)) => draft.commit(&job.key, *commit, now),
                Ok(Decision::Propose(proposal)) => draft.propose(*proposal, now),
                Ok(Decision::Unchanged(release)) => {
                    Planned::Answer(Box::new(Answer::Unchanged(*release)))
                }
                Ok(Decision::NotHeld) => Planned::Answer(Box::new(Answer::NotHeld)),
                Err(refusal) => Planned::Answer(Box::new(Answer::Refused(refusal))),
            });
        }
        Ok((draft, planned))
    }

    /// Writes and publishes; none if others moved first.
    fn write(&self, draft: &Draft) -> Result<Option<Vec<ObjectId>>, WriteFailure> {
        let written = self.repository.write_commits(&draft.chains())?;
        let updates = draft.updates(&written);
        if let Some(remote) = &self.options.remote {
            match self.repository.push(remote, &pushes(&updates)) {
                Ok(()) => {}
                Err(PushError::Stale { .. }) => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        }
        match self.repository.update_refs(&updates) {
            Ok(()) => Ok(Some(written.into_iter().next().unwrap_or_default())),
            // The remote has it; the copy here follows with the next look.
            Err(GitError::Moved { .. }) if self.options.remote.is_some() => {
                Ok(written.into_iter().next())
            }
            Err(GitError::Moved { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

fn answers(planned: Vec<Planned>, commits: &[ObjectId]) -> Vec<Result<Answer, WriteError>> {
    let answer = |planned| match planned {
        Planned::Answer(answer) => Ok(*answer),
        Planned::Commit(numbered) => {
            let Numbered {
                index,
                subject,
                release,
                hold,
            } = *numbered;
            Ok(Answer::Committed {
                commit: commits[index].to_string(),
                subject,
                release,
                hold,
            })
        }
        Planned::Failed(error) => Err(WriteError::Failed(Arc::new(WriteFailure::Read(error)))),
    };
    planned.into_iter().map(answer).collect()
}

fn tip_of(reader: &Reader) -> Option<Tip> {
    let snapshot = reader.snapshot()?.clone();
    Some(Tip {
        commit: snapshot.commit().clone(),
        world: Arc::new(reader.world.clone()),
        snapshot,
        problems: Arc::new(reader.problems().clone()),
    })
}

/// Returns every time zone that this machine knows, by name.
fn zones() -> BTreeMap<String, TimeZone> {
    let database = jiff::tz::db();
    let mut zones: BTreeMap<String, TimeZone> = database
        .available()
        .filter_map(|name| {
            let zone = database.get(name.as_str()).ok()?;
            Some((name.as_str().to_owned(), zone))
        })
        .collect();
    // A machine without a database knows this one all the same.
    zones.insert("UTC".to_owned(), TimeZone::UTC);
    zones
}

fn main_of(refs: &[(String, ObjectId)]) -> Result<ObjectId, WriteFailure> {
    let main = refs.iter().find(|(name, _)| name == MAIN_REF);
    let main = main.ok_or_else(|| ReadError::MissingFile {
        path: MAIN_REF.to_owned(),
    })?;
    Ok(main.1.clone())
}

fn fetch(repository: &Repository, remote: &Remote) -> Result<(), WriteFailure> {
    let requests = format!("+{REQUESTS_REF}/*:{REQUESTS_REF}/*");
    follow(repository, remote, MAIN_REF, &[&requests], &[])?;
    Ok(())
}

fn pushes(updates: &[RefUpdate]) -> Vec<Push> {
    let push = |update: &RefUpdate| Push {
        name: update.name.clone(),
        new: update.new.clone(),
        expected: match &update.expected {
            Expected::Absent => Expected::Absent,
            Expected::At(id) => Expected::At(id.clone()),
        },
    };
    updates.iter().map(push).collect()
}
