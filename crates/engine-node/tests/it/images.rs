//! Where images come from, when they are asked for, and when they go again.

use std::time::Duration;

use foreshore_engine_node::{ImageLimits, RuntimeKind};
use foreshore_image::{PackOptions, Platform};
use foreshore_testkit::cluster::Kind;
use foreshore_testkit::wait;
use serde_json::json;

use crate::fixture::{Fixture, LIMIT, container, pack_program, phase, waiting};
use crate::registry::Registry;

/// Starts a pod of this image under a policy.
async fn pod(fixture: &Fixture, name: &str, image: &str, policy: &str) {
    fixture
        .pod(name, &["show"], |pod| {
            pod["spec"]["restartPolicy"] = json!("Never");
            pod["spec"]["containers"][0]["image"] = json!(image);
            pod["spec"]["containers"][0]["imagePullPolicy"] = json!(policy);
        })
        .await;
}

async fn until_done(fixture: &Fixture, name: &str) -> String {
    fixture.until(name, |pod| phase(pod) == "Succeeded").await;
    fixture.log(name).await
}

pub(crate) async fn a_pull_policy_says_when_the_registry_is_asked(ground: Kind) {
    let fixture = Fixture::new(ground, RuntimeKind::Sandbox).await;
    let mut registry = Registry::start().await;
    registry.offer("v1", "first");
    let image = registry.name("v1");
    pod(&fixture, "never", &image, "Never").await;
    fixture
        .until("never", |pod| waiting(pod).0 == "ErrImageNeverPull")
        .await;
    assert_eq!(registry.times_asked("v1"), 0);
    pod(&fixture, "once", &image, "IfNotPresent").await;
    assert!(
        until_done(&fixture, "once")
            .await
            .contains("FROM_IMAGE=first")
    );
    let asked = registry.times_asked("v1");
    assert!(asked > 0);
    // The tag moves on: who asks once keeps what he has.
    registry.offer("v1", "second");
    pod(&fixture, "again", &image, "IfNotPresent").await;
    assert!(
        until_done(&fixture, "again")
            .await
            .contains("FROM_IMAGE=first")
    );
    assert_eq!(registry.times_asked("v1"), asked);
    pod(&fixture, "always", &image, "Always").await;
    assert!(
        until_done(&fixture, "always")
            .await
            .contains("FROM_IMAGE=second")
    );
    assert!(registry.times_asked("v1") > asked);
    pod(&fixture, "present", &image, "Never").await;
    assert!(
        until_done(&fixture, "present")
            .await
            .contains("FROM_IMAGE=second")
    );

    registry.stop().await;
    pod(&fixture, "lost", &image, "Always").await;
    let lost = fixture
        .until("lost", |pod| waiting(pod).0 == "ImagePullBackOff")
        .await;
    assert_eq!(phase(&lost), "Pending");
    let words = fixture.until_event("lost", "BackOff").await;
    assert!(words.contains("Back-off pulling image"), "{words}");
    pod(&fixture, "kept", &image, "IfNotPresent").await;
    assert!(
        until_done(&fixture, "kept")
            .await
            .contains("FROM_IMAGE=second")
    );
    fixture.finish().await;
}

/// A tape archive of one entry, written without the checks that writers make.
fn layer(entries: &[(u8, &str, &str, &str)]) -> Vec<u8> {
    let mut archive = Vec::new();
    for (kind, path, target, content) in entries {
        let mut header = [0_u8; 512];
        let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, path.as_bytes());
        put(100, b"0000755\0");
        put(108, b"0000000\0");
        put(116, b"0000000\0");
        put(124, format!("{:011o}\0", content.len()).as_bytes());
        put(136, b"00000000001\0");
        put(148, b"        ");
        put(156, &[*kind]);
        put(157, target.as_bytes());
        put(257, b"ustar\x0000");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        archive.extend_from_slice(&header);
        archive.extend_from_slice(content.as_bytes());
        archive.resize(archive.len().next_multiple_of(512), 0);
    }
    archive.resize(archive.len() + 1024, 0);
    archive
}

