//! A server, an agent and a cluster with simulated nodes, used through the pages as a browser does.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::Path;
use std::process::Output;
use std::time::Duration;

use foreshore_image::{ClientOptions, Credentials, RegistryClient};
use foreshore_model::ArtifactRecord;
use foreshore_server::credentials::{self, AGENT, OWNER, REVIEWER};
use foreshore_server::roles::{self, AgentOptions, CheckPlace, SupplyChoice};
use foreshore_server::{Options, Server};
use foreshore_testkit::Cluster;
use foreshore_testkit::cluster::{Kind, Options as ClusterOptions};
use kube::Client;
use reqwest::{StatusCode, header, redirect};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

/// Long enough for a loaded machine.
const PATIENCE: Duration = Duration::from_mins(2);

/// The version whose containers end at once.
pub(crate) const UNLUCKY: u32 = 13;

pub(crate) struct Whole {
    pub(crate) url: String,
    _cluster: Cluster,
    pub(crate) kube: Client,
    folder: tempfile::TempDir,
    http: reqwest::Client,
    shutdown: CancellationToken,
    _server: Server,
}

impl Drop for Whole {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// What a page answered.
pub(crate) struct Shown {
    pub(crate) status: StatusCode,
    pub(crate) location: String,
    pub(crate) text: String,
}

impl Whole {
    pub(crate) async fn start(kind: Kind) -> Self {
        foreshore_cluster::install_tls_provider();
        let options = ClusterOptions {
            simulated_nodes: 3,
            ..ClusterOptions::default()
        };
        let cluster = Cluster::start(kind, options).await.unwrap();
        let kube = cluster.client().await.unwrap();
        let folder =
            tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let shutdown = CancellationToken::new();
        let options = Options {
            ground: "simulated nodes".to_owned(),
            program: None,
            ..Options::new(folder.path().to_owned(), listener)
        };
        let server = Server::start(options, shutdown.clone()).await.unwrap();
        let kubeconfig = cluster.kubeconfig().to_owned();
        let client = foreshore_cluster::connect(&kubeconfig, None).await.unwrap();
        server.watch("local".parse().unwrap(), client);
        let url = server.url().to_owned();
        let agent = AgentOptions {
            data: folder.path().to_owned(),
            kubeconfig: Some(kubeconfig),
            context: None,
            in_cluster: false,
            config_repository: format!("{url}/git/config.git"),
            server: url.clone(),
            token: credentials::read(folder.path(), AGENT).unwrap().token,
            environments: server.environments().to_vec(),
            site: "local".parse().unwrap(),
            checks: CheckPlace::Nowhere {
                why: "pods are simulated here, so nothing answers".to_owned(),
            },
            secret_key: None,
            supply: SupplyChoice::default(),
            signers: Vec::new(),
        };
        tokio::spawn({
            let shutdown = shutdown.clone();
            async move {
                roles::agent(agent, shutdown).await.unwrap();
            }
        });
        Self {
            url,
            _cluster: cluster,
            kube,
            folder,
            http: reqwest::Client::builder()
                .redirect(redirect::Policy::none())
                .build()
                .unwrap(),
            shutdown,
            _server: server,
        }
    }

    fn token(&self, name: &str) -> String {
        credentials::read(self.folder.path(), name).unwrap().token
    }

    /// Pushes version `n` of a service, built from `main`; a policy releases it to dev.
    pub(crate) async fn push(&self, service: &str, n: u32) -> String {
        let options = ClientOptions {
            credentials: Credentials::Bearer(self.token(OWNER)),
            ..ClientOptions::default()
        };
        let registry = self.url.trim_start_matches("http://");
        let client = RegistryClient::new(registry, options).unwrap();
        let record = record(service, n);
        let pushed = foreshore_artifact::push(&client, &record).await.unwrap();
        let arrival = json!({"service": service, "digest": pushed.digest()});
        self.api(OWNER, reqwest::Method::POST, "/arrivals", &arrival)
            .await;
        record.id.to_string()
    }

    pub(crate) async fn api(
        &self,
        who: &str,
        method: reqwest::Method,
        path: &str,
        body: &Value,
    ) -> Value {
        let request = self
            .http
            .request(method, format!("{}/api/v1{path}", self.url))
            .bearer_auth(self.token(who))
            .json(body);
        let answer = request.send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap()
    }

    /// Asks as the other person for a promotion, or approves as them.
    pub(crate) async fn as_reviewer(&self, path: &str, body: &Value) -> Value {
        self.api(REVIEWER, reqwest::Method::POST, path, body).await
    }

