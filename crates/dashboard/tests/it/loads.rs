//! A load run is seen while it goes on, by reload and by stream, and its verdict after it.

use serde_json::{Value, json};

use crate::stage::Stage;

fn run(requests: u64, verdict: Option<&str>) -> Value {
    let point = |requests: u64| json!({"requests": requests, "failed": 1, "p50": 1_500, "p99": 880_000, "shape": 1_000.0});
    json!({
        "id": "r1", "scenario": "spike <b>", "profile": "office", "targets": ["http://127.0.0.1:1"],
        "started_at": "2026-01-01T10:00:00Z", "elapsed_seconds": 2.0, "length_seconds": 60.0,
        "shape_unit": "arrivals per second", "requests": requests, "failed": 2, "undelivered": 3, "in_flight": 4,
        "latency": {"p50": 1_500, "p90": 2_000, "p99": 880_000, "p999": 900_000, "max": 12_300_000},
        "point_seconds": 1, "points": [point(990), point(1_010)],
        "verdict": verdict, "reasons": verdict.map(|_| vec!["`p99 < 1s` does not hold"]).unwrap_or_default(),
        "actor": "ada", "heard_at": foreshore_model::clock::now().to_string(),
    })
}

#[tokio::test]
async fn a_running_load_is_shown_without_scripts() {
    let stage = Stage::new().await;
    assert!(
        stage
            .get("/loads")
            .await
            .text
            .contains("foreshore load FILE")
    );
    stage.api.set_loads(&[run(2_000, None)]);
    let list = stage
        .until("/loads", |page| page.contains("/loads/r1"))
        .await;
    assert!(list.contains("running"), "{list}");
    let page = stage.get("/loads/r1").await.text;
    for shown in [
        "spike &lt;b&gt; · office",
        "2 s of 60 s",
        "<dd>2000</dd>",
        "2 (0.10 %)",
        "<dt>p99</dt><dd>880 ms</dd>",
        "asked for 1000",
        "answered 1010",
        "points=\"0,",
        "data-live=\"/live/loads/r1",
    ] {
        assert!(page.contains(shown), "{shown} is not in {page}");
    }
    assert_eq!(stage.get("/loads/r2").await.status, 404);
}

#[tokio::test]
async fn the_stream_of_a_run_tells_its_progress_and_its_verdict() {
    let stage = Stage::new().await;
    stage.api.set_loads(&[run(2_000, None)]);
    stage
        .until("/loads", |page| page.contains("/loads/r1"))
        .await;
    let mut events = stage.stream("/live/loads/r1").await;
    events.until(|event| event.contains("2000")).await;
    stage.api.set_loads(&[run(3_333, None)]);
    events.until(|event| event.contains("3333")).await;
    stage.api.set_loads(&[run(3_333, Some("fail"))]);
    events.until(|event| event.contains("does not hold")).await;
}

#[tokio::test]
async fn verdicts_of_a_release_stand_on_the_checks_page() {
    let stage = Stage::new().await;
    let mut row = crate::server::release("web", "dev", 2, "hello");
    let verdict = |check: &str, passed: bool, unknown: bool| {
        json!({"check": check, "artifact": row["release"]["artifact"], "environment": "dev", "passed": passed,
            "unknown": unknown, "gate": true, "summary": format!("why {check}"), "at": "2026-01-01T10:00:00Z"})
    };
    let verdicts = json!([
        verdict("contract", true, false),
        verdict("smoke", false, false),
        verdict("far", false, true)
    ]);
    row["outcomes"] = json!([{"environment": "dev", "site": "local", "service": "web", "sequence": 2,
        "artifact": row["release"]["artifact"], "commit": "c", "phase": "healthy", "at": "2026-01-01T10:00:00Z", "verdicts": verdicts}]);
    stage.api.set(&[row]);
    let page = stage
        .until("/checks?kind=check", |page| page.contains("web: smoke"))
        .await;
    for shown in [
        "web: contract",
        "failed",
        "could not be made",
        "why far",
        "a gate",
    ] {
        assert!(page.contains(shown), "{shown} is not in {page}");
    }
}
