//! What the tests run in containers: HTTP servers and other behaviours.

mod web;

use std::io::{Read, Write};
use std::net::{IpAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::time::Duration;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["serve", port, ready_file] => serve(port.parse().expect("a port"), Path::new(ready_file)),
        ["web", port, word] => {
            web::run((own_address(), port.parse().expect("a port")).into(), word);
        }
        ["echo", port] => echo(port.parse().expect("a port")),
        ["clock", pause_ms] => clock(pause_ms.parse().expect("a number")),
        ["flood"] => flood(),
        ["exit", code] => std::process::exit(code.parse().expect("a number")),
        ["sleep"] => loop {
            std::thread::sleep(Duration::from_hours(1));
        },
        ["show", paths @ ..] => {
            for path in paths {
                say(&format!("{path}={:?}", std::fs::read_to_string(path)));
            }
            for (name, value) in std::env::vars() {
                say(&format!("{name}={value}"));
            }
            say(&format!(
                "write to / is {:?}",
                std::fs::write("/made-here", "x").map_err(|error| error.kind())
            ));
        }
        ["probe", folder] => {
            for line in foreshore_engine_node::probe(Path::new(folder)).lines {
                say(&line);
            }
        }
        ["exists", path] => std::process::exit(i32::from(!Path::new(path).exists())),
        ["write", path, text] => std::fs::write(path, text).expect("a path to write"),
        ["talk", count] => {
            for number in 0..count.parse().expect("a number") {
                say(&format!("line {number}"));
            }
            loop {
                std::thread::sleep(Duration::from_hours(1));
            }
        }
        ["tell", code] => tell(code.parse().expect("a number")),
        ["fill", path, bytes] => fill(path, bytes.parse().expect("a number")),
        ["fill", path, bytes, "stay"] => {
            fill(path, bytes.parse().expect("a number"));
            loop {
                std::thread::sleep(Duration::from_hours(1));
            }
        }
        ["line", megabytes] => line(megabytes.parse().expect("a number")),
        ["paint"] => {
            say("before\n\u{1b}[2J\u{1b}[31mred\u{7}\rcovered\nafter");
            loop {
                std::thread::sleep(Duration::from_hours(1));
            }
        }
        ["busy"] => loop {
            std::hint::spin_loop();
        },
        ["hog"] => hog(),
        ["bomb"] => bomb(),
        other => panic!("{other:?}"),
    }
}

/// Tells who and where it is and what it reads, then ends.
#[expect(clippy::exit, reason = "its code is what the test is about")]
fn tell(code: i32) -> ! {
    use std::io::IsTerminal;
    say(&format!("terminal: {}", std::io::stdin().is_terminal()));
    let status = std::fs::read_to_string("/proc/self/status").expect("a process knows itself");
    let user = status
        .lines()
        .find_map(|line| line.strip_prefix("Uid:"))
        .and_then(|users| users.split_whitespace().next());
    say(&format!("user: {}", user.unwrap_or_default()));
    let directory = std::env::current_dir().expect("it is somewhere");
    say(&format!("directory: {}", directory.display()));
    let first = std::fs::read_to_string("/proc/1/comm").unwrap_or_default();
    say(&format!("first process: {}", first.trim()));
    for (name, value) in std::env::vars() {
        say(&format!("{name}={value}"));
    }
    let mut input = String::new();
    std::io::stdin()
        .read_to_string(&mut input)
        .expect("input is text");
    say(&format!("input: {}", input.trim_end()));
    writeln!(std::io::stderr(), "done").expect("somebody listens");
    std::process::exit(code)
}

/// Writes a file as far as it goes and tells how far that is.
fn fill(path: &str, bytes: usize) {
    let mut file = std::fs::File::create(path).expect("a path to write");
    let mut written = 0;
    while written < bytes {
        match file.write(&[b'x'; 4096]) {
            Ok(length) => written += length,
            Err(_full) => break,
        }
    }
    say(&format!("written {written}"));
}

/// Writes one very long line, then a short one, and stays.
fn line(megabytes: usize) -> ! {
    let mut out = std::io::stdout();
    let megabyte = vec![b'x'; 1024 * 1024];
    for _ in 0..megabytes {
        out.write_all(&megabyte).expect("somebody listens");
    }
    say("");
    say("told it all");
    loop {
        std::thread::sleep(Duration::from_hours(1));
    }
}

/// Takes memory and uses it, without end.
fn hog() {
    let mut taken = Vec::new();
    loop {
        taken.push(vec![1_u8; 1024 * 1024]);
        say(&format!("{} MiB", taken.len()));
    }
}

/// Starts itself as often as it may, then says so and waits.
fn bomb() {
    let mut children = Vec::new();
    loop {
        match std::process::Command::new("/proc/self/exe")
            .arg("sleep")
            .spawn()
        {
            Ok(child) => children.push(child),
            Err(error) => break say(&format!("no more after {}: {error}", children.len())),
        }
    }
    for mut child in children {
        child.wait().expect("a child ends");
    }
}

fn say(words: &str) {
    let mut out = std::io::stdout();
    writeln!(out, "{words}")
        .and_then(|()| out.flush())
        .expect("somebody listens");
}

/// Sends back every datagram.
fn echo(port: u16) {
    let socket = UdpSocket::bind((own_address(), port)).expect("a free port");
    say("listening");
    let mut bytes = [0; 2048];
    loop {
        let (length, from) = socket.recv_from(&mut bytes).expect("a socket that works");
        socket
            .send_to(&bytes[..length], from)
            .expect("a socket that works");
    }
}

/// Tells the time, in nanoseconds since 1970, over and over.
fn clock(pause_ms: u64) {
    loop {
        say(&foreshore_model::clock::now().as_nanosecond().to_string());
        std::thread::sleep(Duration::from_millis(pause_ms));
    }
}

/// Writes lines as fast as somebody reads them.
fn flood() {
    let lines = "a line of an ordinary length, as a service writes for a request\n".repeat(512);
    let mut out = std::io::stdout();
    loop {
        out.write_all(lines.as_bytes()).expect("somebody listens");
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a container is told by its environment"
)]
fn own_address() -> IpAddr {
    let address = std::env::var("POD_IP").expect("the node sets it");
    address.parse().expect("it is an address")
}

/// Answers 200 while `ready_file` exists, or always if it is `-`.
fn serve(port: u16, ready_file: &Path) {
    let listener = TcpListener::bind((own_address(), port)).expect("a free port");
    say("listening");
    for stream in listener.incoming().flatten() {
        answer(stream, ready_file);
    }
}

fn answer(mut stream: TcpStream, ready_file: &Path) {
    let mut request = [0; 4096];
    if stream.read(&mut request).is_err() {
        return;
    }
    let ready = ready_file == Path::new("-") || ready_file.exists();
    let status = if ready {
        "200 OK"
    } else {
        "503 Service Unavailable"
    };
    let text = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    if let Err(error) = stream.write_all(text.as_bytes()) {
        say(&format!("client is gone: {error}"));
    }
}
