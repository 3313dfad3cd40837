//! Names, labels and messages that want to be more than text.

use serde_json::json;

use crate::server::release;
use crate::stage::{Stage, pod};

#[tokio::test]
async fn hostile_text_is_shown_harmlessly_on_every_page() {
    let stage = Stage::new().await;
    let evil = "</td><script>alert(1)</script>\u{1b}[31m\u{202e}<img src=x onerror=alert(2)>";
    let mut hostile = pod("evil-1", "dev", false);
    hostile["status"]["containerStatuses"][0]["state"] =
        json!({"waiting": {"reason": evil, "message": format!("{evil}{}", "x".repeat(2_000_000))}});
    hostile["spec"]["containers"][0]["image"] = json!(evil);
    hostile["metadata"]["labels"]["foreshore.local/service"] = json!("javascript:alert(1)");
    stage.cluster.put("/api/v1/pods", hostile);
    stage.api.set(&[
        release("web", "dev", 2, evil),
        release("web", "prod", 1, ""),
    ]);
    stage.until("/", |page| page.contains("alert(1)")).await;
    stage.until("/pods", |page| page.contains("evil-1")).await;
    for path in [
        "/",
        "/services",
        "/services/web",
        "/releases",
        "/releases/dev/web",
        "/pods",
        "/pods/local/dev/evil-1",
        "/checks",
        "/search?q=evil",
    ] {
        let page = stage.get(path).await.text;
        for bad in [
            "<script>alert",
            "<img",
            "\u{1b}",
            "\u{202e}",
            "href=\"javascript",
        ] {
            assert!(!page.contains(bad), "{bad:?} on {path}");
        }
        assert!(page.len() < 200_000, "{path} has {} bytes", page.len());
    }
}

#[tokio::test]
async fn what_a_stranger_writes_into_an_address_is_text_too() {
    let stage = Stage::new().await;
    for path in [
        "/pods?q=%22%3E%3Cscript%3Ealert(1)%3C%2Fscript%3E",
        "/logs?pod=%3Cscript%3Ealert(1)",
        "/search?q=%3Cscript%3Ealert(1)",
        "/act/%3Cscript%3Ealert(1)",
    ] {
        assert!(
            !stage.get(path).await.text.contains("<script>alert"),
            "{path}"
        );
    }
}
