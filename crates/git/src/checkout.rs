//! Puts the files of a commit into a folder, for a build: the only worktree that is ever made.

use std::fs;
use std::path::Path;

use crate::command::{git, git_in, run};
use crate::error::GitError;
use crate::name::{check_path, check_ref};
use crate::object::ObjectId;
use crate::repository::Repository;

/// What one checkout may hold; packs are small where files are large.
const BYTES_MAX: u64 = 2 * 1024 * 1024 * 1024;
const FILES_MAX: usize = 200_000;

impl Repository {
    /// The commit that a reference stands for; a tag with a message of its own points at it indirectly.
    pub fn commit_of(&self, reference: &str) -> Result<Option<ObjectId>, GitError> {
        const COMMAND: &str = "for-each-ref";
        check_ref(reference)?;
        let mut command = git_in(self.path(), &[]);
        let format =
            "--format=%(refname) %(objecttype) %(objectname) %(*objecttype) %(*objectname)";
        command.args([COMMAND, format, "--", reference]);
        let text = run(command, COMMAND, None)?.text(COMMAND)?;
        for line in text.lines() {
            let parts: Vec<&str> = line.split(' ').collect();
            match parts[..] {
                [name, "commit", id, ..] | [name, "tag", _, "commit", id] if name == reference => {
                    let malformed = |_| GitError::Malformed {
                        command: COMMAND.to_owned(),
                        what: line.to_owned(),
                    };
                    return id.parse().map(Some).map_err(malformed);
                }
                _ => {}
            }
        }
        Ok(None)
    }

    /// Keeps references below `prefix` to ourselves: clients neither see nor move them.
    pub fn hide(&self, prefix: &str) -> Result<(), GitError> {
        const COMMAND: &str = "config";
        let mut command = git_in(self.path(), &[]);
        command.args([COMMAND, "--replace-all", "transfer.hideRefs", prefix]);
        run(command, COMMAND, None)?.success(COMMAND).map(drop)
    }

    /// Lists the files of a commit with their sizes; refuses what would fill a disk.
    pub fn sizes(&self, commit: &ObjectId) -> Result<Vec<(String, u64)>, GitError> {
        const COMMAND: &str = "ls-tree";
        let mut command = git_in(self.path(), &[]);
        command.args([COMMAND, "-r", "-l", "-z", "--full-tree", commit.as_str()]);
        let text = run(command, COMMAND, None)?.text(COMMAND)?;
        let mut files = Vec::new();
        let mut bytes = 0_u64;
        for line in text.split_terminator('\0') {
            let (facts, path) = line.split_once('\t').unwrap_or((line, ""));
            // A submodule has no size, and nothing of it is checked out.
            let size = facts.rsplit(' ').next().and_then(|size| size.parse().ok());
            let Some(size) = size else { continue };
            check_path(path)?;
            bytes = bytes.saturating_add(size);
            files.push((path.to_owned(), size));
            if bytes > BYTES_MAX {
                return Err(GitError::TooLarge {
                    id: commit.to_string(),
                    size: bytes,
                    limit: BYTES_MAX,
                });
            }
            if files.len() > FILES_MAX {
                return Err(GitError::TooMany {
                    tree: commit.clone(),
                    limit: FILES_MAX,
                });
            }
        }
        Ok(files)
    }

    /// Puts the files of a commit into the new folder `into`, as a clone that knows `reference` alone.
    ///
    /// Symbolic links become files that hold where they would lead, so that
    /// nothing that reads the folder leaves it; filters and submodules are left alone.
    pub fn check_out(
        &self,
        reference: &str,
        commit: &ObjectId,
        into: &Path,
    ) -> Result<(), GitError> {
        check_ref(reference)?;
        self.sizes(commit)?;
        let file = |doing, path: &Path, cause| GitError::File {
            doing,
            path: path.to_owned(),
            cause,
        };
        fs::create_dir_all(into).map_err(|cause| file("create", into, cause))?;
        let mut init = git(&[]);
        init.args([
            "init",
            "--quiet",
            "--initial-branch=main",
            "--template=",
            "--",
        ])
        .arg(into);
        run(init, "init", None)?.success("init")?;
        let dot = into.join(".git");
        let folder = dot.join("objects/info");
        let alternates = folder.join("alternates");
        let objects = format!("{}\n", self.path().join("objects").display());
        fs::create_dir_all(&folder)
            .and_then(|()| fs::write(&alternates, objects))
            .map_err(|cause| file("write", &alternates, cause))?;
        let step = |arguments: &[&str]| {
            let mut command = git(&[]);
            command.arg("-C").arg(into).args(arguments);
            run(command, arguments[0], None)?
                .success(arguments[0])
                .map(drop)
        };
        step(&["config", "core.symlinks", "false"])?;
        if reference.starts_with("refs/heads/") {
            step(&["update-ref", reference, commit.as_str()])?;
            step(&["symbolic-ref", "HEAD", reference])?;
        } else {
            let target = self.resolve(reference)?;
            let target = target.as_ref().unwrap_or(commit);
            step(&["update-ref", reference, target.as_str()])?;
            step(&["update-ref", "--no-deref", "HEAD", commit.as_str()])?;
        }
        step(&["reset", "--quiet", "--hard", commit.as_str()])
    }
}
