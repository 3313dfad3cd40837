//! The jobs that pushes leave: on the disk, bounded, one after the other.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use foreshore_git::ObjectId;
use foreshore_model::api::{BuildLog, BuildRow, BuildState};
use foreshore_model::{ArtifactId, ServiceName};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::platform::write_private;

/// Jobs that may wait: half a day's pushes, should builds hang.
const WAITING_MAX: usize = 100;
/// Finished jobs that are remembered, with their logs.
const KEPT_MAX: usize = 500;
/// How often a job is begun that ends with the server.
const ATTEMPTS_MAX: u32 = 3;
/// What is shown of a log: its end.
const LOG_SHOWN: u64 = 256 * 1024;

/// Why the queue cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum BuildsError {
    #[error("cannot read the builds in `{path}`")]
    Read {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("`{path}` is no build that this version understands")]
    Format {
        path: PathBuf,
        #[source]
        cause: serde_json::Error,
    },
    #[error("cannot keep a build")]
    Write(#[from] crate::platform::RecordError),
    #[error("cannot keep a build in `{path}`")]
    Sync {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("{WAITING_MAX} builds wait already")]
    Full,
}

/// A job as its file has it.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Kept {
    build: BuildRow,
    attempts: u32,
}

/// What a push asks to be built.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) service: ServiceName,
    pub(crate) reference: String,
    pub(crate) commit: ObjectId,
    pub(crate) pushed_by: String,
}

/// All jobs, by number.
#[derive(Debug)]
pub(crate) struct Builds {
    folder: PathBuf,
    jobs: Mutex<BTreeMap<u64, Kept>>,
    news: Notify,
}

