//! The image of the program that holds a pod's namespaces, as an archive that
//! containerd imports.

use std::{
    fs::{self, File},
    path::Path,
};

use anyhow::{Context as _, Result};
use serde_json::json;
use sha2::{Digest as _, Sha256};

/// Its name on the node. No registry has it, and none is asked for it.
pub(super) const NAME: &str = "foreshore.local/pause:1";

/// Writes an archive of an image that runs `program`.
pub(super) fn write(program: &Path, archive: &Path) -> Result<()> {
    let program =
        fs::read(program).with_context(|| format!("cannot read `{}`", program.display()))?;
    let mut layer = tar::Builder::new(Vec::new());
    add(&mut layer, "pause", 0o755, &program)?;
    let layer = layer.into_inner().context("a layer in memory")?;
    let configuration = json!({
        "architecture": architecture(),
        "os": "linux",
        "config": {"Entrypoint": ["/pause"], "User": "65535:65535"},
        "rootfs": {"type": "layers", "diff_ids": [digest(&layer)]},
    });
    let manifest = json!([{"Config": "config.json", "RepoTags": [NAME], "Layers": ["layer.tar"]}]);

    let file =
        File::create(archive).with_context(|| format!("cannot write `{}`", archive.display()))?;
    let mut whole = tar::Builder::new(file);
    add(&mut whole, "layer.tar", 0o644, &layer)?;
    add(
        &mut whole,
        "config.json",
        0o644,
        configuration.to_string().as_bytes(),
    )?;
    add(
        &mut whole,
        "manifest.json",
        0o644,
        manifest.to_string().as_bytes(),
    )?;
    whole
        .finish()
        .with_context(|| format!("cannot write `{}`", archive.display()))
}

fn add<W: std::io::Write>(
    archive: &mut tar::Builder<W>,
    name: &str,
    mode: u32,
    content: &[u8],
) -> Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(mode);
    archive
        .append_data(&mut header, name, content)
        .with_context(|| format!("cannot add `{name}` to an archive"))
}

fn digest(content: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(content)))
}

/// As Go, and so every image, calls it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
