//! Custom resource definitions and their objects.

use std::time::Duration;

use serde_json::{Value, json};

use crate::ground::Ground;

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const WIDGETS: &str = "/apis/example.org/v1/namespaces/default/widgets";

fn definition() -> Value {
    let ports = json!({
        "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
        "items": {"type": "object", "required": ["name"], "properties": {
            "name": {"type": "string"}, "port": {"type": "integer"},
        }},
    });
    let spec = json!({"type": "object", "required": ["size"], "properties": {
        "size": {"type": "string", "enum": ["s", "m"], "description": "How big it is"},
        "replicas": {"type": "integer", "minimum": 0, "maximum": 5, "default": 2},
        "ports": ports,
    }});
    let status = json!({"type": "object", "properties": {"replicas": {"type": "integer"}}});
    let version = json!({
        "name": "v1", "served": true, "storage": true,
        "subresources": {"status": {}, "scale": {
            "specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas",
        }},
        "additionalPrinterColumns": [{"name": "Size", "type": "string", "jsonPath": ".spec.size"}],
        "schema": {"openAPIV3Schema": {
            "type": "object", "properties": {"spec": spec, "status": status},
        }},
    });
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.org"},
        "spec": {
            "group": "example.org", "scope": "Namespaced", "versions": [version],
            "names": {"plural": "widgets", "kind": "Widget", "shortNames": ["wd"], "categories": ["all"]},
        },
    })
}

fn widget(name: &str) -> Value {
    json!({
        "apiVersion": "example.org/v1", "kind": "Widget", "metadata": {"name": name},
        "spec": {"size": "s"},
    })
}

async fn ground() -> Ground {
    let ground = Ground::start().await;
    let made = ground.post(DEFINITIONS, definition()).await.expect(201);
    let conditions = made["status"]["conditions"].as_array().unwrap();
    let established =
        |condition: &Value| condition["type"] == "Established" && condition["status"] == "True";
    assert!(conditions.iter().any(established), "{made}");
    assert_eq!(made["spec"]["names"]["listKind"], "WidgetList");
    assert_eq!(made["status"]["storedVersions"], json!(["v1"]));
    ground
}

#[tokio::test]
async fn objects_are_pruned_defaulted_and_validated() {
    let ground = ground().await;
    let mut given = widget("a");
    given["spec"]["typo"] = json!(1);
    given["status"] = json!({"replicas": 7});
    let answer = ground.post(WIDGETS, given.clone()).await;
    assert!(
        answer.headers["warning"]
            .to_str()
            .unwrap()
            .contains("unknown field \\\"spec.typo\\\"")
    );
    let made = answer.expect(201);
    assert_eq!(made["spec"], json!({"size": "s", "replicas": 2}));
    assert_eq!(
        (made.get("status"), &made["metadata"]["generation"]),
        (None, &json!(1))
    );
    let message = ground
        .post(&format!("{WIDGETS}?fieldValidation=Strict"), given)
        .await
        .refused(400, "BadRequest");
    assert!(
        message.contains("strict decoding error: unknown field \"spec.typo\""),
        "{message}"
    );
    let mut wrong = widget("b");
    wrong["spec"] = json!({"size": "xl", "replicas": 9});
    let refused = ground.post(WIDGETS, wrong).await.expect(422);
    assert_eq!(
        refused["message"],
        "Widget.example.org \"b\" is invalid: [spec.replicas: Invalid value: 9: spec.replicas in body should be less than or equal to 5, spec.size: Unsupported value: \"xl\": supported values: \"s\", \"m\"]"
    );
    let list = ground.get(WIDGETS).await.expect(200);
    assert_eq!(
        (&list["kind"], list["items"].as_array().unwrap().len()),
        (&json!("WidgetList"), 1)
    );
}