impl Builds {
    /// Reads the jobs that are there; one that was being built when the server ended waits again.
    pub(crate) fn open(folder: PathBuf) -> Result<Self, BuildsError> {
        let failed = |cause| BuildsError::Read {
            path: folder.clone(),
            cause,
        };
        fs::create_dir_all(&folder).map_err(failed)?;
        let mut jobs = BTreeMap::new();
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let Some(number) = number_of(&path) else {
                continue;
            };
            let text = fs::read(&path).map_err(failed)?;
            let mut kept: Kept = serde_json::from_slice(&text)
                .map_err(|cause| BuildsError::Format { path, cause })?;
            if kept.build.state == BuildState::Running {
                kept.build.state = BuildState::Waiting;
            }
            jobs.insert(number, kept);
        }
        Ok(Self {
            folder,
            jobs: Mutex::new(jobs),
            news: Notify::new(),
        })
    }

    pub(crate) fn is_full(&self) -> bool {
        let jobs = self.jobs();
        let waiting = jobs.values().filter(|job| !job.build.state.is_final());
        waiting.count() >= WAITING_MAX
    }

    /// Takes a job in; it is on the disk when this returns.
    pub(crate) fn add(&self, wanted: &Wanted, now: Timestamp) -> Result<BuildRow, BuildsError> {
        if self.is_full() {
            return Err(BuildsError::Full);
        }
        let mut jobs = self.jobs();
        let number = jobs.last_key_value().map_or(0, |(last, _)| *last) + 1;
        let build = BuildRow {
            id: format!("b{number}"),
            service: wanted.service.clone(),
            reference: wanted.reference.clone(),
            commit: wanted.commit.to_string(),
            pushed_by: wanted.pushed_by.clone(),
            at: now,
            state: BuildState::Waiting,
            artifact: None,
            problem: String::new(),
            ended_at: None,
        };
        let kept = Kept {
            build: build.clone(),
            attempts: 0,
        };
        self.keep(number, &kept)?;
        jobs.insert(number, kept);
        self.forget_old(&mut jobs);
        drop(jobs);
        self.news.notify_one();
        Ok(build)
    }

    /// Waits for a job and marks it as begun.
    pub(crate) async fn next(&self, now: fn() -> Timestamp) -> (u64, BuildRow, u32) {
        loop {
            if let Some(begun) = self.begin(now()) {
                return begun;
            }
            self.news.notified().await;
        }
    }

    fn begin(&self, now: Timestamp) -> Option<(u64, BuildRow, u32)> {
        let mut jobs = self.jobs();
        loop {
            let (number, job) = jobs
                .iter_mut()
                .find(|(_, job)| job.build.state == BuildState::Waiting)?;
            let number = *number;
            job.attempts += 1;
            if job.attempts > ATTEMPTS_MAX {
                job.build.state = BuildState::Failed;
                job.build.ended_at = Some(now);
                "the server ended every time it was built".clone_into(&mut job.build.problem);
            } else {
                job.build.state = BuildState::Running;
            }
            let (build, attempt) = (job.build.clone(), job.attempts);
            let kept = job.clone();
            self.note(number, &kept);
            if build.state == BuildState::Running {
                return Some((number, build, attempt));
            }
        }
    }

    /// Notes how a job ended.
    pub(crate) fn finish(&self, number: u64, made: Result<ArtifactId, String>, now: Timestamp) {
        let mut jobs = self.jobs();
        let Some(job) = jobs.get_mut(&number) else {
            return;
        };
        job.build.ended_at = Some(now);
        match made {
            Ok(artifact) => {
                job.build.state = BuildState::Done;
                job.build.artifact = Some(artifact);
            }
            Err(problem) => {
                job.build.state = BuildState::Failed;
                job.build.problem = problem;
            }
        }
        let kept = job.clone();
        self.note(number, &kept);
    }

    /// All jobs, the newest first.
    pub(crate) fn rows(&self, service: Option<&ServiceName>) -> Vec<BuildRow> {
        let jobs = self.jobs();
        let rows = jobs.values().rev().map(|job| job.build.clone());
        rows.filter(|row| service.is_none_or(|service| row.service == *service))
            .collect()
    }

    /// What a person wants to know without asking: what goes on, and what failed last.
    pub(crate) fn shown(&self) -> Vec<BuildRow> {
        let mut seen = Vec::new();
        let mut shown = Vec::new();
        for row in self.rows(None) {
            let newest = !seen.contains(&row.service);
            if !row.state.is_final() || (newest && row.state == BuildState::Failed) {
                shown.push(row.clone());
            }
            if row.state.is_final() && newest {
                seen.push(row.service);
            }
        }
        shown
    }

    /// A job with the end of what it said; none if there is no such job.
    pub(crate) fn log(&self, id: &str) -> io::Result<Option<BuildLog>> {
        let found = {
            let jobs = self.jobs();
            let found = jobs.values().find(|job| job.build.id == id);
            found.map(|job| job.build.clone())
        };
        let Some(build) = found else { return Ok(None) };
        let (bytes, cut) = match fs::File::open(self.log_path(&build.id)) {
            Ok(file) => tail(file)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => (Vec::new(), false),
            Err(error) => return Err(error),
        };
        Ok(Some(BuildLog {
            build,
            text: String::from_utf8_lossy(&bytes).into_owned(),
            cut,
        }))
    }

    pub(crate) fn log_path(&self, id: &str) -> PathBuf {
        self.folder.join(format!("{id}.log"))
    }

    fn keep(&self, number: u64, kept: &Kept) -> Result<(), BuildsError> {
        let text = serde_json::to_vec_pretty(kept).expect("a build is plain data");
        write_private(&self.folder.join(format!("b{number}.json")), &text)?;
        foreshore_sys::sync_directory(&self.folder).map_err(|cause| BuildsError::Sync {
            path: self.folder.clone(),
            cause,
        })
    }

    /// Keeps what only repeats work if it is lost.
    fn note(&self, number: u64, kept: &Kept) {
        if let Err(error) = self.keep(number, kept) {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "cannot note how far a build is"
            );
        }
    }

    fn forget_old(&self, jobs: &mut BTreeMap<u64, Kept>) {
        while jobs.len() > KEPT_MAX + WAITING_MAX {
            let oldest = jobs.iter().find(|(_, job)| job.build.state.is_final());
            let Some(number) = oldest.map(|(number, _)| *number) else {
                return;
            };
            jobs.remove(&number);
            for end in ["json", "log"] {
                // What stays behind is read as an old build at the next start, which is harmless.
                let _gone = fs::remove_file(self.folder.join(format!("b{number}.{end}")));
            }
        }
    }

    fn jobs(&self) -> MutexGuard<'_, BTreeMap<u64, Kept>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn number_of(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?;
    name.strip_prefix('b')?.strip_suffix(".json")?.parse().ok()
}

