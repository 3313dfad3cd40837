//! The messages of `exec` over a WebSocket; pure.
//!
//! The first byte of each binary message says what the rest is.

use serde_json::{Value, json};

/// Subprotocols this node speaks, the best first. The fifth differs from the
/// fourth in that the end of the input can be told.
pub(super) const PROTOCOLS: [&str; 2] = ["v5.channel.k8s.io", "v4.channel.k8s.io"];

pub(super) const STDOUT: u8 = 1;
pub(super) const STDERR: u8 = 2;
const STDIN: u8 = 0;
const ERROR: u8 = 3;
const RESIZE: u8 = 4;
const CLOSE: u8 = 255;

/// What a client says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said<'a> {
    Input(&'a [u8]),
    EndOfInput,
    Size {
        columns: u16,
        rows: u16,
    },
    /// Nothing this node acts on.
    Nothing,
}

pub(super) fn read(message: &[u8]) -> Said<'_> {
    match message {
        [STDIN, input @ ..] => Said::Input(input),
        [CLOSE, STDIN] => Said::EndOfInput,
        [RESIZE, size @ ..] => size_of(size).unwrap_or(Said::Nothing),
        _ => Said::Nothing,
    }
}

fn size_of(text: &[u8]) -> Option<Said<'static>> {
    let size: Value = serde_json::from_slice(text).ok()?;
    let number = |name: &str| u16::try_from(size.get(name)?.as_u64()?).ok();
    Some(Said::Size {
        columns: number("Width")?,
        rows: number("Height")?,
    })
}

/// Output of the program.
pub(super) fn output(channel: u8, bytes: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(bytes.len() + 1);
    message.push(channel);
    message.extend_from_slice(bytes);
    message
}

/// How the program ended, the last message.
pub(super) fn ended(code: i32) -> Vec<u8> {
    status(&if code == 0 {
        json!({ "metadata": {}, "status": "Success" })
    } else {
        json!({
            "metadata": {},
            "status": "Failure",
            "reason": "NonZeroExitCode",
            "message": format!("command terminated with non-zero exit code: exit status {code}"),
            "details": { "causes": [{ "reason": "ExitCode", "message": code.to_string() }] },
        })
    })
}

/// Why there is no exit code.
pub(super) fn failed(message: &str) -> Vec<u8> {
    status(&json!({
        "metadata": {}, "status": "Failure", "reason": "InternalError", "code": 500,
        "message": message,
    }))
}

fn status(status: &Value) -> Vec<u8> {
    output(ERROR, status.to_string().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_says_is_told_apart_by_the_first_byte() {
        assert_eq!(read(b"\0ls\n"), Said::Input(b"ls\n"));
        assert_eq!(read(b"\0"), Said::Input(b""));
        assert_eq!(read(&[255, 0]), Said::EndOfInput);
        let size = Said::Size {
            columns: 80,
            rows: 24,
        };
        assert_eq!(read(b"\x04{\"Width\":80,\"Height\":24}"), size);
        for strange in [&b""[..], b"\x04{}", b"\x04\xff", b"\x07x", &[255, 3]] {
            assert_eq!(read(strange), Said::Nothing, "{strange:?}");
        }
    }

    #[test]
    fn an_exit_code_travels_as_a_cause_of_failure() {
        let message = ended(7);
        assert_eq!(message[0], ERROR);
        let status: Value = serde_json::from_slice(&message[1..]).unwrap();
        assert_eq!(status["details"]["causes"][0]["message"], "7");
        let message = ended(0);
        let status: Value = serde_json::from_slice(&message[1..]).unwrap();
        assert_eq!(status["status"], "Success");
    }
}
