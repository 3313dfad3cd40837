//! A server of its own for each test, and everybody who talks to it.

use std::collections::BTreeMap;
use std::net::TcpListener;

use foreshore_image::{ClientOptions, Credentials, RegistryClient};
use foreshore_model::api::{ArrivalAnswer, Problem, ReleaseAnswer, ServiceStatus, Status};
use foreshore_model::artifact::{PlanStamp, Source};
use foreshore_model::{
    ArtifactId, ArtifactRecord, Digest, Outcome, Phase, ReleaseFile, Verdict, clock,
};
use foreshore_server::{Options, Server, credentials};
use reqwest::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::contract::Contract;

pub(crate) struct Stage {
    folder: tempfile::TempDir,
    url: String,
    http: reqwest::Client,
    contract: Contract,
    shutdown: CancellationToken,
    server: Option<Server>,
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

impl Stage {
    pub(crate) async fn new() -> Self {
        Self::with_webhook(None).await
    }

    /// A server that tells a webhook of every change.
    pub(crate) async fn with_webhook(webhook: Option<Url>) -> Self {
        Self::with(|options| options.webhook = webhook).await
    }

    /// A server with other options than usual.
    pub(crate) async fn with(change: impl FnOnce(&mut Options)) -> Self {
        foreshore_cluster::install_tls_provider();
        // In memory where there is such a folder: what syncing costs is not what is tested here.
        let folder =
            tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap());
        let mut stage = Self {
            url: String::new(),
            folder,
            http: reqwest::Client::new(),
            contract: Contract::new(),
            shutdown: CancellationToken::new(),
            server: None,
        };
        stage.start(change).await;
        stage
    }

    /// Ends the server and starts another from the same directory.
    pub(crate) async fn restart(&mut self, change: impl FnOnce(&mut Options)) {
        self.shutdown.cancel();
        // Connections that are kept open would hold its end up.
        self.http = reqwest::Client::new();
        self.server.take().unwrap().wait().await.unwrap();
        self.start(change).await;
    }

