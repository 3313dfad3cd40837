//! Child processes that end with the test, whatever becomes of the test.
//!
//! A child is killed by its process id when its handle is dropped, and by the
//! kernel if the test process itself is killed. Its output goes to a log file.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        LazyLock,
        mpsc::{SyncSender, sync_channel},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use foreshore_sys::Ground;
use rustix::process::{Pid, Signal, kill_process};

/// How much of a log an error message quotes.
const TAIL_LINES: usize = 20;

/// What to start, and where its output goes.
#[derive(Debug)]
pub struct Spec {
    program: PathBuf,
    arguments: Vec<OsString>,
    variables: Vec<(OsString, OsString)>,
    log: PathBuf,
    ground: Option<Ground>,
}

impl Spec {
    /// Starts `program` with stdout and stderr appended to the file `log`.
    pub fn new(program: impl Into<PathBuf>, log: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            arguments: Vec::new(),
            variables: Vec::new(),
            log: log.into(),
            ground: None,
        }
    }

    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    #[must_use]
    pub fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(
            arguments
                .into_iter()
                .map(|argument| argument.as_ref().to_owned()),
        );
        self
    }

    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.variables
            .push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Runs the program inside the network namespace of `ground`.
    #[must_use]
    pub fn inside(mut self, ground: &Ground) -> Self {
        self.ground = Some(ground.clone());
        self
    }

    /// Starts it.
    pub fn start(self) -> Result<Process> {
        let name = self.program.file_name().unwrap_or(self.program.as_os_str());
        let name = name.to_string_lossy().into_owned();
        let log = File::options()
            .create(true)
            .append(true)
            .open(&self.log)
            .with_context(|| format!("cannot open log file `{}`", self.log.display()))?;
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .envs(self.variables)
            .stdin(Stdio::null())
            .stdout(log.try_clone().context("cannot share the log file")?)
            .stderr(log);
        foreshore_sys::die_with_parent(&mut command);
        if let Some(ground) = &self.ground {
            ground.prepare(&mut command);
        }
        let child =
            spawn(command).with_context(|| format!("cannot start `{}`", self.program.display()))?;
        Ok(Process {
            name,
            log: self.log,
            child,
        })
    }
}

/// The kernel's parent-death signal fires when the *thread* that started the
/// child ends, so one thread that lives as long as the process starts them all.
fn spawn(command: Command) -> io::Result<Child> {
    /// A request and where its answer goes.
    type Request = (Command, SyncSender<io::Result<Child>>);
    static STARTER: LazyLock<SyncSender<Request>> = LazyLock::new(|| {
        // Callers wait for their answer, so one place is enough.
        let (requests, queue) = sync_channel::<Request>(1);
        std::thread::Builder::new()
            .name("starter".to_owned())
            .spawn(move || {
                while let Ok((mut command, answer)) = queue.recv() {
                    if let Err(unheard) = answer.send(command.spawn())
                        && let Ok(mut child) = unheard.0
                    {
                        // Nobody waits for this child any more; it may be gone already.
                        child.kill().ok();
                    }
                }
            })
            .expect("a test process may start one more thread");
        requests
    });
    let (answer, child) = sync_channel(1);
    let gone = || io::Error::other("the thread that starts processes is gone");
    STARTER.send((command, answer)).map_err(|_| gone())?;
    child.recv().map_err(|_| gone())?
}

/// A running child process.
#[derive(Debug)]
pub struct Process {
    name: String,
    log: PathBuf,
    child: Child,
}

impl Process {
    /// Process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// File name of the program.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// File its output goes to.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Whole output so far.
    pub fn output(&self) -> Result<String> {
        let bytes = fs::read(&self.log)
            .with_context(|| format!("cannot read log file `{}`", self.log.display()))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Last lines of its output, for error messages.
    pub fn tail(&self) -> String {
        let output = self.output().unwrap_or_else(|error| format!("({error:#})"));
        let lines: Vec<&str> = output.lines().collect();
        lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
    }

    /// Exit status, if it has ended.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child
            .try_wait()
            .with_context(|| format!("cannot look after `{}`", self.name))
    }

    /// Fails with the tail of the log if the process has ended.
    pub fn must_run(&mut self) -> Result<()> {
        if let Some(status) = self.ended()? {
            bail!(
                "`{}` ended with {status}; its log ends:\n{}",
                self.name,
                self.tail()
            );
        }
        Ok(())
    }

