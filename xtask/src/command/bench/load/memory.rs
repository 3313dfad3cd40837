//! What a connection costs the generator while it waits, and what many requests leave behind.

use std::{
    fs,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use super::{Bench, Target, peers::Peer, pinned, section};
use crate::terminal;

const FEW: u64 = 1_000;
const MANY: u64 = 4_000;
/// When all connections stand and have been used.
const SETTLED: Duration = Duration::from_secs(4);
const RUN_SECONDS: u64 = 6;

/// Requests after which memory is compared; a bar speaks of 50 million, which would take ten minutes.
const EARLY: f64 = 1e6;
const LATE: f64 = 1e7;
const GROWTH_LIMIT: Duration = Duration::from_mins(5);

/// Memory of each further connection, of ours while they wait and of wrk's.
pub(super) fn idle(bench: &Bench, peers: &[Peer], rounds: usize) -> Result<()> {
    let flow = "step a GET {{base}}/\nthink 1h";
    let wrk = peers
        .iter()
        .find(|peer| peer.name == "wrk")
        .context("wrk is one of the peers")?;
    let (mut own, mut ratios) = (Vec::new(), Vec::new());
    for round in 1..=rounds {
        let target = Target::start(bench)?;
        let ours = slope(|connections| {
            let profile = format!("users {connections} for {RUN_SECONDS}s workers 1 drain 0s");
            bench.generate("memory", flow, &profile, &target.url())
        })?;
        let theirs = slope(|connections| {
            let mut command = pinned(&wrk.program, super::TOOL_PROCESSOR);
            wrk.closed(&mut command, &target.url(), connections, RUN_SECONDS);
            Ok(command)
        })?;
        terminal::note(&format!(
            "round {round}: {ours:.2} KiB a connection, wrk {theirs:.2} KiB"
        ));
        own.push(ours);
        ratios.push(ours / theirs);
    }
    section("Load: memory of an idle connection", "KiB", &own)?;
    section(
        "Load: memory of an idle connection, beside wrk",
        "x wrk",
        &ratios,
    )
}

/// Kibibytes that each connection above a few adds.
fn slope(command: impl Fn(u64) -> Result<Command>) -> Result<f64> {
    let mut resident = Vec::new();
    for connections in [FEW, MANY] {
        let mut child = silent(&mut command(connections)?)?;
        thread::sleep(SETTLED);
        resident.push(resident_kib(child.id())?);
        child.wait()?;
    }
    let [few, many] = resident[..] else {
        bail!("two sizes were measured");
    };
    Ok((many - few) / f64::from(u32::try_from(MANY - FEW)?))
}

/// What the generator's memory grows by between its first million of requests and its tenth.
pub(super) fn growth(bench: &Bench) -> Result<()> {
    let target = Target::start(bench)?;
    let profile = format!(
        "users {} for {}s workers 1 gate busy <= 100% lateness.p99 < 1h starved <= 100%",
        super::CONNECTIONS,
        GROWTH_LIMIT.as_secs()
    );
    let mut child =
        silent(&mut bench.generate("growth", "step a GET {{base}}/", &profile, &target.url())?)?;
    let measured = || -> Result<f64> {
        until(&target, EARLY)?;
        let early = resident_kib(child.id())?;
        until(&target, LATE)?;
        Ok(resident_kib(child.id())? - early)
    }();
    child.kill()?;
    child.wait()?;
    let grown = measured?;
    terminal::note(&format!("{grown:.0} KiB from 1 to 10 million requests"));
    section(
        "Load: growth of memory from 1 to 10 million requests",
        "KiB",
        &[grown],
    )
}

fn until(target: &Target, requests: f64) -> Result<()> {
    let began = Instant::now();
    while target.count()? < requests {
        if began.elapsed() > GROWTH_LIMIT {
            bail!("{requests} requests did not come in {GROWTH_LIMIT:?}");
        }
        thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}

fn silent(command: &mut Command) -> Result<Child> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("cannot start a tool")
}

/// `taskset` becomes the program it starts, so its process is the right one.
fn resident_kib(pid: u32) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .context("no VmRSS")?;
    line.trim()
        .trim_end_matches(" kB")
        .parse()
        .context("VmRSS is a number")
}