    async fn start(&mut self, change: impl FnOnce(&mut Options)) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let mut options = Options {
            program: None,
            ..Options::new(self.folder.path().to_owned(), listener)
        };
        change(&mut options);
        self.shutdown = CancellationToken::new();
        let server = Server::start(options, self.shutdown.clone()).await.unwrap();
        server.url().clone_into(&mut self.url);
        self.server = Some(server);
    }

    pub(crate) fn token(&self, name: &str) -> String {
        credentials::read(self.folder.path(), name).unwrap().token
    }

    async fn send(
        &self,
        who: &str,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, Problem> {
        let mut request = self
            .http
            .request(method.clone(), format!("{}/api/v1{path}", self.url))
            .bearer_auth(self.token(who));
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.unwrap();
        let is_good = answer.status().is_success();
        let bytes = answer.bytes().await.unwrap();
        let answer: Value = serde_json::from_slice(&bytes).unwrap();
        self.contract
            .check(method.as_str(), path, body, is_good, &answer);
        if is_good {
            Ok(answer)
        } else {
            Err(serde_json::from_value(answer).unwrap())
        }
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> T {
        let answer = self.send("owner", Method::GET, path, None).await.unwrap();
        serde_json::from_value(answer).unwrap()
    }

    /// Asks without a token; returns the status and the text.
    pub(crate) async fn strange(&self, method: Method, path: &str) -> (u16, String) {
        let request = self.http.request(method, format!("{}{path}", self.url));
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    pub(crate) async fn try_get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Problem> {
        let answer = self.send("owner", Method::GET, path, None).await?;
        Ok(serde_json::from_value(answer).unwrap())
    }

    /// Where the source of a service is pushed, with a token.
    pub(crate) fn source(&self, token: &str, service: &str) -> String {
        let host = self.url.trim_start_matches("http://");
        format!("http://ci:{token}@{host}/source/{service}.git")
    }

    /// Issues a token that can push one service.
    pub(crate) async fn ci_token(&self, name: &str, service: &str) -> String {
        let body = json!({"name": name, "push": service});
        let answer: Value = self.post("/tokens", body).await.unwrap();
        answer["token"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn ask<T: DeserializeOwned>(
        &self,
        who: &str,
        method: Method,
        path: &str,
        body: impl Serialize,
    ) -> Result<T, Problem> {
        let body = serde_json::to_value(body).unwrap();
        let answer = self.send(who, method, path, Some(&body)).await?;
        Ok(serde_json::from_value(answer).unwrap())
    }

    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: impl Serialize,
    ) -> Result<T, Problem> {
        self.ask("owner", Method::POST, path, body).await
    }

    pub(crate) async fn put<T: DeserializeOwned>(
        &self,
        path: &str,
        body: impl Serialize,
    ) -> Result<T, Problem> {
        self.ask("owner", Method::PUT, path, body).await
    }

    pub(crate) async fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, Problem> {
        let answer = self.send("owner", Method::DELETE, path, None).await?;
        Ok(serde_json::from_value(answer).unwrap())
    }

    /// Pushes artifact `n` of a service, built from a branch.
    pub(crate) async fn push(&self, service: &str, n: u32, branch: &str) -> (ArtifactId, Digest) {
        let options = ClientOptions {
            credentials: Credentials::Bearer(self.token("owner")),
            ..ClientOptions::default()
        };
        let registry = self.url.trim_start_matches("http://");
        let client = RegistryClient::new(registry, options).unwrap();
        let record = record(service, n, branch);
        let pushed = foreshore_artifact::push(&client, &record).await.unwrap();
        (record.id, pushed.digest().clone())
    }

    /// Pushes artifact `n` and lets policies act on it.
    pub(crate) async fn arrive(&self, service: &str, n: u32) -> ArrivalAnswer {
        let (_, digest) = self.push(service, n, "main").await;
        let request = json!({"service": service, "digest": digest});
        self.post("/arrivals", request).await.unwrap()
    }

    /// Has artifact `n` released to dev by its arrival.
    pub(crate) async fn in_dev(&self, service: &str, n: u32) -> ReleaseFile {
        let answer = self.arrive(service, n).await;
        answer.released.into_iter().next().unwrap()
    }

    /// The same, and healthy there.
    pub(crate) async fn healthy_in_dev(&self, service: &str, n: u32) -> ReleaseFile {
        let release = self.in_dev(service, n).await;
        self.report(&release, Phase::Healthy, |_| {}).await;
        release
    }

    /// Tells as the agent what became of the release that is desired now.
    pub(crate) async fn report(
        &self,
        release: &ReleaseFile,
        phase: Phase,
        change: impl FnOnce(&mut Outcome),
    ) {
        let status = self.status().await;
        let mut outcome = Outcome {
            environment: release.environment.clone(),
            site: "local".parse().unwrap(),
            service: release.service.clone(),
            sequence: release.sequence,
            artifact: release.artifact.clone(),
            commit: status.commit,
            phase,
            causes: vec![],
            at: clock::now(),
            operations: 0,
            verdicts: vec![],
        };
        change(&mut outcome);
        let told: Result<usize, Problem> = self
            .ask("agent", Method::POST, "/outcomes", vec![outcome])
            .await;
        assert_eq!(told.unwrap(), 1);
    }

    pub(crate) async fn status(&self) -> Status {
        self.get("/status").await
    }

    pub(crate) async fn row(&self, environment: &str, service: &str) -> Option<ServiceStatus> {
        let rows = self.status().await.services.into_iter();
        rows.into_iter()
            .find(|row| row.environment.as_str() == environment && row.service.as_str() == service)
    }

    /// Opens a page or stream that needs no JSON.
    pub(crate) async fn open(&self, path: &str) -> reqwest::Response {
        let request = self.http.get(format!("{}{path}", self.url));
        request
            .bearer_auth(self.token("owner"))
            .send()
            .await
            .unwrap()
    }

    /// Asks plain git about the config repository.
    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        let output = std::process::Command::new("git")
            .arg("--git-dir")
            .arg(self.folder.path().join("server/config.git"))
            .args(arguments)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// Asks for a promotion to prod.
    pub(crate) async fn promote(&self, service: &str, key: &str) -> Result<ReleaseAnswer, Problem> {
        self.post("/releases", promotion(service, key)).await
    }
}

pub(crate) fn promotion(service: &str, key: &str) -> Value {
    json!({
        "service": service, "environment": "prod", "selection": {"from": null},
        "reason": "ready", "idempotency_key": key,
    })
}

pub(crate) fn verdict(release: &ReleaseFile, check: &str, passed: bool) -> Verdict {
    Verdict {
        check: check.to_owned(),
        artifact: release.artifact.clone(),
        environment: release.environment.clone(),
        tree: String::new(),
        passed,
        unknown: false,
        gate: true,
        summary: "as the test says".to_owned(),
        at: clock::now(),
    }
}

pub(crate) fn record(service: &str, n: u32, branch: &str) -> ArtifactRecord {
    let manifests = |environment: &str| {
        let text = format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: {service}\nspec:\n  template:\n    spec:\n      containers:\n        - name: app\n          image: app:{n}\n"
        );
        (
            environment.parse().unwrap(),
            BTreeMap::from([(format!("deployment-{service}.yaml"), text)]),
        )
    };
    // Ids keep the first ten letters.
    let commit = format!("{n:010x}{}", "0".repeat(30));
    ArtifactRecord {
        id: ArtifactId::from_parts(branch, &commit, "plan"),
        service: service.parse().unwrap(),
        owner: "shop".to_owned(),
        source: Source {
            commit: commit.clone(),
            branch: branch.to_owned(),
            tag: None,
            author: "ada".to_owned(),
            message: format!("change {n}"),
            committed_at: jiff::Timestamp::from_second(1_790_000_000 + i64::from(n)).unwrap(),
            modified: false,
        },
        plan: PlanStamp {
            name: "rust-service".to_owned(),
            hash: Digest::of(b"plan"),
            commit: None,
            reference: String::new(),
        },
        tool: "0.1.0".to_owned(),
        images: BTreeMap::new(),
        manifests: BTreeMap::from([manifests("dev"), manifests("prod")]),
        stages: vec![],
        ci: None,
        checks: Vec::new(),
        definition: String::new(),
    }
}

#[track_caller]
pub(crate) fn refused<T: std::fmt::Debug>(answer: Result<T, Problem>, code: u8, part: &str) {
    let problem = answer.expect_err("it is refused");
    let said = format!("{} {}", problem.message, problem.hints.join(" "));
    assert_eq!(problem.code, code, "{said}");
    assert!(said.contains(part), "`{part}` is not in: {said}");
}
