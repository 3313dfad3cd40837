//! A running API for one test.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use foreshore_engine_api::{ApiServer, Clock, Kubeconfig, Options, Pki, ResponseBody, UserInfo};
use foreshore_engine_store as store;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower::Service;

/// An API over a store in memory; time stands still unless moved.
pub(crate) struct Ground {
    pub(crate) server: ApiServer,
    time: Arc<Mutex<Timestamp>>,
    directory: TempDir,
}

/// An answer with its body read.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {}", self.text))
    }

    #[track_caller]
    pub(crate) fn expect(self, code: u16) -> Value {
        assert_eq!(self.status.as_u16(), code, "{}", self.text);
        self.json()
    }

    #[track_caller]
    pub(crate) fn refused(self, code: u16, reason: &str) -> String {
        let status = self.expect(code);
        assert_eq!(status["kind"], "Status", "{status}");
        assert_eq!(
            status["reason"].as_str().unwrap_or_default(),
            reason,
            "{status}"
        );
        status["message"].as_str().unwrap().to_owned()
    }
}

impl Ground {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub(crate) async fn start_with(adjust: impl FnOnce(&mut Options)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let start = foreshore_model::clock::now();
        let time = Arc::new(Mutex::new(start));
        let pki = Pki::load_or_create(&directory.path().join("pki"), start).unwrap();
        let store = store::Store::open(store::Options::memory()).unwrap();
        let mut options = Options::new(store, pki);
        options.clock = Clock::new({
            let time = Arc::clone(&time);
            move || *time.lock().unwrap()
        });
        adjust(&mut options);
        let server = ApiServer::start(options).await.unwrap();
        let ground = Self {
            server,
            time,
            directory,
        };
        for namespace in ["default", "kube-system"] {
            let account = json!({"metadata": {"name": "default"}});
            let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts");
            ground.post(&path, account).await.expect(201);
        }
        ground
    }

    pub(crate) fn pass(&self, duration: SignedDuration) {
        *self.time.lock().unwrap() += duration;
    }

    pub(crate) async fn send(
        &self,
        user: &UserInfo,
        request: Request<Full<Bytes>>,
    ) -> Response<ResponseBody> {
        self.server
            .service_as(user.clone())
            .call(request)
            .await
            .unwrap()
    }

    pub(crate) async fn ask(&self, user: &UserInfo, request: Request<Full<Bytes>>) -> Answer {
        read(self.send(user, request).await).await
    }

    async fn admin(&self, method: &str, path: &str, kind: &str, body: impl Into<Bytes>) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", kind)
            .header("user-agent", "tester/1")
            .body(Full::new(body.into()))
            .unwrap();
        self.ask(&UserInfo::admin(), request).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.admin("GET", path, "", "").await
    }

    pub(crate) async fn get_as(&self, path: &str, accept: &str) -> Answer {
        let request = Request::get(path)
            .header("accept", accept)
            .body(Full::default())
            .unwrap();
        self.ask(&UserInfo::admin(), request).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.admin("POST", path, "application/json", body.to_string())
            .await
    }

    pub(crate) async fn post_raw(&self, path: &str, kind: &str, body: impl Into<Bytes>) -> Answer {
        self.admin("POST", path, kind, body).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Answer {
        self.admin("PUT", path, "application/json", body.to_string())
            .await
    }

    pub(crate) async fn delete(&self, path: &str, body: Value) -> Answer {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        self.admin("DELETE", path, "application/json", body).await
    }

    pub(crate) async fn patch(&self, path: &str, kind: &str, body: Value) -> Answer {
        let kind = match kind {
            "apply" => "application/apply-patch+yaml".to_owned(),
            kind => format!("application/{kind}-patch+json"),
        };
        self.admin("PATCH", path, &kind, body.to_string()).await
    }

    /// Serves over TLS until the ground is dropped; writes a kubeconfig.
    pub(crate) async fn listen(&self) -> Served {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shutdown = CancellationToken::new();
        let server = self.server.clone();
        let token = shutdown.clone();
        tokio::spawn(async move { server.serve(vec![listener], token).await.unwrap() });
        let pki = self.server.pki();
        let kubeconfig = self.directory.path().join("kubeconfig");
        Kubeconfig {
            cluster: "foreshore".into(),
            server: format!("https://127.0.0.1:{port}"),
            ca_pem: pki.ca_pem().to_owned(),
            user: "admin".into(),
            credential: pki.credential("admin", &["system:masters"]).unwrap(),
        }
        .write(&kubeconfig)
        .unwrap();
        Served {
            kubeconfig,
            shutdown: shutdown.clone(),
            _guard: shutdown.drop_guard(),
        }
    }
}

