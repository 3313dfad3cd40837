//! What is not let in: other sites, other names, forged and repeated posts.

use axum::body::Body;
use http::{Request, header};

use crate::stage::{HOST, Stage, body, form, token};

#[tokio::test]
async fn every_answer_carries_the_strict_headers() {
    let stage = Stage::new().await;
    for path in [
        "/",
        "/pods",
        "/nobody-here",
        "/pods.csv",
        "/act/cordon?site=local&node=nobody",
        "/assets/icon.svg",
    ] {
        let answer = stage.get(path).await;
        let Some(policy) = answer.headers.get(header::CONTENT_SECURITY_POLICY) else {
            // Paths that are not ours are somebody else's to answer.
            assert_eq!(path, "/nobody-here");
            continue;
        };
        let policy = policy.to_str().unwrap();
        assert!(
            policy.starts_with("default-src 'none'") && !policy.contains("unsafe"),
            "{policy}"
        );
        assert_eq!(answer.headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert_eq!(answer.headers[header::REFERRER_POLICY], "no-referrer");
        assert!(answer.headers.contains_key("cross-origin-opener-policy"));
    }
    let page = stage.get("/").await.text;
    assert!(
        !page.contains("<style")
            && !page.contains(" style=")
            && !page.contains(" onclick")
            && !page.contains("<script>")
    );
    assert!(!page.contains("http://") && !page.contains("https://"));
}

#[tokio::test]
async fn another_site_cannot_make_a_browser_change_anything() {
    let stage = Stage::new().await;
    let token = token(&stage.get("/act/cordon?site=local&node=node-a").await.text);
    let fields = [("token", token.as_str())];
    for (name, value) in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "http://evil.example"),
        ("origin", "null"),
        ("x-nothing", "x"),
    ] {
        let request = form("/act", &fields)
            .header(name, value)
            .body(body(&fields))
            .unwrap();
        assert_eq!(stage.send(request).await.status, 403, "{name}: {value}");
    }
    assert!(
        stage
            .cluster
            .asked()
            .iter()
            .all(|asked| !asked.path.contains("/nodes/"))
    );
    let request = form("/act", &fields)
        .header("origin", format!("http://{HOST}"))
        .body(body(&fields))
        .unwrap();
    assert_eq!(
        stage.send(request).await.status,
        303,
        "the same token from our own page counts"
    );
}

#[tokio::test]
async fn a_strangers_name_that_leads_here_reads_nothing() {
    let stage = Stage::new().await;
    for host in [
        "evil.example",
        "evil.example:7070",
        "127.0.0.1.evil.example:7070",
        "",
    ] {
        let request = Request::get("/pods.json")
            .header(header::HOST, host)
            .body(Body::empty())
            .unwrap();
        let answer = stage.send(request).await;
        assert_eq!(answer.status, 421, "{host}");
        assert!(!answer.text.contains("web-1-a"));
    }
}

#[tokio::test]
async fn a_forged_confirmation_is_refused() {
    let stage = Stage::new().await;
    for token in ["", "0", "00000000000000000000000000000000", "../../x"] {
        let answer = stage.post("/act", &[("token", token)]).await;
        assert_eq!(answer.status, 409, "{token}");
    }
    let before = stage.cluster.asked().len();
    assert_eq!(
        stage.get("/act?token=x").await.status,
        405,
        "reading never changes anything"
    );
    assert_eq!(stage.cluster.asked().len(), before);
}

#[tokio::test]
async fn a_form_that_is_too_long_is_refused() {
    let stage = Stage::new().await;
    let reason = "x".repeat(100_000);
    let answer = stage
        .post("/act", &[("token", "x"), ("reason", &reason)])
        .await;
    assert_eq!(answer.status, 413);
}

#[tokio::test]
async fn names_that_leave_their_path_are_refused() {
    let stage = Stage::new().await;
    for path in [
        "/act/cordon?site=local&node=..%2F..%2Fsecrets",
        "/act/restart-pod?site=local&namespace=dev&pod=a%2Fb",
        "/act/approve?request=..%2F..%2Fholds",
        "/act/nothing?x=y",
    ] {
        assert_eq!(stage.get(path).await.status, 400, "{path}");
    }
}
