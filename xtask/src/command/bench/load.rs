//! Bars of the load generator: beside wrk, oha, k6 and hey, against one target, on one pinned processor each.
//!
//! Requests are counted by the target and processor time by the kernel, so no
//! tool's own figures are believed.

mod memory;
mod peers;

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use super::report::Report;
use crate::{shell, terminal, tools};
use peers::Peer;

/// The tools run here, the target on the next one.
const TOOL_PROCESSOR: &str = "0";
const TARGET_PROCESSOR: &str = "1";
const SECONDS: u64 = 5;
const CONNECTIONS: u64 = 64;

/// Measures every bar and writes a section for each.
pub(super) fn measure(rounds: usize) -> Result<()> {
    let processors = thread::available_parallelism().context("cannot count the processors")?;
    ensure!(
        processors.get() >= 2,
        "tool and target need a processor each"
    );
    let bench = Bench::prepare()?;
    let peers = peers::all()?;
    throughput(&bench, &peers, rounds)?;
    for rate in [1_000, 10_000] {
        precision(&bench, rate, rounds)?;
    }
    freeze(&bench, rounds)?;
    memory::idle(&bench, &peers, rounds)?;
    memory::growth(&bench)?;
    starved(&bench, rounds)
}

fn section(title: &str, unit: &str, rounds: &[f64]) -> Result<()> {
    Report {
        title,
        unit,
        profile: "release",
        rounds,
    }
    .write()
}

/// The release builds of generator and target, and a folder for scenarios.
struct Bench {
    generator: PathBuf,
    target: PathBuf,
    folder: PathBuf,
}

impl Bench {
    fn prepare() -> Result<Self> {
        super::build_released()?;
        let built = tools::target().join("release/examples");
        let folder = std::env::temp_dir().join(format!("foreshore-load-{}", std::process::id()));
        fs::create_dir_all(&folder).context("cannot make a folder")?;
        Ok(Self {
            generator: built.join("generate"),
            target: built.join("target"),
            folder,
        })
    }

    /// A command for the generator with a scenario of this flow and profile.
    fn generate(&self, name: &str, flow: &str, profile: &str, url: &str) -> Result<Command> {
        let file = self.folder.join(format!("{name}.scn"));
        let text = format!(
            "scenario \"{name}\"\ntarget base = env URL\ncookies off\n{flow}\nprofile p {profile}\n"
        );
        fs::write(&file, text).context("cannot write a scenario")?;
        let mut command = pinned(&self.generator, TOOL_PROCESSOR);
        command.arg(file).arg("p").arg(format!("base={url}"));
        Ok(command)
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        // A folder that stays in the temporary directory harms nobody.
        drop(fs::remove_dir_all(&self.folder));
    }
}

fn pinned(program: &Path, processor: &str) -> Command {
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", processor]).arg(program);
    command
}

/// The target as a process; it ends with the measurement.
struct Target {
    child: Child,
    port: u16,
}

impl Target {
    fn start(bench: &Bench) -> Result<Self> {
        let mut child = pinned(&bench.target, TARGET_PROCESSOR)
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start the target")?;
        let stdout = child.stdout.take().context("its output was asked for")?;
        let mut line = String::new();
        BufReader::new(stdout)
            .read_line(&mut line)
            .context("the target does not say its port")?;
        let port = line.trim().parse().context("a port is a number")?;
        Ok(Self { child, port })
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn ask(&self, path: &str) -> Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        // In one piece: the target takes each read for a request.
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: t\r\n\r\n").as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (_, body) = answer.split_once("\r\n\r\n").context("no answer")?;
        Ok(body.to_owned())
    }

    fn count(&self) -> Result<f64> {
        self.ask("/_count")?
            .trim()
            .parse()
            .context("a count is a number")
    }

