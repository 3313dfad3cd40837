//! Images and layers on their way into a registry on this machine and out of it.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use foreshore_image::{ClientOptions, Entry, PackOptions, RegistryClient, Store, pack};
use foreshore_model::Digest;
use foreshore_registry::{Action, Authorizer, Credentials, Decision, Options, Registry};
use sha2::{Digest as _, Sha256};

use super::Bench;

const PROGRAM_BYTES: usize = 10 << 20;
const LAYER_BYTES: usize = 100 << 20;

struct Everyone;

impl Authorizer for Everyone {
    fn authorize(&self, _: Option<&Credentials>, _: Action, _: &str) -> Decision {
        Decision::Allowed
    }
}

pub(super) async fn measure(bench: &Bench) -> Result<()> {
    let root = bench.folder.path();
    let registry = Registry::open(&root.join("registry"), Options::default())?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    let router = registry.router(Arc::new(Everyone));
    tokio::spawn(async move { axum::serve(listener, router).await });
    images(bench, &address).await?;
    copies(bench)?;
    layers(bench, &address, "ours").await?;
    match &bench.docker_registry {
        None => Bench::not_measured(
            "layers and docker-registry",
            "no --docker-registry is given",
        ),
        Some(program) => {
            let other = Other::start(program, root).await?;
            layers(bench, &other.address, "docker-registry").await
        }
    }
}

/// Bytes that are as hard to compress as a program: half noise, half zeros.
fn content(length: usize, seed: usize) -> Vec<u8> {
    let mut content = Vec::with_capacity(length);
    let mut state = seed as u64 | 1;
    while content.len() < length {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        content.extend_from_slice(&state.to_be_bytes());
        content.extend_from_slice(&[0; 8]);
    }
    content.truncate(length);
    content
}

async fn images(bench: &Bench, address: &str) -> Result<()> {
    let root = bench.folder.path();
    let client = RegistryClient::new(address, ClientOptions::default())?;
    let (mut first, mut second) = (Vec::new(), Vec::new());
    for round in 0..bench.rounds {
        let program = root.join("program");
        fs::write(&program, content(PROGRAM_BYTES, round + 1))?;
        let store = Store::open(&root.join("images"))?;
        let options = PackOptions {
            entries: vec![Entry {
                source: program,
                target: "/app/web".to_owned(),
            }],
            entrypoint: vec!["/app/web".to_owned()],
            ..PackOptions::default()
        };
        for rounds in [&mut first, &mut second] {
            let clock = Instant::now();
            let image = pack(&store, &options)?.image;
            store.push(&image, &client, "web", None).await?;
            rounds.push(clock.elapsed());
        }
    }
    Bench::tell("image from a 10 MB program, built and pushed", &first)?;
    Bench::tell("the same again", &second)
}

/// What a layer is compared with: reading, hashing, writing and syncing it.
fn copies(bench: &Bench) -> Result<()> {
    let root = bench.folder.path();
    let mut rounds = Vec::new();
    for round in 0..bench.rounds {
        let (from, to) = (root.join("from"), root.join("to"));
        fs::write(&from, content(LAYER_BYTES, 1000 + round))?;
        let clock = Instant::now();
        let mut hash = Sha256::new();
        let (mut source, mut target) = (fs::File::open(&from)?, fs::File::create(&to)?);
        let mut buffer = vec![0; 1 << 20];
        loop {
            let count = source.read(&mut buffer)?;
            if count == 0 {
                break;
            }
            hash.update(&buffer[..count]);
            target.write_all(&buffer[..count])?;
        }
        target.sync_all()?;
        rounds.push(clock.elapsed());
        ensure!(hash.finalize().len() == 32, "a hash has 32 bytes");
    }
    Bench::tell("file copy of 100 MB with hashing", &rounds)
}

async fn layers(bench: &Bench, address: &str, name: &str) -> Result<()> {
    let root = bench.folder.path();
    let client = RegistryClient::new(address, ClientOptions::default())?;
    let (mut pushes, mut pulls) = (Vec::new(), Vec::new());
    for round in 0..bench.rounds {
        let content = content(LAYER_BYTES, 2000 + round);
        let digest = Digest::of(&content);
        let here = Store::open(&root.join("here"))?;
        here.blobs().put(&content)?;
        let clock = Instant::now();
        client.push_blob("layers", &digest, here.blobs()).await?;
        pushes.push(clock.elapsed());
        let there = Store::open(&root.join(format!("there-{name}-{round}")))?;
        let clock = Instant::now();
        let length = LAYER_BYTES as u64;
        client
            .pull_blob("layers", &digest, length, there.blobs())
            .await?;
        pulls.push(clock.elapsed());
        there.blobs().remove(&digest)?;
        here.blobs().remove(&digest)?;
    }
    Bench::tell(&format!("push of a 100 MB layer to {name}"), &pushes)?;
    Bench::tell(&format!("pull of a 100 MB layer from {name}"), &pulls)
}

/// Debian's registry; ends with the bench.
struct Other {
    process: Child,
    address: String,
}

impl Drop for Other {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

impl Other {
    async fn start(program: &Path, root: &Path) -> Result<Self> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let file = root.join("registry.yml");
        let data = root.join("docker");
        fs::write(
            &file,
            format!(
                "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n\
                 storage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: {address}}}\n",
                data.display()
            ),
        )?;
        let process = Command::new(program)
            .arg("serve")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start `{}`", program.display()))?;
        let other = Self { process, address };
        let client = RegistryClient::new(&other.address, ClientOptions::default())?;
        let deadline = Instant::now() + Duration::from_secs(30);
        while client.ping().await.is_err() {
            ensure!(Instant::now() < deadline, "docker-registry does not answer");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(other)
    }
}
