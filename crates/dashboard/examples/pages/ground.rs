//! An engine full of pods and a server that watches it, each a process that ends with this one's.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use futures::StreamExt as _;
use http::Request;
use kube::Client;
use serde_json::{Value, json};
use tokio::process::{Child, Command};
use tokio::time::Instant;

use crate::{Failure, Size};

/// Nothing that is waited for here may take longer.
const LIMIT: Duration = Duration::from_mins(10);
const NODES: &str = "60";
const AT_ONCE: usize = 16;
pub(crate) const NAMESPACE: &str = "bench";

pub(crate) struct Ground {
    pub(crate) url: String,
    pub(crate) kube: Client,
    http: reqwest::Client,
    server: Child,
    _engine: Child,
    _folder: tempfile::TempDir,
}

fn program() -> Result<PathBuf, Failure> {
    Ok(std::env::var_os("FORESHORE_BIN")
        .ok_or("FORESHORE_BIN names the program to measure")?
        .into())
}

fn spawn(arguments: &[&str], data: &std::path::Path) -> Result<Child, Failure> {
    Ok(Command::new(program()?)
        .args(arguments)
        .env("FORESHORE_DATA", data)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?)
}

impl Ground {
    pub(crate) async fn start(size: &Size) -> Result<Self, Failure> {
        foreshore_cluster::install_tls_provider();
        let folder = tempfile::tempdir()?;
        let kubeconfig = folder.path().join("kubeconfig");
        let path = kubeconfig
            .to_str()
            .ok_or("a temporary path is text")?
            .to_owned();
        let engine = spawn(
            &[
                "engine",
                "serve",
                "--kubeconfig",
                &path,
                "--simulated-nodes",
                NODES,
            ],
            &folder.path().join("engine"),
        )?;
        until("the engine", async || kubeconfig.exists()).await?;
        let kube = foreshore_cluster::connect(&kubeconfig, None).await?;
        fill(&kube, size).await?;
        // Nobody else takes the port in this moment; if somebody does, the server says so and ends.
        let listen = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let cluster = format!("local={path}");
        let server = spawn(
            &["server", "--listen", &listen, "--cluster", &cluster],
            &folder.path().join("server"),
        )?;
        let ground = Self {
            url: format!("http://{listen}"),
            kube,
            http: reqwest::Client::new(),
            server,
            _engine: engine,
            _folder: folder,
        };
        let all = format!("of {}", size.services * size.replicas);
        until("the pods page", async || {
            ground
                .text("/pods")
                .await
                .is_ok_and(|page| page.contains(&all))
        })
        .await?;
        Ok(ground)
    }

    pub(crate) async fn text(&self, path: &str) -> Result<String, Failure> {
        let answer = self.http.get(format!("{}{path}", self.url)).send().await?;
        Ok(answer.error_for_status()?.text().await?)
    }

    /// How many bytes an answer has on its way.
    pub(crate) async fn zipped(&self, path: &str) -> Result<usize, Failure> {
        let request = self
            .http
            .get(format!("{}{path}", self.url))
            .header("accept-encoding", "gzip");
        let answer = request.send().await?.error_for_status()?;
        if answer.headers().get("content-encoding").is_none() {
            return Err(format!("`{path}` is not compressed").into());
        }
        Ok(answer.bytes().await?.len())
    }

    /// `VmRSS` of the server.
    pub(crate) fn memory(&self) -> Result<f64, Failure> {
        let id = self.server.id().ok_or("the server has ended")?;
        let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let text = line.ok_or("a process has a size")?;
        let kib: f64 = text.trim().trim_end_matches(" kB").parse()?;
        Ok(kib / 1024.0)
    }
}

async fn until(what: &str, is: impl AsyncFn() -> bool) -> Result<(), Failure> {
    let limit = Instant::now() + LIMIT;
    while !is().await {
        if Instant::now() >= limit {
            return Err(format!("waited {LIMIT:?} for {what}").into());
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    Ok(())
}

pub(crate) async fn send(
    kube: &Client,
    method: &str,
    path: &str,
    body: &Value,
) -> Result<Value, Failure> {
    let kind = if method == "PATCH" {
        "application/merge-patch+json"
    } else {
        "application/json"
    };
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", kind)
        .body(body.to_string().into_bytes())?;
    Ok(kube.request(request).await?)
}

async fn fill(kube: &Client, size: &Size) -> Result<(), Failure> {
    let namespace =
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
    send(kube, "POST", "/api/v1/namespaces", &namespace).await?;
    let path = format!("/apis/apps/v1/namespaces/{NAMESPACE}/deployments");
    let mut made = futures::stream::iter((0..size.services).map(|number| {
        let (kube, path) = (kube.clone(), path.clone());
        let replicas = size.replicas;
        async move { send(&kube, "POST", &path, &deployment(number, replicas)).await }
    }))
    .buffer_unordered(AT_ONCE);
    while let Some(answer) = made.next().await {
        answer?;
    }
    let wanted = size.services * size.replicas;
    until("every pod to be ready", async || {
        let list = send(kube, "GET", &path, &Value::Null)
            .await
            .unwrap_or_default();
        let items = list["items"].as_array().cloned().unwrap_or_default();
        let ready = items
            .iter()
            .filter_map(|item| item["status"]["readyReplicas"].as_u64());
        usize::try_from(ready.sum::<u64>()).is_ok_and(|ready| ready == wanted)
    })
    .await
}

fn deployment(number: usize, replicas: usize) -> Value {
    let name = format!("service-{number:03}");
    let labels =
        json!({"app": name, "foreshore.local/service": name, "foreshore.local/environment": "dev"});
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "labels": labels},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": {
            "metadata": {"labels": labels},
            "spec": {"containers": [{"name": "app", "image": "registry/app:1",
                "readinessProbe": {"httpGet": {"path": "/health", "port": 8080}},
                "resources": {"requests": {"cpu": "1m", "memory": "1Mi"}}}]},
        }},
    })
}
