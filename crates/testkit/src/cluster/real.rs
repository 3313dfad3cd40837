//! The real control plane, built from upstream's Go modules, in its own ground.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use foreshore_sys::Ground;
use k8s_openapi::api::core::v1::{Node, ServiceAccount};
use kube::Api;

use super::{
    Components, Data, NODE_KUBECONFIG, Options,
    forward::Forward,
    kubeconfig::{self, Access, client},
    kubelet::{self, Kubelet},
    leftovers::Record,
    nodes,
    pki::{Authority, Pair},
};
use crate::{
    environment::oracle,
    process::{Process, Spec},
};

/// Where the API server answers inside the ground, as pods see it.
pub(super) const ADVERTISED: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 250, 0, 1));
const PORT: u16 = 6443;
const ETCD: &str = "http://127.0.0.1:2379";
const ETCD_PEER: &str = "http://127.0.0.1:2380";

/// A cold machine under load needs a while to page in 130 MB of program.
const READY: Duration = Duration::from_mins(2);

/// The running programs of one control plane, in the order they are stopped.
#[derive(Debug)]
pub(super) struct ControlPlane {
    kubelet: Option<Kubelet>,
    programs: Vec<Process>,
    _forward: Forward,
    pub(super) kubeconfig: PathBuf,
    pub(super) node_kubeconfig: PathBuf,
    exposed: Vec<Forward>,
    record: Record,
    files: Files,
    data: Data,
}

/// Files that several programs need.
#[derive(Debug)]
struct Files {
    folder: PathBuf,
    logs: PathBuf,
    authority: Authority,
    service_accounts: Pair,
}

impl ControlPlane {
    pub(super) async fn start(options: &Options) -> Result<Self> {
        super::leftovers::collect()?;
        let data = Data::new(options, "real")?;
        let record = Record::new("real", data.path())?;
        let ground = record.ground().clone();
        let files = Files::new(&data)?;

        let etcd = files.etcd(options, &ground)?;
        let api = files.api_server(options, &ground)?;
        let forward = Forward::open(ground.clone(), SocketAddr::new(ADVERTISED, PORT))?;
        let admin = files
            .authority
            .client("admin", "admin", Some("system:masters"))?;
        let outside = files.kubeconfig(
            "kubeconfig",
            &format!("https://{}", forward.address()),
            "admin",
            &admin,
        )?;
        let inside = files.kubeconfig(NODE_KUBECONFIG, &inside_url(), "admin", &admin)?;

        let mut control_plane = Self {
            kubelet: None,
            programs: vec![api, etcd],
            _forward: forward,
            kubeconfig: outside,
            node_kubeconfig: inside,
            exposed: Vec::new(),
            record,
            files,
            data,
        };
        control_plane.record.watch_over(&control_plane.programs)?;
        control_plane.api_ready().await?;
        if options.components == Components::All {
            // Only now: they end if the API's own roles are not there yet.
            // First in the list, because first to stop.
            let files = &control_plane.files;
            let controllers = files.controller_manager(options, &ground)?;
            let scheduler = files.scheduler(options, &ground)?;
            control_plane
                .programs
                .splice(0..0, [scheduler, controllers]);
            control_plane.record.watch_over(&control_plane.programs)?;
            control_plane.controllers_ready().await?;
        }
        Ok(control_plane)
    }

    pub(super) fn ground(&self) -> &Ground {
        self.record.ground()
    }

    pub(super) fn folder(&self) -> &Path {
        self.data.path()
    }

    /// Opens a loopback port of the host inside the ground too.
    pub(super) fn expose(&mut self, port: u16) -> Result<()> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        self.exposed
            .push(Forward::expose(self.record.ground(), address)?);
        Ok(())
    }

    /// Starts the real kubelet as a node and waits until it is ready.
    pub(super) async fn add_kubelet(&mut self, name: &str) -> Result<()> {
        if self.kubelet.is_some() {
            bail!("a cluster has one kubelet; its port and its pod network are taken");
        }
        if let Some(reason) = kubelet::unmet() {
            bail!("no kubelet here: {reason}");
        }
        let folder = self.data.join("nodes").join(name);
        fs::create_dir_all(&folder).context("cannot make the folder of the node")?;
        let user = format!("system:node:{name}");
        let pair =
            self.files
                .authority
                .client(&format!("node-{name}"), &user, Some("system:nodes"))?;
        let kubeconfig = self.files.kubeconfig(
            &format!("node-{name}.kubeconfig"),
            &inside_url(),
            &user,
            &pair,
        )?;
        let cgroup = self.record.own_cgroup()?;
        let node = self.kubelet.insert(Kubelet::start(&kubelet::Parts {
            name,
            folder: &folder,
            kubeconfig: &kubeconfig,
            authority: &self.files.authority.pair().certificate,
            cgroup: &cgroup,
            ground: self.record.ground(),
        })?);
        let nodes: Api<Node> = Api::all(client(&self.kubeconfig).await?);
        node.process()
            .ready(READY, || async { nodes::ready(&nodes, name).await > 0 })
            .await
    }

    pub(super) fn must_run(&mut self) -> Result<()> {
        if let Some(kubelet) = &mut self.kubelet {
            kubelet.process().must_run()?;
        }
        self.programs.iter_mut().try_for_each(Process::must_run)
    }

    async fn api_ready(&mut self) -> Result<()> {
        let client = client(&self.kubeconfig).await?;
        let api = self.program("kube-apiserver")?;
        api.ready(READY, || async {
            client
                .request_text(http_get("/readyz"))
                .await
                .is_ok_and(|answer| answer == "ok")
        })
        .await?;
        self.must_run()
    }

    async fn controllers_ready(&mut self) -> Result<()> {
        let client = client(&self.kubeconfig).await?;
        // Made by the controller manager: without it no pod is admitted.
        let accounts: Api<ServiceAccount> = Api::namespaced(client, "default");
        self.program("kube-controller-manager")?
            .ready(READY, || async {
                accounts
                    .get_opt("default")
                    .await
                    .is_ok_and(|account| account.is_some())
            })
            .await?;
        self.must_run()
    }

    pub(super) fn program(&mut self, name: &str) -> Result<&mut Process> {
        let found = self
            .programs
            .iter_mut()
            .find(|program| program.name() == name);
        found.with_context(|| format!("`{name}` was not started"))
    }
}

