//! A registry that listens, and images to put into it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use foreshore_image::{
    ClientOptions, Credentials as Login, Entry, Image, PackOptions, RegistryClient, Store, pack,
};
use foreshore_registry::{Action, Authorizer, Credentials, Decision, Options, Registry};

pub(crate) struct Everyone;

impl Authorizer for Everyone {
    fn authorize(&self, _: Option<&Credentials>, _: Action, _: &str) -> Decision {
        Decision::Allowed
    }
}

/// `ci` may push to and read from `web`; everyone else is nobody.
pub(crate) struct OnlyWeb;

impl Authorizer for OnlyWeb {
    fn authorize(
        &self,
        credentials: Option<&Credentials>,
        action: Action,
        repository: &str,
    ) -> Decision {
        let known = Credentials::Basic {
            user: "ci".into(),
            password: "token".into(),
        };
        if credentials != Some(&known) && credentials != Some(&Credentials::Bearer("token".into()))
        {
            return Decision::Unauthenticated;
        }
        match action {
            Action::Ping => Decision::Allowed,
            Action::Pull | Action::Push if repository == "web" => Decision::Allowed,
            _ => Decision::Forbidden,
        }
    }
}

pub(crate) struct Running {
    directory: tempfile::TempDir,
    pub(crate) registry: Registry,
    pub(crate) address: String,
}

impl Running {
    pub(crate) async fn start(options: Options) -> Self {
        Self::start_for(Everyone, options).await
    }

    pub(crate) async fn start_for(authorizer: impl Authorizer, options: Options) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let registry = Registry::open(&directory.path().join("registry"), options).unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let router = registry.router(Arc::new(authorizer));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self {
            directory,
            registry,
            address,
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn client(&self, credentials: Login) -> RegistryClient {
        let options = ClientOptions {
            credentials,
            ..ClientOptions::default()
        };
        RegistryClient::new(&self.address, options).unwrap()
    }

    pub(crate) fn anyone(&self) -> RegistryClient {
        self.client(Login::Anonymous)
    }

    pub(crate) fn store(&self, name: &str) -> Store {
        Store::open(&self.path(name)).unwrap()
    }

    pub(crate) fn url(&self, rest: &str) -> String {
        format!("http://{}/v2/{rest}", self.address)
    }

    /// How many files the registry holds, finished and unfinished.
    pub(crate) fn files(&self) -> (usize, usize) {
        let count = |path: &Path| std::fs::read_dir(path).unwrap().count();
        (
            count(&self.path("registry/blobs/sha256")),
            count(&self.path("registry/incoming")),
        )
    }
}

/// Says that a test shows nothing here, past what its output is captured for: `cargo xtask test` counts it.
pub(crate) fn not_run(test: &str, reason: &str) {
    use std::io::Write as _;
    // Without a standard error there is nobody to tell.
    writeln!(std::io::stderr(), "testkit: not run: {test}: {reason}").ok();
}

/// Packs an image whose program is `content`.
pub(crate) fn image(store: &Store, directory: &Path, content: &[u8]) -> Image {
    let program = directory.join("program");
    std::fs::write(&program, content).unwrap();
    let options = PackOptions {
        entries: vec![Entry {
            source: program,
            target: "/app/web".into(),
        }],
        entrypoint: vec!["/app/web".into()],
        ports: vec![8080],
        ..PackOptions::default()
    };
    pack(store, &options).unwrap().image
}
