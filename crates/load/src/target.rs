//! What the target uses meanwhile: its process, its cgroup, or its own metrics.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use foreshore_scenario::{Address, TargetSample, TargetUse};

const EVERY: Duration = Duration::from_secs(1);
/// A target under load may be slow to say how it is.
const TIMEOUT: Duration = Duration::from_secs(2);
/// A day of samples; more would not be seen in a chart.
const SAMPLES_MAX: usize = 86_400;
/// Metrics of one process are far smaller.
const METRICS_MAX: u64 = 4 * 1024 * 1024;

/// Of `/proc`, whatever the kernel's own clock is: the value is part of its interface.
const TICKS_PER_SECOND: f64 = 100.0;

/// Somebody who knows what the target uses, asked once a second in a thread that may block.
#[derive(Clone)]
pub struct Asked {
    /// Who that is, in words.
    pub words: String,
    pub ask: Arc<dyn Fn() -> Result<Reading, String> + Send + Sync>,
}

impl std::fmt::Debug for Asked {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Asked")
            .field("words", &self.words)
            .finish_non_exhaustive()
    }
}

/// One look at the target.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading {
    pub cpu: Used,
    pub memory_bytes: u64,
    /// Pods that are ready, where there are pods.
    pub pods: Option<u32>,
}

/// Processor time, as far as it is told.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Used {
    /// Seconds of all time so far.
    Total(f64),
    /// Processors in use at this moment.
    Now(f64),
}

/// Where the numbers come from.
#[derive(Debug, Clone, Default)]
pub enum TargetSource {
    #[default]
    None,
    Process(u32),
    /// A folder of cgroup v2.
    Cgroup(PathBuf),
    /// A page in Prometheus's text form, over HTTP without TLS.
    Metrics(String),
    Asked(Asked),
}

/// Looks at the target once a second, in a thread of its own.
pub(crate) struct Sampler {
    source: String,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<Vec<TargetSample>, String>>>,
}

impl Sampler {
    pub(crate) fn start(source: &TargetSource, start: Instant) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let words = match source {
            TargetSource::None => String::new(),
            TargetSource::Process(pid) => format!("process {pid}"),
            TargetSource::Cgroup(path) => format!("cgroup {}", path.display()),
            TargetSource::Metrics(url) => url.clone(),
            TargetSource::Asked(asked) => asked.words.clone(),
        };
        let thread = (!matches!(source, TargetSource::None)).then(|| {
            let (source, stop) = (source.clone(), Arc::clone(&stop));
            thread::spawn(move || sample(&source, start, &stop))
        });
        Self {
            source: words,
            stop,
            thread,
        }
    }

    pub(crate) fn finish(mut self) -> TargetUse {
        self.stop.store(true, Ordering::Relaxed);
        let result = match self.thread.take() {
            None => Ok(Vec::new()),
            Some(thread) => {
                thread.thread().unpark();
                thread
                    .join()
                    .unwrap_or_else(|_| Err("the sampler broke".to_owned()))
            }
        };
        let (samples, problem) = match result {
            Ok(samples) => (samples, None),
            Err(problem) => (Vec::new(), Some(problem)),
        };
        TargetUse {
            source: self.source,
            samples,
            problem,
        }
    }
}

fn sample(
    source: &TargetSource,
    start: Instant,
    stop: &AtomicBool,
) -> Result<Vec<TargetSample>, String> {
    let mut samples = Vec::new();
    let mut before = (Instant::now(), read(source)?);
    while !stop.load(Ordering::Relaxed) && samples.len() < SAMPLES_MAX {
        thread::park_timeout(EVERY);
        let now = Instant::now();
        // A look that fails is a gap in the line; the next one may succeed.
        let Ok(reading) = read(source) else {
            continue;
        };
        let elapsed = (now - before.0).as_secs_f64();
        if elapsed > 0.05 {
            let cpu = match (before.1.cpu, reading.cpu) {
                (Used::Total(earlier), Used::Total(now)) => (now - earlier) / elapsed,
                (_, Used::Now(cpu)) => cpu,
                (Used::Now(_), Used::Total(_)) => 0.0,
            };
            samples.push(TargetSample {
                at: now.saturating_duration_since(start).as_secs_f64(),
                cpu: cpu.max(0.0),
                memory_bytes: reading.memory_bytes,
                pods: reading.pods,
            });
            before = (now, reading);
        }
    }
    Ok(samples)
}

fn read(source: &TargetSource) -> Result<Reading, String> {
    match source {
        TargetSource::None => Err("nothing was asked for".to_owned()),
        TargetSource::Process(pid) => process(*pid),
        TargetSource::Cgroup(path) => cgroup(path),
        TargetSource::Asked(asked) => (asked.ask)(),
        TargetSource::Metrics(url) => {
            let text = fetch(url).map_err(|error| format!("cannot read `{url}`: {error}"))?;
            metrics(&text).ok_or_else(|| format!("`{url}` has no `process_cpu_seconds_total`"))
        }
    }
}

