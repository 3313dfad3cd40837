//! A Dockerfile in the hands of a real container tool.

use std::fs;
use std::path::Path;

use anyhow::{Result, ensure};
use foreshore_image::{Platform, Store};
use foreshore_testkit::environment;

use super::{BOX, shell, write};
use crate::stage::{Stage, json, said, text};

/// Nothing has to be fetched for it, and nothing in it runs at build time.
const DOCKERFILE: &str = "FROM scratch
COPY program /app/program
EXPOSE 8080
USER 65532
ENTRYPOINT [\"/app/program\", \"--flag\"]
";

/// Storage of the tool's own, which goes away with the test.
fn storage(root: &Path) -> Result<String> {
    let path = root.join("storage.conf");
    let folder = |name: &str| root.join(name).display().to_string();
    let text = format!(
        "[storage]\ndriver = \"vfs\"\ngraphroot = \"{}\"\nrunroot = \"{}\"\n",
        folder("graph"),
        folder("run")
    );
    fs::write(&path, text)?;
    Ok(path.display().to_string())
}

#[tokio::test]
async fn a_dockerfile_is_built_by_a_real_tool_and_the_same_files_give_the_same_digest() -> Result<()>
{
    let tool = Path::new("/usr/bin/buildah");
    if !tool.is_file() {
        environment::not_run(
            "a_dockerfile_is_built_by_a_real_tool",
            "buildah is not installed",
        );
        return Ok(());
    }
    let stage = Stage::new("buildah")?;
    let root = stage.folder.path();
    write(&stage.checkout().join("foreshore.yaml"), BOX)?;
    write(&stage.checkout().join("Dockerfile"), DOCKERFILE)?;
    write(&stage.checkout().join("program"), "what runs")?;
    stage.git(&["init", "--quiet", "--initial-branch=main", "."])?;
    stage.commit("a box")?;
    let shell = shell(root)?
        .env("CONTAINERS_STORAGE_CONF", &storage(root)?)
        .env("BUILDAH_ISOLATION", "chroot");
    std::os::unix::fs::symlink(tool, root.join("tools/buildah"))?;
    let words = ["artifact", "build", "-C", "checkout", "-o", "json"];
    let build = || async {
        let answer = shell
            .raw([&words[..], &["--registry", "127.0.0.1:1"]].concat())
            .await?;
        json(&answer)
    };
    let first = build().await?;
    let digest = text(&first, "/image")?
        .rsplit('@')
        .next()
        .unwrap_or_default()
        .parse()?;
    let store = Store::open(&root.join("cache/build/images"))?;
    let image = store
        .image(&digest, &Platform::host())?
        .ok_or_else(|| anyhow::anyhow!("the image is in the store"))?;
    let configuration = &image.configuration.config;
    ensure!(
        configuration.entrypoint == ["/app/program", "--flag"] && configuration.user == "65532",
        "{configuration:?}"
    );
    let again = build().await?;
    ensure!(again["digest"] == first["digest"], "{again} {first}");
    let left = std::process::Command::new(tool)
        .arg("images")
        .arg("--quiet")
        .env("CONTAINERS_STORAGE_CONF", storage(root)?)
        .output()?;
    ensure!(left.status.success() && left.stdout.is_empty(), "{left:?}");

    write(
        &stage.checkout().join("Dockerfile"),
        "FROM scratch\nCOPY nothing-like-that /app\n",
    )?;
    stage.commit("a mistake")?;
    let failed = shell
        .raw([&words[..], &["--registry", "127.0.0.1:1"]].concat())
        .await?;
    said(
        &failed,
        1,
        &["nothing-like-that", "`buildah build` ended with exit code"],
    )
}
