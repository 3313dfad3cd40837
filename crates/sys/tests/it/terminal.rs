//! Programs on a pseudo terminal.

use std::process::Command;
use std::time::Duration;

use foreshore_sys::{Terminal, take_terminal};

#[test]
fn a_program_sees_a_terminal_of_the_size_told_and_its_end_is_seen() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (terminal, slave) = Terminal::open().unwrap();
        terminal.resize(91, 17).unwrap();
        let mut command = Command::new("sh");
        command
            .args([
                "-c",
                "read words; stty size < /dev/tty; echo \"got $words\"",
            ])
            .stdin(slave.try_clone().unwrap())
            .stdout(slave.try_clone().unwrap())
            .stderr(slave);
        take_terminal(&mut command);
        let mut child = command.spawn().unwrap();
        drop(command);
        terminal.write_all(b"hello\n").await.unwrap();
        let mut text = Vec::new();
        let mut buffer = [0; 64];
        let reading = async {
            loop {
                match terminal.read(&mut buffer).await.unwrap() {
                    0 => break,
                    length => text.extend_from_slice(&buffer[..length]),
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(30), reading)
            .await
            .unwrap();
        child.wait().unwrap();
        let text = String::from_utf8(text).unwrap();
        assert!(text.contains("17 91"), "{text}");
        assert!(text.contains("got hello"), "{text}");
    });
}
