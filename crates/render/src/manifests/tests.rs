//! Cases for rendering; the plan is the one we ship.

use std::path::Path;

use proptest::prelude::*;

use super::*;

const IMAGE: &str =
    "127.0.0.1:7070/web@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn shipped() -> Plan {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plans/rust-service");
    let file = std::fs::read_to_string(directory.join("plan.yaml")).unwrap();
    let templates = directory
        .join("templates")
        .read_dir()
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            (
                entry.file_name().into_string().unwrap(),
                std::fs::read_to_string(entry.path()).unwrap(),
            )
        });
    Plan {
        file: yaml::read("plan.yaml", &file).unwrap(),
        templates: templates.collect(),
        hash: Digest::of(b""),
    }
}

fn service(extra: &str) -> ServiceFile {
    let text =
        format!("name: web\nowner: shop\nplan: rust-service\nports: {{http: 8080}}\n{extra}");
    yaml::read("foreshore.yaml", &text).unwrap()
}

fn render_for(service: &ServiceFile, environment: &str) -> Result<Manifests, RenderError> {
    manifests(&Input {
        plan: &shipped(),
        service,
        environment: &environment.parse().unwrap(),
        image: IMAGE,
        version: "main-1-2",
    })
}

fn object(files: &Manifests, name: &str) -> Value {
    yaml::read_manifests(name, &files[name]).unwrap().remove(0)
}

#[test]
fn a_plain_service_becomes_a_deployment_and_a_service() {
    let files = render_for(&service("environments: {dev: {}}\n"), "dev").unwrap();
    assert_eq!(
        files.keys().collect::<Vec<_>>(),
        ["deployment-web.yaml", "service-web.yaml"]
    );
    let deployment = object(&files, "deployment-web.yaml");
    assert_eq!(
        deployment["spec"]["replicas"],
        Value::Null,
        "replicas belong to operations.yaml"
    );
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["image"], IMAGE);
    assert_eq!(container["readinessProbe"]["httpGet"]["path"], "/health");
    assert_eq!(container["securityContext"]["runAsNonRoot"], true);
    assert_eq!(
        deployment["spec"]["selector"]["matchLabels"],
        json!({"app.kubernetes.io/name": "web"})
    );
}

#[test]
fn a_changed_setting_changes_the_pods() {
    let hash = |value: &str| {
        let service = service(&format!(
            "environment: {{GREETING: {value}}}\nenvironments: {{dev: {{}}}}\n"
        ));
        let files = render_for(&service, "dev").unwrap();
        assert!(files.contains_key("configmap-web.yaml"));
        object(&files, "deployment-web.yaml")["spec"]["template"]["metadata"]["annotations"]
            ["foreshore.local/settings-hash"]
            .clone()
    };
    assert_ne!(hash("hello"), hash("goodbye"));
    assert_eq!(hash("hello"), hash("hello"));
}

#[test]
fn an_environment_overrides_ingress_settings_and_resources() {
    let service = service(
        "ingress: {host: web.dev}\nenvironment: {A: dev, B: both}\nenvironments:\n  dev: {}\n  prod:\n    ingress: {host: web.prod, path: /shop}\n    environment: {A: prod}\n    resources: {memory: 1Gi}\n",
    );
    let dev = render_for(&service, "dev").unwrap();
    let prod = render_for(&service, "prod").unwrap();
    assert_eq!(
        object(&dev, "ingress-web.yaml")["spec"]["rules"][0]["host"],
        "web.dev"
    );
    assert_eq!(
        object(&prod, "ingress-web.yaml")["spec"]["rules"][0]["http"]["paths"][0]["path"],
        "/shop"
    );
    assert_eq!(
        object(&prod, "configmap-web.yaml")["data"],
        json!({"A": "prod", "B": "both"})
    );
    let limits = |files: &Manifests| {
        object(files, "deployment-web.yaml")["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"].clone()
    };
    assert_eq!(limits(&prod), json!({"memory": "1Gi"}));
    assert_eq!(limits(&dev), json!({"memory": "64Mi"}));
}

#[test]
fn a_service_with_state_is_never_run_twice() {
    let files = render_for(&service("state: /state\nenvironments: {dev: {}}\n"), "dev").unwrap();
    let deployment = object(&files, "deployment-web.yaml");
    assert_eq!(
        deployment["spec"]["template"]["spec"]["containers"][0]["volumeMounts"][0]["mountPath"],
        "/state"
    );
    assert_eq!(
        deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"],
        1
    );
}

#[test]
fn a_service_without_http_port_is_refused() {
    let mut service = service("environments: {dev: {}}\n");
    service.ports.clear();
    let error = render_for(&service, "dev").unwrap_err().to_string();
    assert_eq!(
        error,
        "the service has no port named `http`, which plan `rust-service` needs"
    );
}

#[test]
fn an_object_without_a_name_and_a_twin_are_refused() {
    let mut plan = shipped();
    let service = service("environments: {dev: {}}\n");
    let environment = "dev".parse().unwrap();
    let render = |plan: &Plan| {
        manifests(&Input {
            plan,
            service: &service,
            environment: &environment,
            image: IMAGE,
            version: "v",
        })
        .unwrap_err()
        .to_string()
    };
    plan.templates.insert(
        "zz.yaml".into(),
        "apiVersion: v1\nkind: Service\nmetadata: {}\n".into(),
    );
    assert_eq!(
        render(&plan),
        "template `zz.yaml` produces an object without `metadata.name`"
    );
    plan.templates.insert(
        "zz.yaml".into(),
        "apiVersion: v1\nkind: Service\nmetadata: {name: web}\n".into(),
    );
    assert_eq!(render(&plan), "templates produce Service `web` twice");
}

proptest! {
    #[test]
    fn whatever_a_setting_holds_kubectl_reads_it_back(value in "\\PC{0,40}") {
        let mut service = service("environments: {dev: {}}\n");
        service.environment.insert("VALUE".into(), value.clone());
        let files = render_for(&service, "dev").unwrap();
        prop_assert_eq!(&object(&files, "configmap-web.yaml")["data"]["VALUE"], &json!(value));
        prop_assert_eq!(files, render_for(&service, "dev").unwrap());
    }
}
