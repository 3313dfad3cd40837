//! Makes an image of files, without any container tool.
//!
//! The same inputs give the same bytes: entries are sorted, times are zero,
//! owners fixed, modes reduced to "may be executed" or not. So the digest is
//! known before anything is pushed, and a second build of the same is skipped.
//!
//! Two layers: what every image of ours has (users, `/tmp`, certificates), and
//! the program. A new version of the program transfers only the second.

mod items;
mod layer;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use foreshore_model::Digest;

use crate::blobs::BlobError;
use crate::manifest::{Configuration, Descriptor, Manifest, Platform, RootFs, Runtime, media_type};
use crate::store::{Image, Store, StoreError};

/// The user that packed programs run as; the number that "nonroot" has in other minimal images.
pub const USER_ID: u32 = 65532;
/// Changes whenever the same options would give other bytes.
const FORMAT: u32 = 1;

/// Something that goes into the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// A file, or a directory that is taken with all below it.
    pub source: PathBuf,
    /// Where it appears, `/app/web`.
    pub target: String,
}

/// What an image is made of.
#[derive(Debug, Clone, Default)]
pub struct PackOptions {
    pub entries: Vec<Entry>,
    /// Certificates of public authorities in PEM, for programs that speak TLS to the outside.
    pub ca_bundle: Option<PathBuf>,
    pub entrypoint: Vec<String>,
    pub arguments: Vec<String>,
    pub environment: BTreeMap<String, String>,
    pub ports: Vec<u16>,
    pub working_directory: String,
    /// `org.opencontainers.image.*` and others; kept in the configuration and in the manifest.
    pub labels: BTreeMap<String, String>,
    /// The host's, if not given.
    pub platform: Option<Platform>,
}

/// A finished image.
#[derive(Debug, Clone)]
pub struct Packed {
    pub image: Image,
    /// The same inputs had been packed before, so nothing was done.
    pub reused: bool,
}

/// Why no image was made.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    #[error("cannot read `{path}`")]
    Read {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("`{path}` is neither a file nor a directory nor a link")]
    Kind { path: PathBuf },
    #[error("link `{path}` leads to `{target}`, outside of what is packed")]
    Link { path: PathBuf, target: PathBuf },
    #[error("`{target}` is not an absolute path inside an image")]
    Target { target: String },
    #[error("`{target}` is packed from both `{first}` and `{second}`")]
    Twice {
        target: String,
        first: PathBuf,
        second: PathBuf,
    },
    #[error("`{path}` changed while it was packed")]
    Changed { path: PathBuf },
    #[error("nothing to pack: no entries are given")]
    Empty,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<BlobError> for PackError {
    fn from(error: BlobError) -> Self {
        Self::Store(error.into())
    }
}

