//! Loads: what is planned is sent or counted as undelivered; what limits the run makes it invalid.
//!
//! Nothing here depends on how fast the machine is: gates on lateness are wide open.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use foreshore_load::{Brake, Options, run};
use foreshore_scenario::{Decision, FailureKind, Inputs, Report, Verdict};

use crate::server::{Reply, Server, ok, silent};
use crate::{report, setup, with_inputs};

/// Takes the machine's own speed out of the verdict.
const ANY_MACHINE: &str = "gate lateness.p99 < 1h starved <= 100% busy <= 100%";

#[test]
fn every_planned_arrival_is_sent() {
    let server = Server::start(|_| ok("x"));
    for connections in ["connections own", "connections 4"] {
        let before = server.seen().len();
        let text = format!(
            "step a GET {{{{base}}}}/\nprofile p arrivals poisson 300/s for 500ms {connections} max-in-flight 100000 drain 60s {ANY_MACHINE} gate p99 < 1h samples >= 100"
        );
        // Own connections may be many at once on a slow machine; shared ones are four.
        let text = text.replace("100000", "400");
        let report = report(&setup(&text, &server.url()));
        let statistics = &report.outcome.statistics;
        let count = server.seen().len() - before;
        assert_eq!(statistics.undelivered(), 0);
        assert_eq!(
            (statistics.planned, statistics.completed),
            (count as u64, count as u64)
        );
        assert_eq!(statistics.requests(), count as u64);
        assert_eq!(report.verdict, Verdict::Pass, "{}", report.text());
        if connections == "connections 4" {
            assert!(statistics.connections <= 4);
        }
    }
}

#[test]
fn the_same_seed_plans_the_same_arrivals_over_any_number_of_workers() {
    let server = Server::start(|_| ok("x"));
    let text = format!(
        "step a GET {{{{base}}}}/{{{{user}}}}/{{{{int 1 1000000}}}}\nprofile p arrivals poisson 200/s for 300ms max-in-flight 500 drain 60s {ANY_MACHINE}"
    );
    let setup = setup(&text, &server.url());
    let mut runs = Vec::new();
    for workers in [1, 3] {
        let before = server.seen().len();
        let options = Options {
            workers: Some(workers),
            seed: Some(9),
            ..Options::default()
        };
        let outcome = run(&setup, Path::new("."), &options, |_| {}).unwrap();
        assert_eq!(outcome.workers, workers);
        let mut paths: Vec<String> = server.seen()[before..]
            .iter()
            .map(|it| it.path.clone())
            .collect();
        paths.sort();
        runs.push(paths);
    }
    assert_eq!(runs[0], runs[1]);
}

#[test]
fn what_finds_no_room_is_undelivered_and_the_run_invalid() {
    let (_listener, url) = silent();
    let text = format!(
        "step a GET {{{{base}}}}/\n  timeout 1h\nprofile p arrivals 100/s for 300ms max-in-flight 1 drain 0s {ANY_MACHINE}"
    );
    let report = report(&setup(&text, &url));
    let statistics = &report.outcome.statistics;
    assert_eq!(
        (
            statistics.planned,
            statistics.started,
            statistics.undelivered()
        ),
        (30, 1, 29)
    );
    assert_eq!(report.outcome.failures[0].kind, FailureKind::Unfinished);
    assert_eq!(report.verdict, Verdict::Invalid);
    assert!(
        report.reasons().iter().any(|reason| reason
            .contains("`delivered >= 99%` does not hold: 3.333%; the generator limited the run")),
        "{:?}",
        report.reasons()
    );
}

#[test]
fn a_generator_that_is_late_makes_the_run_invalid_and_not_a_failure() {
    let server = Server::start(|_| Reply::Usual(500, "", String::new()));
    let text = "step a GET {{base}}/\nprofile p arrivals 50/s for 200ms max-in-flight 100 gate lateness.max < 0s errors < 1% starved <= 100%";
    let report = report(&setup(text, &server.url()));
    let breached = report
        .answers
        .iter()
        .filter(|answer| answer.decision == Decision::Breached);
    assert_eq!(breached.count(), 2, "{}", report.text());
    assert_eq!(report.verdict, Verdict::Invalid);
}

#[test]
fn users_come_one_by_one_and_start_again_and_again() {
    let server = Server::start(|_| ok("x"));
    let text =
        "step a GET {{base}}/{{user}}\nthink 1ms..5ms\nprofile p users 0 -> 4 over 200ms, hold 8h";
    let setup = setup(text, &server.url());
    let brake = Brake::default();
    let options = Options {
        workers: Some(2),
        brake: brake.clone(),
        ..Options::default()
    };
    let everybody = || {
        let seen = server.seen();
        ["/0", "/1", "/2", "/3"]
            .iter()
            .all(|user| seen.iter().filter(|it| it.path == **user).count() > 3)
    };
    let outcome = run(&setup, Path::new("."), &options, |_| {
        if everybody() {
            brake.pull();
        }
    })
    .unwrap();
    assert_eq!(outcome.statistics.failed(), 0, "{:?}", outcome.failures);
    assert!(outcome.statistics.connections <= 4);
    assert!(
        server.seen().iter().all(|it| it.path.len() == 2),
        "nobody else came"
    );
}

