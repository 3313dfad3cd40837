//! Logs through the API server, as kubectl asks for them.

use std::time::Duration;

use foreshore_engine_node::RuntimeKind;
use foreshore_testkit::cluster::Kind;
use futures::AsyncBufReadExt as _;
use kube::api::LogParams;
use serde_json::json;

use crate::fixture::{Fixture, LIMIT, container, waiting};

pub(crate) async fn logs_can_be_cut_to_size(ground: Kind) {
    let fixture = Fixture::new(ground, RuntimeKind::Process).await;
    fixture.pod("talk", &["talk", "100"], |_| {}).await;
    fixture.until_ready("talk").await;
    let all = async |parameters: LogParams| fixture.pods().logs("talk", &parameters).await.unwrap();
    foreshore_testkit::wait::until("all lines", LIMIT, || async {
        fixture.log("talk").await.ends_with("line 99\n")
    })
    .await
    .unwrap();
    assert_eq!(fixture.log("talk").await.lines().count(), 100);
    let tail = LogParams {
        tail_lines: Some(2),
        ..LogParams::default()
    };
    assert_eq!(all(tail).await, "line 98\nline 99\n");
    let none = LogParams {
        tail_lines: Some(0),
        ..LogParams::default()
    };
    assert_eq!(all(none).await, "");
    let cut = LogParams {
        limit_bytes: Some(10),
        ..LogParams::default()
    };
    assert_eq!(all(cut).await, "line 0\nlin");
    let stamped = LogParams {
        tail_lines: Some(1),
        timestamps: true,
        ..LogParams::default()
    };
    let stamped = all(stamped).await;
    let (time, rest) = stamped.split_once(' ').unwrap();
    assert!(
        time.parse::<jiff::Timestamp>().is_ok() && rest == "line 99\n",
        "{stamped}"
    );
    let old = LogParams {
        since_seconds: Some(3600),
        ..LogParams::default()
    };
    assert_eq!(all(old).await.lines().count(), 100);
    fixture.finish().await;
}

pub(crate) async fn a_followed_log_ends_with_its_container(ground: Kind) {
    let fixture = Fixture::new(ground, RuntimeKind::Process).await;
    fixture
        .pod("talk", &["talk", "3"], |pod| {
            pod["spec"]["terminationGracePeriodSeconds"] = json!(0);
        })
        .await;
    fixture.until_ready("talk").await;
    let follow = LogParams {
        follow: true,
        ..LogParams::default()
    };
    let mut lines = fixture
        .pods()
        .log_stream("talk", &follow)
        .await
        .unwrap()
        .lines();
    for number in 0..3 {
        let line = tokio::time::timeout(LIMIT, futures::TryStreamExt::try_next(&mut lines))
            .await
            .unwrap();
        assert_eq!(line.unwrap().unwrap(), format!("line {number}"));
    }
    fixture.delete("talk").await;
    let end = tokio::time::timeout(
        Duration::from_secs(20),
        futures::TryStreamExt::try_next(&mut lines),
    )
    .await;
    assert_eq!(end.unwrap().unwrap(), None);
    fixture.finish().await;
}

pub(crate) async fn the_log_of_the_start_before_is_kept(ground: Kind) {
    let fixture = Fixture::new(ground, RuntimeKind::Process).await;
    fixture.pod("again", &["show"], |_| {}).await;
    fixture
        .until("again", |pod| {
            waiting(pod).0 == "CrashLoopBackOff" && container(pod).restart_count >= 1
        })
        .await;
    let previous = LogParams {
        previous: true,
        ..LogParams::default()
    };
    let log = fixture.pods().logs("again", &previous).await.unwrap();
    assert!(log.contains("FROM_IMAGE=yes"), "{log}");
    fixture.finish().await;
}