fn http_get(path: &str) -> http::Request<Vec<u8>> {
    http::Request::get(path)
        .body(Vec::new())
        .expect("a constant path makes a valid request")
}

fn inside_url() -> String {
    format!("https://{ADVERTISED}:{PORT}")
}

impl Files {
    fn new(data: &Data) -> Result<Self> {
        let authority = Authority::new(data.join("pki"))?;
        let service_accounts = authority.signing_key()?;
        let logs = data.join("logs");
        fs::create_dir_all(&logs).context("cannot make the folder of the logs")?;
        Ok(Self {
            folder: data.path().to_owned(),
            logs,
            authority,
            service_accounts,
        })
    }

    fn program(&self, name: &str, ground: &Ground) -> Result<Spec> {
        Ok(Spec::new(oracle(name)?, self.logs.join(format!("{name}.log"))).inside(ground))
    }

    fn kubeconfig(&self, file: &str, server: &str, user: &str, pair: &Pair) -> Result<PathBuf> {
        let authority = self.authority.certificate_pem();
        let access = Access {
            server,
            authority: &authority,
            user,
            pair,
        };
        kubeconfig::write(&self.folder.join(file), &access)
    }

    fn etcd(&self, options: &Options, ground: &Ground) -> Result<Process> {
        let mut spec = self
            .program("etcd", ground)?
            .arg(flag("data-dir", self.folder.join("etcd")))
            .args([
                format!("--listen-client-urls={ETCD}"),
                format!("--advertise-client-urls={ETCD}"),
                format!("--listen-peer-urls={ETCD_PEER}"),
                format!("--initial-advertise-peer-urls={ETCD_PEER}"),
                format!("--initial-cluster=default={ETCD_PEER}"),
                "--log-level=warn".to_owned(),
            ]);
        if !options.fsync {
            spec = spec.arg("--unsafe-no-fsync");
        }
        spec.start()
    }

    fn api_server(&self, options: &Options, ground: &Ground) -> Result<Process> {
        let server = self.authority.server()?;
        let to_nodes = self.authority.client(
            "kubelet-client",
            "kube-apiserver-kubelet-client",
            Some("system:masters"),
        )?;
        self.program("kube-apiserver", ground)?
            .arg(flag("tls-cert-file", server.certificate))
            .arg(flag("tls-private-key-file", server.key))
            .arg(flag("client-ca-file", self.authority.pair().certificate))
            .arg(flag("kubelet-client-certificate", to_nodes.certificate))
            .arg(flag("kubelet-client-key", to_nodes.key))
            .arg(flag(
                "service-account-key-file",
                &self.service_accounts.certificate,
            ))
            .arg(flag(
                "service-account-signing-key-file",
                &self.service_accounts.key,
            ))
            .args([
                format!("--advertise-address={ADVERTISED}"),
                format!("--secure-port={PORT}"),
                format!("--etcd-servers={ETCD}"),
                format!("--v={}", options.verbosity),
            ])
            .args([
                "--service-account-issuer=https://kubernetes.default.svc",
                "--service-cluster-ip-range=10.96.0.0/16",
                "--authorization-mode=Node,RBAC",
                "--enable-admission-plugins=NodeRestriction",
                "--kubelet-preferred-address-types=InternalIP",
                "--allow-privileged=true",
                "--profiling=false",
            ])
            .start()
    }

    fn controller_manager(&self, options: &Options, ground: &Ground) -> Result<Process> {
        let authority = self.authority.pair();
        self.client_program("kube-controller-manager", options, ground)?
            .arg(flag("root-ca-file", &authority.certificate))
            .arg(flag("cluster-signing-cert-file", &authority.certificate))
            .arg(flag("cluster-signing-key-file", &authority.key))
            .arg(flag(
                "service-account-private-key-file",
                &self.service_accounts.key,
            ))
            .args([
                "--use-service-account-credentials=true",
                "--profiling=false",
            ])
            .start()
    }

    fn scheduler(&self, options: &Options, ground: &Ground) -> Result<Process> {
        self.client_program("kube-scheduler", options, ground)?
            .start()
    }

    /// What controller manager and scheduler have in common. Upstream limits
    /// their requests to some tens a second; a test would measure that limit.
    fn client_program(&self, name: &str, options: &Options, ground: &Ground) -> Result<Spec> {
        let pair = self
            .authority
            .client(name, &format!("system:{name}"), None)?;
        let kubeconfig =
            self.kubeconfig(&format!("{name}.kubeconfig"), &inside_url(), name, &pair)?;
        Ok(self
            .program(name, ground)?
            .arg(flag("kubeconfig", &kubeconfig))
            .arg(flag("authentication-kubeconfig", &kubeconfig))
            .arg(flag("authorization-kubeconfig", &kubeconfig))
            .arg(flag("cert-dir", self.folder.join(name)))
            .arg(format!("--v={}", options.verbosity))
            .args(["--bind-address=127.0.0.1", "--leader-elect=false"])
            .args(["--kube-api-qps=1000", "--kube-api-burst=2000"]))
    }
}

fn flag(name: &str, value: impl AsRef<Path>) -> String {
    format!("--{name}={}", value.as_ref().display())
}