#[test]
fn who_thinks_when_the_shape_is_over_goes_home() {
    let server = Server::start(|_| ok("x"));
    let text = format!(
        "step a GET {{{{base}}}}/\nthink 8h\nprofile p users 3 for 200ms drain 8h {ANY_MACHINE}"
    );
    let report = report(&setup(&text, &server.url()));
    assert_eq!(report.outcome.statistics.failed(), 0, "{}", report.text());
    assert!(report.outcome.statistics.requests() <= 3);
}

#[test]
fn a_closed_load_stays_below_the_highest_rate() {
    let server = Server::start(|_| ok("x"));
    let text = format!(
        "max-rate 50/s\nstep a GET {{{{base}}}}/\nprofile p users 8 for 400ms drain 60s {ANY_MACHINE}"
    );
    let report = report(&setup(&text, &server.url()));
    let sent = report.outcome.statistics.requests();
    // One every 20 ms, and one for each user that was in line when time was over.
    assert!(sent <= 20 + 8 + 1, "{sent} requests");
    assert!(sent > 0);
}

#[test]
fn a_pulled_brake_keeps_what_was_measured() {
    let server = Server::start(|_| ok("x"));
    let text = "step a GET {{base}}/\nthink 10ms\nprofile p users 2 for 8h";
    let setup = setup(text, &server.url());
    let brake = Brake::default();
    let options = Options {
        brake: brake.clone(),
        ..Options::default()
    };
    let outcome = run(&setup, Path::new("."), &options, |live| {
        if live.requests > 0 {
            brake.pull();
        }
    })
    .unwrap();
    let report = Report::new(&setup, outcome, None);
    assert_eq!(report.verdict, Verdict::Interrupted);
    assert!(report.outcome.statistics.requests() > 0);
    assert!(!report.outcome.timeline.moments.is_empty());
}

#[test]
fn failures_are_counted_by_kind_and_described_once() {
    let server = Server::start(|request| {
        if request.path == "/bad" {
            Reply::Usual(503, "", "sorry".to_owned())
        } else {
            ok("x")
        }
    });
    let text = format!(
        "pick\n  weight 1\n    step good GET {{{{base}}}}/\n  weight 1\n    step bad GET {{{{base}}}}/bad\nprofile p arrivals 200/s for 250ms max-in-flight 200 drain 60s {ANY_MACHINE} gate status.5xx(bad) >= 100% errors <= 100% errors(good) <= 0%"
    );
    let report = report(&setup(&text, &server.url()));
    assert_eq!(report.verdict, Verdict::Pass, "{}", report.text());
    let bad = &report.outcome.statistics.steps[1];
    assert_eq!(report.outcome.failures.len(), 1);
    assert_eq!(report.outcome.failures[0].count, bad.requests());
    assert!(
        report.outcome.failures[0].replay.starts_with("curl -i "),
        "{:?}",
        report.outcome.failures
    );
}

#[test]
fn unique_rows_that_would_run_out_are_said_before_the_start() {
    let inputs = Inputs {
        files: BTreeMap::from([("d.csv".to_owned(), "n\n1\n2\n".to_owned())]),
        ..Inputs::default()
    };
    let text = "data d = csv \"d.csv\" unique\nstep a GET {{base}}/{{d.n}}\nprofile p arrivals 10/s for 1s";
    let setup = with_inputs(text, "http://127.0.0.1:1", inputs);
    let error = run(&setup, Path::new("."), &Options::default(), |_| {}).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`d` is unique and has 2 rows; the run needs 10"
    );
}

#[test]
fn a_window_counts_what_was_planned_in_it() {
    let server = Server::start(|_| ok("x"));
    let text = format!(
        "step a GET {{{{base}}}}/\nprofile p arrivals 100/s for 600ms max-in-flight 100 drain 60s {ANY_MACHINE} gate samples >= 20 during 200ms..400ms samples <= 20 during 200ms..400ms samples >= 10 last 100ms"
    );
    let report = report(&setup(&text, &server.url()));
    assert_eq!(report.verdict, Verdict::Pass, "{}", report.text());
}

/// A generator that waits for the target, or that counts from the sending, would report a healthy p99.
#[test]
fn a_target_that_stands_still_shows_in_the_percentiles() {
    const FREEZE: Duration = Duration::from_secs(1);
    let (count, gate) = (AtomicUsize::new(0), Mutex::new(()));
    let server = Server::start(move |_| {
        let _turn = gate.lock();
        if count.fetch_add(1, Ordering::Relaxed) == 100 {
            // The fault itself: nobody is answered for so long.
            thread::sleep(FREEZE);
        }
        ok("x")
    });
    let text = format!(
        "step a GET {{{{base}}}}/\nprofile p arrivals 200/s for 3s connections 4 max-in-flight 10000 drain 60s {ANY_MACHINE}"
    );
    let report = report(&setup(&text, &server.url()));
    let statistics = &report.outcome.statistics;
    assert_eq!((statistics.planned, statistics.undelivered()), (600, 0));
    let step = &statistics.steps[0];
    // 200 of 600 were planned within that second, evenly: six of them wait longer than 0.97 s.
    let p99 = step.latency.quantile(0.99).unwrap();
    assert!(p99 >= FREEZE.mul_f64(0.9), "{p99:?}");
    let held_back = step.slip.max().unwrap();
    assert!(held_back >= FREEZE.mul_f64(0.8), "{held_back:?}");
}