/// The end of a file, and whether that is not all of it.
fn tail(mut file: fs::File) -> io::Result<(Vec<u8>, bool)> {
    let length = file.metadata()?.len();
    let start = length.saturating_sub(LOG_SHOWN);
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(LOG_SHOWN).read_to_end(&mut bytes)?;
    Ok((bytes, start > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(service: &str, n: u32) -> Wanted {
        Wanted {
            service: service.parse().unwrap(),
            reference: "refs/heads/main".to_owned(),
            commit: format!("{n:040x}").parse().unwrap(),
            pushed_by: "ci".to_owned(),
        }
    }

    fn now() -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    #[test]
    fn a_job_that_was_begun_when_the_server_ended_waits_again_but_not_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Builds::open(folder.path().to_owned()).unwrap();
        open().add(&wanted("web", 1), now()).unwrap();
        for attempt in 1..=ATTEMPTS_MAX {
            let (_, build, found) = open().begin(now()).unwrap();
            assert_eq!((build.id.as_str(), found), ("b1", attempt));
        }
        let builds = open();
        assert!(builds.begin(now()).is_none());
        let row = builds.rows(None).remove(0);
        assert_eq!(row.state, BuildState::Failed);
        assert_eq!(open().rows(None), [row]);
    }

    #[test]
    fn jobs_are_begun_in_the_order_of_their_pushes_and_more_than_fit_are_refused() {
        let folder =
            tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap());
        let builds = Builds::open(folder.path().to_owned()).unwrap();
        for n in 0..WAITING_MAX {
            builds
                .add(&wanted("web", u32::try_from(n).unwrap()), now())
                .unwrap();
        }
        let more = builds.add(&wanted("web", 0), now());
        assert!(matches!(more, Err(BuildsError::Full)), "{more:?}");
        let (number, first, _) = builds.begin(now()).unwrap();
        assert_eq!(first.id, "b1");
        builds.finish(number, Err("no".to_owned()), now());
        builds.add(&wanted("web", 0), now()).unwrap();
        assert_eq!(builds.begin(now()).unwrap().1.id, "b2");
    }

    #[test]
    fn the_newest_failure_of_a_service_is_shown_until_a_build_of_it_is_good() {
        let folder = tempfile::tempdir().unwrap();
        let builds = Builds::open(folder.path().to_owned()).unwrap();
        let build = |made: Result<ArtifactId, String>| {
            builds.add(&wanted("web", 1), now()).unwrap();
            let (number, _, _) = builds.begin(now()).unwrap();
            builds.finish(number, made, now());
        };
        let shown = || -> Vec<String> {
            let shown = builds.shown().into_iter();
            shown.map(|row| row.id).collect()
        };
        build(Err("one".to_owned()));
        build(Err("two".to_owned()));
        assert_eq!(shown(), ["b2"]);
        build(Ok(ArtifactId::from_parts("main", "1", "2")));
        assert!(shown().is_empty());
        builds.add(&wanted("web", 1), now()).unwrap();
        assert_eq!(shown(), ["b4"]);
    }

    #[test]
    fn of_a_long_log_the_end_is_shown() {
        let folder = tempfile::tempdir().unwrap();
        let builds = Builds::open(folder.path().to_owned()).unwrap();
        let id = builds.add(&wanted("web", 1), now()).unwrap().id;
        assert_eq!(builds.log(&id).unwrap().unwrap().text, "");
        let text = format!("{}end", "x".repeat(300_000));
        fs::write(builds.log_path(&id), text).unwrap();
        let log = builds.log(&id).unwrap().unwrap();
        assert!(log.cut && log.text.ends_with("end") && log.text.len() == 256 * 1024);
        assert!(builds.log("../b1").unwrap().is_none());
    }
}
