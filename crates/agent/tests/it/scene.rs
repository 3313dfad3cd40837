//! One environment of its own for a test, with everything in place.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use foreshore_agent::{Agent, Handle, Options};
use foreshore_cluster::{
    ApplyMode, Client, Cluster, ENVIRONMENT_LABEL, Inventory, Reference, SERVICE_LABEL,
};
use foreshore_model::{EnvironmentName, Outcome, Phase, ServiceName, SiteName};
use foreshore_testkit::cluster::Kind;
use foreshore_testkit::wait;
use serde_json::{Value, json};
use tokio::sync::broadcast;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::nodes;
use crate::repository::Repository;
use crate::wire::Wire;

/// How long anything in these tests may take; they share few processors.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) struct Scene {
    pub(crate) environment: EnvironmentName,
    pub(crate) namespace: String,
    pub(crate) repository: Repository,
    /// Sees the cluster as it is, past every wire.
    pub(crate) cluster: Cluster,
    pub(crate) wire: Wire,
}

/// A running agent; `kill` ends it as `kill -9` does, between two awaits.
pub(crate) struct Running {
    pub(crate) handle: Handle,
    outcomes: broadcast::Receiver<Outcome>,
    backlog: Vec<Outcome>,
    task: JoinHandle<()>,
}

impl Scene {
    pub(crate) async fn new(kind: Kind, name: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let namespace = format!("agent-{name}-{}-{number}", std::process::id());
        let environment = EnvironmentName::new(format!("{name}-{number}")).unwrap();
        let client: Client = Wire::new(kind).client().await;
        nodes::pretend(client.clone(), &namespace);
        Self {
            repository: Repository::new(&environment, &namespace),
            environment,
            namespace,
            cluster: Cluster::new(client),
            wire: Wire::new(kind),
        }
    }

    pub(crate) async fn options(&self) -> Options {
        self.options_through(&self.wire).await
    }

    /// The same for an agent that has a wire of its own.
    pub(crate) async fn options_through(&self, wire: &Wire) -> Options {
        let mut options = Options::new(
            wire.client().await,
            Arc::new(self.repository.clone()),
            vec![self.environment.clone()],
            SiteName::new("local").unwrap(),
        );
        options.poll_interval = Duration::from_millis(50);
        options.cluster.try_timeout = Duration::from_secs(5);
        options
    }

    /// Starts an agent on this environment.
    pub(crate) async fn start(&self) -> Running {
        self.start_with(self.options().await)
    }

    #[expect(
        clippy::unused_self,
        reason = "an agent without a scene has nothing to do"
    )]
    pub(crate) fn start_with(&self, options: Options) -> Running {
        let (agent, handle) = Agent::new(options).unwrap();
        let outcomes = handle.outcomes();
        let task = tokio::spawn(agent.run(CancellationToken::new()));
        Running {
            handle,
            outcomes,
            backlog: Vec::new(),
            task,
        }
    }

    pub(crate) async fn get(&self, api_version: &str, kind: &str, name: &str) -> Option<Value> {
        let reference = Reference::new(api_version, kind, &self.namespace, name);
        self.cluster.get(&reference).await.unwrap()
    }

    /// Changes the object of the service `web` as somebody else would.
    pub(crate) async fn meddle(&self) {
        let theirs = json!({"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "web", "namespace": self.namespace,
                "labels": {SERVICE_LABEL: "web", ENVIRONMENT_LABEL: self.environment.as_str()}},
            "data": {"key": "theirs"}});
        self.cluster.apply(&theirs, ApplyMode::Force).await.unwrap();
    }

    /// Whether the API serves a kind at all.
    pub(crate) async fn has(&self, api_version: &str, kind: &str) -> bool {
        self.cluster.resource(api_version, kind).await.is_ok()
    }

    pub(crate) async fn inventory(&self, service: &str) -> Option<Inventory> {
        let service = ServiceName::new(service).unwrap();
        self.cluster
            .inventory(&self.namespace, &self.environment, &service)
            .await
            .unwrap()
    }

    /// Names of the objects in the inventory, sorted.
    pub(crate) async fn listed(&self, service: &str) -> Vec<String> {
        let inventory = self.inventory(service).await;
        let mut names: Vec<String> = inventory
            .map_or_else(Vec::new, |inventory| inventory.entries)
            .iter()
            .map(|entry| entry.reference().to_string())
            .collect();
        names.sort();
        names
    }

    pub(crate) async fn until<F: Future<Output = bool>>(
        &self,
        what: &str,
        condition: impl FnMut() -> F,
    ) {
        wait::until(what, PATIENCE, condition).await.unwrap();
    }
}

impl Running {
    /// Waits for a phase of a release and returns its outcome; what was said of
    /// this service before is over then.
    pub(crate) async fn phase(&mut self, service: &str, sequence: u64, phase: Phase) -> Outcome {
        self.first(service, |outcome| {
            outcome.sequence == sequence && outcome.phase == phase
        })
        .await
    }

    /// Waits for the first outcome of a service that is meant.
    pub(crate) async fn first(
        &mut self,
        service: &str,
        is_meant: impl Fn(&Outcome) -> bool,
    ) -> Outcome {
        let deadline = Instant::now() + PATIENCE;
        let mut heard = Vec::new();
        loop {
            let next = self
                .backlog
                .iter()
                .position(|outcome| outcome.service.as_str() == service);
            let Some(index) = next else {
                let next = tokio::time::timeout_at(deadline, self.outcomes.recv()).await;
                let Ok(outcome) = next else {
                    panic!("what is waited for of {service} was not said; heard {heard:#?}");
                };
                self.backlog.push(outcome.unwrap());
                continue;
            };
            let outcome = self.backlog.remove(index);
            if is_meant(&outcome) {
                return outcome;
            }
            heard.push(format!(
                "{} {:?} {:?}",
                outcome.sequence, outcome.phase, outcome.causes
            ));
        }
    }

    /// Returns what was said since the last question.
    pub(crate) fn said(&mut self) -> Vec<Outcome> {
        let mut said = std::mem::take(&mut self.backlog);
        said.extend(std::iter::from_fn(|| self.outcomes.try_recv().ok()));
        said
    }

    pub(crate) async fn kill(self) {
        self.task.abort();
        drop(self.task.await);
    }
}

pub(crate) fn config(name: &str, value: &str) -> String {
    format!(
        "{{apiVersion: v1, kind: ConfigMap, metadata: {{name: {name}}}, data: {{key: '{value}'}}}}"
    )
}

pub(crate) fn service(name: &str) -> String {
    format!(
        "{{apiVersion: v1, kind: Service, metadata: {{name: {name}}}, spec: {{selector: {{app: {name}}}, ports: [{{port: 80}}]}}}}"
    )
}

/// A deployment whose image decides its fate, see `nodes`.
pub(crate) fn deployment(name: &str, image: &str) -> String {
    format!(
        "{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: {name}}}, spec: {{selector: {{matchLabels: {{app: {name}}}}}, \
         template: {{metadata: {{labels: {{app: {name}}}}}, spec: {{terminationGracePeriodSeconds: 0, containers: [{{name: app, image: {image}, \
         readinessProbe: {{tcpSocket: {{port: 80}}}}}}]}}}}}}}}"
    )
}

/// The same manifest with an annotation on its object.
pub(crate) fn annotated(manifest: &str, key: &str, value: &str) -> String {
    let (head, tail) = manifest.split_once("metadata: {").unwrap();
    format!("{head}metadata: {{annotations: {{{key}: '{value}'}}, {tail}")
}
