//! The program as a pod starts it.

#![expect(
    clippy::unwrap_used,
    reason = "a fixture that cannot be set up fails the test"
)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

struct Running {
    child: Child,
    address: String,
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_foreshore-files"));
    command
        .env_clear()
        .stdin(Stdio::null())
        .stderr(Stdio::piped());
    command
}

/// Starts it at a port that is free a moment before; the first line says that it answers.
fn start(site: &std::path::Path) -> Running {
    for _ in 0..20 {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let mut child = program()
            .arg(site)
            .args(["--health-path", "/live"])
            .env("POD_IP", "127.0.0.1")
            .env("PORT", address.port().to_string())
            .env("SERVICE_VERSION", "main-1")
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stderr.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        if line.starts_with("serving 1 files at ") {
            let address = address.to_string();
            return Running { child, address };
        }
        child.wait().unwrap();
    }
    panic!("no port is free");
}

fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn it_serves_a_site_and_ends_when_the_pod_does() {
    let site = tempfile::tempdir().unwrap();
    std::fs::write(site.path().join("index.html"), "<h1>hello</h1>").unwrap();
    let mut running = start(site.path());
    let page = get(&running.address, "/");
    assert!(
        page.starts_with("HTTP/1.1 200") && page.ends_with("<h1>hello</h1>"),
        "{page}"
    );
    assert!(get(&running.address, "/live").starts_with("HTTP/1.1 200"));
    assert!(get(&running.address, "/info").contains("main-1"));
    assert!(get(&running.address, "/../etc/passwd").starts_with("HTTP/1.1 404"));
    let pid = running.child.id().to_string();
    let told = Command::new("sh")
        .args(["-c", &format!("kill -TERM {pid}")])
        .status()
        .unwrap();
    assert!(told.success());
    assert_eq!(running.child.wait().unwrap().code(), Some(0));
}

#[test]
fn what_cannot_be_served_is_told() {
    for (words, code, part) in [
        (&[][..], 2, "use it as"),
        (&["/nowhere-at-all"], 1, "cannot read `/nowhere-at-all`"),
    ] {
        let output = program().args(words).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.starts_with("error: ") && said.contains(part), "{said}");
    }
}
