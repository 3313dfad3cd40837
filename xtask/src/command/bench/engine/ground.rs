//! One API server under measurement: ours or the real one.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};

use super::Bench;

/// Time for service accounts to appear after the start.
const SETTLE: Duration = Duration::from_mins(1);

pub(super) struct Ground {
    cluster: Child,
    kubeconfig: String,
    kubectl: std::path::PathBuf,
    /// Programs whose memory counts.
    programs: &'static [&'static str],
    /// Network namespace the API is asked from, without a forwarder in between.
    inside: Option<String>,
}

impl Ground {
    /// Starts a whole cluster in an empty folder.
    pub(super) fn start(bench: &Bench, kind: &str, nodes: u8) -> Result<Self> {
        let nodes = nodes.to_string();
        let ground = Self::launch(bench, kind, &["--simulated-nodes", &nodes])?;
        ground.grant()?;
        Ok(ground)
    }

    /// Starts a cluster and waits for its line.
    pub(super) fn launch(bench: &Bench, kind: &str, arguments: &[&str]) -> Result<Self> {
        let mut cluster = Command::new(bench.programs.join("foreshore-test-cluster"))
            .args([kind, "--until-stdin-closes", "--fsync", "--inside"])
            .args(arguments)
            .env("FORESHORE_CACHE", bench.cache.path())
            .env("FORESHORE_BIN", bench.programs.join("foreshore"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start the cluster")?;
        let stdout = cluster.stdout.take().context("its output was asked for")?;
        let mut lines = BufReader::new(stdout).lines();
        let mut next = |start: &str| -> Result<String> {
            let line = lines.next().context("the cluster did not become ready")??;
            line.strip_prefix(start)
                .map(str::to_owned)
                .with_context(|| format!("`{line}` instead of `{start}`"))
        };
        let outside = next("export KUBECONFIG=")?;
        let inside = next("inside ")?;
        let (pin, within) = inside.split_once(' ').context("two words after `inside`")?;
        let is_engine = kind == "engine";
        Ok(Self {
            kubeconfig: if is_engine {
                outside
            } else {
                within.to_owned()
            },
            kubectl: bench.cache.programs().join("kubectl"),
            programs: if is_engine {
                &["foreshore"]
            } else {
                &["kube-apiserver", "etcd"]
            },
            inside: (!is_engine).then(|| pin.to_owned()),
            cluster,
        })
    }

    /// A command that reaches the API without detour.
    pub(super) fn command(&self, program: &Path) -> Command {
        let Some(pin) = &self.inside else {
            return Command::new(program);
        };
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={pin}")).arg(program);
        command
    }

    pub(super) fn kubeconfig(&self) -> &str {
        &self.kubeconfig
    }

    pub(super) fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        let output = self
            .command(&self.kubectl)
            .args(arguments)
            .env("KUBECONFIG", &self.kubeconfig)
            .output()
            .context("cannot run kubectl")?;
        ensure!(
            output.status.success(),
            "kubectl {}: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Lets the default service account do everything, so that a token suffices.
    pub(super) fn grant(&self) -> Result<()> {
        let end = Instant::now() + SETTLE;
        while let Err(error) = self.kubectl(&["get", "serviceaccount", "default"]) {
            if Instant::now() > end {
                return Err(error);
            }
            thread::sleep(Duration::from_millis(100));
        }
        self.kubectl(&[
            "create",
            "clusterrolebinding",
            "bench",
            "--clusterrole=cluster-admin",
            "--serviceaccount=default:default",
        ])
        .map(drop)
    }

    pub(super) fn token(&self) -> Result<String> {
        let token = self.kubectl(&["create", "token", "default", "--duration=1h"])?;
        Ok(token.trim().to_owned())
    }

    /// Where the API listens.
    pub(super) fn server(&self) -> Result<String> {
        let path = "jsonpath={.clusters[0].cluster.server}";
        let server = self.kubectl(&["config", "view", "--minify", "-o", path])?;
        Ok(server.trim().to_owned())
    }

    pub(super) fn count(&self, plural: &str) -> Result<u32> {
        let path = format!("/api/v1/namespaces/default/{plural}?limit=1");
        let text = self.kubectl(&["get", "--raw", &path])?;
        let list: serde_json::Value = serde_json::from_str(&text).context("no JSON")?;
        let more = list["metadata"]["remainingItemCount"].as_u64().unwrap_or(0);
        let shown = list["items"].as_array().map_or(0, Vec::len);
        u32::try_from(more)
            .map(|more| more + u32::from(shown > 0))
            .context("too many")
    }

    /// Resident memory of the programs under the cluster, in MiB.
    pub(super) fn memory(&self) -> Result<f64> {
        let mut kib = 0.0;
        let mut found = 0;
        for entry in fs::read_dir("/proc").context("cannot list processes")? {
            let path = entry?.path();
            // Processes may end while they are looked at.
            let Ok(status) = fs::read_to_string(path.join("status")) else {
                continue;
            };
            let field = |name: &str| {
                let line = status.lines().find_map(|line| line.strip_prefix(name))?;
                line.split_whitespace().next().map(str::to_owned)
            };
            let name = field("Name:").unwrap_or_default();
            let is_ours = self.programs.contains(&name.as_str())
                && field("Pid:").is_some_and(|pid| self.is_below(&pid));
            if is_ours {
                let resident = field("VmRSS:").context("a process without memory")?;
                let resident: f64 = resident.parse().context("memory is a number")?;
                kib += resident;
                found += 1;
            }
        }
        // Nodes of the engine may be a process of their own, which then counts as ours.
        if found < self.programs.len() {
            bail!("{found} processes of {:?} found", self.programs);
        }
        Ok(kib / 1024.0)
    }

    /// Whether a process descends from this cluster.
    fn is_below(&self, pid: &str) -> bool {
        let wanted = self.cluster.id().to_string();
        let mut pid = pid.to_owned();
        while pid != "0" && pid != "1" {
            if pid == wanted {
                return true;
            }
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"));
            parent.map_or("0", str::trim).clone_into(&mut pid);
        }
        false
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        // It ends when its input does; a failure to end shows in the next start.
        drop(self.cluster.stdin.take());
        drop(self.cluster.wait());
    }
}
