//! Layers as strangers could write them.

use std::os::unix::fs::MetadataExt;

use super::*;
use crate::manifest::{Configuration, Manifest, RootFs, Runtime};

/// Writes entries without any of the checks that tar writers have.
struct Layer(tar::Builder<Vec<u8>>);

impl Layer {
    fn new() -> Self {
        Self(tar::Builder::new(Vec::new()))
    }

    fn entry(mut self, kind: EntryType, path: &str, target: &str, content: &[u8]) -> Self {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(if kind == EntryType::Directory {
            0o755
        } else {
            0o644
        });
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1);
        header.set_size(content.len() as u64);
        let raw = header.as_old_mut();
        raw.name[..path.len()].copy_from_slice(path.as_bytes());
        raw.linkname[..target.len()].copy_from_slice(target.as_bytes());
        header.set_cksum();
        self.0.append(&header, content).unwrap();
        self
    }

    fn file(self, path: &str, content: &str) -> Self {
        self.entry(EntryType::Regular, path, "", content.as_bytes())
    }

    fn directory(self, path: &str) -> Self {
        self.entry(EntryType::Directory, path, "", b"")
    }

    fn symlink(self, path: &str, target: &str) -> Self {
        self.entry(EntryType::Symlink, path, target, b"")
    }

    fn hard_link(self, path: &str, target: &str) -> Self {
        self.entry(EntryType::Link, path, target, b"")
    }
}

struct Fixture {
    directory: tempfile::TempDir,
    store: Store,
}

impl Fixture {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("store")).unwrap();
        Self { directory, store }
    }

    fn image(&self, layers: impl IntoIterator<Item = Layer>) -> Image {
        let blobs = self.store.blobs();
        let mut descriptors = Vec::new();
        let mut diff_ids = Vec::new();
        for layer in layers {
            let content = layer.0.into_inner().unwrap();
            blobs.put(&content).unwrap();
            diff_ids.push(Digest::of(&content));
            descriptors.push(Descriptor::of(media_type::LAYER, &content));
        }
        let key = serde_json::to_vec(&descriptors).unwrap();
        Image {
            digest: Digest::of(&key),
            manifest: Manifest {
                schema_version: 2,
                media_type: None,
                artifact_type: None,
                config: Descriptor::of(media_type::CONFIG, b""),
                layers: descriptors,
                subject: None,
                annotations: std::collections::BTreeMap::new(),
            },
            configuration: Configuration {
                architecture: "amd64".into(),
                os: "linux".into(),
                config: Runtime::default(),
                rootfs: RootFs {
                    kind: "layers".into(),
                    diff_ids,
                },
            },
        }
    }

    async fn unpack(
        &self,
        layers: impl IntoIterator<Item = Layer>,
    ) -> Result<PathBuf, UnpackError> {
        self.store.unpacked(&self.image(layers)).await
    }

    fn outside(&self) -> PathBuf {
        let outside = self.directory.path().join("outside");
        fs::create_dir_all(&outside).unwrap();
        fs::write(outside.join("secret"), "untouched").unwrap();
        outside
    }

    #[track_caller]
    fn check_nothing_left(&self) {
        let incoming = self.store.blobs().incoming();
        assert_eq!(
            fs::read_dir(incoming).unwrap().count(),
            0,
            "unfinished content was left"
        );
    }
}

fn text(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap()
}

#[tokio::test]
async fn upper_layers_replace_hide_and_clear_lower_ones() {
    let fixture = Fixture::new();
    let lower = Layer::new()
        .directory("a")
        .file("a/one", "1")
        .file("a/two", "2")
        .directory("b")
        .file("b/old", "o")
        .file("c", "c");
    let upper = Layer::new()
        .file("a/.wh.one", "")
        .file("a/two", "two")
        .file("b/new", "n")
        .file("b/.wh..wh..opq", "")
        .directory("c")
        .file("c/inner", "i");
    let root = fixture.unpack([lower, upper]).await.unwrap();
    assert!(!root.join("a/one").exists());
    assert_eq!(text(root.join("a/two")), "two");
    assert!(!root.join("b/old").exists());
    assert_eq!(text(root.join("b/new")), "n");
    assert_eq!(text(root.join("c/inner")), "i");
    assert!(!root.join("a/.wh.one").exists());
    assert_eq!(root.join("a/two").metadata().unwrap().mtime(), 1);
    fixture.check_nothing_left();
}

#[tokio::test]
async fn paths_that_climb_out_are_refused() {
    let fixture = Fixture::new();
    for path in [
        "../evil",
        "a/../../evil",
        "/evil",
        "a/../b",
        "x/.wh..",
        "x/.wh...",
    ] {
        let error = fixture
            .unpack([Layer::new().file(path, "evil")])
            .await
            .unwrap_err();
        assert!(
            matches!(error, UnpackError::Escape { .. }),
            "{path}: {error}"
        );
        fixture.check_nothing_left();
    }
    let error = fixture
        .unpack([Layer::new().hard_link("a", "../../outside/secret")])
        .await
        .unwrap_err();
    assert!(matches!(error, UnpackError::Escape { .. }), "{error}");
    assert!(!fixture.directory.path().join("evil").exists());
}