#[tokio::test]
async fn status_and_scale_are_doors_of_their_own() {
    let ground = ground().await;
    ground.post(WIDGETS, widget("a")).await.expect(201);
    let path = format!("{WIDGETS}/a");
    let both = json!({"spec": {"replicas": 5}, "status": {"replicas": 1}});
    let changed = ground.patch(&path, "merge", both.clone()).await.expect(200);
    assert_eq!(
        (changed.get("status"), &changed["metadata"]["generation"]),
        (None, &json!(2))
    );
    let reported = ground
        .patch(
            &format!("{path}/status"),
            "merge",
            json!({"spec": {"replicas": 1}, "status": {"replicas": 3}}),
        )
        .await
        .expect(200);
    assert_eq!(
        (
            &reported["status"]["replicas"],
            &reported["spec"]["replicas"]
        ),
        (&json!(3), &json!(5))
    );
    assert_eq!(reported["metadata"]["generation"], 2);
    let scale = ground.get(&format!("{path}/scale")).await.expect(200);
    assert_eq!(
        (&scale["spec"]["replicas"], &scale["status"]["replicas"]),
        (&json!(5), &json!(3))
    );
    ground
        .patch(
            &format!("{path}/scale"),
            "merge",
            json!({"spec": {"replicas": 4}}),
        )
        .await
        .expect(200);
    assert_eq!(ground.get(&path).await.expect(200)["spec"]["replicas"], 4);
    let message = ground
        .patch(&path, "strategic-merge", json!({}))
        .await
        .refused(415, "UnsupportedMediaType");
    assert!(
        message.ends_with("application/apply-patch+yaml"),
        "{message}"
    );
    let refused = ground.put(&path, widget("a")).await.expect(422);
    assert_eq!(
        refused["details"]["causes"][0]["field"],
        "metadata.resourceVersion"
    );
}

#[tokio::test]
async fn lists_with_keys_belong_to_several_managers() {
    let ground = ground().await;
    let port = |name: &str| {
        let mut config = widget("a");
        config["spec"]["ports"] = json!([{"name": name, "port": 1}]);
        config
    };
    let path = |manager: &str| format!("{WIDGETS}/a?fieldManager={manager}");
    ground
        .patch(&path("one"), "apply", port("x"))
        .await
        .expect(201);
    let both = ground
        .patch(&path("two"), "apply", port("y"))
        .await
        .expect(200);
    assert_eq!(both["spec"]["ports"].as_array().unwrap().len(), 2);
    let mut conflict = port("x");
    conflict["spec"]["ports"][0]["port"] = json!(9);
    let refused = ground
        .patch(&path("two"), "apply", conflict)
        .await
        .expect(409);
    assert_eq!(
        refused["details"]["causes"][0]["field"],
        ".spec.ports[name=\"x\"].port"
    );
}

#[tokio::test]
async fn kubectl_knows_a_custom_resource_like_any_other() {
    let ground = ground().await;
    let served = ground.listen().await;
    served
        .kubectl_with("apply -f -", &widget("a").to_string())
        .await;
    served
        .kubectl_with("apply --server-side -f -", &widget("b").to_string())
        .await;
    let shown = served.kubectl("get wd").await;
    assert!(
        shown.starts_with("NAME   SIZE") && shown.contains("b      s"),
        "{shown}"
    );
    let shown = served.kubectl("get all -o name").await;
    assert!(shown.contains("widget.example.org/a"), "{shown}");
    let shown = served.kubectl("explain widget.spec.size").await;
    assert!(
        shown.contains("How big it is") && shown.contains("GROUP:      example.org"),
        "{shown}"
    );
    served.kubectl("scale widget a --replicas=4").await;
    served
        .kubectl("wait --for=condition=established crd/widgets.example.org")
        .await;
    served.kubectl("delete crd widgets.example.org").await;
    let complaint = served.complaint("get --raw /apis/example.org/v1", "").await;
    assert!(
        complaint.contains("could not find the requested resource"),
        "{complaint}"
    );
}