/// Makes an image of `options` in `store`; does nothing when the same has been made before.
pub fn pack(store: &Store, options: &PackOptions) -> Result<Packed, PackError> {
    let layers = [items::base(options)?, items::program(options)?];
    let platform = options.platform.clone().unwrap_or_else(Platform::host);
    let mut ports = options.ports.clone();
    ports.sort_unstable();
    let runtime = Runtime {
        user: format!("{USER_ID}:{USER_ID}"),
        exposed_ports: ports
            .iter()
            .map(|port| (format!("{port}/tcp"), serde_json::Map::new()))
            .collect(),
        env: options
            .environment
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect(),
        entrypoint: options.entrypoint.clone(),
        cmd: options.arguments.clone(),
        working_dir: options.working_directory.clone(),
        labels: options.labels.clone(),
        stop_signal: None,
    };
    let key = serde_json::to_vec(&(
        FORMAT,
        env!("CARGO_PKG_VERSION"),
        &layers,
        &runtime,
        &platform,
    ));
    let key = Digest::of(&key.expect("strings and numbers are JSON"));
    if let Some(image) = store.packed(&key, &platform)? {
        return Ok(Packed {
            image,
            reused: true,
        });
    }
    let mut descriptors = Vec::new();
    let mut diff_ids = Vec::new();
    for items in &layers {
        let (descriptor, diff_id) = layer::write(store, items)?;
        descriptors.push(descriptor);
        diff_ids.push(diff_id);
    }
    let configuration = Configuration {
        architecture: platform.architecture.clone(),
        os: platform.os.clone(),
        config: runtime,
        rootfs: RootFs {
            kind: "layers".to_owned(),
            diff_ids,
        },
    };
    let content = serde_json::to_vec(&configuration).expect("strings and numbers are JSON");
    store.blobs().put(&content)?;
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(media_type::MANIFEST.to_owned()),
        artifact_type: None,
        config: Descriptor::of(media_type::CONFIG, &content),
        layers: descriptors,
        subject: None,
        annotations: options.labels.clone(),
    };
    let content = serde_json::to_vec(&manifest).expect("strings and numbers are JSON");
    let digest = store.blobs().put(&content)?;
    store.remember_packed(&key, &digest)?;
    Ok(Packed {
        image: Image {
            digest,
            manifest,
            configuration,
        },
        reused: false,
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use super::*;

    /// Packs a small program.
    pub(crate) fn image(store: &Store, directory: &Path) -> Image {
        let program = directory.join("program");
        fs::write(&program, "program").unwrap();
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

    struct Fixture {
        directory: tempfile::TempDir,
        options: PackOptions,
    }

    impl Fixture {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let program = directory.path().join("web");
            fs::write(&program, b"\x7fELF program").unwrap();
            fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
            let options = PackOptions {
                entries: vec![Entry {
                    source: program,
                    target: "/app/web".into(),
                }],
                entrypoint: vec!["/app/web".into()],
                ports: vec![8080],
                ..PackOptions::default()
            };
            Self { directory, options }
        }

        fn store(&self, name: &str) -> Store {
            Store::open(&self.directory.path().join(name)).unwrap()
        }
    }

    #[test]
    fn the_same_inputs_give_the_same_digest_anywhere_and_the_second_time_nothing_is_done() {
        let fixture = Fixture::new();
        let first = pack(&fixture.store("a"), &fixture.options).unwrap();
        let elsewhere = pack(&fixture.store("b"), &fixture.options).unwrap();
        let again = pack(&fixture.store("a"), &fixture.options).unwrap();
        assert_eq!(first.image.digest, elsewhere.image.digest);
        assert_eq!(first.image.digest, again.image.digest);
        assert_eq!(
            (first.reused, elsewhere.reused, again.reused),
            (false, false, true)
        );
    }

    #[test]
    fn another_program_changes_the_digest_and_keeps_the_base_layer() {
        let fixture = Fixture::new();
        let store = fixture.store("a");
        let first = pack(&store, &fixture.options).unwrap().image;
        fs::write(&fixture.options.entries[0].source, b"\x7fELF another").unwrap();
        let second = pack(&store, &fixture.options).unwrap().image;
        assert_ne!(first.digest, second.digest);
        assert_eq!(first.manifest.layers[0], second.manifest.layers[0]);
        assert_ne!(first.manifest.layers[1], second.manifest.layers[1]);
    }

    #[tokio::test]
    async fn a_packed_program_unpacks_with_its_users_and_a_place_to_write() {
        let fixture = Fixture::new();
        let store = fixture.store("a");
        let image = pack(&store, &fixture.options).unwrap().image;
        assert_eq!(image.configuration.config.user, "65532:65532");
        let root = store.unpacked(&image).await.unwrap();
        assert_eq!(fs::read(root.join("app/web")).unwrap(), b"\x7fELF program");
        let mode =
            |path: &str| fs::metadata(root.join(path)).unwrap().permissions().mode() & 0o7777;
        assert_eq!(
            (mode("app/web"), mode("tmp"), mode("etc/passwd")),
            (0o755, 0o1777, 0o644)
        );
        assert!(
            fs::read_to_string(root.join("etc/passwd"))
                .unwrap()
                .contains("nonroot:x:65532:65532")
        );
    }

    #[tokio::test]
    async fn a_directory_is_packed_with_its_inner_links() {
        let mut fixture = Fixture::new();
        let site = fixture.directory.path().join("site");
        fs::create_dir_all(site.join("css")).unwrap();
        fs::write(site.join("css/a.css"), "a").unwrap();
        std::os::unix::fs::symlink("css/a.css", site.join("style.css")).unwrap();
        fixture.options.entries.push(Entry {
            source: site.clone(),
            target: "/srv/site".into(),
        });
        let store = fixture.store("a");
        let root = store
            .unpacked(&pack(&store, &fixture.options).unwrap().image)
            .await
            .unwrap();
        assert_eq!(
            fs::read_to_string(root.join("srv/site/style.css")).unwrap(),
            "a"
        );
        for target in ["/etc/shadow", "../../shadow"] {
            let link = site.join("css/out");
            std::os::unix::fs::symlink(target, &link).unwrap();
            let error = pack(&store, &fixture.options).unwrap_err();
            assert!(matches!(error, PackError::Link { .. }), "{error}");
            fs::remove_file(link).unwrap();
        }
    }

    #[test]
    fn impossible_targets_and_sources_are_refused() {
        let fixture = Fixture::new();
        let store = fixture.store("a");
        for target in ["app/web", "/", "", "/../web", "/app//web", "/app/.wh.web"] {
            let mut options = fixture.options.clone();
            options.entries[0].target = target.to_owned();
            assert!(
                matches!(pack(&store, &options), Err(PackError::Target { .. })),
                "{target}"
            );
        }
        let mut options = fixture.options.clone();
        options.entries[0].source = fixture.directory.path().join("missing");
        assert!(matches!(
            pack(&store, &options),
            Err(PackError::Read { .. })
        ));
        assert!(matches!(
            pack(&store, &PackOptions::default()),
            Err(PackError::Empty)
        ));
    }
}
