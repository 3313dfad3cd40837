//! Every page over the real control plane; and, for tests in a browser, a ground that stays until they are done.

use std::io::{Read as _, Write as _};

use foreshore_testkit::cluster::Kind;
use foreshore_testkit::environment;
use reqwest::StatusCode;
use serde_json::json;

use crate::whole::Whole;

const PAGES: [&str; 14] = [
    "/",
    "/services",
    "/services/web",
    "/releases",
    "/releases/dev/web",
    "/pods",
    "/nodes",
    "/events",
    "/checks",
    "/loads",
    "/logs?service=web&environment=dev",
    "/audit",
    "/search?q=web",
    "/help",
];

/// Names the ground to serve until standard input ends: `engine` or `real`.
const SERVE: &str = "FORESHORE_SERVE_PAGES";

/// Two services in dev, one of them asked for in prod by somebody else.
async fn filled(kind: Kind) -> Whole {
    let whole = Whole::start(kind).await;
    whole.push("web", 1).await;
    whole.push("api", 1).await;
    whole
        .until("/services", |page| page.matches(">2/2<").count() == 2)
        .await;
    let ask = json!({"service": "api", "environment": "prod", "selection": {"from": null}, "reason": "tested", "idempotency_key": "k"});
    whole.healthy("api", "dev", 1).await;
    whole.healthy("web", "dev", 1).await;
    whole.as_reviewer("/releases", &ask).await;
    whole
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_answers_over_the_real_control_plane() {
    let asked = environment::value(SERVE);
    let kind = match asked.as_deref() {
        Some("engine") => Kind::Engine,
        _ => Kind::Real,
    };
    let whole = filled(kind).await;
    if asked.is_some() {
        let mut stdout = std::io::stdout();
        writeln!(stdout, "\nPAGES {}", whole.url).unwrap();
        stdout.flush().unwrap();
        let ended = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
        ended.await.unwrap().unwrap();
        return;
    }
    for path in PAGES {
        let shown = whole.get(path).await;
        assert_eq!(shown.status, StatusCode::OK, "{path}");
        assert!(shown.text.contains("local: live"), "{path}: {}", shown.text);
    }
    let pods = whole.get("/pods").await.text;
    assert!(
        pods.contains(">N/A of 100m<"),
        "nobody measures there: {pods}"
    );
}
