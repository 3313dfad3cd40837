//! A lease: who of several works, as the cluster has it.
//!
//! Every write names the version it was read at, so of two who write at once
//! one is told `Conflict`.

use http::Method;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::call::{Call, Cluster};
use crate::error::CallError;

const API: &str = "/apis/coordination.k8s.io/v1";
const CONTENT_TYPE: &str = "application/json";

/// What a lease says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    pub namespace: String,
    pub name: String,
    /// Empty when it was given back.
    pub holder: String,
    /// When the holder last said that it is there, as it wrote it; clocks differ, so only a change of it means something.
    pub renewed: String,
    /// How often it went from one holder to another.
    pub transitions: u64,
    pub seconds: u64,
    /// Version it was read at; empty for one that does not exist yet.
    version: String,
}

impl Lease {
    /// A lease that does not exist yet.
    pub fn new(namespace: &str, name: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            holder: String::new(),
            renewed: String::new(),
            transitions: 0,
            seconds: 0,
            version: String::new(),
        }
    }

    fn of(object: &Value) -> Self {
        let text = |pointer: &str| {
            let found = object.pointer(pointer).and_then(Value::as_str);
            found.unwrap_or_default().to_owned()
        };
        let count = |pointer: &str| {
            object
                .pointer(pointer)
                .and_then(Value::as_u64)
                .unwrap_or_default()
        };
        Self {
            namespace: text("/metadata/namespace"),
            name: text("/metadata/name"),
            holder: text("/spec/holderIdentity"),
            renewed: text("/spec/renewTime"),
            transitions: count("/spec/leaseTransitions"),
            seconds: count("/spec/leaseDurationSeconds"),
            version: text("/metadata/resourceVersion"),
        }
    }

    fn collection(&self) -> String {
        format!("{API}/namespaces/{}/leases", self.namespace)
    }

    fn path(&self) -> String {
        format!("{}/{}", self.collection(), self.name)
    }

    fn object(&self, now: Timestamp) -> Value {
        let renewed = now.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string();
        let mut metadata = json!({
            "name": self.name,
            "namespace": self.namespace,
            "labels": {"app.kubernetes.io/managed-by": "foreshore"},
        });
        if !self.version.is_empty() {
            metadata["resourceVersion"] = json!(self.version);
        }
        json!({
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": metadata,
            "spec": {
                "holderIdentity": self.holder,
                "leaseDurationSeconds": self.seconds.max(1),
                "leaseTransitions": self.transitions,
                "renewTime": renewed,
            },
        })
    }
}

impl Cluster {
    /// Returns a lease, none if the server says that it does not exist.
    pub async fn lease(&self, namespace: &str, name: &str) -> Result<Option<Lease>, CallError> {
        let path = Lease::new(namespace, name).path();
        match self.call(&Call::get(path)).await {
            Ok(answer) => Ok(Some(Lease::of(&answer.json("lease")?))),
            Err(CallError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes a lease unless somebody else wrote it since it was read; then it is a `Conflict`.
    pub async fn write_lease(&self, lease: &Lease, now: Timestamp) -> Result<Lease, CallError> {
        let (method, path) = if lease.version.is_empty() {
            (Method::POST, lease.collection())
        } else {
            (Method::PUT, lease.path())
        };
        let call = Call {
            method,
            path,
            content_type: CONTENT_TYPE,
            body: lease.object(now).to_string().into_bytes(),
        };
        Ok(Lease::of(&self.call(&call).await?.json("lease")?))
    }
}
