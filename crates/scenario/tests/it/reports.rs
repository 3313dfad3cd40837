//! What a report says in each of its forms.

use std::time::Duration;

use foreshore_scenario::{
    Failure, FailureKind, Inputs, Moment, Outcome, Report, Sample, Statistics, StepRun,
    TargetSample, TargetUse, Timeline, Verdict, baseline, bind,
};

use crate::language::program;

const TEXT: &str = "scenario \"shop <1>\"\nstep home GET http://h/\nstep cart GET http://h/c\nprofile smoke iterations 1\nprofile load arrivals 10/s for 10s gate p99(home) < 1ms\n";

fn report(profile: &str, failed: u64) -> Report {
    let program = program(TEXT);
    let setup = bind(
        &program,
        program.profile(profile).unwrap(),
        &Inputs::default(),
    )
    .unwrap();
    let mut statistics = Statistics::new(2, 0);
    for number in 0..100_u64 {
        let failure = (number < failed).then_some(FailureKind::Status);
        statistics.steps[0].record(&Sample {
            planned: number * 1000,
            sent: number * 1000 + 10,
            ended: number * 1000 + 5_000_000,
            status: if failure.is_some() { 500 } else { 200 },
            failure,
            bytes: 10,
            retries: 0,
        });
        statistics.lateness.record(1000);
    }
    (statistics.planned, statistics.started, statistics.completed) = (100, 100, 100);
    statistics.worker_nanos = 1_000_000;
    let mut timeline = Timeline::default();
    timeline.add(0, &Moment::new(100, failed, &statistics.steps[0].latency));
    let failures = if failed == 0 {
        vec![]
    } else {
        vec![Failure {
            step: 0,
            kind: FailureKind::Status,
            count: failed,
            message: "status 500 was not expected: <b>".to_owned(),
            replay: "curl 'http://h/'".to_owned(),
        }]
    };
    let run = StepRun {
        step: 0,
        user: 0,
        iteration: 0,
        status: 200,
        duration: Duration::from_millis(5),
        failure: (failed > 0).then(|| {
            (
                FailureKind::Status,
                "status 500 & more".to_owned(),
                "curl 'http://h/'".to_owned(),
            )
        }),
    };
    let outcome = Outcome {
        statistics,
        timeline,
        failures,
        log: if profile == "smoke" {
            vec![run]
        } else {
            vec![]
        },
        log_dropped: 0,
        started_at: "2026-11-20T19:00:00Z".parse().unwrap(),
        elapsed: Duration::from_secs(10),
        interrupted: false,
        seed: 7,
        workers: 1,
        target: TargetUse::default(),
    };
    Report::new(&setup, outcome, None)
}

#[test]
fn a_breached_gate_is_named_in_every_form() {
    let report = report("load", 0);
    assert_eq!(report.verdict, Verdict::Fail);
    assert!(
        report
            .text()
            .contains("gate p99(home) < 1ms: BREACHED (5ms)"),
        "{}",
        report.text()
    );
    assert_eq!(report.json()["verdict"], "fail");
    assert_eq!(report.json()["gates"][0]["decision"], "breached");
    assert!(
        report.junit().contains("failures=\"1\""),
        "{}",
        report.junit()
    );
    assert!(report.junit().contains("gate p99(home) &lt; 1ms"));
    assert!(report.html().contains("p99(home) &lt; 1ms"));
    assert!(report.prometheus().contains("verdict=\"fail\"} 1\n"));
}

#[test]
fn a_failed_step_is_told_with_a_command_to_see_it_again() {
    let report = report("smoke", 1);
    assert_eq!(report.verdict, Verdict::Fail);
    let text = report.text();
    assert!(
        text.contains("FAIL  home  5ms  status 500 & more\n      again: curl 'http://h/'"),
        "{text}"
    );
    assert!(report.junit().contains("message=\"status 500 &amp; more\""));
    assert!(
        !report.html().contains("<b>"),
        "what an answer says is never markup"
    );
    assert!(report.html().contains("shop &lt;1&gt;"));
}

#[test]
fn the_page_needs_nothing_from_elsewhere() {
    let html = report("load", 0).html();
    for word in ["<script", "src=", "href=", "@import", "url("] {
        assert!(!html.contains(word), "{word}");
    }
    assert!(
        html.matches("<svg").count() >= 4,
        "percentiles, histogram, requests, latency"
    );
    assert!(!html.contains("NaN") && !html.contains("inf"), "{html}");
}

#[test]
fn what_the_target_used_stands_on_the_same_axis_or_it_is_said_why_not() {
    let mut report = report("load", 0);
    assert!(report.html().contains("Not measured: name the target"));
    report.outcome.target = TargetUse {
        source: "pods of web".into(),
        samples: vec![],
        problem: Some("the cluster did not answer <within> 5s".into()),
    };
    let said = "Not measured: the cluster did not answer &lt;within&gt; 5s";
    assert!(report.html().contains(said));
    report.outcome.target.problem = None;
    report.outcome.target.samples = [(0.0, 2), (10.0, 4)]
        .map(|(at, pods)| TargetSample {
            at,
            cpu: 0.5,
            memory_bytes: 1 << 20,
            pods: Some(pods),
        })
        .into();
    let html = report.html();
    for word in ["From pods of web", "processors", "ready pods", "4.0"] {
        assert!(html.contains(word), "{word}");
    }
    let sample = &report.json()["target"]["samples"][1];
    assert_eq!(
        (&sample["pods"], &sample["atSeconds"]),
        (&4.into(), &10.0.into())
    );
    // The last look is at the run's end: both charts end at their right side.
    assert!(html.matches("L860.0 ").count() >= 2, "{html}");
    report.outcome.target.samples[0].pods = None;
    report.outcome.target.samples[1].pods = None;
    assert!(
        !report.html().contains("ready pods"),
        "a process has no pods"
    );
}

#[test]
fn a_report_is_a_baseline_of_the_same_buckets() {
    let report = report("load", 0);
    let baseline = baseline(&report.json().to_string()).unwrap();
    let before: Vec<_> = report.outcome.statistics.steps[0]
        .latency
        .buckets()
        .collect();
    let after: Vec<_> = baseline["home"].buckets().collect();
    assert_eq!(before, after);
    assert_eq!(baseline[""].count(), 100);
    assert_eq!(baseline["cart"].count(), 0);
}

#[test]
fn what_is_no_report_is_no_baseline() {
    for (text, part) in [
        ("", "not JSON"),
        ("{}", "`schema`"),
        (
            "{\"schema\":\"foreshore.local/load-report/v1\",\"all\":{}}",
            "name",
        ),
    ] {
        let error = baseline(text).unwrap_err();
        assert!(error.contains(part), "{error}");
    }
}
