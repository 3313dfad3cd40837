//! What a node tells of the use of its pods.

use foreshore_engine_node::RuntimeKind;
use foreshore_sys::cgroup::Layout;
use foreshore_testkit::cluster::Kind;
use foreshore_testkit::wait;

use crate::fixture::{Fixture, LIMIT};
use crate::kubelet;

pub(crate) async fn what_a_pod_uses_is_counted_with_and_without_control_groups(ground: Kind) {
    for layout in [Layout::of_this_machine().unwrap(), Layout::none()] {
        let fixture = Fixture::with(ground, RuntimeKind::Process, |options| {
            options.control_groups = layout.clone();
        })
        .await;
        fixture.pod("busy", &["busy"], |_| {}).await;
        fixture.until_ready("busy").await;
        let name = &fixture.name;
        let whose = format!("{{container=\"main\",namespace=\"{name}\",pod=\"busy\"}}");
        let number = |text: &str, family: &str| {
            let start = format!("{family}{whose} ");
            let line = text.lines().find_map(|line| line.strip_prefix(&start))?;
            line.split(' ').next()?.parse::<f64>().ok()
        };
        let text = wait::for_some("processor time", LIMIT, || async {
            let (status, text) = kubelet::get(&fixture, "/metrics/resource").await;
            assert_eq!(status, 200, "{text}");
            number(&text, "container_cpu_usage_seconds_total")
                .is_some_and(|seconds| seconds > 0.05)
                .then_some(text)
        })
        .await
        .unwrap();
        assert!(number(&text, "container_memory_working_set_bytes").unwrap() > 0.0);
        assert!(number(&text, "container_start_time_seconds").unwrap() > 0.0);
        assert!(text.contains("node_cpu_usage_seconds_total "), "{text}");
        let (_, summary) = kubelet::get(&fixture, "/stats/summary").await;
        assert!(summary.contains("\"name\":\"busy\""), "{summary}");
        fixture.finish().await;
    }
}
