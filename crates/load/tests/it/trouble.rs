//! Servers that misbehave: each is told apart, in words, and the run goes on.

use std::time::{Duration, Instant};

use foreshore_load::RunError;
use foreshore_scenario::{FailureKind, Report, Verdict};

use crate::server::{Reply, Server, nobody, ok, silent};
use crate::{report, setup};

const STEP: &str = "step a GET {{base}}/\nprofile p iterations 1";

fn failure(report: &Report) -> (FailureKind, String) {
    let failure = &report.outcome.failures[0];
    (failure.kind, failure.message.clone())
}

/// One request to a server that answers so; what it is said to have done.
#[track_caller]
fn check(reply: fn() -> Reply, lines: &str, kind: FailureKind, part: &str) {
    let server = Server::start(move |_| reply());
    let text = format!("step a GET {{{{base}}}}/\n{lines}\nprofile p iterations 1 timeout 60s");
    let report = report(&setup(&text, &server.url()));
    let (found, message) = failure(&report);
    assert_eq!(found, kind, "{message}");
    assert!(message.contains(part), "{message}");
    assert_eq!(report.verdict, Verdict::Fail);
}

#[test]
fn answers_that_break_off_are_closed() {
    let cut = || Reply::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf".to_vec());
    check(
        cut,
        "",
        FailureKind::Closed,
        "before the answer was whole (4 bytes of its body came)",
    );
    let chunk =
        || Reply::Raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab".to_vec());
    check(chunk, "", FailureKind::Closed, "(2 bytes");
    let head = || Reply::Raw(b"HTTP/1.1 200 OK\r\nX: ".to_vec());
    check(head, "", FailureKind::Closed, "before the answer was whole");
    check(
        || Reply::Raw(Vec::new()),
        "",
        FailureKind::Closed,
        "before an answer came",
    );
    let stream = || Reply::Raw(b"HTTP/1.1 200 OK\r\n\r\ndata: 1\n\n".to_vec());
    check(
        stream,
        "  events 2 within 60s",
        FailureKind::Closed,
        "before the answer was whole",
    );
}

#[test]
fn answers_that_are_no_http_are_a_protocol_failure() {
    check(
        || Reply::Raw(b"SSH-2.0-OpenSSH\r\n\r\n".to_vec()),
        "",
        FailureKind::Protocol,
        "not HTTP/1.1",
    );
    let surplus = || Reply::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nabc".to_vec());
    check(
        surplus,
        "",
        FailureKind::Protocol,
        "more bytes than it announced",
    );
    let two = || {
        Reply::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\na".to_vec())
    };
    check(two, "", FailureKind::Protocol, "contradicting lengths");
    let h2 = || Reply::Raw(b"\x00\x00\x12\x04\x00\x00\x00\x00\x00".to_vec());
    check(h2, "", FailureKind::Protocol, "not HTTP/1.1");
}

#[test]
fn bodies_without_end_are_cut_off() {
    let endless = || Reply::Endless(b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), vec![b'x'; 4096]);
    check(
        endless,
        "  body-limit 100KiB",
        FailureKind::TooLarge,
        "longer than 102400 bytes",
    );
    let announced =
        || Reply::Hang(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n".to_vec());
    check(
        announced,
        "",
        FailureKind::TooLarge,
        "longer than 16777216 bytes",
    );
    let head = || Reply::Endless(b"HTTP/1.1 200 OK\r\nX: ".to_vec(), vec![b'x'; 4096]);
    check(head, "", FailureKind::Protocol, "longer than 65536 bytes");
    let chunks = || {
        Reply::Endless(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec(),
            b"1000000000\r\nxxxxxxxxxxx".to_vec(),
        )
    };
    check(
        chunks,
        "  body-limit 10KiB",
        FailureKind::TooLarge,
        "longer than 10240 bytes",
    );
}

