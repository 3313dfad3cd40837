//! Flows: what is sent, taken out of answers, and sent again.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

use foreshore_load::{Options, check_contract};
use foreshore_scenario::{Inputs, Report, Verdict};

use crate::server::{Reply, Request, Server, ok};
use crate::{report, report_in, setup, with_inputs};

#[track_caller]
fn passed(report: &Report) {
    assert_eq!(report.verdict, Verdict::Pass, "{}", report.text());
}

fn paths(server: &Server) -> Vec<String> {
    let seen = server.seen();
    seen.iter()
        .map(|request| format!("{} {}", request.method, request.path))
        .collect()
}

#[test]
fn what_one_step_captures_the_next_one_sends() {
    let server = Server::start(|request| match request.path.as_str() {
        "/login" => Reply::Usual(
            201,
            "Set-Cookie: sid=a1; Path=/\r\nX-Next: p/2\r\n",
            "{\"token\":\"t 1\",\"id\":7}".to_owned(),
        ),
        _ => ok("{\"ok\":true}"),
    });
    let text = "step login POST {{base}}/login {\"name\":\"a\\\"b\"}\n  expect 201\n  capture token = json $.token\n  capture id = json $.id\n  capture next = header X-Next\nstep use GET {{base}}/items/{{token}}/{{next}}\n  X-Id: {{id}}\n  assert json $.ok == true\nloop 2\n  step again PUT {{base}}/again {\"id\":{{id}},\"t\":\"{{token}}\"}\nprofile p iterations 2";
    let report = report(&setup(text, &server.url()));
    passed(&report);
    let pass = [
        "POST /login",
        "GET /items/t%201/p%2F2",
        "PUT /again",
        "PUT /again",
    ];
    assert_eq!(paths(&server), [pass, pass].concat());
    let seen = server.seen();
    assert_eq!(seen[0].header("cookie"), None);
    assert_eq!(seen[1].header("cookie"), Some("sid=a1"));
    assert_eq!(seen[1].header("x-id"), Some("7"));
    assert_eq!(seen[2].body, "{\"id\":7,\"t\":\"t 1\"}");
    assert_eq!(
        seen[4].header("cookie"),
        None,
        "a pass begins as a stranger"
    );
    assert_eq!(
        report.outcome.statistics.connections, 1,
        "the connection is kept"
    );
}

#[test]
fn a_step_is_tried_again_until_it_holds() {
    let asked = AtomicU32::new(0);
    let server = Server::start(move |_| match asked.fetch_add(1, Ordering::SeqCst) {
        0 => Reply::Usual(503, "", String::new()),
        1 => ok("{\"state\":\"busy\"}"),
        _ => ok("{\"state\":\"done\"}"),
    });
    let text = "step job GET {{base}}/job\n  assert json $.state == \"done\"\n  retry within 60s every 5ms\nprofile p iterations 1";
    let report = report(&setup(text, &server.url()));
    passed(&report);
    let step = &report.outcome.statistics.steps[0];
    assert_eq!((step.requests(), step.failed(), step.retries), (1, 0, 2));
}

#[test]
fn a_connection_that_was_given_up_is_replaced() {
    let server = Server::start(|_| Reply::Last("x".to_owned()));
    let text = "step a GET {{base}}/\nthink 50ms\nstep b GET {{base}}/\nprofile p iterations 3";
    let report = report(&setup(text, &server.url()));
    passed(&report);
    assert_eq!(report.outcome.statistics.requests(), 6);
}

#[test]
fn redirects_are_followed_where_the_step_says_so_and_within_its_hosts() {
    let server = Server::start(|request: &Request| match request.path.as_str() {
        "/a" => Reply::Usual(302, "Location: /b?x=1\r\n", String::new()),
        "/away" => Reply::Usual(302, "Location: http://evil.example/x\r\n", String::new()),
        _ => ok("here"),
    });
    let followed = "step a POST {{base}}/a {}\n  redirects 2\n  assert body == \"here\"\nprofile p iterations 1";
    passed(&report(&setup(followed, &server.url())));
    assert_eq!(paths(&server), ["POST /a", "GET /b?x=1"]);
    let seen = server.seen();
    assert_eq!(
        seen[1].header("content-type"),
        None,
        "the body is gone, and what spoke of it"
    );

    let unfollowed = "step a GET {{base}}/a\nprofile p iterations 1";
    let report_unfollowed = report(&setup(unfollowed, &server.url()));
    assert!(report_unfollowed.reasons()[0].contains("status 302 was not expected"));

    let away = "step a GET {{base}}/away\n  redirects 2\nprofile p iterations 1";
    let report_away = report(&setup(away, &server.url()));
    let reason = report_away.reasons().remove(0);
    assert!(
        reason.contains("`evil.example` is not among the hosts of this run; allow it with `hosts \"evil.example\"`"),
        "{reason}"
    );
}

