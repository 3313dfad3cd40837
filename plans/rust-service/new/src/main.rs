//! The service `{{ service.name }}`: answers over HTTP until it is told to end.

use std::env;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

static REQUESTS: AtomicU64 = AtomicU64::new(0);

fn main() -> io::Result<()> {
    let address = env::var("POD_IP").unwrap_or_else(|_| "127.0.0.1".to_owned());
    let port = env::var("PORT").unwrap_or_else(|_| "8080".to_owned());
    let listener = TcpListener::bind(format!("{address}:{port}"))?;
    println!("listening at {}", listener.local_addr()?);
    for stream in listener.incoming() {
        thread::spawn(move || {
            if let Err(error) = stream.and_then(answer) {
                eprintln!("a request was not answered: {error}");
            }
        });
    }
    Ok(())
}

fn answer(mut stream: TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    // What follows the first line is of no use here, but has to be read.
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    let path = request.split(' ').nth(1).unwrap_or("/");
    let count = REQUESTS.fetch_add(1, Ordering::Relaxed);
    let version = env::var("SERVICE_VERSION").unwrap_or_default();
    let (status, body) = match path {
        "/" => ("200 OK", "hello from {{ service.name }}\n".to_owned()),
        "/health" => ("200 OK", "ok\n".to_owned()),
        "/info" => ("200 OK", format!("{{\"version\":\"{version}\"}}\n")),
        "/metrics" => ("200 OK", format!("# TYPE http_requests_total counter\nhttp_requests_total {count}\n")),
        _ => ("404 Not Found", "there is no such page\n".to_owned()),
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\ncontent-type: text/plain\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}