#[test]
fn who_is_too_slow_is_not_waited_for() {
    let (_listener, url) = silent();
    let server =
        Server::start(|_| Reply::Hang(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab".to_vec()));
    for (url, part) in [(url, "(0 bytes came)"), (server.url(), "bytes came)")] {
        let text = "step a GET {{base}}/\n  timeout 100ms\nprofile p iterations 1";
        let began = Instant::now();
        let (kind, message) = failure(&report(&setup(text, &url)));
        assert_eq!(kind, FailureKind::Timeout);
        assert!(
            message.starts_with("no whole answer within 100ms") && message.contains(part),
            "{message}"
        );
        assert!(began.elapsed() >= Duration::from_millis(100), "not earlier");
    }
}

#[test]
fn nobody_there_is_unreachable() {
    let report = report(&setup(STEP, &nobody()));
    assert_eq!(report.verdict, Verdict::Unreachable);
    let (kind, message) = failure(&report);
    assert_eq!(kind, FailureKind::Connect);
    assert!(message.contains("refused"), "{message}");
}

#[test]
fn a_plain_server_is_no_tls_server() {
    let server = Server::start(|_| ok(""));
    let url = format!("https://127.0.0.1:{}", server.port);
    let report = report(&setup(
        "step a GET {{base}}/\n  timeout 60s\nprofile p iterations 1",
        &url,
    ));
    let (kind, message) = failure(&report);
    assert!(
        matches!(kind, FailureKind::Tls | FailureKind::Closed),
        "{message}"
    );
}

#[test]
fn a_host_that_does_not_exist_is_said_before_anything_is_sent() {
    let setup = setup(STEP, "http://nowhere.invalid");
    let error = foreshore_load::run(
        &setup,
        std::path::Path::new("."),
        &foreshore_load::Options::default(),
        |_| {},
    )
    .unwrap_err();
    assert!(error.is_unreachable(), "{error}");
    assert!(error.to_string().contains("`nowhere.invalid`"), "{error}");
}

#[test]
fn certificates_that_cannot_be_read_are_said_before_anything_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("empty.pem"), "nothing").unwrap();
    let error = |file: &str| {
        let text = format!(
            "target own = \"https://localhost:1\" ca \"{file}\"\nstep a GET {{{{own}}}}/\nprofile p iterations 1"
        );
        let setup = setup(&text, "http://localhost");
        foreshore_load::run(
            &setup,
            folder.path(),
            &foreshore_load::Options::default(),
            |_| {},
        )
        .unwrap_err()
    };
    assert!(matches!(
        error("missing.pem"),
        RunError::Certificates { .. }
    ));
    assert!(matches!(
        error("empty.pem"),
        RunError::NoCertificates { .. }
    ));
}

#[test]
fn a_value_with_a_line_break_is_not_sent() {
    let server = Server::start(|_| ok("{\"v\":\"a\\r\\nX-Evil: 1\"}"));
    let text = "step a GET {{base}}/\n  capture v = json $.v\nstep b GET {{base}}/\n  X-V: {{v}}\nprofile p iterations 1";
    let (kind, message) = failure(&report(&setup(text, &server.url())));
    assert_eq!(kind, FailureKind::Render);
    assert_eq!(message, "the value of header `X-V` holds a line break");
    assert_eq!(server.seen().len(), 1);
}

#[test]
fn an_address_out_of_an_answer_stays_within_the_hosts() {
    let server = Server::start(|request| match request.path.as_str() {
        "/" => ok(&format!(
            "{{\"next\":\"http://{}/more\"}}",
            request.header("host").unwrap()
        )),
        _ => ok("{\"next\":\"http://evil.example/\"}"),
    });
    let text = "step a GET {{base}}/\n  capture next = json $.next\nstep b GET {{next}}\n  capture next = json $.next\nstep c GET {{next}}\nprofile p iterations 1";
    let report = report(&setup(text, &server.url()));
    assert_eq!(
        server.seen().len(),
        2,
        "the second step goes where the first answer says"
    );
    let (kind, message) = failure(&report);
    assert_eq!(kind, FailureKind::Render);
    assert!(
        message.contains("`evil.example` is not among the hosts"),
        "{message}"
    );
}

#[test]
fn the_first_failure_ends_the_run_where_the_profile_says_so() {
    let server = Server::start(|_| Reply::Usual(500, "", String::new()));
    let text = "step a GET {{base}}/\nprofile p iterations 100 stop-on-first-failure";
    report(&setup(text, &server.url()));
    assert_eq!(server.seen().len(), 1);
}
