//! From healthy pods to verdicts: when checks start, what is said meanwhile, what they found.

use foreshore_cluster::Reference;
use foreshore_model::outcome::Cause;
use foreshore_model::{Outcome, Verdict};
use serde_json::Value;
use tokio::sync::OwnedSemaphorePermit;
use tracing::{info, warn};

use super::{Failure, Worker};
use crate::checks::{self, Doors, Plan, Running};
use crate::desired::Desired;

/// The port that speaks HTTP, by the convention of service files and plans.
const HTTP: &str = "http";

/// What is known of the checks of one release.
#[derive(Debug, Default)]
pub(super) struct Checking {
    /// Release and bytes it is about.
    of: Option<(u64, String)>,
    state: State,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    NotYet,
    Running {
        running: Running,
        names: String,
        /// One of the few places for checks that run at the same time.
        _place: OwnedSemaphorePermit,
    },
    Done(Vec<Verdict>),
}

impl Checking {
    /// What the checks found, once they have ended.
    pub(super) fn verdicts(&self) -> Vec<Verdict> {
        match &self.state {
            State::Done(verdicts) => verdicts.clone(),
            _ => Vec::new(),
        }
    }

    /// Forgets what is about other bytes; checks that still run end.
    pub(super) fn is_about(&mut self, desired: &Desired) {
        let now = (desired.release.sequence, desired.manifests_tree.clone());
        if self.of.as_ref() != Some(&now) {
            *self = Self {
                of: Some(now),
                state: State::NotYet,
            };
        }
    }
}

impl Worker {
    /// Checks a release that is healthy; returns what is still to be waited for.
    pub(super) async fn check(&mut self, desired: &Desired) -> Option<Cause> {
        self.checking.is_about(desired);
        if matches!(self.checking.state, State::NotYet) {
            self.checking.state = self.begin(desired).await;
        }
        let State::Running { running, names, .. } = &mut self.checking.state else {
            let waits = matches!(self.checking.state, State::NotYet);
            let message = "healthy; its checks wait for those of other services";
            return waits.then(|| Failure::cause("release", "Checks", message));
        };
        let Some(verdicts) = running.poll() else {
            let message = format!("healthy; running {names}");
            return Some(Failure::cause("release", "Checks", message));
        };
        for verdict in &verdicts {
            info!(
                check = verdict.check,
                verdict = verdict.word(),
                summary = verdict.summary,
                "release checked"
            );
        }
        self.checking.state = State::Done(verdicts);
        None
    }

    async fn begin(&mut self, desired: &Desired) -> State {
        let Some(options) = self.shared.checks.clone() else {
            return State::Done(Vec::new());
        };
        let plan = Plan {
            release: desired.release.clone(),
            manifests_tree: desired.manifests_tree.clone(),
            checks: desired.checks.clone(),
            doors: self.doors(desired, options.ingress.map(|it| it.port())),
        };
        let names = plan.names();
        if names.is_empty() {
            return State::Done(Vec::new());
        }
        if let Some(verdicts) = self.known(desired).await {
            return State::Done(verdicts);
        }
        let names = format!("checks: {}", names.join(", "));
        let Ok(place) = std::sync::Arc::clone(&self.shared.checkers).try_acquire_owned() else {
            return State::NotYet;
        };
        let ended = std::sync::Arc::clone(&self.checked);
        match checks::start(plan, options, move || ended.notify_one()) {
            Ok(running) => State::Running {
                running,
                names,
                _place: place,
            },
            Err(error) => {
                warn!(
                    error = &error as &dyn std::error::Error,
                    "checks not started; will retry"
                );
                State::NotYet
            }
        }
    }

    /// What an earlier run of this agent found out about the very same bytes.
    async fn known(&self, desired: &Desired) -> Option<Vec<Verdict>> {
        let server = self.shared.server.as_ref()?;
        let (environment, service) = (&self.owner.environment, &self.owner.service);
        // Without an answer the checks are made again, which is only more work.
        let outcomes = server.outcomes(environment, service).await.ok()?;
        let is_this = |outcome: &Outcome| {
            outcome.site == self.shared.site && outcome.sequence == desired.release.sequence
        };
        let found = outcomes.into_iter().find(is_this)?.verdicts;
        let same = |verdict: &Verdict| verdict.tree == desired.manifests_tree;
        (!found.is_empty() && found.iter().all(same)).then_some(found)
    }

    fn doors(&self, desired: &Desired, port: Option<u16>) -> Doors {
        let service = web_service(desired, self.owner.service.as_str());
        let inside = match service {
            None => Err("the release has no Service that could be asked".to_owned()),
            Some(service) if !self.has_pods(desired) => {
                let name = service["metadata"]["name"].as_str().unwrap_or_default();
                Err(format!("no pod runs behind Service `{name}`"))
            }
            Some(service) => self.address(service),
        };
        let host = ingress_host(desired);
        Doors {
            inside,
            outside: ingress(desired, port),
            host: host.map(str::to_owned),
            contract: service.is_some_and(|service| http_port(service).is_some()),
        }
    }

