//! Where no namespace is to be had: plain processes on loopback addresses of
//! the machine, with volumes they find beneath their working folder.

use std::net::Ipv4Addr;

use foreshore_testkit::cluster::Kind;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service};
use k8s_openapi::api::networking::v1::Ingress;
use serde_json::{Value, json};

use crate::edge::Edge;
use crate::fixture::{Fixture, address, container, phase, waiting};
use crate::objects::make;

pub(crate) async fn without_namespaces_pods_serve_on_loopback_and_find_each_other_by_variables(
    _engine: Kind,
) {
    let fixture = Fixture::without_namespaces().await;
    let edge = Edge::beside(&fixture.cluster);
    let colours = json!({ "metadata": { "name": "colours" }, "data": { "sky": "blue" } });
    make::<ConfigMap>(&fixture, colours).await;
    let word = json!({ "metadata": { "name": "word" }, "stringData": { "pass": "sesame" } });
    make::<Secret>(&fixture, word).await;
    let services = ["first", "second"].map(|name| {
        json!({
            "metadata": { "name": name },
            "spec": { "selector": { "app": name }, "ports": [{ "port": 80, "targetPort": 8080 }] },
        })
    });
    for service in services {
        make::<Service>(&fixture, service).await;
    }
    for name in ["first", "second"] {
        // Both on the same port: each has an address of its own.
        fixture
            .pod(name, &["web", "8080", name], with_volumes)
            .await;
        let there = fixture.until_ready(name).await;
        assert_eq!(address(&there).octets()[..2], [10, 244]);
    }
    let backend = json!({ "service": { "name": "second", "port": { "number": 80 } } });
    let paths = json!([{ "path": "/", "pathType": "Prefix", "backend": backend }]);
    let ingress = json!({
        "metadata": { "name": "second" },
        "spec": { "rules": [{ "host": "second.local", "http": { "paths": paths } }] },
    });
    make::<Ingress>(&fixture, ingress).await;
    edge.until("second.local", "/hello", "second /hello").await;

    // What it is told is what it can use: an address, the other one, its volumes.
    let show = [
        "exec",
        "second",
        "--",
        "/bin/program",
        "show",
        "colours/sky",
        "word/pass",
    ];
    let (code, said, complaint) = fixture.kubectl(&show).await;
    assert_eq!(code, Some(0), "{complaint}");
    for words in [
        r#"colours/sky=Ok("blue")"#,
        r#"word/pass=Ok("sesame")"#,
        "POD_IP=127.",
        "FIRST_SERVICE_PORT=80",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let told = |name: &str| -> Ipv4Addr {
        let line = said.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap().parse().unwrap()
    };
    let first = told("FIRST_SERVICE_HOST=");
    assert!(first.is_loopback(), "{first}");
    let path = format!("/ask/{first}/80");
    edge.until("second.local", &path, "second heard first /from-a-pod")
        .await;
    let (code, log, complaint) = fixture.kubectl(&["logs", "second"]).await;
    assert_eq!((code, log.as_str()), (Some(0), ""), "{complaint}");
    drop(edge);
    for name in ["first", "second"] {
        fixture.delete(name).await;
        fixture.until_gone(name).await;
    }
    fixture.finish().await;
}

/// A pod labelled by its name that finds its volumes beneath where it starts.
fn with_volumes(pod: &mut Value) {
    pod["metadata"]["labels"] = json!({ "app": pod["metadata"]["name"] });
    pod["spec"]["volumes"] = json!([
        { "name": "colours", "configMap": { "name": "colours" } },
        { "name": "word", "secret": { "secretName": "word" } },
        { "name": "scratch", "emptyDir": {} },
    ]);
    let main = &mut pod["spec"]["containers"][0];
    main["workingDir"] = json!("/app");
    main["volumeMounts"] = json!([
        { "name": "colours", "mountPath": "/app/colours" },
        { "name": "word", "mountPath": "/app/word" },
        { "name": "scratch", "mountPath": "/app/scratch" },
    ]);
    main["readinessProbe"] =
        json!({ "httpGet": { "path": "/", "port": 8080 }, "periodSeconds": 1 });
}

pub(crate) async fn without_namespaces_pods_end_restart_and_outlive_their_node(_engine: Kind) {
    let mut fixture = Fixture::without_namespaces().await;
    let never = |pod: &mut Value| pod["spec"]["restartPolicy"] = json!("Never");
    fixture.pod("ends", &["exit", "3"], never).await;
    let pod = fixture.until("ends", |pod| phase(pod) == "Failed").await;
    let ended = container(&pod).state.unwrap().terminated.unwrap();
    assert_eq!(ended.exit_code, 3);
    fixture.pod("crashes", &["exit", "4"], |_| {}).await;
    fixture
        .until("crashes", |pod| waiting(pod).0 == "CrashLoopBackOff")
        .await;
    fixture.pod("stays", &["talk", "2"], |_| {}).await;
    let before = container(&fixture.until_ready("stays").await).container_id;
    fixture.until_log("stays", "line 1").await;
    fixture.kill_node().await;
    fixture.start_node();
    fixture.until_log("stays", "line 1").await;
    let after = container(&fixture.until_ready("stays").await);
    assert_eq!((after.container_id, after.restart_count), (before, 0));
    // Where it could not find its volume it is not started at all.
    let hidden = |pod: &mut Value| {
        pod["spec"]["volumes"] = json!([{ "name": "data", "emptyDir": {} }]);
        pod["spec"]["containers"][0]["volumeMounts"] =
            json!([{ "name": "data", "mountPath": "/data" }]);
    };
    fixture.pod("hidden", &["sleep"], hidden).await;
    let pod = fixture
        .until("hidden", |pod| {
            waiting(pod).0 == "CreateContainerConfigError"
        })
        .await;
    assert!(
        waiting(&pod).1.contains("volumeMounts[/data]"),
        "{:?}",
        waiting(&pod)
    );
    fixture.finish().await;
}