fn text(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("cannot read `{}`: {error}", path.display()))
}

#[expect(
    clippy::cast_precision_loss,
    reason = "ticks of processor time stay below 2^53"
)]
fn process(pid: u32) -> Result<Reading, String> {
    let folder = PathBuf::from(format!("/proc/{pid}"));
    let stat = text(&folder.join("stat"))?;
    // The name in brackets may hold anything, so counting starts behind it.
    let fields: Vec<u64> = stat
        .rsplit_once(')')
        .map(|(_, rest)| rest.split_whitespace())
        .into_iter()
        .flatten()
        .map(|field| field.parse().unwrap_or(0))
        .collect();
    let (Some(user), Some(system)) = (fields.get(11), fields.get(12)) else {
        return Err(format!("`/proc/{pid}/stat` cannot be read"));
    };
    let memory_kib: u64 = text(&folder.join("status"))?
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|value| value.trim().strip_suffix(" kB")?.parse().ok())
        .unwrap_or(0);
    Ok(total(
        (user + system) as f64 / TICKS_PER_SECOND,
        memory_kib * 1024,
    ))
}

#[expect(
    clippy::cast_precision_loss,
    reason = "microseconds of processor time stay below 2^53"
)]
fn cgroup(folder: &Path) -> Result<Reading, String> {
    let stat = text(&folder.join("cpu.stat"))?;
    let used: u64 = stat
        .lines()
        .find_map(|line| line.strip_prefix("usage_usec "))
        .and_then(|value| value.trim().parse().ok())
        .ok_or_else(|| format!("`{}/cpu.stat` has no `usage_usec`", folder.display()))?;
    // Memory is not told where its controller is off; processors are what matters.
    let memory = fs::read_to_string(folder.join("memory.current"))
        .ok()
        .and_then(|value| value.trim().parse().ok())
        .unwrap_or(0);
    Ok(total(used as f64 / 1e6, memory))
}

fn total(seconds: f64, memory_bytes: u64) -> Reading {
    Reading {
        cpu: Used::Total(seconds),
        memory_bytes,
        pods: None,
    }
}

fn fetch(url: &str) -> io::Result<String> {
    let invalid = |message: String| io::Error::new(io::ErrorKind::InvalidInput, message);
    let address = Address::parse(url).map_err(invalid)?;
    if address.tls {
        return Err(invalid("only http:// is read".to_owned()));
    }
    let socket = (address.host.as_str(), address.port)
        .to_socket_addrs()?
        .next()
        .ok_or_else(|| invalid("it has no address".to_owned()))?;
    let mut stream = TcpStream::connect_timeout(&socket, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    let path = if address.path.is_empty() {
        "/"
    } else {
        &address.path
    };
    // HTTP/1.0, so that the body comes in one piece and ends with the connection.
    write!(
        stream,
        "GET {path} HTTP/1.0\r\nHost: {}\r\nConnection: close\r\n\r\n",
        address.authority()
    )?;
    let mut answer = Vec::new();
    stream.take(METRICS_MAX).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Reads the numbers every Prometheus client library gives of its process.
fn metrics(text: &str) -> Option<Reading> {
    let value = |name: &str| -> Option<f64> {
        text.lines()
            .filter_map(|line| line.strip_prefix(name))
            .filter(|rest| rest.starts_with([' ', '{']))
            .find_map(|rest| rest.rsplit(' ').next()?.trim().parse().ok())
    };
    let memory = value("process_resident_memory_bytes")
        .unwrap_or(0.0)
        .max(0.0);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "bytes of memory are not negative and fit"
    )]
    Some(total(value("process_cpu_seconds_total")?, memory as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_memory() {
        let reading = process(std::process::id()).unwrap();
        assert!(matches!(reading.cpu, Used::Total(used) if used >= 0.0));
        assert!(reading.memory_bytes > 0);
        assert!(process(u32::MAX).unwrap_err().contains("cannot read"));
    }

    #[test]
    fn a_cgroup_says_what_it_used() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(
            folder.path().join("cpu.stat"),
            "usage_usec 2500000\nuser_usec 1\n",
        )
        .unwrap();
        fs::write(folder.path().join("memory.current"), "4096\n").unwrap();
        assert_eq!(cgroup(folder.path()).unwrap(), total(2.5, 4096));
        fs::write(folder.path().join("cpu.stat"), "nothing\n").unwrap();
        assert!(cgroup(folder.path()).unwrap_err().contains("usage_usec"));
    }

    #[test]
    fn metrics_of_a_process_are_found_among_others() {
        let text = "# HELP x\nprocess_cpu_seconds_total_other 9\nprocess_cpu_seconds_total 1.5\nprocess_resident_memory_bytes 1e6\n";
        assert_eq!(metrics(text), Some(total(1.5, 1_000_000)));
        assert_eq!(metrics("up 1\n"), None);
    }
}
