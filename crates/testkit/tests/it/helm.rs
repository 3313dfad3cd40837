//! helm with a chart of its own, from installation to removal, and with an
//! upgrade whose pods never become ready.

use std::{fs, path::Path, time::Duration};

use foreshore_testkit::{
    Cluster, TempDir,
    cli::{Answer, Shell},
    cluster::{Kind, Options},
    environment::oracle,
    wait,
};
use serde_json::Value;

const CHART: [(&str, &str); 4] = [
    (
        "Chart.yaml",
        "apiVersion: v2\nname: shop\nversion: 0.1.0\nkubeVersion: '>= 1.30.0'\n",
    ),
    (
        "values.yaml",
        "replicas: 2\ngreeting: hello\nbroken: false\n",
    ),
    (
        "templates/settings.yaml",
        "apiVersion: v1\n\
         kind: ConfigMap\n\
         metadata:\n  name: {{ .Release.Name }}\n\
         data:\n  greeting: {{ .Values.greeting | quote }}\n",
    ),
    ("templates/shop.yaml", SHOP),
];

const SHOP: &str = r"apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .Release.Name }}
spec:
  replicas: {{ .Values.replicas }}
  selector:
    matchLabels: {app: {{ .Release.Name }}}
  template:
    metadata:
      labels: {app: {{ .Release.Name }}}
      {{- if .Values.broken }}
      annotations:
        foreshore.local/simulate-pull-error: no such image
      {{- end }}
    spec:
      containers:
        - name: shop
          image: example.org/shop:1
---
apiVersion: v1
kind: Service
metadata:
  name: {{ .Release.Name }}
spec:
  selector: {app: {{ .Release.Name }}}
  ports: [{port: 80}]
";

/// For what succeeds: longer than it takes on any machine.
const PATIENT: &str = "2m";
/// For what fails however long it is waited for, and for the way back from it,
/// on which no pod has to start.
const IMPATIENT: &str = "15s";

/// Longer than any clean-up takes.
const LIMIT: Duration = Duration::from_mins(1);

struct Helm {
    shell: Shell,
    kubeconfig: String,
}

impl Helm {
    fn new(cluster: &Cluster, folder: &Path) -> Self {
        for (name, content) in CHART {
            let path = folder.join("chart").join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        Self {
            shell: Shell::of(oracle("helm").unwrap(), folder).unwrap(),
            kubeconfig: cluster.kubeconfig().to_str().unwrap().to_owned(),
        }
    }

    async fn run(&self, arguments: &[&str]) -> Answer {
        let access = ["--kubeconfig", &self.kubeconfig, "--namespace", "default"];
        self.shell
            .raw([&access[..], arguments].concat())
            .await
            .unwrap()
    }

    async fn ok(&self, arguments: &[&str]) -> Answer {
        let answer = self.run(arguments).await;
        assert_eq!(answer.code, 0, "{arguments:?}: {}", answer.transcript());
        answer
    }

    /// An upgrade that can not succeed.
    async fn broken(&self, how: &[&str]) -> String {
        let usual = ["upgrade", "shop", "chart", "--set", "broken=true"];
        let limit = ["--timeout", IMPATIENT];
        let answer = self.run(&[&usual[..], &limit, how].concat()).await;
        assert_eq!(answer.code, 1, "{how:?}: {}", answer.transcript());
        answer.stderr
    }

    /// Revisions with their states, as helm tells them.
    async fn history(&self) -> Vec<(u64, String)> {
        let answer = self.ok(&["history", "shop", "-o", "json"]).await;
        let revisions: Vec<Value> = serde_json::from_str(&answer.stdout).unwrap();
        let pair = |revision: &Value| {
            let number = revision["revision"].as_u64().unwrap();
            (number, revision["status"].as_str().unwrap().to_owned())
        };
        revisions.iter().map(pair).collect()
    }
}

/// Wanted and ready replicas, and the greeting.
async fn state(cluster: &Cluster) -> (u64, u64, String) {
    let get = async |what: &str| -> Value {
        let output = cluster.kubectl(&["get", what, "-o", "json"]).await.unwrap();
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let deployment = get("deployment/shop").await;
    let settings = get("configmap/shop").await;
    (
        deployment["spec"]["replicas"].as_u64().unwrap(),
        deployment["status"]["readyReplicas"].as_u64().unwrap_or(0),
        settings["data"]["greeting"].as_str().unwrap().to_owned(),
    )
}

fn states(expected: &[(u64, &str)]) -> Vec<(u64, String)> {
    let owned = |(number, state): &(u64, &str)| (*number, (*state).to_owned());
    expected.iter().map(owned).collect()
}

pub(crate) async fn a_chart_goes_from_installation_to_removal(kind: Kind) {
    let options = Options {
        simulated_nodes: 2,
        ..Options::default()
    };
    let cluster = Cluster::start(kind, options).await.unwrap();
    let folder = TempDir::new("helm").unwrap();
    let helm = Helm::new(&cluster, folder.path());
    let patient = ["--wait", "--timeout", PATIENT];

    helm.ok(&[&["install", "shop", "chart"][..], &patient].concat())
        .await;
    assert_eq!(state(&cluster).await, (2, 2, "hello".to_owned()));

    let change = [
        "upgrade",
        "shop",
        "chart",
        "--set",
        "replicas=3,greeting=again",
    ];
    helm.ok(&[&change[..], &patient].concat()).await;
    assert_eq!(state(&cluster).await, (3, 3, "again".to_owned()));

    // The pods that are there keep serving; the new one never does.
    let said = helm.broken(&["--wait"]).await;
    assert!(said.contains("UPGRADE FAILED"), "{said}");
    assert_eq!(
        helm.history().await,
        states(&[(1, "superseded"), (2, "deployed"), (3, "failed")])
    );

    helm.ok(&[&["rollback", "shop", "2"][..], &patient].concat())
        .await;
    assert_eq!(state(&cluster).await, (3, 3, "again".to_owned()));

    let said = helm.broken(&["--atomic"]).await;
    assert!(
        said.contains("has been rolled back due to atomic"),
        "{said}"
    );
    let history = helm.history().await;
    assert_eq!(
        history[3..],
        states(&[(4, "superseded"), (5, "failed"), (6, "deployed")])
    );
    assert_eq!(state(&cluster).await, (3, 3, "again".to_owned()));

    helm.ok(&[&["uninstall", "shop"][..], &patient].concat())
        .await;
    // Pods go a moment after the Deployment that asked for them.
    wait::until("nothing of the chart to be left", LIMIT, || async {
        let kinds = "deployments,replicasets,pods,services,configmaps";
        let left = cluster.kubectl(&["get", kinds, "-o", "name"]).await;
        left.is_ok_and(|left| {
            left.status.success() && !String::from_utf8_lossy(&left.stdout).contains("shop")
        })
    })
    .await
    .unwrap();
}
