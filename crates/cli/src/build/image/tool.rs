//! A Dockerfile is built by the container tool that is there: buildah, podman or docker.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use foreshore_action::{Input, Options, Output, run};
use foreshore_model::{Digest, ExitCode};
use foreshore_render::Command;
use tokio_util::sync::CancellationToken;

use super::Maker;
use crate::build::pipeline::action_failure;
use crate::failure::Failure;

/// The tools in the order in which they are looked for: those that need no daemon first.
const TOOLS: [&str; 3] = ["buildah", "podman", "docker"];

/// An archive that goes away when it is dropped.
pub(super) struct Archive {
    path: PathBuf,
}

impl Archive {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Archive {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "no archive to remove"
            );
        }
    }
}

/// Builds the Dockerfile and returns the image as an archive.
pub(super) async fn build(
    maker: &Maker<'_>,
    dockerfile: &Path,
    cancelled: CancellationToken,
) -> Result<Archive, Failure> {
    let path = maker.environment.get("PATH").map_or("", String::as_str);
    let tool = find(path).ok_or_else(|| {
        Failure::usage(format!(
            "`{}` needs a container tool, and there is none of {} on the PATH",
            dockerfile.display(),
            TOOLS.join(", ")
        ))
        .hint("install buildah (`apt install buildah`), which needs neither root nor a daemon")
        .hint("or use a plan that needs no Dockerfile, such as `rust-service` or `static-site`")
    })?;
    let folder = maker.store.blobs().incoming().to_owned();
    let directory = maker.sources.directory.display().to_string();
    let unique = Digest::of(format!("{directory} {}", std::process::id()).as_bytes());
    let archive = Archive {
        path: folder.join(format!("{}.tar", unique.hex())),
    };
    let tag = format!("foreshore-build:{}", &unique.hex()[..16]);
    let options = Options {
        directory: maker.sources.directory.clone(),
        environment: maker.environment.clone(),
        // A container tool is told where its daemon and its storage are by variables of its own.
        whole_environment: true,
        output: Output::ToStderr,
        input: Input::None,
        jail: None,
    };
    for arguments in commands(tool, dockerfile, &directory, &tag, &archive.path) {
        let command = Command {
            program: tool.to_owned(),
            arguments,
            environment: BTreeMap::new(),
            output: None,
        };
        let words = command.arguments[0].clone();
        let ended = run(&command, &options, cancelled.clone())
            .await
            .map_err(|error| action_failure(&error))?;
        if ended.code != 0 {
            return Err(Failure::new(
                ExitCode::Failed,
                format!("`{tool} {words}` ended with exit code {}", ended.code),
            ));
        }
    }
    Ok(archive)
}

fn find(path: &str) -> Option<&'static str> {
    TOOLS
        .into_iter()
        .find(|tool| std::env::split_paths(path).any(|folder| folder.join(tool).is_file()))
}

/// What to run: build under a name of its own, then write the image down.
fn commands(
    tool: &str,
    dockerfile: &Path,
    directory: &str,
    tag: &str,
    archive: &Path,
) -> [Vec<String>; 2] {
    let (dockerfile, archive) = (
        dockerfile.display().to_string(),
        archive.display().to_string(),
    );
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    let build = words(&["build", "--file", &dockerfile, "--tag", tag, directory]);
    let save = match tool {
        "buildah" => words(&["push", tag, &format!("oci-archive:{archive}")]),
        "podman" => words(&["save", "--format", "oci-archive", "--output", &archive, tag]),
        _ => words(&["save", "--output", &archive, tag]),
    };
    [build, save]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_tool_is_asked_in_its_own_words() {
        for (tool, expected) in [
            ("buildah", "push t oci-archive:/a.tar"),
            ("podman", "save --format oci-archive --output /a.tar t"),
            ("docker", "save --output /a.tar t"),
        ] {
            let [build, save] = commands(
                tool,
                Path::new("/s/Dockerfile"),
                "/s",
                "t",
                Path::new("/a.tar"),
            );
            assert_eq!(build.join(" "), "build --file /s/Dockerfile --tag t /s");
            assert_eq!(save.join(" "), expected);
        }
    }

    #[test]
    fn the_tool_without_a_daemon_is_preferred() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().display().to_string();
        assert_eq!(find(&path), None);
        for (tool, expected) in [("docker", "docker"), ("buildah", "buildah")] {
            std::fs::write(folder.path().join(tool), "").unwrap();
            assert_eq!(find(&path), Some(expected));
        }
    }
}
