//! Carries out probes and lifecycle hooks against a running container.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use foreshore_model::chain;
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::{
    Container, ExecAction, HTTPGetAction, LifecycleHandler, Probe, TCPSocketAction,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::container::{Executed, RunningContainer};
use crate::context::Context;

/// As much of an answer as is read.
const ANSWER_BYTES_MAX: usize = 10 * 1024;

/// A container that can be asked.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub context: Arc<Context>,
    pub container: Arc<Container>,
    pub running: Arc<RunningContainer>,
    pub address: Ipv4Addr,
}

/// Why a probe or hook did not succeed, in words for an event.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct ProbeFailure(String);

impl Target {
    /// Asks once. Every question has a time limit.
    pub(crate) async fn probe(&self, probe: &Probe, limit: Duration) -> Result<(), ProbeFailure> {
        if let Some(action) = &probe.exec {
            self.execute(action, limit).await
        } else if let Some(action) = &probe.http_get {
            self.http(action, limit).await
        } else if let Some(action) = &probe.tcp_socket {
            self.tcp(action, limit).await
        } else {
            Err(ProbeFailure(
                "the probe asks for nothing this node knows".to_owned(),
            ))
        }
    }

    /// Runs a `postStart` or `preStop` hook.
    pub(crate) async fn hook(
        &self,
        handler: &LifecycleHandler,
        limit: Duration,
    ) -> Result<(), ProbeFailure> {
        if let Some(action) = &handler.exec {
            self.execute(action, limit).await
        } else if let Some(action) = &handler.http_get {
            self.http(action, limit).await
        } else if let Some(action) = &handler.sleep {
            let wanted = Duration::from_secs(u64::try_from(action.seconds).unwrap_or(0));
            tokio::time::sleep(wanted.min(limit)).await;
            Ok(())
        } else {
            Err(ProbeFailure(
                "the hook asks for nothing this node knows".to_owned(),
            ))
        }
    }

    async fn execute(&self, action: &ExecAction, limit: Duration) -> Result<(), ProbeFailure> {
        let program = action.command.clone().unwrap_or_default();
        let shim = &self.context.options.shim;
        match self.running.execute(shim, &program, limit).await {
            Ok(Executed::Ended { code: 0, .. }) => Ok(()),
            Ok(Executed::Ended { output, .. }) => Err(ProbeFailure(output)),
            Ok(Executed::TimedOut) => Err(ProbeFailure(format!(
                "command timed out: {} timed out after {limit:?}",
                program.join(" ")
            ))),
            Err(error) => Err(ProbeFailure(chain(&error))),
        }
    }

    async fn http(&self, action: &HTTPGetAction, limit: Duration) -> Result<(), ProbeFailure> {
        let address = self.address(action.host.as_deref(), &action.port)?;
        let path = action.path.as_deref().unwrap_or("/");
        let path = if path.starts_with('/') {
            path.to_owned()
        } else {
            format!("/{path}")
        };
        let url = format!("http://{address}{path}");
        match tokio::time::timeout(limit, self.get(action, address, &path)).await {
            Ok(Ok(status)) if (200..400).contains(&status) => Ok(()),
            Ok(Ok(status)) => Err(ProbeFailure(format!(
                "HTTP probe failed with statuscode: {status}"
            ))),
            Ok(Err(why)) => Err(ProbeFailure(format!("Get \"{url}\": {why}"))),
            Err(_elapsed) => Err(ProbeFailure(format!(
                "Get \"{url}\": no answer within {limit:?}"
            ))),
        }
    }

    async fn get(
        &self,
        action: &HTTPGetAction,
        address: SocketAddr,
        path: &str,
    ) -> Result<u16, String> {
        let text = |error: &dyn std::error::Error| chain(error);
        let stream = self.connect(address).await.map_err(|error| text(&error))?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| text(&error))?;
        let mut request = http::Request::get(path)
            .header("host", address.to_string())
            .header("user-agent", "kube-probe/1.36")
            .header("accept", "*/*")
            .header("connection", "close");
        for header in action.http_headers.iter().flatten() {
            request = request.header(&header.name, &header.value);
        }
        let request = request
            .body(Empty::<bytes::Bytes>::new())
            .map_err(|error| text(&error))?;
        let exchange = async {
            let answer = sender
                .send_request(request)
                .await
                .map_err(|error| text(&error))?;
            let status = answer.status().as_u16();
            // Read to the end, so that the program is not cut off while it
            // answers; an endless answer is given up.
            if let Err(error) = Limited::new(answer.into_body(), ANSWER_BYTES_MAX)
                .collect()
                .await
            {
                tracing::debug!(%error, "probe answer was not read to its end");
            }
            Ok(status)
        };
        tokio::pin!(connection);
        tokio::pin!(exchange);
        tokio::select! {
            answer = &mut exchange => answer,
            ended = &mut connection => match ended {
                Ok(()) => exchange.await,
                Err(error) => Err(text(&error)),
            },
        }
    }

    async fn tcp(&self, action: &TCPSocketAction, limit: Duration) -> Result<(), ProbeFailure> {
        let address = self.address(action.host.as_deref(), &action.port)?;
        let connected = tokio::time::timeout(limit, self.connect(address)).await;
        match connected {
            Ok(Ok(_stream)) => Ok(()),
            Ok(Err(error)) => Err(ProbeFailure(format!("dial tcp {address}: {error}"))),
            Err(_elapsed) => Err(ProbeFailure(format!(
                "dial tcp {address}: no answer within {limit:?}"
            ))),
        }
    }

    async fn connect(&self, address: SocketAddr) -> std::io::Result<tokio::net::TcpStream> {
        // The caller's own limit is shorter; this one only bounds the socket.
        let limit = Duration::from_mins(1);
        let from = SocketAddr::from((self.context.node_address(), 0));
        match self.context.options.ground.pin() {
            Some(_) => {
                self.context
                    .options
                    .ground
                    .connect_from(from, address, limit)
                    .await
            }
            None => self.context.options.ground.connect(address, limit).await,
        }
    }

    fn address(&self, host: Option<&str>, port: &IntOrString) -> Result<SocketAddr, ProbeFailure> {
        let number = match port {
            IntOrString::Int(number) => u16::try_from(*number).ok(),
            IntOrString::String(name) => self
                .container
                .ports
                .iter()
                .flatten()
                .find(|port| port.name.as_ref() == Some(name))
                .and_then(|port| u16::try_from(port.container_port).ok())
                .or_else(|| name.parse().ok()),
        };
        let number =
            number.ok_or_else(|| ProbeFailure(format!("the container has no port {port:?}")))?;
        let host = match host.filter(|host| !host.is_empty()) {
            None => self.address,
            Some(host) => host
                .parse()
                .map_err(|_| ProbeFailure(format!("probe host `{host}` is not an IPv4 address")))?,
        };
        Ok(SocketAddr::from((host, number)))
    }
}
