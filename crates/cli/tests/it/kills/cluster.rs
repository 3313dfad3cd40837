//! Whether the cluster runs what was released: exactly that, and as often as wanted.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use foreshore_testkit::{environment, wait};
use serde_json::Value;

use crate::stage::PATIENCE;

/// Pods that the changed plan asks for.
pub(super) const REPLICAS: usize = 2;

/// Waits until what [`runs`] says holds, and tells what does not if it never does.
pub(super) async fn comes_to_run(
    kubeconfig: &Path,
    environment: &str,
    artifact: &str,
) -> Result<()> {
    let what = format!("{environment} to run {artifact} and nothing else");
    let good = wait::until(&what, PATIENCE, || async {
        runs(kubeconfig, environment, artifact).await.is_ok()
    });
    match good.await {
        Ok(()) => Ok(()),
        Err(waited) => runs(kubeconfig, environment, artifact)
            .await
            .with_context(|| waited.to_string()),
    }
}

/// Fails unless an environment's one Deployment and its pods are those of `artifact`, and ready.
async fn runs(kubeconfig: &Path, environment: &str, artifact: &str) -> Result<()> {
    let deployments = items(kubeconfig, environment, "deployments").await?;
    let [deployment] = &deployments[..] else {
        anyhow::bail!("{environment} has {} deployments", deployments.len());
    };
    ensure!(
        version(&deployment["spec"]["template"]) == Some(artifact),
        "the deployment of {environment} is not of {artifact}: {deployment}"
    );
    let image = |spec: &Value| spec.pointer("/spec/containers/0/image").cloned();
    let wanted = image(&deployment["spec"]["template"]);
    let pods = items(kubeconfig, environment, "pods").await?;
    ensure!(
        pods.len() == REPLICAS,
        "{environment} has {} pods instead of {REPLICAS}",
        pods.len()
    );
    for pod in &pods {
        ensure!(
            version(pod) == Some(artifact) && image(pod) == wanted && is_ready(pod),
            "a pod of {environment} is not ready with {artifact}: {pod}"
        );
    }
    Ok(())
}

fn version(pod: &Value) -> Option<&str> {
    let variables = pod.pointer("/spec/containers/0/env")?.as_array()?;
    let version = variables
        .iter()
        .find(|variable| variable["name"] == "SERVICE_VERSION")?;
    version["value"].as_str()
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod.pointer("/status/conditions").and_then(Value::as_array);
    let ready = |condition: &Value| condition["type"] == "Ready" && condition["status"] == "True";
    conditions.is_some_and(|conditions| conditions.iter().any(ready))
        && pod.pointer("/metadata/deletionTimestamp").is_none()
}

async fn items(kubeconfig: &Path, namespace: &str, kind: &str) -> Result<Vec<Value>> {
    let output = tokio::process::Command::new(environment::oracle("kubectl")?)
        .arg("--kubeconfig")
        .arg(kubeconfig)
        .args([
            "--request-timeout",
            "5s",
            "-o",
            "json",
            "-n",
            namespace,
            "get",
            kind,
        ])
        .kill_on_drop(true)
        .output()
        .await?;
    ensure!(
        output.status.success(),
        "kubectl: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let list: Value = serde_json::from_slice(&output.stdout)?;
    let items = list["items"].as_array().context("kubectl answers a list")?;
    Ok(items.clone())
}
