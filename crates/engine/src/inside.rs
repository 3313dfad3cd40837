//! The API as pods see it: at the address of the Service `kubernetes`, inside
//! the ground.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use foreshore_engine_api::{ApiServer, Dialer, Dialing};
use foreshore_sys::Ground;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::error::EngineError;

/// The port of the Service `kubernetes`.
pub(crate) const PORT: u16 = 443;
/// A node's endpoint in the ground answers at once or is gone.
const CONNECT: Duration = Duration::from_secs(5);
/// Wait before the address is tried again, which an engine before this one may
/// just be letting go.
const RETRY: Duration = Duration::from_secs(1);

/// Reaches the endpoints of nodes inside the ground.
pub(crate) fn dialer(ground: Ground) -> Arc<dyn Dialer> {
    Arc::new(Inside { ground })
}

struct Inside {
    ground: Ground,
}

impl Dialer for Inside {
    fn dial(&self, address: SocketAddr) -> Dialing {
        let ground = self.ground.clone();
        Box::pin(async move { ground.connect(address, CONNECT).await })
    }
}

/// Serves the API on `address` in the ground until `shutdown`.
pub(crate) async fn serve(
    api: ApiServer,
    ground: Ground,
    address: SocketAddr,
    shutdown: CancellationToken,
) -> Result<(), EngineError> {
    let opening = async {
        loop {
            match ground.tcp_listener(address).and_then(TcpListener::from_std) {
                Ok(listener) => return listener,
                Err(error) => {
                    warn!(error = &error as &dyn std::error::Error, %address, "API address in the ground is not free; will retry");
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    };
    let Some(listener) = shutdown.run_until_cancelled(opening).await else {
        return Ok(());
    };
    info!(%address, "API opened in the ground");
    api.serve(vec![listener], shutdown)
        .await
        .map_err(|error| EngineError::Serve(Box::new(error)))
}

/// Writes who answers for the Service `kubernetes`: the address itself, so
/// that no proxy stands in between.
pub(crate) async fn publish(
    client: Client,
    address: SocketAddr,
    shutdown: CancellationToken,
) -> Result<(), EngineError> {
    let slices: Api<EndpointSlice> = Api::namespaced(client, "default");
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "kubernetes", "labels": {"kubernetes.io/service-name": "kubernetes"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address.ip().to_string()], "conditions": {"ready": true}}],
        "ports": [{"name": "https", "port": address.port(), "protocol": "TCP"}],
    });
    let writing = async {
        let parameters = PatchParams::apply("foreshore-engine").force();
        while let Err(error) = slices
            .patch("kubernetes", &parameters, &Patch::Apply(&slice))
            .await
        {
            debug!(
                error = &error as &dyn std::error::Error,
                "endpoints of the API were not written; will retry"
            );
            tokio::time::sleep(RETRY).await;
        }
    };
    shutdown.run_until_cancelled(writing).await;
    Ok(())
}
