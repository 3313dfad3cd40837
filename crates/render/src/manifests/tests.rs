//! Cases for rendering; the plan is the one we ship.

use std::path::Path;

use proptest::prelude::*;

use super::*;

const IMAGE: &str =
    "127.0.0.1:7070/web@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn shipped() -> Plan {
    plan("rust-service")
}

fn plan(name: &str) -> Plan {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../plans")
        .join(name);
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
        file: yaml::read_strict("plan.yaml", &file).unwrap(),
        templates: templates.collect(),
        hash: Digest::of(b""),
        commit: None,
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
        [
            "deployment-web.yaml",
            "poddisruptionbudget-web.yaml",
            "service-web.yaml"
        ]
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
        "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {ports: [{port: 80}]}\n"
            .into(),
    );
    assert_eq!(render(&plan), "templates produce Service `web` twice");
}

/// A service of every plan we ship, with what makes its templates do the most.
const SERVICES: [(&str, &str); 6] = [
    (
        "rust-service",
        "ports: {http: 8080, grpc: 9090}\ningress: {host: shop.example.org}\nenvironment: {LOG: info}\nsecrets:\n  DB_PASSWORD: {}\n  API_TOKEN: {external: {store: vault, key: shop/api, property: token}}\nvariables: {autoscale-max: 5}\n",
    ),
    (
        "container",
        "ports: {http: 80}\nstate: /data\ndependencies: [api, db]\nresources: {cpu: 500m, memory: 1Gi}\n",
    ),
    (
        "static-site",
        "ports: {http: 8080}\ningress: {host: www.example.org}\n",
    ),
    (
        "worker",
        "secrets: {QUEUE_PASSWORD: {}}\nenvironment: {QUEUE: amqp://queue}\n",
    ),
    (
        "cronjob",
        "variables: {schedule: \"*/15 * * * *\", arguments: [--once]}\n",
    ),
    (
        "external",
        "variables: {addresses: [10.1.2.3, 10.1.2.4], port: 8443}\ningress: {host: old.example.org}\n",
    ),
];

#[test]
fn every_shipped_plan_renders_as_recorded() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/manifests/golden");
    let mut wrong = Vec::new();
    for (name, extra) in SERVICES {
        let text =
            format!("name: shop\nowner: team\nplan: {name}\n{extra}environments: {{prod: {{}}}}\n");
        let service: ServiceFile = yaml::read_strict("foreshore.yaml", &text).unwrap();
        let rendered = environments(&plan(name), &service, IMAGE, "main-1-2").unwrap();
        let files = &rendered[&"prod".parse().unwrap()];
        let found: String = files
            .iter()
            .map(|(file, text)| format!("# {file}\n{text}---"))
            .chain([String::new()])
            .collect::<Vec<_>>()
            .join("\n");
        let path = folder.join(format!("{name}.yaml"));
        let recorded = std::fs::read_to_string(&path).unwrap_or_default();
        if recorded.is_empty() {
            std::fs::write(&path, &found).unwrap();
        }
        if found != recorded {
            wrong.push(format!("{}:\n{found}", path.display()));
        }
    }
    assert!(
        wrong.is_empty(),
        "delete a file to record it anew\n{}",
        wrong.join("\n")
    );
}

#[test]
fn the_same_template_is_the_same_in_every_plan() {
    let plans: Vec<Plan> = SERVICES.iter().map(|(name, _)| plan(name)).collect();
    for template in [
        "autoscaler.yaml",
        "budget.yaml",
        "deployment.yaml",
        "ingress.yaml",
        "secrets.yaml",
        "settings.yaml",
    ] {
        let texts: Vec<&String> = plans
            .iter()
            .filter_map(|plan| plan.templates.get(template))
            .collect();
        assert!(
            texts.len() > 1 && texts.iter().all(|text| *text == texts[0]),
            "{template}"
        );
    }
}

#[test]
fn what_kubernetes_would_refuse_is_not_released() {
    let mut plan = shipped();
    let text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {a: 1}\n";
    plan.templates.insert("zz.yaml".into(), text.into());
    let service = service("environments: {dev: {}}\n");
    let error = environments(&plan, &service, IMAGE, "v")
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with(
            "template `zz.yaml` produces ConfigMap `a`, which Kubernetes would refuse"
        ),
        "{error}"
    );
}

#[test]
fn an_autoscaler_and_a_fixed_number_exclude_each_other() {
    let mut plan = shipped();
    let fixed = plan.templates["deployment.yaml"]
        .replace("spec:\n  progress", "spec:\n  replicas: 3\n  progress");
    plan.templates.insert("deployment.yaml".into(), fixed);
    let service = service("variables: {autoscale-max: 4}\nenvironments: {dev: {}}\n");
    let error = environments(&plan, &service, IMAGE, "v")
        .unwrap_err()
        .to_string();
    assert!(error.contains("which an autoscaler owns"), "{error}");
}

#[test]
fn a_secret_in_a_setting_is_refused_with_its_place_and_not_repeated() {
    let service = service("environments:\n  dev:\n    environment: {DB_PASSWORD: hunter2}\n");
    let error = render_for(&service, "dev").unwrap_err();
    assert_eq!(
        error.path().unwrap(),
        ["environments", "dev", "environment", "DB_PASSWORD"]
    );
    assert!(!error.to_string().contains("hunter2"));
}

#[test]
fn a_template_that_writes_without_end_is_stopped() {
    let mut plan = shipped();
    let text = "{% for a in range(5000) %}{{ 'x' * 100000 }}{% endfor %}";
    plan.templates.insert("zz.yaml".into(), text.into());
    let service = service("environments: {dev: {}}\n");
    let error = environments(&plan, &service, IMAGE, "v")
        .unwrap_err()
        .to_string();
    assert!(error.contains("zz.yaml"), "{error}");
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
