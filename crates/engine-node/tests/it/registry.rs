//! A registry in the test itself, which can lie and go away.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use foreshore_image::{Configuration, Descriptor, Image, Manifest, PackOptions, Store, media_type};
use foreshore_model::Digest;
use foreshore_testkit::TempDir;
use serde_json::json;
use tokio::task::JoinHandle;

use crate::fixture::pack_program;

/// What is stored, and what is answered instead.
#[derive(Debug)]
struct Shelf {
    store: Store,
    tags: BTreeMap<String, Digest>,
    /// Other content for a digest than its own.
    lies: BTreeMap<Digest, Vec<u8>>,
    asked: Vec<String>,
}

#[derive(Debug)]
pub(crate) struct Registry {
    shelf: Arc<Mutex<Shelf>>,
    address: SocketAddr,
    serving: JoinHandle<()>,
    _folder: TempDir,
}

impl Registry {
    pub(crate) async fn start() -> Self {
        let folder = TempDir::new("registry").unwrap();
        let shelf = Arc::new(Mutex::new(Shelf {
            store: Store::open(&folder.join("store")).unwrap(),
            tags: BTreeMap::new(),
            lies: BTreeMap::new(),
            asked: Vec::new(),
        }));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = serve(listener, Arc::clone(&shelf));
        Self {
            shelf,
            address,
            serving,
            _folder: folder,
        }
    }

    /// Closes the door; its content stays.
    pub(crate) async fn stop(&mut self) {
        self.serving.abort();
        // It ends as told, which here is an error.
        (&mut self.serving).await.ok();
    }

    /// Name of the image under this tag.
    pub(crate) fn name(&self, tag: &str) -> String {
        format!("{}/program:{tag}", self.address)
    }

    /// Stores the test program with a variable of its own under a tag.
    pub(crate) fn offer(&self, tag: &str, variable: &str) -> Image {
        let mut content = self.shelf.lock().unwrap();
        let variables = BTreeMap::from([("FROM_IMAGE".to_owned(), variable.to_owned())]);
        let options = PackOptions {
            environment: variables,
            ..PackOptions::default()
        };
        let image = pack_program(&content.store, options);
        content.tags.insert(tag.to_owned(), image.digest.clone());
        image
    }

    /// Stores an image of one layer, which may be anything.
    pub(crate) fn offer_layer(&self, tag: &str, layer: &[u8]) -> Digest {
        let mut content = self.shelf.lock().unwrap();
        let blobs = content.store.blobs().clone();
        let configuration = json!({
            "os": "linux",
            "architecture": foreshore_image::Platform::host().architecture,
            "config": { "Entrypoint": ["/bin/program"] },
            "rootfs": { "type": "layers", "diff_ids": [Digest::of(layer)] },
        });
        // It is written as images are, so that only the layer is strange.
        let checked: Configuration = serde_json::from_value(configuration.clone()).unwrap();
        assert_eq!(checked.rootfs.diff_ids.len(), 1);
        let configuration = serde_json::to_vec(&configuration).unwrap();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": media_type::MANIFEST,
            "config": Descriptor::of(media_type::CONFIG, &configuration),
            "layers": [Descriptor::of(media_type::LAYER, layer)],
        });
        let _checked: Manifest = serde_json::from_value(manifest.clone()).unwrap();
        blobs.put(layer).unwrap();
        blobs.put(&configuration).unwrap();
        let digest = blobs.put(&serde_json::to_vec(&manifest).unwrap()).unwrap();
        content.tags.insert(tag.to_owned(), digest);
        Digest::of(layer)
    }

    /// From now on answers with `told` to who asks for `digest`.
    pub(crate) fn lie(&self, digest: &Digest, told: &[u8]) {
        let mut content = self.shelf.lock().unwrap();
        content.lies.insert(digest.clone(), told.to_vec());
    }

    /// How often the manifest of a tag was asked for.
    pub(crate) fn times_asked(&self, tag: &str) -> usize {
        let end = format!("GET /v2/program/manifests/{tag}");
        let content = self.shelf.lock().unwrap();
        content.asked.iter().filter(|asked| **asked == end).count()
    }
}

fn serve(listener: tokio::net::TcpListener, shelf: Arc<Mutex<Shelf>>) -> JoinHandle<()> {
    let routes = Router::new().fallback(answer).with_state(shelf);
    tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() })
}

async fn answer(State(shelf): State<Arc<Mutex<Shelf>>>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let mut shelf = shelf.lock().unwrap();
    shelf.asked.push(format!("{} {path}", request.method()));
    let last = path.rsplit('/').next().unwrap_or_default();
    let digest = match shelf.tags.get(last) {
        Some(digest) => Some(digest.clone()),
        None => last.parse().ok(),
    };
    let Some(digest) = digest else {
        let status = if path == "/v2/" {
            StatusCode::OK
        } else {
            StatusCode::NOT_FOUND
        };
        return (status, "{}").into_response();
    };
    if let Some(content) = shelf.lies.get(&digest) {
        return content.clone().into_response();
    }
    match shelf.store.blobs().read(&digest, 1 << 30) {
        Ok(Some(content)) => content.into_response(),
        _ => (StatusCode::NOT_FOUND, "{}").into_response(),
    }
}