#[tokio::test]
async fn a_deleted_definition_takes_its_objects_along() {
    let ground = ground().await;
    let mut held = widget("held");
    held["metadata"]["finalizers"] = json!(["example.org/wait"]);
    ground.post(WIDGETS, held).await.expect(201);
    ground.post(WIDGETS, widget("free")).await.expect(201);
    let leaving = ground
        .delete(&format!("{DEFINITIONS}/widgets.example.org"), Value::Null)
        .await
        .expect(200);
    assert_eq!(
        leaving["metadata"]["finalizers"],
        json!(["customresourcecleanup.apiextensions.k8s.io"])
    );
    ground
        .post(WIDGETS, widget("late"))
        .await
        .refused(405, "MethodNotAllowed");
    until(async || ground.get(&format!("{WIDGETS}/free")).await.status == 404).await;
    let path = format!("{WIDGETS}/held");
    until(async || ground.get(&path).await.json()["metadata"]["deletionTimestamp"].is_string())
        .await;
    ground
        .get(&format!("{DEFINITIONS}/widgets.example.org"))
        .await
        .expect(200);
    ground
        .patch(&path, "merge", json!({"metadata": {"finalizers": null}}))
        .await
        .expect(200);
    until(async || {
        ground
            .get(&format!("{DEFINITIONS}/widgets.example.org"))
            .await
            .status
            == 404
    })
    .await;
    ground.get(WIDGETS).await.expect(404);
}

#[tokio::test]
async fn definitions_that_cannot_be_served_are_refused_or_warned_about() {
    let ground = ground().await;
    let mut second = definition();
    second["metadata"]["name"] = json!("gadgets.example.org");
    second["spec"]["names"]["plural"] = json!("gadgets");
    let made = ground.post(DEFINITIONS, second).await.expect(201);
    let conditions = made["status"]["conditions"].as_array().unwrap();
    assert_eq!(
        (
            &conditions[0]["type"],
            &conditions[0]["status"],
            &conditions[0]["message"]
        ),
        (
            &json!("NamesAccepted"),
            &json!("False"),
            &json!("\"widget\" is already in use")
        )
    );
    ground.get("/apis/example.org/v1/gadgets").await.expect(404);
    let mut webhook = definition();
    webhook["spec"]["conversion"] = json!({"strategy": "Webhook"});
    let refused = ground.post(DEFINITIONS, webhook).await.expect(422);
    assert_eq!(
        refused["details"]["causes"][0]["field"],
        "spec.conversion.strategy"
    );
    let rules = json!([{"op": "add", "path": "/spec/versions/0/schema/openAPIV3Schema/x-kubernetes-validations", "value": [{"rule": "true"}]}]);
    let answer = ground
        .patch(&format!("{DEFINITIONS}/widgets.example.org"), "json", rules)
        .await;
    assert!(
        answer.headers["warning"]
            .to_str()
            .unwrap()
            .contains("CEL rules")
    );
    answer.expect(200);
}

#[tokio::test]
async fn two_versions_show_the_same_objects() {
    let ground = Ground::start().await;
    let mut definition = definition();
    let mut old = definition["spec"]["versions"][0].clone();
    old["name"] = json!("v1beta1");
    old["storage"] = json!(false);
    definition["spec"]["versions"]
        .as_array_mut()
        .unwrap()
        .push(old);
    ground.post(DEFINITIONS, definition).await.expect(201);
    ground.post(WIDGETS, widget("a")).await.expect(201);
    let other = ground
        .get("/apis/example.org/v1beta1/namespaces/default/widgets/a")
        .await
        .expect(200);
    assert_eq!(
        (&other["apiVersion"], &other["spec"]["size"]),
        (&json!("example.org/v1beta1"), &json!("s"))
    );
    let group = ground.get("/apis/example.org").await.expect(200);
    assert_eq!(group["preferredVersion"]["version"], "v1");
}

/// Waits until something holds.
async fn until(holds: impl AsyncFn() -> bool) {
    let wait = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), wait)
        .await
        .expect("it happens in time");
}
