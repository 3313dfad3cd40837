//! The server in the image of a static site: this program and the site are all that is in it.

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;

use foreshore_files::{Options, Site, SiteError, serve};
use foreshore_model::chain;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Port to listen at, where the pod names none.
const PORT: u16 = 8080;
/// Path that answers while the server can answer at all, where nobody names another.
const HEALTH_PATH: &str = "/health";

/// Why the site is not served.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("use it as `foreshore-files DIR [--health-path PATH]`")]
    Usage,
    #[error("`{variable}` is `{value}`, which is no {wanted}")]
    Variable {
        variable: &'static str,
        value: String,
        wanted: &'static str,
    },
    #[error(transparent)]
    Site(#[from] SiteError),
    #[error("cannot wait for signals")]
    Signals(#[source] io::Error),
    #[error("cannot serve at {address}")]
    Serve {
        address: SocketAddr,
        #[source]
        cause: io::Error,
    },
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let ended = run(std::env::args_os().skip(1)).await;
    let Err(error) = ended else {
        return ExitCode::SUCCESS;
    };
    // Without a standard error there is nobody to tell; the code says enough.
    writeln!(io::stderr(), "error: {}", chain(&error)).ok();
    match error {
        Error::Usage | Error::Variable { .. } => ExitCode::from(2),
        _ => ExitCode::FAILURE,
    }
}

async fn run(words: impl Iterator<Item = OsString>) -> Result<(), Error> {
    let (directory, health_path) = arguments(words)?;
    let address = address(variable("POD_IP"), variable("PORT"))?;
    let options = Options {
        site: Site::read(&directory)?,
        health_path: health_path
            .or_else(|| variable("HEALTH_PATH"))
            .unwrap_or_else(|| HEALTH_PATH.to_owned()),
        version: variable("SERVICE_VERSION").unwrap_or_default(),
    };
    let failed = |cause| Error::Serve { address, cause };
    let mut terminate = signal(SignalKind::terminate()).map_err(Error::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::Signals)?;
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    writeln!(
        io::stderr(),
        "serving {} files at {address}",
        options.site.len()
    )
    .ok();
    let shutdown = CancellationToken::new();
    let stop = shutdown.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        stop.cancel();
    });
    serve(listener, options, shutdown).await.map_err(failed)
}

fn arguments(
    mut words: impl Iterator<Item = OsString>,
) -> Result<(PathBuf, Option<String>), Error> {
    let directory = words.next().ok_or(Error::Usage)?;
    let health_path = match words.next() {
        None => None,
        Some(flag) if flag == "--health-path" => {
            let path = words.next().and_then(|path| path.into_string().ok());
            Some(path.ok_or(Error::Usage)?)
        }
        Some(_) => return Err(Error::Usage),
    };
    if words.next().is_some() {
        return Err(Error::Usage);
    }
    Ok((directory.into(), health_path))
}

fn address(host: Option<String>, port: Option<String>) -> Result<SocketAddr, Error> {
    let host = host.map_or(Ok(IpAddr::V4(Ipv4Addr::UNSPECIFIED)), |value| {
        value.parse().map_err(|_| Error::Variable {
            variable: "POD_IP",
            value,
            wanted: "address",
        })
    })?;
    let port = port.map_or(Ok(PORT), |value| {
        value.parse().map_err(|_| Error::Variable {
            variable: "PORT",
            value,
            wanted: "port",
        })
    })?;
    Ok(SocketAddr::new(host, port))
}

#[expect(
    clippy::disallowed_methods,
    reason = "a pod tells its programs where to listen by variables; this is a program of its own"
)]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_and_port_come_from_the_pod() {
        let of = |host: Option<&str>, port: Option<&str>| {
            address(host.map(str::to_owned), port.map(str::to_owned))
                .map(|address| address.to_string())
                .map_err(|error| error.to_string())
        };
        assert_eq!(of(None, None).unwrap(), "0.0.0.0:8080");
        assert_eq!(of(Some("10.1.2.3"), Some("80")).unwrap(), "10.1.2.3:80");
        assert_eq!(of(Some("::1"), None).unwrap(), "[::1]:8080");
        assert_eq!(
            of(Some("here"), None).unwrap_err(),
            "`POD_IP` is `here`, which is no address"
        );
        assert_eq!(
            of(None, Some("0x50")).unwrap_err(),
            "`PORT` is `0x50`, which is no port"
        );
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let of = |words: &[&str]| arguments(words.iter().map(OsString::from));
        assert_eq!(of(&["/site"]).unwrap(), (PathBuf::from("/site"), None));
        let (_, path) = of(&["/site", "--health-path", "/live"]).unwrap();
        assert_eq!(path.as_deref(), Some("/live"));
        for words in [
            &[][..],
            &["/site", "--health-path"],
            &["/site", "--port", "1"],
            &["/site", "--health-path", "/x", "more"],
        ] {
            assert!(matches!(of(words), Err(Error::Usage)), "{words:?}");
        }
    }
}
