//! Bars of the first thread: start of the platform, push to Ready, memory at rest.
//!
//! Measured with the release build, through the same commands a person types.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use crate::{repository, shell, tools};

/// What starts up settles within this time.
const REST: Duration = Duration::from_secs(20);
const KIB_PER_MIB: f64 = 1024.0;
/// `USER_HZ`, which the kernel fixes for everybody who reads /proc.
const TICKS_PER_SECOND: f64 = 100.0;

/// The released program with a data directory of its own.
pub(super) struct Platform {
    program: PathBuf,
    data: PathBuf,
    checkout: PathBuf,
}

impl Platform {
    /// Builds the release program and takes a fresh copy of the samples.
    pub(super) fn prepare() -> Result<Self> {
        super::build_released()?;
        let target = tools::target();
        let folder = std::env::temp_dir().join(format!("foreshore-bench-{}", std::process::id()));
        let checkout = folder.join("checkout");
        fs::create_dir_all(&folder).context("cannot make a folder")?;
        let mut clone = Command::new("git");
        clone
            .args(["clone", "--quiet", "--no-hardlinks"])
            .arg(repository::root())
            .arg(&checkout);
        shell::run(&mut clone)?;
        let platform = Self {
            program: target.join("release/foreshore"),
            data: folder.join("data"),
            checkout,
        };
        platform.git(&["checkout", "--quiet", "-B", "main"])?;
        Ok(platform)
    }

    fn foreshore(&self, arguments: &[&str]) -> Result<String> {
        let output = Command::new(&self.program)
            .args(arguments)
            .current_dir(&self.checkout)
            .env("FORESHORE_DATA", &self.data)
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .with_context(|| format!("cannot run `{}`", self.program.display()))?;
        if !output.status.success() {
            bail!(
                "`foreshore {}` ended with {}",
                arguments.join(" "),
                output.status
            );
        }
        String::from_utf8(output.stdout).context("it did not answer in text")
    }

    fn git(&self, arguments: &[&str]) -> Result<()> {
        let mut git = Command::new("git");
        git.args([
            "-c",
            "user.name=bench",
            "-c",
            "user.email=bench@foreshore.local",
        ]);
        shell::run(git.args(arguments).current_dir(&self.checkout))
    }

    fn up(&self) -> Result<Value> {
        let ports = ["--port", "0", "--ingress-port", "0", "--api-port", "0"];
        let usual = ["--quiet", "up", "--detach", "--no-samples", "-o", "json"];
        serde_json::from_str(&self.foreshore(&[&usual[..], &ports].concat())?)
            .context("`up` did not answer in JSON")
    }

    fn down(&self) -> Result<()> {
        self.foreshore(&["--quiet", "down"]).map(|_| ())
    }

    /// Seconds from nothing to a URL that answers.
    pub(super) fn start_once(&self) -> Result<f64> {
        remove(&self.data)?;
        let started = Instant::now();
        self.up()?;
        let elapsed = started.elapsed().as_secs_f64();
        self.down()?;
        Ok(elapsed)
    }

    /// Seconds from a built program to healthy pods in dev, one round for each new setting.
    ///
    /// Includes cargo finding that there is nothing to build.
    pub(super) fn push_to_ready(&self, rounds: usize) -> Result<Vec<f64>> {
        remove(&self.data)?;
        self.up()?;
        let file = self.checkout.join("apps/api/foreshore.yaml");
        let text = fs::read_to_string(&file).context("cannot read the sample's file")?;
        let mut measured = Vec::new();
        // The first round builds and pulls; it is not counted.
        for round in 0..=rounds {
            let changed = text.replace(
                "environment:\n",
                &format!("environment:\n  ROUND: \"{round}\"\n"),
            );
            ensure!(changed != text, "the sample's file has no settings");
            fs::write(&file, changed).context("cannot change the sample")?;
            self.git(&[
                "commit",
                "--quiet",
                "--all",
                "--message",
                &format!("round {round}"),
            ])?;
            let started = Instant::now();
            self.foreshore(&["--quiet", "run", "build", "-C", "apps/api", "--wait"])?;
            if round > 0 {
                measured.push(started.elapsed().as_secs_f64());
            }
        }
        self.down()?;
        Ok(measured)
    }

    /// Processor time of the whole platform at rest, without samples, in percent of one processor.
    pub(super) fn processor_at_rest(&self) -> Result<f64> {
        remove(&self.data)?;
        let up = self.up()?;
        thread::sleep(REST);
        let pid = up["pid"].as_u64().context("`up` names no process")?;
        let before = ticks(pid)?;
        let started = Instant::now();
        thread::sleep(REST);
        let used = ticks(pid)? - before;
        let elapsed = started.elapsed().as_secs_f64();
        self.down()?;
        Ok(used / TICKS_PER_SECOND / elapsed * 100.0)
    }

    /// Resident memory in MiB of the whole platform at rest, without samples.
    pub(super) fn memory_at_rest(&self) -> Result<f64> {
        remove(&self.data)?;
        let up = self.up()?;
        thread::sleep(REST);
        let pid = up["pid"].as_u64().context("`up` names no process")?;
        let status =
            fs::read_to_string(format!("/proc/{pid}/status")).context("the platform has ended")?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .context("no VmRSS")?;
        let kib: f64 = line
            .trim()
            .trim_end_matches(" kB")
            .parse()
            .context("VmRSS is a number")?;
        self.down()?;
        Ok(kib / KIB_PER_MIB)
    }
}

/// Processor time of a process so far, user and system, in ticks of the kernel.
fn ticks(pid: u64) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).context("the platform has ended")?;
    // The name before it may hold anything, also brackets and spaces.
    let (_, rest) = stat.rsplit_once(')').context("no name in its stat")?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let [user, system] = [11, 12].map(|place| fields.get(place).copied().unwrap_or_default());
    let user: f64 = user.parse().context("no user time")?;
    let system: f64 = system.parse().context("no system time")?;
    Ok(user + system)
}

impl Drop for Platform {
    fn drop(&mut self) {
        // A folder that stays in the temporary directory harms nobody.
        if let Some(folder) = self.data.parent() {
            drop(fs::remove_dir_all(folder));
        }
    }
}

fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).context("cannot remove the data")
        }
        _ => Ok(()),
    }
}
