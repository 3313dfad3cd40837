//! Bars of the embedded API: beside the real API server and etcd, in the same run, on the
//! same disk, asked by the same `wrk` over TLS.

mod ground;
mod scale;
mod start;
mod watchers;

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};

use super::report::Report;
use crate::{
    terminal,
    tools::{self, Cache},
};
use ground::Ground;

/// Seconds each flow is sent.
const SECONDS: u64 = 10;
const CONNECTIONS: u32 = 64;
const PODS: u32 = 5_000;
/// Time after which memory is looked at.
const REST: Duration = Duration::from_mins(1);
const NODES: u8 = 5;
const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";

/// The programs and a folder for scripts.
struct Bench {
    cache: Cache,
    folder: PathBuf,
    /// Where the built programs are.
    programs: PathBuf,
}

type Part = fn(&Bench, usize) -> Result<()>;

const PARTS: [(&str, Part); 7] = [
    ("start", start::empty),
    ("start", start::filled),
    ("memory", memory),
    ("creates", creates),
    ("lists", lists),
    ("watchers", watchers::measure),
    ("scale", scale::measure),
];

/// Measures every bar, or those of one part, and writes a section for each, ours and the peer's.
pub(super) fn measure(rounds: usize, part: Option<&str>) -> Result<()> {
    let is_asked = |name: &str| part.is_none_or(|part| part == name);
    ensure!(
        PARTS.iter().any(|(name, _)| is_asked(name)),
        "no part is called `{}`; there are start, memory, creates, lists, watchers and scale",
        part.unwrap_or_default()
    );
    let bench = Bench::prepare()?;
    PARTS
        .iter()
        .filter(|(name, _)| is_asked(name))
        .try_for_each(|(_, measure)| measure(&bench, rounds))
}

impl Bench {
    fn prepare() -> Result<Self> {
        let cache = Cache::locate()?;
        tools::ensure_packages()?;
        tools::oracle(&cache)?;
        super::build_released()?;
        let folder = std::env::temp_dir().join(format!("foreshore-engine-{}", std::process::id()));
        fs::create_dir_all(&folder).context("cannot make a folder")?;
        Ok(Self {
            cache,
            folder,
            programs: tools::target().join("release"),
        })
    }