#[tokio::test]
async fn links_lead_nowhere_outside_the_image() {
    let fixture = Fixture::new();
    let outside = fixture.outside();
    let absolute = outside.to_str().unwrap();
    for target in [absolute, "../../../../outside", "/"] {
        let layers = [
            Layer::new()
                .symlink("link", target)
                .file("link/planted", "x"),
            Layer::new()
                .symlink("again", target)
                .file("again/.wh.secret", "")
                .file("again/.wh..wh..opq", ""),
            Layer::new()
                .symlink("file", &format!("{absolute}/secret"))
                .file("file", "mine"),
        ];
        // Whether a layer unpacks or is refused does not matter here; nothing outside may change.
        let unpacked = fixture.unpack(layers).await;
        assert_eq!(
            text(outside.join("secret")),
            "untouched",
            "{target}: {unpacked:?}"
        );
        assert!(!outside.join("planted").exists(), "{target}: {unpacked:?}");
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
    }
}

#[tokio::test]
async fn a_hard_link_through_a_link_stays_inside() {
    let fixture = Fixture::new();
    let outside = fixture.outside();
    let layer = Layer::new()
        .symlink("link", outside.to_str().unwrap())
        .hard_link("stolen", "link/secret");
    assert!(fixture.unpack([layer]).await.is_err());
    fixture.check_nothing_left();
    let layer = Layer::new()
        .file("bin/tool", "t")
        .symlink("usr", "bin")
        .hard_link("copy", "usr/tool");
    let root = fixture.unpack([layer]).await.unwrap();
    assert_eq!(text(root.join("copy")), "t");
}

#[tokio::test]
async fn a_later_layer_writes_through_an_absolute_link_of_its_image() {
    let fixture = Fixture::new();
    let lower = Layer::new()
        .directory("run")
        .directory("var")
        .symlink("var/run", "/run");
    let root = fixture
        .unpack([lower, Layer::new().file("var/run/pid", "7")])
        .await
        .unwrap();
    assert_eq!(text(root.join("run/pid")), "7");
}

#[tokio::test]
async fn device_nodes_are_left_out() {
    let fixture = Fixture::new();
    let layer = Layer::new()
        .entry(EntryType::Char, "dev/null", "", b"")
        .entry(EntryType::Fifo, "pipe", "", b"")
        .file("a", "a");
    let root = fixture.unpack([layer]).await.unwrap();
    assert_eq!(fs::read_dir(&root).unwrap().count(), 1);
}

#[tokio::test]
async fn an_image_that_would_fill_the_disk_is_stopped() {
    let fixture = Fixture::new();
    let image = fixture.image([
        Layer::new().file("a", "12345"),
        Layer::new().file("b", "67890"),
    ]);
    for limits in [
        UnpackLimits {
            bytes_max: 9,
            entries_max: 10,
        },
        UnpackLimits {
            bytes_max: 10,
            entries_max: 1,
        },
    ] {
        let error = fixture
            .store
            .unpacked_within(&image, limits)
            .await
            .unwrap_err();
        assert!(matches!(error, UnpackError::TooLarge { .. }), "{error}");
    }
    fixture.check_nothing_left();
    let exact = UnpackLimits {
        bytes_max: 10,
        entries_max: 2,
    };
    assert!(fixture.store.unpacked_within(&image, exact).await.is_ok());
}

#[tokio::test]
async fn a_damaged_layer_is_removed_so_that_the_next_pull_brings_it() {
    let fixture = Fixture::new();
    let image = fixture.image([Layer::new().file("a", "content")]);
    let digest = &image.manifest.layers[0].digest;
    let path = fixture.store.blobs().path(digest);
    let mut content = fs::read(&path).unwrap();
    content[512] ^= 1;
    fs::write(&path, content).unwrap();
    let error = fixture.store.unpacked(&image).await.unwrap_err();
    assert!(matches!(error, UnpackError::Damaged { .. }), "{error}");
    assert!(!path.exists());
    fixture.check_nothing_left();
}

#[tokio::test]
async fn a_layer_that_unpacks_to_something_else_is_refused() {
    let fixture = Fixture::new();
    let mut image = fixture.image([Layer::new().file("a", "content")]);
    image.configuration.rootfs.diff_ids[0] = Digest::of(b"other");
    let error = fixture.store.unpacked(&image).await.unwrap_err();
    assert!(matches!(error, UnpackError::DiffId { .. }), "{error}");
}

#[tokio::test]
async fn many_askers_share_one_root() {
    let fixture = Fixture::new();
    let image = fixture.image([Layer::new().file("a", "content")]);
    let asked = futures::future::join_all((0..8).map(|_| fixture.store.unpacked(&image))).await;
    let roots: BTreeSet<PathBuf> = asked.into_iter().map(Result::unwrap).collect();
    assert_eq!(roots.len(), 1);
    fixture.check_nothing_left();
}
