//! What the target of a load uses, as its cluster's metrics API tells it: ready pods, processors, memory.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use foreshore_cluster::{Cluster, connect};
use foreshore_load::{Asked, Reading, TargetSource, Used};
use foreshore_model::ExitCode;
use foreshore_server::platform::Record;
use serde_json::Value;

use crate::context::Context;
use crate::failure::{Failure, chain};

/// A cluster under load may be slow to say how it is.
const PATIENCE: Duration = Duration::from_secs(5);

/// Pods by namespace and the name their labels carry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TargetService {
    namespace: String,
    name: String,
}

impl TargetService {
    /// Reads `NAMESPACE/NAME`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        match text.split_once('/') {
            Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() => Ok(Self {
                namespace: namespace.to_owned(),
                name: name.to_owned(),
            }),
            _ => Err(format!("`{text}` is not NAMESPACE/NAME")),
        }
    }
}

/// Connects to the cluster that runs the service, so that the run can ask it once a second.
pub(crate) async fn source(
    service: TargetService,
    kubeconfig: Option<PathBuf>,
    context: &Context,
) -> Result<TargetSource, Failure> {
    let path = match kubeconfig {
        Some(path) => path,
        None => platforms(context)?,
    };
    let client = connect(&path, None)
        .await
        .map_err(|error| Failure::from_error(ExitCode::Usage, &error))?;
    let cluster = Cluster::new(client);
    let words = format!(
        "pods of {} in namespace {}, by the cluster's metrics",
        service.name, service.namespace
    );
    let runtime = tokio::runtime::Handle::current();
    let ask = move || {
        // The timer belongs to the runtime, so it is made inside of it.
        runtime
            .block_on(async { tokio::time::timeout(PATIENCE, look(&cluster, &service)).await })
            .unwrap_or_else(|_| Err(format!("the cluster did not answer within {PATIENCE:?}")))
    };
    Ok(TargetSource::Asked(Asked {
        words,
        ask: Arc::new(ask),
    }))
}

/// The kubeconfig of the platform that runs from the data directory.
fn platforms(context: &Context) -> Result<PathBuf, Failure> {
    let record = Record::read(&context.data()?)
        .map_err(|error| Failure::from_error(ExitCode::Failed, &error))?;
    record.and_then(|record| record.kubeconfig).ok_or_else(|| {
        Failure::usage("it is not known which cluster runs the target").hint(
            "name its kubeconfig with --target-kubeconfig, or start a platform with `foreshore up`",
        )
    })
}

async fn look(cluster: &Cluster, service: &TargetService) -> Result<Reading, String> {
    let selector = format!("app.kubernetes.io/name={}", service.name);
    let list = |version: &'static str, kind: &'static str| {
        let selector = selector.clone();
        async move {
            cluster
                .list(version, kind, &service.namespace, &selector)
                .await
                .map_err(|error| chain(&error))
        }
    };
    let (pods, usage) = tokio::join!(
        list("v1", "Pod"),
        list("metrics.k8s.io/v1beta1", "PodMetrics")
    );
    let (pods, usage) = (pods?, usage?);
    let mut used = (0.0, 0.0);
    for container in usage.iter().filter_map(|pod| pod["containers"].as_array()) {
        for usage in container.iter().map(|container| &container["usage"]) {
            used.0 += amount(&usage["cpu"]);
            used.1 += amount(&usage["memory"]);
        }
    }
    let ready = pods.iter().filter(|pod| is_ready(pod)).count();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "bytes of memory are not negative and fit"
    )]
    Ok(Reading {
        cpu: Used::Now(used.0),
        memory_bytes: used.1 as u64,
        pods: Some(u32::try_from(ready).unwrap_or(u32::MAX)),
    })
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array();
    conditions
        .into_iter()
        .flatten()
        .any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

/// Reads a quantity as a plain number: `250m`, `12345678n`, `64Mi`.
fn amount(quantity: &Value) -> f64 {
    const SUFFIXES: [(&str, f64); 11] = [
        ("Ki", 1024.0),
        ("Mi", 1_048_576.0),
        ("Gi", 1_073_741_824.0),
        ("Ti", 1_099_511_627_776.0),
        ("n", 1e-9),
        ("u", 1e-6),
        ("m", 1e-3),
        ("k", 1e3),
        ("M", 1e6),
        ("G", 1e9),
        ("T", 1e12),
    ];
    let text = quantity.as_str().unwrap_or_default();
    let (digits, factor) = SUFFIXES
        .iter()
        .find_map(|(suffix, factor)| Some((text.strip_suffix(suffix)?, *factor)))
        .unwrap_or((text, 1.0));
    digits.parse::<f64>().map_or(0.0, |number| number * factor)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn quantities_are_read_as_metrics_servers_write_them() {
        for (text, expected) in [
            ("250m", 0.25),
            ("1500000000n", 1.5),
            ("64Mi", 67_108_864.0),
            ("2", 2.0),
            ("12345Ki", 12_641_280.0),
            ("?", 0.0),
        ] {
            let read = amount(&json!(text));
            assert!((read - expected).abs() < 1e-9, "{text}: {read}");
        }
    }

    #[test]
    fn a_service_is_named_with_its_namespace() {
        assert_eq!(TargetService::parse("dev/web").unwrap().name, "web");
        assert!(TargetService::parse("web").is_err());
        assert!(TargetService::parse("dev/").is_err());
    }
}
