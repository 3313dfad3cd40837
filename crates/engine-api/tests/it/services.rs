//! Services get addresses and ports; namespaces open and close.

use serde_json::{Value, json};

use crate::ground::{Ground, config_map};

const SERVICES: &str = "/api/v1/namespaces/default/services";

fn service(name: &str, spec: &Value) -> Value {
    let mut service = json!({
        "metadata": {"name": name},
        "spec": {"selector": {"app": name}, "ports": [{"port": 80}]},
    });
    service["spec"]
        .as_object_mut()
        .unwrap()
        .extend(spec.as_object().unwrap().clone());
    service
}

#[tokio::test]
async fn the_api_has_its_service_at_the_first_address() {
    let ground = Ground::start().await;
    let service = ground
        .get(&format!("{SERVICES}/kubernetes"))
        .await
        .expect(200);
    assert_eq!(service["spec"]["clusterIP"], "10.96.0.1");
    assert_eq!(service["spec"]["ports"][0]["targetPort"], 6443);
}

#[tokio::test]
async fn addresses_are_given_out_once_and_kept() {
    let ground = Ground::start().await;
    let first = ground
        .post(SERVICES, service("a", &json!({})))
        .await
        .expect(201);
    let address = first["spec"]["clusterIP"].as_str().unwrap().to_owned();
    assert!(address.starts_with("10.96."), "{address}");
    assert_eq!(first["spec"]["clusterIPs"], json!([address]));
    assert_eq!(first["spec"]["ipFamilies"], json!(["IPv4"]));
    assert_eq!(first["spec"]["ports"][0]["targetPort"], 80);
    assert_eq!(first["status"], json!({"loadBalancer": {}}));
    let taken = service("b", &json!({"clusterIP": address}));
    let message = ground.post(SERVICES, taken).await.refused(422, "Invalid");
    assert!(
        message.contains("provided IP is already allocated"),
        "{message}"
    );
    let foreign = service("b", &json!({"clusterIP": "192.168.0.1"}));
    let message = ground.post(SERVICES, foreign).await.refused(422, "Invalid");
    assert!(message.contains("not in the valid range"), "{message}");
    ground
        .post(
            SERVICES,
            service("dns", &json!({"clusterIP": "10.96.0.10"})),
        )
        .await
        .expect(201);
    // A writer who leaves the address out does not lose it; one who changes it is refused.
    let path = format!("{SERVICES}/a");
    let replaced = ground
        .put(&path, service("a", &json!({"ports": [{"port": 81}]})))
        .await
        .expect(200);
    assert_eq!(replaced["spec"]["clusterIP"], address.as_str());
    let patch = json!({"spec": {"clusterIP": "10.96.9.9", "clusterIPs": null}});
    ground
        .patch(&path, "merge", patch)
        .await
        .refused(422, "Invalid");
}

#[tokio::test]
async fn concurrent_services_get_different_addresses() {
    let ground = Ground::start().await;
    let made = (0..30).map(|index| {
        let ground = &ground;
        let spec = json!({"type": "NodePort"});
        async move {
            ground
                .post(SERVICES, service(&format!("s{index}"), &spec))
                .await
                .expect(201)
        }
    });
    let made = futures::future::join_all(made).await;
    let mut addresses: Vec<String> = made
        .iter()
        .map(|service| service["spec"]["clusterIP"].to_string())
        .collect();
    let mut ports: Vec<i64> = made
        .iter()
        .map(|service| service["spec"]["ports"][0]["nodePort"].as_i64().unwrap())
        .collect();
    assert!(ports.iter().all(|port| (30000..=32767).contains(port)));
    for list in [addresses.len(), {
        addresses.sort();
        addresses.dedup();
        addresses.len()
    }] {
        assert_eq!(list, 30);
    }
    ports.sort_unstable();
    ports.dedup();
    assert_eq!(ports.len(), 30);
}

#[tokio::test]
async fn types_decide_what_a_service_has() {
    let ground = Ground::start().await;
    let headless = ground
        .post(SERVICES, service("h", &json!({"clusterIP": "None"})))
        .await
        .expect(201);
    assert_eq!(headless["spec"]["clusterIPs"], json!(["None"]));
    let name = json!({"type": "ExternalName", "externalName": "example.org", "ports": null});
    let name = ground.post(SERVICES, service("e", &name)).await.expect(201);
    assert!(name["spec"].get("clusterIP").is_none(), "{name}");
    let port = json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": 30080}]});
    ground.post(SERVICES, service("n", &port)).await.expect(201);
    let message = ground
        .post(SERVICES, service("m", &port))
        .await
        .refused(422, "Invalid");
    assert!(
        message.contains("provided port is already allocated"),
        "{message}"
    );
    let patch = json!({"spec": {"type": "ClusterIP"}});
    let plain = ground
        .patch(&format!("{SERVICES}/n"), "merge", patch)
        .await
        .expect(200);
    assert!(
        plain["spec"]["ports"][0].get("nodePort").is_none(),
        "{plain}"
    );
}

#[tokio::test]
async fn impossible_services_are_refused_field_by_field() {
    let ground = Ground::start().await;
    for (spec, field) in [
        (json!({"ports": []}), "spec.ports"),
        (json!({"ports": [{"port": 0}]}), "spec.ports[0].port"),
        (
            json!({"ports": [{"port": 80}, {"port": 81}]}),
            "spec.ports[0].name",
        ),
        (
            json!({"ports": [{"port": 80, "name": "a"}, {"port": 80, "name": "b"}]}),
            "spec.ports[1]",
        ),
        (json!({"type": "ExternalName"}), "spec.externalName"),
        (
            json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": 80}]}),
            "spec.ports[0].nodePort",
        ),
    ] {
        let refused = ground.post(SERVICES, service("x", &spec)).await.expect(422);
        let fields: Vec<_> = refused["details"]["causes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|cause| &cause["field"])
            .collect();
        assert!(
            fields.iter().any(|found| **found == field),
            "{spec}: {refused}"
        );
    }
    let message = ground
        .post(SERVICES, service("0x", &json!({})))
        .await
        .refused(422, "Invalid");
    assert!(message.contains("DNS-1035"), "{message}");
}

#[tokio::test]
async fn a_namespace_closes_before_it_goes() {
    let ground = Ground::start().await;
    let made = ground
        .post("/api/v1/namespaces", json!({"metadata": {"name": "team"}}))
        .await
        .expect(201);
    assert_eq!(made["spec"]["finalizers"], json!(["kubernetes"]));
    assert_eq!(made["status"]["phase"], "Active");
    assert_eq!(
        made["metadata"]["labels"]["kubernetes.io/metadata.name"],
        "team"
    );
    let leaving = ground
        .delete("/api/v1/namespaces/team", Value::Null)
        .await
        .expect(200);
    assert_eq!(leaving["status"]["phase"], "Terminating");
    let refused = ground
        .post("/api/v1/namespaces/team/configmaps", config_map("a"))
        .await
        .expect(403);
    assert_eq!(
        refused["details"]["causes"][0]["reason"],
        "NamespaceTerminating"
    );
    let mut finished = leaving.clone();
    finished["spec"]["finalizers"] = json!([]);
    ground
        .put("/api/v1/namespaces/team/finalize", finished)
        .await
        .expect(200);
    ground.get("/api/v1/namespaces/team").await.expect(404);
    ground
        .delete("/api/v1/namespaces/default", Value::Null)
        .await
        .refused(403, "Forbidden");
}
