//! A server in the test's own process, and the agent's word as the test wants it.

use std::collections::BTreeMap;
use std::net::TcpListener;

use anyhow::{Context as _, Result, ensure};
use foreshore_image::{ClientOptions, Credentials, RegistryClient};
use foreshore_model::api::{ArrivalAnswer, Status};
use foreshore_model::artifact::{PlanStamp, Source};
use foreshore_model::{
    ArtifactId, ArtifactRecord, Digest, Outcome, Phase, ReleaseFile, ServiceName, clock,
};
use foreshore_server::{Options, Server, credentials};
use foreshore_testkit::cluster::install_crypto;
use foreshore_testkit::environment;
use serde_json::json;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::stage::Stage;

/// The server of a stage, without any cluster.
pub(crate) struct Served {
    pub(crate) stage: Stage,
    url: String,
    http: reqwest::Client,
    _server: Server,
    _shutdown: DropGuard,
}

impl Served {
    pub(crate) async fn start(name: &str) -> Result<Self> {
        install_crypto();
        let stage = Stage::new(name)?;
        let listener = TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let shutdown = CancellationToken::new();
        let options = Options {
            program: Some(environment::foreshore()?),
            ..Options::new(stage.data(), listener)
        };
        let server = Server::start(options, shutdown.clone()).await?;
        Ok(Self {
            url: server.url().to_owned(),
            stage,
            http: reqwest::Client::new(),
            _server: server,
            _shutdown: shutdown.drop_guard(),
        })
    }

    fn token(&self, name: &str) -> Result<String> {
        let credential = credentials::read(&self.stage.data(), name);
        Ok(credential.context("the server made its credentials")?.token)
    }

    async fn post(&self, who: &str, path: &str, body: &serde_json::Value) -> Result<String> {
        let answer = self
            .http
            .post(format!("{}/api/v1{path}", self.url))
            .bearer_auth(self.token(who)?)
            .json(body)
            .send()
            .await?;
        let (code, text) = (answer.status(), answer.text().await?);
        ensure!(code.is_success(), "{code}: {text}");
        Ok(text)
    }

    pub(crate) async fn status(&self) -> Result<Status> {
        let answer = self
            .http
            .get(format!("{}/api/v1/status", self.url))
            .bearer_auth(self.token("owner")?)
            .send()
            .await?;
        Ok(answer.json().await?)
    }

    /// Pushes artifact `n` of a service from the branch `main`; the policy releases it to dev.
    pub(crate) async fn in_dev(&self, service: &str, n: u32) -> Result<ReleaseFile> {
        let text = format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {service}\ndata:\n  n: '{n}'\n"
        );
        let files = BTreeMap::from([(format!("configmap-{service}.yaml"), text)]);
        self.files_in_dev(service, n, &files).await
    }

    /// The same with manifests of one's own.
    pub(crate) async fn files_in_dev(
        &self,
        service: &str,
        n: u32,
        files: &BTreeMap<String, String>,
    ) -> Result<ReleaseFile> {
        let options = ClientOptions {
            credentials: Credentials::Bearer(self.token("owner")?),
            ..ClientOptions::default()
        };
        let registry = self.url.trim_start_matches("http://");
        let client = RegistryClient::new(registry, options)?;
        let pushed = foreshore_artifact::push(&client, &record(service.parse()?, n, files)).await?;
        let body = json!({"service": service, "digest": pushed.digest()});
        let answer: ArrivalAnswer =
            serde_json::from_str(&self.post("owner", "/arrivals", &body).await?)?;
        let release = answer.released.into_iter().next();
        release.context("the policy releases the branch main to dev")
    }

    /// Tells as the agent what became of a release.
    pub(crate) async fn report(
        &self,
        release: &ReleaseFile,
        phase: Phase,
        change: impl FnOnce(&mut Outcome),
    ) -> Result<()> {
        let mut outcome = Outcome {
            environment: release.environment.clone(),
            site: "local".parse()?,
            service: release.service.clone(),
            sequence: release.sequence,
            artifact: release.artifact.clone(),
            commit: self.status().await?.commit,
            phase,
            causes: vec![],
            at: clock::now(),
            operations: 0,
            verdicts: vec![],
        };
        change(&mut outcome);
        let body = json!([outcome]);
        self.post("agent", "/outcomes", &body).await.map(drop)
    }
}

fn record(service: ServiceName, n: u32, files: &BTreeMap<String, String>) -> ArtifactRecord {
    let environments = ["dev", "prod"].map(|name| name.parse().expect("it is a DNS label"));
    // Ids keep the first ten letters.
    let commit = format!("{n:010x}{}", "0".repeat(30));
    ArtifactRecord {
        id: ArtifactId::from_parts("main", &commit, "plan"),
        owner: "shop".to_owned(),
        source: Source {
            commit,
            branch: "main".to_owned(),
            tag: None,
            author: "ada".to_owned(),
            message: format!("change {n}"),
            committed_at: jiff::Timestamp::UNIX_EPOCH,
            modified: false,
        },
        plan: PlanStamp {
            name: "config".to_owned(),
            hash: Digest::of(b"plan"),
            commit: None,
            reference: String::new(),
        },
        tool: "0.1.0".to_owned(),
        images: BTreeMap::new(),
        manifests: environments
            .into_iter()
            .map(|environment| (environment, files.clone()))
            .collect(),
        stages: vec![],
        ci: None,
        checks: Vec::new(),
        definition: String::new(),
        service,
    }
}
