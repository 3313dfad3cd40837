//! A client and an endpoint that say exactly what a test tells them.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::net::sockopt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

/// Nothing here takes long; a test that waits longer is stuck.
const LIMIT: Duration = Duration::from_secs(30);

/// What an endpoint does after it said something.
#[derive(Clone, Copy)]
pub(super) enum After {
    Keep,
    Close,
    /// Breaks the connection instead of ending it.
    Reset,
    /// Says more once it is released.
    WaitThen(&'static str),
}

/// An answer of a known length.
pub(super) fn reply(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Does what it is told for each request.
pub(super) struct Endpoint {
    pub(super) address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    requests: Mutex<Vec<String>>,
    opened: AtomicUsize,
    /// Connections there are, and requests there were.
    now: watch::Sender<(usize, usize)>,
    released: Semaphore,
}

impl Endpoint {
    pub(super) async fn start(
        script: impl Fn(&str) -> (String, After) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            requests: Mutex::default(),
            opened: AtomicUsize::new(0),
            now: watch::Sender::new((0, 0)),
            released: Semaphore::new(0),
        });
        let (own, script) = (Arc::clone(&shared), Arc::new(script));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                own.opened.fetch_add(1, Ordering::SeqCst);
                own.now.send_modify(|(open, _)| *open += 1);
                let (own, script) = (Arc::clone(&own), Arc::clone(&script));
                tokio::spawn(async move {
                    own.serve(stream, &*script).await;
                    own.now.send_modify(|(open, _)| *open -= 1);
                });
            }
        });
        Self { address, shared }
    }

    /// Connections made so far.
    pub(super) fn connections(&self) -> usize {
        self.shared.opened.load(Ordering::SeqCst)
    }

    /// Requests so far, with their bodies.
    pub(super) fn requests(&self) -> Vec<String> {
        self.shared.requests.lock().unwrap().clone()
    }

    /// Lets one answer go on.
    pub(super) fn release(&self) {
        self.shared.released.add_permits(1);
    }

    pub(super) async fn until_asked(&self, times: usize) {
        self.until(|(_, asked)| asked >= times).await;
    }

    /// Waits until all connections made so far have ended.
    pub(super) async fn until_closed(&self) {
        self.until(|(open, _)| open == 0).await;
    }

    async fn until(&self, holds: impl Fn((usize, usize)) -> bool) {
        let mut now = self.shared.now.subscribe();
        let waited = tokio::time::timeout(LIMIT, now.wait_for(|now| holds(*now))).await;
        drop(waited.expect("it happens in time").unwrap());
    }
}

impl Shared {
    async fn serve(&self, mut stream: TcpStream, script: &impl Fn(&str) -> (String, After)) {
        let mut read = Vec::new();
        loop {
            let Some(length) = whole_request(&read) else {
                let mut piece = [0; 4096];
                match stream.read(&mut piece).await {
                    Ok(0) | Err(_) => return,
                    Ok(length) => read.extend_from_slice(&piece[..length]),
                }
                continue;
            };
            let request = String::from_utf8(read.drain(..length).collect()).unwrap();
            let (words, after) = script(&request);
            self.requests.lock().unwrap().push(request);
            self.now.send_modify(|(_, asked)| *asked += 1);
            if stream.write_all(words.as_bytes()).await.is_err() {
                return;
            }
            match after {
                After::Keep => {}
                After::Close => return,
                After::Reset => {
                    sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
                    return;
                }
                After::WaitThen(more) => {
                    let mut piece = [0];
                    tokio::select! {
                        released = self.released.acquire() => released.unwrap().forget(),
                        _ = stream.read(&mut piece) => return,
                    }
                    if stream.write_all(more.as_bytes()).await.is_err() {
                        return;
                    }
                }
            }
        }
    }
}

/// Bytes of the first request, if it is there in full.
fn whole_request(bytes: &[u8]) -> Option<usize> {
    let text = String::from_utf8_lossy(bytes);
    let head = text.find("\r\n\r\n")? + 4;
    let length = text[..head].lines().find_map(|line| {
        line.to_ascii_lowercase()
            .strip_prefix("content-length: ")?
            .parse()
            .ok()
    });
    let end = if text[..head]
        .to_ascii_lowercase()
        .contains("transfer-encoding")
    {
        head + text[head..].find("0\r\n\r\n")? + 5
    } else {
        head + length.unwrap_or(0_usize)
    };
    (bytes.len() >= end).then_some(end)
}

/// A client's connection, byte by byte.
pub(super) struct Wire {
    pub(super) stream: TcpStream,
}

impl Wire {
    pub(super) async fn open(address: SocketAddr) -> Self {
        Self::of(TcpStream::connect(address).await.unwrap())
    }

    pub(super) fn of(stream: TcpStream) -> Self {
        Self { stream }
    }

    pub(super) async fn send(&mut self, bytes: &str) {
        self.stream.write_all(bytes.as_bytes()).await.unwrap();
    }

    /// Reads a head, and not a byte more.
    pub(super) async fn head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let byte = tokio::time::timeout(LIMIT, self.stream.read_u8()).await;
            let byte = byte.expect("it comes in time");
            let so_far = || String::from_utf8_lossy(&head).into_owned();
            head.push(byte.unwrap_or_else(|error| panic!("{error} after {:?}", so_far())));
        }
        String::from_utf8(head).unwrap()
    }

    /// Reads an answer in full: head and body.
    pub(super) async fn answer(&mut self) -> (String, String) {
        let head = self.head().await;
        let lines = head.to_ascii_lowercase();
        let length = lines
            .lines()
            .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        let mut body = Vec::new();
        if let Some(length) = length {
            body = self.bytes(length).await;
        } else {
            assert!(lines.contains("transfer-encoding: chunked"), "{head}");
            loop {
                let mut size = String::new();
                while !size.ends_with("\r\n") {
                    size.push(char::from(self.bytes(1).await[0]));
                }
                let size = usize::from_str_radix(size.trim(), 16).unwrap();
                let chunk = self.bytes(size + 2).await;
                body.extend_from_slice(&chunk[..size]);
                if size == 0 {
                    break;
                }
            }
        }
        (head, String::from_utf8(body).unwrap())
    }

    pub(super) async fn expect(&mut self, words: &str) {
        let read = self.bytes(words.len()).await;
        assert_eq!(String::from_utf8(read).unwrap(), words);
    }

    /// Everything until the connection ends, however it does.
    pub(super) async fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        let read = tokio::time::timeout(LIMIT, self.stream.read_to_end(&mut rest)).await;
        // A connection that breaks has ended, too.
        drop(read.expect("it ends in time"));
        String::from_utf8(rest).unwrap()
    }

    async fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        let read = tokio::time::timeout(LIMIT, self.stream.read_exact(&mut bytes)).await;
        read.expect("it comes in time").unwrap();
        bytes
    }
}