    /// When requests came since the last time, in nanoseconds.
    fn arrivals(&self) -> Result<Vec<f64>> {
        self.ask("/_arrivals")?
            .split_whitespace()
            .map(|line| line.parse().context("a moment is a number"))
            .collect()
    }

    fn signal(&self, name: &str) -> Result<()> {
        shell::run(Command::new("kill").args([name, &self.child.id().to_string()]))
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        // It may be gone already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Seconds of processor time that children which ended have used.
fn processor_seconds() -> Result<f64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let (_, rest) = stat.rsplit_once(')').context("stat has a name")?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let read = |place: usize| -> Result<f64> {
        let field: &&str = fields.get(place).context("stat is short")?;
        field.parse().context("stat has numbers")
    };
    // Ticks are a hundredth of a second in this file, on every kernel.
    Ok((read(13)? + read(14)?) / 100.0)
}

/// Runs a tool and returns requests per second of processor time, as target and kernel count them.
fn efficiency(target: &Target, command: &mut Command) -> Result<f64> {
    let (count, used) = (target.count()?, processor_seconds()?);
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run `{}`", shell::spelled(command)))?;
    let used = processor_seconds()? - used;
    let requests = target.count()? - count;
    ensure!(
        requests > 0.0 && used > 0.0,
        "`{}` sent nothing: {}",
        shell::spelled(command),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(requests / used)
}

/// Ratios of one round after the other, each against the peer in the same round.
fn throughput(bench: &Bench, peers: &[Peer], rounds: usize) -> Result<()> {
    let target = Target::start(bench)?;
    let flow = "step a GET {{base}}/a\nstep b GET {{base}}/b";
    let profile = format!(
        "users {CONNECTIONS} for {SECONDS}s workers 1 gate busy <= 100% lateness.p99 < 1h starved <= 100%"
    );
    let mut ratios: Vec<Vec<f64>> = vec![Vec::new(); peers.len()];
    for round in 1..=rounds {
        let own = efficiency(
            &target,
            &mut bench.generate("throughput", flow, &profile, &target.url())?,
        )?;
        for (peer, ratios) in peers.iter().zip(&mut ratios) {
            let mut command = pinned(&peer.program, TOOL_PROCESSOR);
            peer.closed(&mut command, &target.url(), CONNECTIONS, SECONDS);
            let other = efficiency(&target, &mut command)?;
            terminal::note(&format!(
                "round {round}: {:.2} x {}",
                own / other,
                peer.name
            ));
            ratios.push(own / other);
        }
    }
    for (peer, ratios) in peers.iter().zip(&ratios) {
        let title = format!("Load: requests per processor-second, beside {}", peer.name);
        section(&title, &format!("x {}", peer.name), ratios)?;
    }
    Ok(())
}

/// Median distance of arrivals at the target from the line of the plan.
fn precision(bench: &Bench, rate: u32, rounds: usize) -> Result<()> {
    let target = Target::start(bench)?;
    let flow = "step a GET {{base}}/";
    let mut measured = Vec::new();
    for spin in ["", "spin"] {
        measured.clear();
        let profile =
            format!("arrivals {rate}/s for {SECONDS}s connections {CONNECTIONS} workers 1 {spin}");
        for round in 1..=rounds {
            target.arrivals()?;
            let mut command = bench.generate("precision", flow, &profile, &target.url())?;
            let output = command.stdin(Stdio::null()).output()?;
            let deviation = deviation(&target.arrivals()?, f64::from(rate))?;
            terminal::note(&format!(
                "round {round}, {rate}/s {spin}: {deviation:.1} us, exit {:?}",
                output.status.code()
            ));
            measured.push(deviation);
        }
        let how = if spin.is_empty() {
            "asleep in between"
        } else {
            "with `spin`"
        };
        let title = format!("Load: distance from the plan at {rate}/s, {how}");
        section(&title, "us", &measured)?;
    }
    Ok(())
}

/// Median of the distances to the line, which is laid through the median arrival.
fn deviation(arrivals: &[f64], rate: f64) -> Result<f64> {
    ensure!(
        arrivals.len() > 100,
        "only {} requests came",
        arrivals.len()
    );
    let gap = 1e9 / rate;
    let mut offsets: Vec<f64> = Vec::with_capacity(arrivals.len());
    let mut line = 0.0;
    for arrival in arrivals {
        offsets.push(arrival - line);
        line += gap;
    }
    let middle = median(&mut offsets.clone());
    for offset in &mut offsets {
        *offset = (*offset - middle).abs();
    }
    Ok(median(&mut offsets) / 1000.0)
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The target stands still for a second of twelve; the tail must say so.
fn freeze(bench: &Bench, rounds: usize) -> Result<()> {
    let profile = format!("arrivals 1000/s for 12s connections {CONNECTIONS} workers 1 drain 10s");
    let mut measured = Vec::new();
    for round in 1..=rounds {
        let target = Target::start(bench)?;
        let mut command =
            bench.generate("freeze", "step a GET {{base}}/", &profile, &target.url())?;
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start the generator")?;
        thread::sleep(Duration::from_secs(5));
        target.signal("-STOP")?;
        thread::sleep(Duration::from_secs(1));
        target.signal("-CONT")?;
        let report = report(child)?;
        let p99 = report["all"]["latencySeconds"]["p99"]
            .as_f64()
            .context("the report has no p99")?;
        terminal::note(&format!("round {round}: p99 {:.1} ms of 880", p99 * 1000.0));
        measured.push(p99 * 1000.0);
    }
    section(
        "Load: p99 of a run of 12 s at 1,000/s with a freeze of 1 s (880 is true)",
        "ms",
        &measured,
    )
}

fn report(child: Child) -> Result<Value> {
    let output = child
        .wait_with_output()
        .context("cannot collect the generator")?;
    serde_json::from_slice(&output.stdout).context("the generator printed no report")
}

/// Shares its processor with loops that take all of it; every run must end invalid.
fn starved(bench: &Bench, rounds: usize) -> Result<()> {
    let target = Target::start(bench)?;
    let profile = format!("arrivals 20000/s for {SECONDS}s connections {CONNECTIONS} workers 1");
    let mut loops = Vec::new();
    for _ in 0..3 {
        loops.push(
            pinned(Path::new("sh"), TOOL_PROCESSOR)
                .args(["-c", "while :; do :; done"])
                .spawn()?,
        );
    }
    let mut codes = Vec::new();
    for _ in 0..rounds {
        let mut command =
            bench.generate("starved", "step a GET {{base}}/", &profile, &target.url())?;
        let output = command.stdin(Stdio::null()).output()?;
        codes.push(f64::from(output.status.code().unwrap_or(-1)));
    }
    for mut child in loops {
        child.kill()?;
        child.wait()?;
    }
    if codes.iter().any(|code| (code - 7.0).abs() > 0.1) {
        bail!("a starved generator ended with {codes:?}, not always 7");
    }
    section(
        "Load: exit code of a starved generator (7 is invalid)",
        "exit code",
        &codes,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_kept_has_no_deviation_and_a_late_half_has_its_delay() {
        let exact: Vec<f64> = (0..1000)
            .map(|number| 5e6 + f64::from(number) * 1e6)
            .collect();
        assert!(deviation(&exact, 1000.0).unwrap() < 1e-6);
        let late: Vec<f64> = exact
            .iter()
            .enumerate()
            .map(|(place, moment)| moment + if place % 4 < 2 { 0.0 } else { 300_000.0 })
            .collect();
        let found = deviation(&late, 1000.0).unwrap();
        assert!((0.0..=300.0).contains(&found), "{found}");
        assert!(deviation(&exact[..10], 1000.0).is_err());
    }

    #[test]
    fn processor_time_of_children_can_be_read() {
        assert!(processor_seconds().unwrap() >= 0.0);
    }
}
