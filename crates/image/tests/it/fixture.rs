//! A scripted registry: each path has one answer.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::Response;
use foreshore_image::{
    Descriptor, Entry, Image, Manifest, PackOptions, PullError, PullOptions, Reference, Store, pack,
};

type Answer = dyn Fn(&Request) -> Option<Response> + Send + Sync;

/// Listens, remembers what it was asked, answers from a packed image unless `special` has another answer.
pub(crate) struct Scripted {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) address: String,
    pub(crate) image: Image,
    pub(crate) asked: Arc<Mutex<Vec<String>>>,
}

pub(crate) fn response(status: u16, body: impl Into<Body>) -> Response {
    Response::builder()
        .status(StatusCode::from_u16(status).unwrap())
        .body(body.into())
        .unwrap()
}

/// Packs a small image into `store`.
pub(crate) fn packed(store: &Store, directory: &std::path::Path) -> Image {
    let program = directory.join("program");
    std::fs::write(&program, "program").unwrap();
    let entries = vec![Entry {
        source: program,
        target: "/app/web".into(),
    }];
    pack(
        store,
        &PackOptions {
            entries,
            ..PackOptions::default()
        },
    )
    .unwrap()
    .image
}

impl Scripted {
    pub(crate) async fn start(
        special: impl Fn(&Request) -> Option<Response> + Send + Sync + 'static,
    ) -> Self {
        Self::start_with(Arc::new(special)).await
    }

    async fn start_with(special: Arc<Answer>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let source = Store::open(&directory.path().join("source")).unwrap();
        let image = packed(&source, directory.path());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (log, top) = (Arc::clone(&asked), image.digest.clone());
        let handler = move |request: Request| {
            let (special, source, top, log) = (
                Arc::clone(&special),
                source.clone(),
                top.clone(),
                Arc::clone(&log),
            );
            async move {
                let path = request.uri().path().to_owned();
                log.lock()
                    .unwrap()
                    .push(format!("{} {path}", request.method()));
                if let Some(answer) = special(&request) {
                    return answer;
                }
                let digest = match path.rsplit('/').next().unwrap() {
                    "v1" => Ok(top),
                    text => text.parse(),
                };
                let found = digest
                    .ok()
                    .and_then(|digest| source.blobs().read(&digest, 1 << 20).unwrap());
                found.map_or_else(|| response(404, "{}"), |content| response(200, content))
            }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move { axum::serve(listener, Router::new().fallback(handler)).await });
        Self {
            directory,
            address,
            image,
            asked,
        }
    }

    pub(crate) fn store(&self) -> Store {
        Store::open(&self.directory.path().join("here")).unwrap()
    }

    pub(crate) async fn pull(&self, options: &PullOptions) -> Result<Image, PullError> {
        let reference: Reference = format!("{}/web:v1", self.address).parse().unwrap();
        self.store().pull(&reference, options).await
    }

    pub(crate) fn times_asked(&self, what: &str) -> usize {
        self.asked
            .lock()
            .unwrap()
            .iter()
            .filter(|asked| asked.contains(what))
            .count()
    }

    /// Waits until nothing that came is left unfinished: what was read at the same time as the
    /// part that failed is given up a moment later.
    pub(crate) async fn until_nothing_is_unfinished(&self) {
        let store = self.store();
        let gone = async {
            while std::fs::read_dir(store.blobs().incoming()).unwrap().count() > 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), gone)
            .await
            .expect("what is unfinished goes");
    }
}

pub(crate) fn descriptor(manifest: &Manifest, platform: &str) -> Descriptor {
    let content = serde_json::to_vec(manifest).unwrap();
    let mut descriptor = Descriptor::of(foreshore_image::media_type::MANIFEST, &content);
    let (os, architecture) = platform.split_once('/').unwrap();
    descriptor.platform = Some(foreshore_image::Platform {
        os: os.into(),
        architecture: architecture.into(),
        variant: None,
    });
    descriptor
}