    fn script(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.folder.join(name);
        fs::write(&path, text).context("cannot write a script")?;
        Ok(path)
    }
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

/// Writes the figures of both and their ratio, round by round.
fn sections(title: &str, unit: &str, ours: &[f64], peers: &[f64]) -> Result<()> {
    section(&format!("Engine: {title}"), unit, ours)?;
    section(&format!("Engine: {title}, real API server"), unit, peers)?;
    let ratios: Vec<f64> = ours
        .iter()
        .zip(peers)
        .map(|(ours, peer)| ours / peer)
        .collect();
    section(
        &format!("Engine: {title}, ratio to the real one"),
        "x",
        &ratios,
    )
}

impl Drop for Bench {
    fn drop(&mut self) {
        // A folder that stays in the temporary directory harms nobody.
        drop(fs::remove_dir_all(&self.folder));
    }
}

/// A Lua script that posts objects of unique names, as `wrk` runs it.
fn posts(path: &str, token: &str, body: &str, prefix: &str) -> String {
    format!(
        "local threads = 0\n\
         function setup(thread) thread:set(\"id\", threads) threads = threads + 1 end\n\
         function init(args) count = 0 end\n\
         function request()\n\
           count = count + 1\n\
           local name = string.format(\"{prefix}-%d-%d\", id, count)\n\
           local body = string.gsub('{body}', \"NAME\", name)\n\
           local headers = {{[\"Content-Type\"] = \"application/json\", [\"Authorization\"] = \"Bearer {token}\"}}\n\
           return wrk.format(\"POST\", \"{path}\", headers, body)\n\
         end\n"
    )
}

/// What `wrk` counted.
struct Counted {
    per_second: f64,
    refused: u64,
}

fn wrk(ground: &Ground, path: &str, arguments: &[&str]) -> Result<Counted> {
    let mut command = ground.command(Path::new("wrk"));
    command
        .args(arguments)
        .arg(format!("{}{path}", ground.server()?));
    let output = command
        .output()
        .context("cannot run `wrk`; it is a Debian package")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(
        output.status.success(),
        "`wrk` ended with {}: {text}",
        output.status
    );
    let after = |label: &str| {
        let line = text
            .lines()
            .find(|line| line.trim_start().starts_with(label));
        line.and_then(|line| line.split(':').nth(1)).map(str::trim)
    };
    let per_second = after("Requests/sec").context("`wrk` printed no rate")?;
    let refused = after("Non-2xx or 3xx responses").unwrap_or("0");
    Ok(Counted {
        per_second: per_second.parse().context("a rate is a number")?,
        refused: refused.parse().context("a count is a number")?,
    })
}

/// `VmRSS` a minute after start, with virtual nodes, after two usual questions.
fn memory(bench: &Bench, _: usize) -> Result<()> {
    let mut measured = vec![];
    for kind in ["engine", "real"] {
        let ground = Ground::start(bench, kind, NODES)?;
        ground.kubectl(&["get", "pods", "-A"])?;
        ground.kubectl(&["explain", "pod"])?;
        thread::sleep(REST);
        let mib = ground.memory()?;
        terminal::note(&format!("{kind}: {mib:.1} MiB"));
        measured.push(mib);
    }
    sections(
        "memory a minute after start",
        "MiB",
        &measured[..1],
        &measured[1..],
    )
}

/// Durable creates of `ConfigMaps` of 1 KiB, the grounds taking turns.
fn creates(bench: &Bench, rounds: usize) -> Result<()> {
    let mut measured = [vec![], vec![]];
    let filling = "x".repeat(1024);
    let body = format!(r#"{{"metadata":{{"name":"NAME"}},"data":{{"a":"{filling}"}}}}"#);
    for round in 1..=rounds {
        for (index, kind) in ["engine", "real"].into_iter().enumerate() {
            let ground = Ground::start(bench, kind, 0)?;
            let path = "/api/v1/namespaces/default/configmaps";
            let text = posts(path, &ground.token()?, &body, "c");
            let script = bench.script("creates.lua", &text)?;
            let counted = wrk(
                &ground,
                "",
                &[
                    "-t2",
                    &format!("-c{CONNECTIONS}"),
                    &format!("-d{SECONDS}s"),
                    "-s",
                    &script.display().to_string(),
                ],
            )?;
            ensure!(
                counted.refused == 0,
                "{kind} refused {} creates",
                counted.refused
            );
            terminal::note(&format!(
                "round {round}, {kind}: {:.0}/s",
                counted.per_second
            ));
            measured[index].push(counted.per_second);
        }
    }
    sections(
        "durable creates of 1 KiB",
        "per second",
        &measured[0],
        &measured[1],
    )
}

/// LIST of 5,000 pods, one after the other over one connection.
fn lists(bench: &Bench, rounds: usize) -> Result<()> {
    let mut json = [vec![], vec![]];
    let mut table = [vec![], vec![]];
    for (index, kind) in ["engine", "real"].into_iter().enumerate() {
        let ground = Ground::start(bench, kind, 0)?;
        let token = ground.token()?;
        fill(bench, &ground, &token)?;
        for round in 1..=rounds {
            for (accept, measured) in [("application/json", &mut json), (TABLE, &mut table)] {
                let counted = wrk(
                    &ground,
                    "/api/v1/namespaces/default/pods",
                    &[
                        "-t1",
                        "-c1",
                        &format!("-d{SECONDS}s"),
                        "--timeout",
                        "60s",
                        "-H",
                        &format!("Authorization: Bearer {token}"),
                        "-H",
                        &format!("Accept: {accept}"),
                    ],
                )?;
                ensure!(counted.refused == 0, "{kind} refused a list");
                let milliseconds = 1000.0 / counted.per_second;
                terminal::note(&format!(
                    "round {round}, {kind}, {accept}: {milliseconds:.1} ms"
                ));
                measured[index].push(milliseconds);
            }
        }
    }
    sections("LIST of 5,000 pods as JSON", "ms", &json[0], &json[1])?;
    sections("LIST of 5,000 pods as Table", "ms", &table[0], &table[1])
}

/// Creates pods nobody schedules until there are enough.
fn fill(bench: &Bench, ground: &Ground, token: &str) -> Result<()> {
    let body = r#"{"metadata":{"name":"NAME","labels":{"app":"web","tier":"front"}},"spec":{"schedulerName":"nobody","containers":[{"name":"main","image":"example.org/web:1","ports":[{"containerPort":8080}],"env":[{"name":"A","value":"B"}],"resources":{"requests":{"cpu":"100m","memory":"64Mi"}}}]}}"#;
    for part in 0_u32.. {
        let counted = ground.count("pods")?;
        if counted >= PODS {
            terminal::note(&format!("{counted} pods"));
            return Ok(());
        }
        let path = "/api/v1/namespaces/default/pods";
        let script = bench.script("pods.lua", &posts(path, token, body, &format!("p{part}")))?;
        let script = script.display().to_string();
        wrk(ground, "", &["-t1", "-c16", "-d1s", "-s", &script])?;
    }
    Ok(())
}