    /// Sends `signal`.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let id = i32::try_from(self.child.id()).context("process ids are positive `i32`s")?;
        let id = Pid::from_raw(id).context("a child's process id is not 0")?;
        kill_process(id, signal).with_context(|| format!("cannot signal `{}`", self.name))
    }

    /// Asks it to end, and kills it if it has not done so within `limit`.
    pub async fn stop(&mut self, limit: Duration) -> Result<ExitStatus> {
        if let Some(status) = self.ended()? {
            return Ok(status);
        }
        self.signal(Signal::TERM)?;
        match self.wait(limit).await {
            Ok(status) => Ok(status),
            Err(_still_running) => self.kill(),
        }
    }

    /// Waits until it ends by itself.
    pub async fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let what = format!("`{}` to end", self.name);
        crate::wait::for_some(&what, limit, || {
            let status = self.child.try_wait();
            async move { status.transpose() }
        })
        .await?
        .with_context(|| format!("cannot look after `{}`", self.name))
    }

    /// Kills it and collects it.
    pub fn kill(&mut self) -> Result<ExitStatus> {
        // Fails only when it has ended already, which is what is wanted.
        self.child.kill().ok();
        self.child
            .wait()
            .with_context(|| format!("cannot collect `{}`", self.name))
    }

    /// Waits until `ready` answers true; fails at once if the process ends.
    pub async fn ready<F>(&mut self, limit: Duration, mut ready: impl FnMut() -> F) -> Result<()>
    where
        F: Future<Output = bool>,
    {
        let started = Instant::now();
        loop {
            self.must_run()?;
            let left = limit.saturating_sub(started.elapsed());
            let what = format!("`{}` to be ready", self.name);
            // Short turns, so that a process that has died is noticed.
            let turn = left.min(Duration::from_millis(200));
            if crate::wait::until(&what, turn, &mut ready).await.is_ok() {
                return Ok(());
            }
            if started.elapsed() >= limit {
                bail!(
                    "waited {limit:?} for {what}; its log ends:\n{}",
                    self.tail()
                );
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Err(error) = self.kill() {
            crate::environment::say(&format!("{error:#}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TempDir;

    fn shell(folder: &TempDir, script: &str) -> Process {
        Spec::new("/bin/sh", folder.join("log"))
            .args(["-c", script])
            .start()
            .unwrap()
    }

    fn alive(id: u32) -> bool {
        Path::new(&format!("/proc/{id}")).exists()
    }

    #[tokio::test]
    async fn output_and_exit_status_are_kept() {
        let folder = TempDir::new("process").unwrap();
        let mut process = shell(&folder, "echo out; echo err >&2; exit 3");
        let status = process.wait(Duration::from_secs(5)).await.unwrap();
        assert_eq!(status.code(), Some(3));
        assert_eq!(process.output().unwrap(), "out\nerr\n");
    }

    #[tokio::test]
    async fn a_process_that_dies_before_it_is_ready_shows_its_log() {
        let folder = TempDir::new("process").unwrap();
        let mut process = shell(&folder, "echo no such luck; exit 1");
        let error = process
            .ready(Duration::from_secs(5), || async { false })
            .await
            .unwrap_err();
        assert!(error.to_string().contains("no such luck"), "{error}");
    }

    #[test]
    fn dropping_the_handle_kills_the_process() {
        let folder = TempDir::new("process").unwrap();
        let process = shell(&folder, "exec sleep 600");
        let id = process.id();
        assert!(alive(id));
        drop(process);
        assert!(!alive(id));
    }

    #[test]
    fn a_process_outlives_the_thread_that_asked_for_it() {
        let folder = TempDir::new("process").unwrap();
        let path = folder.join("log");
        let mut process = std::thread::spawn(move || {
            Spec::new("/bin/sh", path)
                .args(["-c", "exec sleep 600"])
                .start()
                .unwrap()
        })
        .join()
        .unwrap();
        assert!(process.ended().unwrap().is_none());
    }

    #[tokio::test]
    async fn a_process_deaf_to_the_polite_signal_is_killed() {
        let folder = TempDir::new("process").unwrap();
        let mut process = shell(
            &folder,
            "trap '' TERM; echo deaf; while :; do sleep 0.1; done",
        );
        let log = process.log().to_owned();
        process
            .ready(Duration::from_secs(5), || {
                let deaf = fs::read_to_string(&log).is_ok_and(|text| text.contains("deaf"));
                async move { deaf }
            })
            .await
            .unwrap();
        let status = process.stop(Duration::from_millis(100)).await.unwrap();
        assert!(!status.success());
    }
}
