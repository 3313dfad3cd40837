//! A target for measurements: answers at once with a few bytes, counts requests, notes when they came.
//!
//! One thread, one epoll. `GET /_count` answers how many other requests came,
//! `GET /_arrivals` when (nanoseconds, one a line) and forgets them.

use std::collections::HashMap;
use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd as _;
use std::time::Instant;

use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\nhello, world\n";
/// Enough for a run at 10,000/s over some seconds.
const ARRIVALS_MAX: usize = 4_000_000;

struct Target {
    start: Instant,
    count: u64,
    arrivals: Vec<u64>,
}

fn main() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    writeln!(io::stdout(), "{}", listener.local_addr()?.port())?;
    io::stdout().flush()?;
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    let listening = u64::MAX;
    epoll::add(
        &epoll,
        &listener,
        EventData::new_u64(listening),
        EventFlags::IN,
    )?;
    let mut streams: HashMap<u64, TcpStream> = HashMap::new();
    let mut target = Target {
        start: Instant::now(),
        count: 0,
        arrivals: Vec::new(),
    };
    let mut events: Vec<Event> = Vec::with_capacity(256);
    let mut buffer = vec![0; 64 * 1024];
    loop {
        events.clear();
        match epoll::wait(&epoll, rustix::buffer::spare_capacity(&mut events), None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        for event in &events {
            let key = event.data.u64();
            if key == listening {
                while let Ok((stream, _)) = listener.accept() {
                    stream.set_nonblocking(true)?;
                    stream.set_nodelay(true)?;
                    let key = u64::try_from(stream.as_raw_fd()).unwrap_or(0);
                    epoll::add(&epoll, &stream, EventData::new_u64(key), EventFlags::IN)?;
                    streams.insert(key, stream);
                }
                continue;
            }
            let Some(stream) = streams.get_mut(&key) else {
                continue;
            };
            if !target.serve(stream, &mut buffer) {
                streams.remove(&key);
            }
        }
    }
}

impl Target {
    /// Answers what came; `false` when the connection is over.
    fn serve(&mut self, stream: &mut TcpStream, buffer: &mut [u8]) -> bool {
        let read = match stream.read(buffer) {
            Ok(0) => return false,
            Ok(read) => read,
            Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
        };
        let request = &buffer[..read];
        if request.starts_with(b"GET /_count ") {
            return answer(stream, &self.count.to_string());
        }
        if request.starts_with(b"GET /_arrivals ") {
            let lines: Vec<String> = self.arrivals.iter().map(ToString::to_string).collect();
            self.arrivals.clear();
            return answer(stream, &lines.join("\n"));
        }
        self.count += 1;
        if self.arrivals.len() < ARRIVALS_MAX {
            let now = u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX);
            self.arrivals.push(now);
        }
        stream.write_all(ANSWER).is_ok()
    }
}

fn answer(stream: &mut TcpStream, body: &str) -> bool {
    // Only the measuring program asks, and it reads.
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    if stream.set_nonblocking(false).is_ok() {
        drop(
            stream
                .write_all(head.as_bytes())
                .and_then(|()| stream.write_all(body.as_bytes())),
        );
    }
    false
}