/// Where the API listens.
pub(crate) struct Served {
    pub(crate) kubeconfig: PathBuf,
    pub(crate) shutdown: CancellationToken,
    _guard: tokio_util::sync::DropGuard,
}

impl Served {
    /// A kubectl call of this cluster; its caches stay in the test's own directory.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        #[expect(
            clippy::disallowed_methods,
            reason = "the test runner says where kubectl is"
        )]
        let path = std::env::var("FORESHORE_KUBECTL");
        let path = path.unwrap_or_else(|_| "/root/.cache/foreshore/tools/bin/kubectl".to_owned());
        let mut command = Command::new(path);
        command
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            .arg("--cache-dir")
            .arg(self.kubeconfig.with_file_name("cache"))
            .args(arguments)
            .env_remove("KUBECONFIG")
            .env("HOME", self.kubeconfig.parent().unwrap());
        command
    }

    pub(crate) async fn run(&self, arguments: &[&str], input: &str) -> Output {
        use std::io::Write as _;
        let mut command = self.command(arguments);
        command.stdin(std::process::Stdio::piped());
        command
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped());
        let input = input.to_owned();
        let run = move || {
            let mut child = command.spawn().expect("kubectl is installed");
            child.stdin.take().unwrap().write_all(input.as_bytes()).ok();
            child.wait_with_output().unwrap()
        };
        tokio::task::spawn_blocking(run).await.unwrap()
    }

    /// Runs kubectl, which must succeed; returns what it printed.
    pub(crate) async fn kubectl(&self, line: &str) -> String {
        self.kubectl_with(line, "").await
    }

    pub(crate) async fn kubectl_with(&self, line: &str, input: &str) -> String {
        let arguments: Vec<&str> = line.split_whitespace().collect();
        let output = self.run(&arguments, input).await;
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "kubectl {line}\n{out}\n{err}");
        out
    }

    /// Runs kubectl with an editor that is a sed script.
    pub(crate) async fn run_edited(&self, line: &str, script: &str) -> String {
        let arguments: Vec<&str> = line.split_whitespace().collect();
        let mut command = self.command(&arguments);
        command.env("KUBE_EDITOR", format!("sed -i '{script}'"));
        let output = tokio::task::spawn_blocking(move || command.output().unwrap())
            .await
            .unwrap();
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "kubectl {line}\n{out}\n{err}");
        out
    }

    /// Runs kubectl, which must fail; returns its complaint.
    pub(crate) async fn complaint(&self, line: &str, input: &str) -> String {
        let arguments: Vec<&str> = line.split_whitespace().collect();
        let output = self.run(&arguments, input).await;
        assert!(
            !output.status.success(),
            "kubectl {line}\n{}",
            text(&output.stdout)
        );
        text(&output.stderr)
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub(crate) async fn read(response: Response<ResponseBody>) -> Answer {
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    Answer {
        status: parts.status,
        headers: parts.headers,
        text: text(&bytes),
    }
}

pub(crate) fn config_map(name: &str) -> Value {
    json!({"metadata": {"name": name}, "data": {"key": "value"}})
}

pub(crate) fn deployment(name: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "main", "image": "example.org/web:1"}]},
            },
        },
    })
}

pub(crate) fn pod(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"containers": [{"name": "main", "image": "example.org/web:1"}]},
    })
}
