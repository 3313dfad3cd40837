//! An engine as a process of its own: its kubeconfig and its port.

use std::path::Path;
use std::time::Duration;

use foreshore_engine::{Engine, Options, ServeOptions, Storage, listen, serve};
use foreshore_sys::{Ground, GroundError};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

async fn start(data: &Path, kubeconfig: &Path) -> (CancellationToken, JoinHandle<()>) {
    let shutdown = CancellationToken::new();
    let mut options = ServeOptions::new(data.to_owned(), kubeconfig.to_owned());
    options.storage = Storage::Memory;
    let stop = shutdown.clone();
    let engine = tokio::spawn(async move { serve(options, stop).await.unwrap() });
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while !kubeconfig.exists() {
        assert!(tokio::time::Instant::now() < deadline, "no kubeconfig");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    (shutdown, engine)
}

async fn client(kubeconfig: &Path) -> (Client, u16) {
    let file = Kubeconfig::read_from(kubeconfig).unwrap();
    let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default())
        .await
        .unwrap();
    let port = config.cluster_url.port_u16().unwrap();
    (Client::try_from(config).unwrap(), port)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_kubeconfig_is_there_while_the_engine_is_and_the_port_stays() {
    let data = tempfile::tempdir().unwrap();
    let kubeconfig = data.path().join("kubeconfig");
    let mut ports: Vec<u16> = Vec::new();
    // Somebody else may take the port in between: then another start keeps it.
    while ports.len() < 2 || (ports.len() < 8 && !ports.windows(2).any(|two| two[0] == two[1])) {
        let (shutdown, engine) = start(data.path(), &kubeconfig).await;
        let (client, port) = client(&kubeconfig).await;
        let namespaces: Api<Namespace> = Api::all(client);
        namespaces.get("default").await.unwrap();
        ports.push(port);
        shutdown.cancel();
        engine.await.unwrap();
        assert!(!kubeconfig.exists());
    }
    assert!(ports.windows(2).any(|two| two[0] == two[1]), "{ports:?}");
}

#[test]
fn a_port_that_is_taken_meanwhile_is_replaced_by_a_free_one() {
    let data = tempfile::tempdir().unwrap();
    let first = listen(data.path(), 0).unwrap();
    let second = listen(data.path(), 0).unwrap();
    assert_ne!(
        first.local_addr().unwrap().port(),
        second.local_addr().unwrap().port()
    );
    let port = first.local_addr().unwrap().port();
    let error = listen(data.path(), port).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("cannot listen on `127.0.0.1:{port}`")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pods_reach_the_api_at_the_address_of_its_service() {
    let data = tempfile::tempdir().unwrap();
    let pin = data.path().join("ground");
    let ground = match Ground::create(&pin) {
        Ok(ground) => ground,
        // Without root there is no ground, on this machine or in a user's shell.
        Err(GroundError::NotPermitted(_)) => return,
        Err(error) => panic!("{error}"),
    };
    let listener = listen(data.path(), 0).unwrap();
    let options = Options {
        storage: Storage::Memory,
        ground: Some(ground.clone()),
        ..Options::new(data.path().to_owned(), listener)
    };
    let shutdown = CancellationToken::new();
    let engine = Engine::start(options, shutdown.clone()).await.unwrap();
    let slices: Api<EndpointSlice> = Api::namespaced(engine.client(), "default");
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    let address = "10.96.0.1:443".parse().unwrap();
    loop {
        let reached = ground
            .connect(address, Duration::from_secs(1))
            .await
            .is_ok();
        let published = slices.get_opt("kubernetes").await.unwrap().is_some();
        if reached && published {
            break;
        }
        assert!(
            tokio::time::Instant::now() < deadline,
            "reached: {reached}, published: {published}"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // A part of the engine that is done must not end the others.
    assert!(slices.get_opt("kubernetes").await.unwrap().is_some());
    shutdown.cancel();
    engine.wait().await.unwrap();
    ground.remove().unwrap();
}