#[test]
fn a_stream_of_events_is_read_until_there_are_enough() {
    let server = Server::start(|_| {
        let events = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: {\"n\":1}\n\n: still here\n\ndata: {\"n\":2}\n\n";
        Reply::Hang(events.as_bytes().to_vec())
    });
    let text = "step events GET {{base}}/events\n  events 2 within 60s\n  capture n = json $.n\nstep next GET {{base}}/{{n}}\n  events 1 within 60s\nprofile p iterations 1";
    passed(&report(&setup(text, &server.url())));
    assert_eq!(paths(&server), ["GET /events", "GET /2"]);
    assert_eq!(server.seen()[0].header("accept"), Some("text/event-stream"));
}

#[test]
fn every_row_is_used_once_and_by_one_user() {
    let server = Server::start(|_| ok(""));
    let rows: Vec<String> = (0..10).map(|row| format!("r{row}")).collect();
    let inputs = Inputs {
        files: BTreeMap::from([("d.csv".to_owned(), format!("name\n{}\n", rows.join("\n")))]),
        ..Inputs::default()
    };
    let text = "data d = csv \"d.csv\" unique\nstep a GET {{base}}/{{d.name}}/{{user}}\nprofile p each d users 3";
    passed(&report(&with_inputs(text, &server.url(), inputs)));
    let mut seen = paths(&server);
    seen.sort();
    let expected: Vec<String> = (0..10)
        .map(|row| format!("GET /r{row}/{}", row % 3))
        .collect();
    assert_eq!(seen, expected);
}

#[test]
fn tls_needs_a_certificate_that_is_trusted() {
    let (server, pem) = Server::start_tls(|_| ok("safe"));
    let url = format!("https://localhost:{}", server.port);
    let text = "step a GET {{base}}/\nstep b GET {{base}}/\n  assert body == \"safe\"\nprofile p iterations 1";
    let refused = report(&setup(text, &url));
    assert_eq!(refused.verdict, Verdict::Unreachable);
    let reason = refused.reasons().remove(0);
    assert!(
        reason.contains("TLS with `localhost`: invalid peer certificate"),
        "{reason}"
    );

    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ca.pem"), pem).unwrap();
    let with_ca = format!(
        "target own = \"{url}\" ca \"ca.pem\"\n{}",
        text.replace("base", "own")
    );
    let trusted = report_in(&setup(&with_ca, &url), folder.path());
    passed(&trusted);
    assert_eq!(trusted.outcome.statistics.connections, 1);
}

#[test]
fn no_secret_is_told() {
    let server = Server::start(|request| {
        let key = request.header("x-key").unwrap_or_default().to_owned();
        if request.path == "/login" {
            return ok("{\"token\":\"tok-secret-2\"}");
        }
        let authorization = request.header("authorization").unwrap_or_default();
        Reply::Usual(500, "", format!("wrong key {key} or token {authorization}"))
    });
    let inputs = Inputs {
        environment: BTreeMap::from([("KEY".to_owned(), "key-secret-1".to_owned())]),
        ..Inputs::default()
    };
    let text = "secret key = env KEY\nstep login GET {{base}}/login\n  capture secret token = json $.token\nstep a GET {{base}}/?k={{key}}\n  X-Key: {{key}}\n  Authorization: Bearer {{token}}\nprofile p iterations 1";
    let report = report(&with_inputs(text, &server.url(), inputs));
    assert_eq!(
        server.seen()[1].header("x-key"),
        Some("key-secret-1"),
        "it was sent"
    );
    let forms = [
        report.text(),
        report.json().to_string(),
        report.html(),
        report.junit(),
        report.prometheus(),
        report.reasons().concat(),
    ];
    for form in forms {
        assert!(
            !form.contains("secret-1") && !form.contains("secret-2"),
            "{form}"
        );
    }
    assert!(
        report
            .text()
            .contains("wrong key [key] or token Bearer [token]"),
        "{}",
        report.text()
    );
}

#[test]
fn the_contract_of_every_service_is_checked_with_its_version() {
    let server = Server::start(|request| match request.path.as_str() {
        "/health" => ok("ok\n"),
        "/metrics" => ok("# HELP up x\n# TYPE up gauge\nup{a=\"b\"} 1\n"),
        "/info" => ok("{\"name\":\"web\",\"version\":\"1.2.3\"}"),
        _ => Reply::Usual(404, "", String::new()),
    });
    let check = |version| check_contract(&server.url(), version, &Options::default()).unwrap();
    passed(&check(None));
    passed(&check(Some("1.2.3")));
    let old = check(Some("1.2.4"));
    assert_eq!(old.verdict, Verdict::Fail);
    assert!(
        old.reasons()[0].contains("it is \"1.2.3\""),
        "{:?}",
        old.reasons()
    );
}

#[test]
fn a_service_that_breaks_the_contract_fails_it_step_by_step() {
    let server = Server::start(|request| match request.path.as_str() {
        "/metrics" => ok("<html>"),
        "/info" => ok("{}"),
        _ => ok(""),
    });
    let report = check_contract(&server.url(), None, &Options::default()).unwrap();
    assert_eq!(report.verdict, Verdict::Fail);
    assert!(
        report.reasons()[0].starts_with("metrics: "),
        "{:?}",
        report.reasons()
    );
}
