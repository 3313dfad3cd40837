//! A Dockerfile is built by the container tool that is there: buildah, podman or docker.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use foreshore_action::{Input, Options, Output, Stop, run};
use foreshore_model::{Digest, ExitCode};
use foreshore_render::Command;

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
    stop: Stop,
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
        timeout: None,
    };
    let [build, save, remove] = commands(tool, dockerfile, &directory, &tag, &archive.path);
    let asked = Asked {
        tool,
        options: &options,
        stop: &stop,
    };
    asked.run(build).await?;
    let saved = asked.run(save).await;
    // The image is ours now, or of no use to anybody; the tool's own copy would stay for ever.
    if let Err(failure) = asked.run(remove).await {
        maker.terminal.warn(&failure.message);
    }
    saved.map(|()| archive)
}

/// A container tool at work.
struct Asked<'a> {
    tool: &'static str,
    options: &'a Options,
    stop: &'a Stop,
}

impl Asked<'_> {
    async fn run(&self, arguments: Vec<String>) -> Result<(), Failure> {
        let verb = arguments[0].clone();
        let command = Command {
            program: self.tool.to_owned(),
            arguments,
            environment: BTreeMap::new(),
            output: None,
        };
        let ended = run(&command, self.options, self.stop.clone())
            .await
            .map_err(|error| action_failure(&error))?;
        if ended.code == 0 {
            return Ok(());
        }
        Err(Failure::new(
            ExitCode::Failed,
            format!("`{} {verb}` ended with exit code {}", self.tool, ended.code),
        ))
    }
}

fn find(path: &str) -> Option<&'static str> {
    TOOLS
        .into_iter()
        .find(|tool| std::env::split_paths(path).any(|folder| folder.join(tool).is_file()))
}

/// What to run: build under a name of its own, write the image down, and let go of the name.
///
/// No time of the build is part of the image, so that the same files give the same digest.
fn commands(
    tool: &str,
    dockerfile: &Path,
    directory: &str,
    tag: &str,
    archive: &Path,
) -> [Vec<String>; 3] {
    let (dockerfile, archive) = (
        dockerfile.display().to_string(),
        archive.display().to_string(),
    );
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    let timeless: [&str; 2] = match tool {
        "docker" => ["--build-arg", "SOURCE_DATE_EPOCH=0"],
        _ => ["--timestamp", "0"],
    };
    let build = ["build", timeless[0], timeless[1], "--file", &dockerfile];
    let build = words(&[&build[..], &["--tag", tag, directory]].concat());
    let save = match tool {
        "buildah" => words(&["push", tag, &format!("oci-archive:{archive}")]),
        "podman" => words(&["save", "--format", "oci-archive", "--output", &archive, tag]),
        _ => words(&["save", "--output", &archive, tag]),
    };
    let remove = match tool {
        "buildah" => words(&["rmi", tag]),
        // Layers of earlier steps make the next build quick.
        _ => words(&["rmi", "--no-prune", tag]),
    };
    [build, save, remove]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_tool_is_asked_in_its_own_words() {
        let timestamp = "--timestamp 0";
        for (tool, timeless, expected, removed) in [
            ("buildah", timestamp, "push t oci-archive:/a.tar", "rmi t"),
            (
                "podman",
                timestamp,
                "save --format oci-archive --output /a.tar t",
                "rmi --no-prune t",
            ),
            (
                "docker",
                "--build-arg SOURCE_DATE_EPOCH=0",
                "save --output /a.tar t",
                "rmi --no-prune t",
            ),
        ] {
            let [build, save, remove] = commands(
                tool,
                Path::new("/s/Dockerfile"),
                "/s",
                "t",
                Path::new("/a.tar"),
            );
            assert_eq!(
                build.join(" "),
                format!("build {timeless} --file /s/Dockerfile --tag t /s")
            );
            assert_eq!(save.join(" "), expected);
            assert_eq!(remove.join(" "), removed);
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
