//! Verdicts of releases whose services answer well, badly, late, or not at all.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::fixture;

/// Answers each path with what `answer` says of its number and path; returns where.
fn server(answer: impl Fn(usize, &str) -> (u16, String) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let (answer, count) = (Arc::new(answer), Arc::new(AtomicUsize::new(0)));
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (answer, count) = (Arc::clone(&answer), Arc::clone(&count));
            thread::spawn(move || {
                let mut reader = BufReader::new(stream);
                loop {
                    let mut path = String::new();
                    loop {
                        let mut line = String::new();
                        if reader.read_line(&mut line).map_or(true, |read| read == 0) {
                            return;
                        }
                        if path.is_empty() {
                            path = line.split(' ').nth(1).unwrap_or_default().to_owned();
                        }
                        if line.trim().is_empty() {
                            break;
                        }
                    }
                    let (status, body) = answer(count.fetch_add(1, Ordering::Relaxed), &path);
                    let text = format!(
                        "HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{body}",
                        body.len()
                    );
                    if reader.get_mut().write_all(text.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

fn good(path: &str) -> (u16, String) {
    let version = fixture::release(1).artifact_id;
    match path {
        "/metrics" => (200, "up 1\n".to_owned()),
        "/info" => (200, format!("{{\"version\":\"{version}\"}}")),
        _ => (200, "ok".to_owned()),
    }
}

fn check(name: &str, outside: bool, text: &str) -> Check {
    Check {
        name: name.to_owned(),
        scenario: Scenario::Text(format!(
            "scenario \"{name}\"\ntarget base = env TARGET_URL\n{text}"
        )),
        environments: Vec::new(),
        gate: true,
        profile: None,
        outside,
        files: BTreeMap::new(),
    }
}

fn plan(inside: Result<String, String>, checks: Vec<Check>) -> Plan {
    Plan {
        release: fixture::release(1),
        manifests_tree: "tree".to_owned(),
        checks,
        doors: Doors {
            inside,
            outside: Err("the release has no Ingress with a host".to_owned()),
            host: None,
            contract: true,
        },
    }
}

fn options() -> CheckOptions {
    CheckOptions {
        patience: Duration::from_millis(500),
        ..CheckOptions::new(Ok(Ground::current()))
    }
}

/// Each verdict as `check: word: summary`.
fn run(plan: Plan, options: CheckOptions) -> Vec<String> {
    let runner = Runner {
        deadline: Instant::now() + options.time,
        plan,
        options,
        brake: Brake::default(),
    };
    let verdicts = runner.run();
    for verdict in &verdicts {
        assert_eq!(
            (verdict.tree.as_str(), verdict.gate),
            ("tree", verdict.check != CONTRACT)
        );
        assert!(!(verdict.passed && verdict.unknown));
    }
    let line = |it: &Verdict| format!("{}: {}: {}", it.check, it.word(), it.summary);
    verdicts.iter().map(line).collect()
}

#[track_caller]
fn says(line: &str, start: &str, part: &str) {
    assert!(line.starts_with(start) && line.contains(part), "{line}");
}

#[test]
fn a_good_release_passes_the_contract_and_its_own_checks() {
    let address = server(|_, path| good(path));
    let own = check(
        "front",
        false,
        "value version = env EXPECTED_VERSION\nstep info GET {{base}}/info\n  assert json $.version == \"{{version}}\"\n",
    );
    let lines = run(plan(Ok(format!("http://{address}")), vec![own]), options());
    says(&lines[0], "contract: passed", "3 steps");
    says(&lines[1], "front: passed", "1 steps");
}

#[test]
fn an_old_version_that_still_answers_fails_the_contract() {
    let address = server(|_, path| match path {
        "/info" => (200, "{\"version\":\"old\"}".to_owned()),
        other => good(other),
    });
    let lines = run(plan(Ok(format!("http://{address}")), vec![]), options());
    says(&lines[0], "contract: failed", "old");
}

#[test]
fn what_is_better_a_moment_later_is_no_failure() {
    // The first pass meets the release before.
    let address = server(|number, path| match (number, path) {
        (0..3, _) => (503, String::new()),
        _ => good(path),
    });
    let patient = CheckOptions {
        patience: Duration::from_secs(30),
        ..options()
    };
    let lines = run(plan(Ok(format!("http://{address}")), vec![]), patient);
    says(&lines[0], "contract: passed", "");
}

#[test]
fn nobody_there_is_never_a_pass() {
    let nobody = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = nobody.local_addr().unwrap();
    drop(nobody);
    let own = check("front", false, "step a GET {{base}}/\n");
    let lines = run(plan(Ok(format!("http://{address}")), vec![own]), options());
    says(&lines[0], "contract: could not be made", "refused");
    says(&lines[1], "front: could not be made", "refused");
}

#[test]
fn why_a_check_cannot_be_sent_is_its_summary() {
    let door = check("door", true, "step a GET {{base}}/\n");
    let own = check("front", false, "step a GET {{nobody}}/\n");
    let address = server(|_, path| good(path));
    let lines = run(
        plan(Ok(format!("http://{address}")), vec![door, own]),
        options(),
    );
    says(&lines[0], "door: could not be made", "no Ingress");
    says(&lines[1], "contract: passed", "");
    says(&lines[2], "front: could not be made", "nobody");
    let far = CheckOptions {
        inside: Err("the agent is far away".to_owned()),
        ..options()
    };
    let lines = run(plan(Ok("http://127.0.0.1:1".to_owned()), vec![]), far);
    says(&lines[0], "contract: could not be made", "far away");
}

#[test]
fn users_come_to_the_ingress_by_a_name_that_nobody_resolves() {
    let address = server(|_, path| good(path));
    let mut made = plan(
        Err("not asked".to_owned()),
        vec![check("door", true, "step a GET {{base}}/\n")],
    );
    made.doors.outside = Ok(format!("http://shop.example.invalid:{}", address.port()));
    made.doors.host = Some("shop.example.invalid".to_owned());
    let with_ingress = CheckOptions {
        ingress: Some(address),
        ..options()
    };
    let lines = run(made, with_ingress);
    says(&lines[0], "door: passed", "");
}

#[test]
fn checks_that_would_go_on_for_ever_are_ended() {
    let address = server(|_, _| (500, String::new()));
    let slow = check(
        "slow",
        false,
        "step a GET {{base}}/\n  retry within 1h every 10ms\n",
    );
    let mut made = plan(Ok(format!("http://{address}")), vec![slow]);
    made.doors.contract = false;
    let short = CheckOptions {
        time: Duration::from_secs(1),
        ..options()
    };
    let lines = run(made, short);
    says(
        &lines[0],
        "slow: could not be made",
        "did not end within 1s",
    );
}

#[test]
fn a_newer_release_ends_the_checks_of_the_one_before() {
    let address = server(|_, _| (500, String::new()));
    let slow = check(
        "slow",
        false,
        "step a GET {{base}}/\n  retry within 1h every 10ms\n",
    );
    let made = plan(Ok(format!("http://{address}")), vec![slow]);
    let (sender, ended) = std::sync::mpsc::sync_channel(1);
    let running = start(made, options(), move || sender.send(()).unwrap()).unwrap();
    drop(running);
    ended.recv_timeout(Duration::from_mins(1)).unwrap();
}