pub(crate) async fn images_that_lie_are_refused_and_harm_nobody(ground: Kind) {
    let fixture = Fixture::new(ground, RuntimeKind::Sandbox).await;
    let registry = Registry::start().await;
    fixture.pod("calm", &["sleep"], |_| {}).await;
    let layer_digest = registry.offer_layer("wrong-digest", &layer(&[(b'0', "file", "", "x")]));
    registry.lie(&layer_digest, b"something else");
    let image = registry.offer("corrupt", "corrupt");
    registry.lie(&image.digest, b"{ not json");
    registry.offer_layer("no-archive", &[7; 4096]);
    registry.offer_layer("up", &layer(&[(b'0', "../../escaped", "", "x")]));
    let outside = fixture.folder.join("outside");
    std::fs::create_dir(&outside).unwrap();
    let target = outside.to_str().unwrap();
    let through = [(b'2', "way", target, ""), (b'0', "way/escaped", "", "x")];
    registry.offer_layer("link", &layer(&through));
    for (tag, words) in [
        ("missing", "not found"),
        ("wrong-digest", "is not what its digest says"),
        ("corrupt", "cannot use the manifest"),
        ("no-archive", "cannot read layer"),
        ("up", "leaves the image"),
    ] {
        pod(&fixture, tag, &registry.name(tag), "IfNotPresent").await;
        let found = fixture
            .until(tag, |pod| waiting(pod).0 == "ErrImagePull")
            .await;
        let said = waiting(&found).1;
        assert!(said.contains(words), "{tag}: {said}");
        fixture
            .until(tag, |pod| waiting(pod).0 == "ImagePullBackOff")
            .await;
    }
    // A link leads nowhere but into the image, where there is no program.
    pod(&fixture, "link", &registry.name("link"), "IfNotPresent").await;
    fixture.until("link", |pod| phase(pod) == "Failed").await;
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0);
    let calm = fixture.until_ready("calm").await;
    assert_eq!(container(&calm).restart_count, 0);
    fixture.finish().await;
}

pub(crate) async fn an_image_damaged_on_disk_is_brought_anew(ground: Kind) {
    let mut fixture = Fixture::new(ground, RuntimeKind::Sandbox).await;
    let registry = Registry::start().await;
    let image = registry.offer("v1", "whole");
    pod(&fixture, "before", &registry.name("v1"), "IfNotPresent").await;
    until_done(&fixture, "before").await;
    fixture.stop_node().await;
    // The unpacked files are gone, and what they were unpacked from is damaged.
    let store = &fixture.options.images;
    let root = fixture.folder.join("images/roots");
    std::fs::remove_dir_all(&root).unwrap();
    std::fs::write(store.blobs().path(&image.digest), "damaged").unwrap();
    let layer = &image.manifest.layers[0];
    let length = usize::try_from(layer.size).unwrap();
    std::fs::write(store.blobs().path(&layer.digest), vec![0; length]).unwrap();
    fixture.options.images = foreshore_image::Store::open(&fixture.folder.join("images")).unwrap();
    fixture.start_node();
    pod(&fixture, "after", &registry.name("v1"), "IfNotPresent").await;
    assert!(
        until_done(&fixture, "after")
            .await
            .contains("FROM_IMAGE=whole")
    );
    fixture.finish().await;
}

pub(crate) async fn images_go_when_the_disk_fills_but_never_one_in_use(ground: Kind) {
    let mut fixture = Fixture::new(ground, RuntimeKind::Sandbox).await;
    let mut other = PackOptions::default();
    other
        .environment
        .insert("FROM_IMAGE".to_owned(), "other".to_owned());
    let other = pack_program(&fixture.options.images, other).digest;
    fixture.pod("stays", &["sleep"], |_| {}).await;
    fixture.until_ready("stays").await;
    let name = format!("registry.invalid/other@{other}");
    pod(&fixture, "done", &name, "IfNotPresent").await;
    until_done(&fixture, "done").await;
    fixture.delete("done").await;
    fixture.until_gone("done").await;

    fixture.stop_node().await;
    // As full a disk as can be, as far as the node knows.
    fixture.options.image_limits = ImageLimits {
        high_percent: 0,
        low_percent: 0,
        unused_min: Duration::ZERO,
        every: Duration::from_millis(100),
    };
    fixture.start_node();
    let store = fixture.options.images.clone();
    let is_there = |digest| store.image(digest, &Platform::host()).unwrap().is_some();
    wait::until("the image to go", LIMIT, || async { !is_there(&other) })
        .await
        .unwrap();
    let used = fixture.image.rsplit('@').next().unwrap().parse().unwrap();
    assert!(is_there(&used));
    // What is in use can be started once more.
    fixture.pod("also", &["sleep"], |_| {}).await;
    fixture.until_ready("also").await;
    pod(&fixture, "late", &name, "Never").await;
    fixture
        .until("late", |pod| waiting(pod).0 == "ErrImageNeverPull")
        .await;
    fixture.finish().await;
}