    /// The address that the cluster gave a Service.
    fn address(&self, service: &Value) -> Result<String, String> {
        let name = service["metadata"]["name"].as_str().unwrap_or_default();
        let live = Reference::of(service).and_then(|reference| self.shared.world.find(&reference));
        let ip = live
            .as_ref()
            .and_then(|live| live.object["spec"]["clusterIP"].as_str())
            .filter(|ip| !ip.is_empty() && *ip != "None")
            .ok_or_else(|| format!("Service `{name}` has no address of its own"))?;
        let port = http_port(service)
            .or_else(|| service["spec"]["ports"][0]["port"].as_u64())
            .ok_or_else(|| format!("Service `{name}` has no port"))?;
        if ip.contains(':') {
            return Ok(format!("http://[{ip}]:{port}"));
        }
        Ok(format!("http://{ip}:{port}"))
    }

    fn has_pods(&self, desired: &Desired) -> bool {
        let world = &self.shared.world;
        desired.references().any(|reference| {
            let family = world
                .find(&reference)
                .map(|seen| world.descendants(seen.uid()));
            family
                .into_iter()
                .flatten()
                .any(|object| object["kind"] == "Pod")
        })
    }
}

/// The Service through which a service is asked: its namesake, else one that speaks HTTP, else any.
fn web_service<'a>(desired: &'a Desired, name: &str) -> Option<&'a Value> {
    let all = || {
        desired
            .objects
            .iter()
            .filter(|object| object["kind"] == "Service")
    };
    all()
        .find(|object| object["metadata"]["name"] == name)
        .or_else(|| all().find(|object| http_port(object).is_some()))
        .or_else(|| all().next())
}

fn http_port(service: &Value) -> Option<u64> {
    let ports = service["spec"]["ports"].as_array()?;
    let port = ports
        .iter()
        .find(|port| port["name"] == HTTP || port["appProtocol"] == HTTP)?;
    port["port"].as_u64()
}

/// Where users come in: the first host of the first Ingress.
fn ingress(desired: &Desired, port: Option<u16>) -> Result<String, String> {
    let host =
        ingress_host(desired).ok_or_else(|| "the release has no Ingress with a host".to_owned())?;
    let tls = ingress_object(desired)
        .and_then(|object| object["spec"]["tls"].as_array())
        .is_some_and(|tls| !tls.is_empty());
    Ok(match (port, tls) {
        // An ingress on a port of its own is the platform's, which answers there without TLS.
        (Some(port), _) => format!("http://{host}:{port}"),
        (None, true) => format!("https://{host}"),
        (None, false) => format!("http://{host}"),
    })
}

fn ingress_object(desired: &Desired) -> Option<&Value> {
    desired
        .objects
        .iter()
        .find(|object| object["kind"] == "Ingress")
}

fn ingress_host(desired: &Desired) -> Option<&str> {
    ingress_object(desired)?["spec"]["rules"][0]["host"].as_str()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    fn made(manifests: &[&str]) -> Desired {
        let files = fixture::files(1, manifests);
        crate::desired(files, &fixture::dev(), &fixture::web(), "ns", "c").unwrap()
    }

    #[test]
    fn the_service_of_the_same_name_is_asked_before_others_that_speak_http() {
        let other = "{apiVersion: v1, kind: Service, metadata: {name: other}, spec: {ports: [{name: http, port: 9}]}}";
        let own = "{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {ports: [{name: admin, port: 1}, {name: http, port: 80}]}}";
        let desired = made(&[other, own]);
        let found = web_service(&desired, "web").unwrap();
        assert_eq!(http_port(found), Some(80));
        let desired = made(&[other]);
        assert_eq!(http_port(web_service(&desired, "web").unwrap()), Some(9));
        assert_eq!(web_service(&made(&[]), "web"), None);
    }

    #[test]
    fn users_come_by_the_host_of_the_ingress() {
        let plain = "{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: web}, spec: {rules: [{host: a.example.org}]}}";
        let tls = "{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: web}, spec: {tls: [{}], rules: [{host: a.example.org}]}}";
        let check = |manifest: &str, port, expected: &str| {
            assert_eq!(ingress(&made(&[manifest]), port).unwrap(), expected);
        };
        check(plain, None, "http://a.example.org");
        check(tls, None, "https://a.example.org");
        check(tls, Some(8080), "http://a.example.org:8080");
        assert!(
            ingress(&made(&[]), None)
                .unwrap_err()
                .contains("no Ingress")
        );
    }
}