    /// Waits until the agent has reported a release as healthy.
    pub(crate) async fn healthy(&self, service: &str, environment: &str, sequence: u64) {
        let limit = tokio::time::Instant::now() + PATIENCE;
        loop {
            let status = self
                .api(OWNER, reqwest::Method::GET, "/status", &json!({}))
                .await;
            let rows = status["services"].as_array().unwrap();
            let row = rows
                .iter()
                .find(|row| row["environment"] == environment && row["service"] == service);
            let is_there = row.is_some_and(|row| {
                row["release"]["sequence"] == sequence
                    && row["outcomes"][0]["sequence"] == sequence
                    && row["outcomes"][0]["phase"] == "healthy"
            });
            if is_there {
                return;
            }
            assert!(tokio::time::Instant::now() < limit, "{status}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Runs the program in a directory, as the owner.
    pub(crate) async fn foreshore(&self, folder: &Path, arguments: &[&str]) -> Output {
        tokio::process::Command::new(foreshore_testkit::environment::foreshore().unwrap())
            .args(arguments)
            .current_dir(folder)
            .env("FORESHORE_SERVER", &self.url)
            .env("FORESHORE_TOKEN", self.token(OWNER))
            .output()
            .await
            .unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Shown {
        let request = self
            .http
            .get(format!("{}{path}", self.url))
            .header(header::ACCEPT, "text/html");
        shown(request.send().await.unwrap()).await
    }

    pub(crate) async fn post(&self, fields: &[(&str, &str)]) -> Shown {
        let body: String = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        let request = self
            .http
            .post(format!("{}/act", self.url))
            .header("sec-fetch-site", "same-origin")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(body);
        shown(request.send().await.unwrap()).await
    }

    /// Waits until a page shows something.
    pub(crate) async fn until(&self, path: &str, shows: impl Fn(&str) -> bool) -> String {
        let limit = tokio::time::Instant::now() + PATIENCE;
        loop {
            let page = self.get(path).await.text;
            if shows(&page) {
                return page;
            }
            assert!(
                tokio::time::Instant::now() < limit,
                "{path} never showed it: {page}"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Previews a deed, confirms it, and follows it to its end.
    pub(crate) async fn act(&self, path: &str, fields: &[(&str, &str)]) -> String {
        let (_, done) = self.confirm(path, fields).await;
        let page = self.until(&done, |page| !page.contains("On its way")).await;
        assert!(!page.contains(">Failed<"), "{path}: {page}");
        page
    }

    /// Previews a deed and confirms it; returns the preview and where its result will be.
    pub(crate) async fn confirm(&self, path: &str, fields: &[(&str, &str)]) -> (String, String) {
        let preview = self.get(path).await.text;
        assert!(
            preview.contains("id=cancel autofocus"),
            "Cancel has the focus: {preview}"
        );
        let token = token(&preview);
        let fields = [&[("token", token.as_str())][..], fields].concat();
        let answer = self.post(&fields).await;
        assert_eq!(
            answer.status,
            StatusCode::SEE_OTHER,
            "{path}: {}",
            answer.text
        );
        (preview, answer.location)
    }

    /// Reads an object of the cluster.
    pub(crate) async fn object(&self, path: &str) -> Value {
        let request = http::Request::get(path).body(Vec::new()).unwrap();
        self.kube.request(request).await.unwrap()
    }

    /// Writes an object of the cluster, as its own administrator.
    pub(crate) async fn create(&self, path: &str, object: &Value) {
        let request = http::Request::post(path)
            .header(header::CONTENT_TYPE, "application/json")
            .body(object.to_string().into_bytes())
            .unwrap();
        let _made: Value = self.kube.request(request).await.unwrap();
    }

    pub(crate) async fn delete(&self, path: &str) {
        let request = http::Request::delete(path).body(Vec::new()).unwrap();
        let _gone: Value = self.kube.request(request).await.unwrap();
    }

    /// Waits until an object of the cluster is as it should be.
    pub(crate) async fn until_object(&self, path: &str, is: impl Fn(&Value) -> bool) -> Value {
        let limit = tokio::time::Instant::now() + PATIENCE;
        loop {
            let object = self.object(path).await;
            if is(&object) {
                return object;
            }
            assert!(tokio::time::Instant::now() < limit, "{path} stays {object}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

async fn shown(answer: reqwest::Response) -> Shown {
    let location = answer.headers().get(header::LOCATION);
    Shown {
        status: answer.status(),
        location: location.map_or_else(String::new, |value| value.to_str().unwrap().to_owned()),
        text: answer.text().await.unwrap(),
    }
}

pub(crate) fn token(page: &str) -> String {
    let (_, rest) = page
        .split_once("name=token value=\"")
        .unwrap_or_else(|| panic!("no token in {page}"));
    rest.split_once('"').unwrap().0.to_owned()
}

/// Where the undo of an ended deed leads.
pub(crate) fn undo(page: &str) -> String {
    let (_, rest) = page
        .split_once("<a class=button data-ask href=\"")
        .unwrap_or_else(|| panic!("no undo in {page}"));
    rest.split_once('"').unwrap().0.replace("&amp;", "&")
}

fn record(service: &str, n: u32) -> ArtifactRecord {
    let labels = json!({"app": service, "foreshore.local/service": service});
    let mut annotations =
        json!({"foreshore.local/simulate-cpu": "25m", "foreshore.local/simulate-memory": "48Mi"});
    if n == UNLUCKY {
        annotations["foreshore.local/simulate-crash"] = json!("0");
    }
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": service},
        "spec": {"replicas": 2, "selector": {"matchLabels": {"app": service}}, "template": {
            "metadata": {"labels": labels, "annotations": annotations},
            "spec": {"terminationGracePeriodSeconds": 0, "containers": [{
                "name": "app", "image": format!("app:{n}"),
                "readinessProbe": {"httpGet": {"path": "/health", "port": 8080}, "periodSeconds": 1},
                "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}},
            }]},
        }},
    });
    let mut record = crate::stage::record(service, n, "main");
    let file = format!("deployment-{service}.yaml");
    let files = BTreeMap::from([(file, format!("{deployment:#}\n"))]);
    record.manifests = ["dev", "prod"]
        .map(|environment| (environment.parse().unwrap(), files.clone()))
        .into();
    record
}
