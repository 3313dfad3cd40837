//! Sample service: counts visits and keeps the count in SQLite.

mod http;
mod visits;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::visits::Visits;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(std::io::stderr)
        .init();
    let settings = Settings::read(variable)?;
    // Held until the end; only memory that is written to counts.
    let cache = vec![1_u8; settings.cache_bytes];
    tracing::info!(bytes = cache.len(), "cache filled");
    let visits = Visits::open(&settings.database)
        .with_context(|| format!("cannot open the database `{}`", settings.database))?;

    let listener = TcpListener::bind(settings.address)
        .await
        .with_context(|| format!("cannot listen on {}", settings.address))?;
    tracing::info!(address = %settings.address, "listening");
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    axum::serve(
        listener,
        http::router(Arc::new(http::Service {
            visits,
            version: variable("SERVICE_VERSION"),
        })),
    )
    .with_graceful_shutdown(async move {
        terminate.recv().await;
    })
    .await
    .context("the server ended")?;
    drop(cache);
    Ok(())
}

#[expect(
    clippy::disallowed_methods,
    reason = "the platform hands settings in as variables, here and only here"
)]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

struct Settings {
    address: SocketAddr,
    /// Path of the database file.
    database: String,
    /// Memory to fill at the start.
    cache_bytes: usize,
}

impl Settings {
    /// Reads the settings that the platform hands in as environment variables.
    fn read(variable: impl Fn(&str) -> Option<String>) -> anyhow::Result<Self> {
        let port = variable("PORT")
            .map_or(Ok(8080), |port| port.parse())
            .context("PORT is not a port")?;
        // A pod binds its own address, so that many pods can share one machine.
        let host = match variable("POD_IP") {
            Some(host) => host.parse().context("POD_IP is not an address")?,
            None => Ipv4Addr::LOCALHOST.into(),
        };
        let url = variable("DATABASE_URL").context("DATABASE_URL is not set")?;
        let database = url
            .strip_prefix("sqlite://")
            .with_context(|| format!("DATABASE_URL `{url}` does not start with `sqlite://`"))?;
        let cache_mib: usize = variable("CACHE_MIB")
            .map_or(Ok(0), |size| size.parse())
            .context("CACHE_MIB is not a number")?;
        Ok(Self {
            address: SocketAddr::new(host, port),
            database: database.to_owned(),
            cache_bytes: cache_mib << 20,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> anyhow::Result<Settings> {
        Settings::read(|name| {
            pairs
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn a_pod_listens_on_its_own_address() {
        let settings = read(&[
            ("POD_IP", "10.244.1.7"),
            ("PORT", "9000"),
            ("DATABASE_URL", "sqlite:///state/api.db"),
        ])
        .unwrap();
        assert_eq!(settings.address.to_string(), "10.244.1.7:9000");
        assert_eq!(settings.database, "/state/api.db");
    }

    #[test]
    fn a_wrong_setting_is_named() {
        for (pairs, expected) in [
            (vec![], "DATABASE_URL is not set"),
            (
                vec![("DATABASE_URL", "mysql://x")],
                "does not start with `sqlite://`",
            ),
            (
                vec![("CACHE_MIB", "lots"), ("DATABASE_URL", "sqlite://x")],
                "CACHE_MIB is not a number",
            ),
            (
                vec![("PORT", "http"), ("DATABASE_URL", "sqlite://x")],
                "PORT is not a port",
            ),
        ] {
            let error = read(&pairs).err().expect("is refused").to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
