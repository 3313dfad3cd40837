//! Kubeconfig files, in JSON, which is YAML too.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::json;

use super::pki::Pair;

/// Who connects to which server.
pub(super) struct Access<'a> {
    pub(super) server: &'a str,
    pub(super) authority: &'a str,
    pub(super) user: &'a str,
    pub(super) pair: &'a Pair,
}

/// Writes a kubeconfig that carries its certificates, so it can be copied.
pub(super) fn write(path: &Path, access: &Access<'_>) -> Result<PathBuf> {
    let read =
        |path: &Path| fs::read(path).with_context(|| format!("cannot read `{}`", path.display()));
    let content = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": access.user}}],
        "clusters": [{"name": "test", "cluster": {
            "server": access.server,
            "certificate-authority-data": base64(access.authority.as_bytes()),
        }}],
        "users": [{"name": access.user, "user": {
            "client-certificate-data": base64(&read(&access.pair.certificate)?),
            "client-key-data": base64(&read(&access.pair.key)?),
        }}],
    });
    // Written beside and renamed: whoever waits for the file finds it whole.
    let beside = path.with_extension("partial");
    fs::write(&beside, format!("{content:#}\n"))
        .and_then(|()| fs::rename(&beside, path))
        .with_context(|| format!("cannot write kubeconfig `{}`", path.display()))?;
    Ok(path.to_owned())
}

/// A client for the cluster that the kubeconfig at `path` names.
pub async fn client(path: &Path) -> Result<Client> {
    install_crypto();
    let kubeconfig = Kubeconfig::read_from(path)
        .with_context(|| format!("cannot read kubeconfig `{}`", path.display()))?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .with_context(|| format!("kubeconfig `{}` is not usable", path.display()))?;
    Client::try_from(config).context("cannot make a client of the kubeconfig")
}

/// Chooses the one TLS provider this project uses.
pub fn install_crypto() {
    // An error says that a provider is installed already, which is as good.
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
