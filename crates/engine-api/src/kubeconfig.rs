//! The file with which kubectl and every other client finds the engine.

use std::io;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::pki::Credential;
use crate::private_file;

/// Why the file could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write kubeconfig `{path}`")]
pub struct KubeconfigError {
    path: PathBuf,
    #[source]
    cause: io::Error,
}

/// One server, one user, one context.
#[derive(Clone, Debug)]
pub struct Kubeconfig {
    /// Name of cluster and context.
    pub cluster: String,
    /// `https://127.0.0.1:PORT`.
    pub server: String,
    pub ca_pem: String,
    pub user: String,
    pub credential: Credential,
}

impl Kubeconfig {
    /// Writes the file, readable by its owner alone, in one step.
    pub fn write(&self, path: &Path) -> Result<(), KubeconfigError> {
        let text = format!("{:#}\n", self.to_value());
        private_file::write(path, text.as_bytes()).map_err(|cause| KubeconfigError {
            path: path.to_owned(),
            cause,
        })
    }

    /// The contents; JSON, which is YAML too.
    pub fn to_value(&self) -> Value {
        let encode = |text: &str| BASE64_STANDARD.encode(text);
        json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{
                "name": self.cluster,
                "cluster": {
                    "server": self.server,
                    "certificate-authority-data": encode(&self.ca_pem),
                },
            }],
            "users": [{
                "name": self.user,
                "user": {
                    "client-certificate-data": encode(&self.credential.certificate_pem),
                    "client-key-data": encode(&self.credential.key_pem),
                },
            }],
            "contexts": [{
                "name": self.cluster,
                "context": {"cluster": self.cluster, "user": self.user},
            }],
            "current-context": self.cluster,
            "preferences": {},
        })
    }
}
