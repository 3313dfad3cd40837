//! A bare repository on disk: opening it, and reading single objects.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::batch::{Batch, Object};
use crate::command::{git, git_in, run};
use crate::durable::{sync_all_of, sync_packs};
use crate::error::GitError;
use crate::lock::Turn;
use crate::name::check_ref;
use crate::object::{ObjectId, TreeEntry, parse_tree};
use crate::signature::CommitKey;

/// A bare repository; cheap to clone.
#[derive(Clone)]
pub struct Repository {
    inner: Arc<Inner>,
    key: Option<Arc<CommitKey>>,
}

struct Inner {
    path: PathBuf,
    batch: Batch,
}

impl std::fmt::Debug for Repository {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Repository").field(&self.inner.path).finish()
    }
}

impl Repository {
    /// Creates a bare repository whose branch is `main`, or opens the one that is there.
    pub fn init_bare(path: impl AsRef<Path>) -> Result<Self, GitError> {
        let path = path.as_ref();
        let top = path.ancestors().find(|folder| folder.is_dir());
        let top = top.unwrap_or(path).to_owned();
        std::fs::create_dir_all(path).map_err(|cause| GitError::File {
            doing: "create",
            path: path.to_owned(),
            cause,
        })?;
        let mut command = git(&[]);
        command
            .args([
                "init",
                "--quiet",
                "--bare",
                "--initial-branch=main",
                "--object-format=sha1",
                "--template=",
                "--",
            ])
            .arg(path);
        let fresh = !path.join("HEAD").exists();
        run(command, "init", None)?.success("init")?;
        if fresh {
            // Git syncs none of what makes a folder a repository.
            sync_all_of(path, &top)?;
        }
        Self::open(path)
    }

    /// Opens a bare repository.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, GitError> {
        let path = path.as_ref();
        let refuse = |what: &str| GitError::NotARepository {
            path: path.to_owned(),
            what: what.to_owned(),
        };
        let path = path
            .canonicalize()
            .map_err(|cause| refuse(&cause.to_string()))?;
        let mut command = git_in(&path, &[]);
        command.args(["rev-parse", "--is-bare-repository", "--show-object-format"]);
        let answer = run(command, "rev-parse", None)?;
        if !answer.status.success() {
            return Err(refuse(answer.stderr.trim()));
        }
        match String::from_utf8_lossy(&answer.stdout).trim() {
            "true\nsha1" => {}
            "true\nsha256" => {
                return Err(refuse(
                    "repositories with SHA-256 object names are not supported",
                ));
            }
            _ => return Err(refuse("it has a worktree")),
        }
        let batch = Batch::new(&path);
        Ok(Self {
            inner: Arc::new(Inner { path, batch }),
            key: None,
        })
    }

    /// The same repository, with every commit that is written through it signed.
    #[must_use]
    pub fn signing(self, key: Arc<CommitKey>) -> Self {
        Self {
            key: Some(key),
            ..self
        }
    }

    pub(crate) fn signed_by(&self) -> Option<&CommitKey> {
        self.key.as_deref()
    }

    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// Returns what a reference (`refs/heads/main`) points at; none if there is no such reference.
    pub fn resolve(&self, name: &str) -> Result<Option<ObjectId>, GitError> {
        check_ref(name)?;
        Ok(self
            .refs(name)?
            .into_iter()
            .find(|(found, _)| found == name)
            .map(|(_, id)| id))
    }

    /// Lists the references that start with `prefix`, whole parts only, in order of name.
    pub fn refs(&self, prefix: &str) -> Result<Vec<(String, ObjectId)>, GitError> {
        const COMMAND: &str = "for-each-ref";
        let prefix = prefix.trim_end_matches('/');
        if prefix != "refs" {
            check_ref(prefix)?;
        }
        let mut command = git_in(self.path(), &[]);
        command.args([COMMAND, "--format=%(objectname) %(refname)", "--", prefix]);
        let answer = run(command, COMMAND, None)?;
        // Git warns of a damaged reference, leaves it out, and says that all went well.
        if !answer.stderr.trim().is_empty() {
            return Err(answer.into_error(COMMAND));
        }
        let malformed = |what: &str| GitError::Malformed {
            command: COMMAND.to_owned(),
            what: what.to_owned(),
        };
        let text = answer.text(COMMAND)?;
        text.lines()
            .map(|line| {
                let (id, name) = line.split_once(' ').ok_or_else(|| malformed(line))?;
                Ok((name.to_owned(), id.parse().map_err(|_| malformed(line))?))
            })
            .collect()
    }

    fn read_named(&self, name: &str, expected: &'static str) -> Result<Vec<u8>, GitError> {
        let object = self.inner.batch.read(&[name])?.pop().flatten();
        self.expect_kind(name, object, expected)
    }

    fn expect_kind(
        &self,
        name: &str,
        object: Option<Object>,
        expected: &'static str,
    ) -> Result<Vec<u8>, GitError> {
        let missing = || GitError::MissingObject {
            id: name.to_owned(),
            repository: self.path().to_owned(),
        };
        let object = object.ok_or_else(missing)?;
        if object.kind == expected {
            return Ok(object.bytes);
        }
        Err(GitError::WrongKind {
            id: name.to_owned(),
            expected,
            found: object.kind,
        })
    }

    /// Returns commits as git stores them.
    pub(crate) fn read_commits(&self, ids: &[ObjectId]) -> Result<Vec<Vec<u8>>, GitError> {
        let names: Vec<&str> = ids.iter().map(ObjectId::as_str).collect();
        let objects = self.inner.batch.read(&names)?;
        names
            .iter()
            .zip(objects)
            .map(|(name, object)| self.expect_kind(name, object, "commit"))
            .collect()
    }

    /// Returns the content of a file.
    pub fn read_blob(&self, id: &ObjectId) -> Result<Vec<u8>, GitError> {
        self.read_named(id.as_str(), "blob")
    }

    /// Returns the contents of many files in one go.
    pub fn read_blobs(&self, ids: &[ObjectId]) -> Result<Vec<Vec<u8>>, GitError> {
        let names: Vec<&str> = ids.iter().map(ObjectId::as_str).collect();
        let objects = self.inner.batch.read(&names)?;
        names
            .iter()
            .zip(objects)
            .map(|(name, object)| self.expect_kind(name, object, "blob"))
            .collect()
    }

    /// Returns the entries of one folder.
    pub fn tree(&self, id: &ObjectId) -> Result<Vec<TreeEntry>, GitError> {
        parse_tree(id, &self.read_named(id.as_str(), "tree")?)
    }

    /// Returns the entries of many folders in one go.
    pub fn trees(&self, ids: &[ObjectId]) -> Result<Vec<Vec<TreeEntry>>, GitError> {
        let names: Vec<&str> = ids.iter().map(ObjectId::as_str).collect();
        let objects = self.inner.batch.read(&names)?;
        ids.iter()
            .zip(objects)
            .map(|(id, object)| parse_tree(id, &self.expect_kind(id.as_str(), object, "tree")?))
            .collect()
    }

    /// Returns the tree of a commit.
    pub fn root(&self, commit: &ObjectId) -> Result<ObjectId, GitError> {
        let bytes = self.read_named(commit.as_str(), "commit")?;
        let malformed = || GitError::Malformed {
            command: "cat-file --batch".to_owned(),
            what: format!("commit `{commit}` names no tree"),
        };
        let line = bytes.split(|b| *b == b'\n').next().ok_or_else(malformed)?;
        let id = line
            .strip_prefix(b"tree ")
            .and_then(|id| std::str::from_utf8(id).ok());
        id.and_then(|id| id.parse().ok()).ok_or_else(malformed)
    }

    /// Whether `ancestor` is in the history of `descendant`; a commit is in its own.
    pub fn is_ancestor(
        &self,
        ancestor: &ObjectId,
        descendant: &ObjectId,
    ) -> Result<bool, GitError> {
        const COMMAND: &str = "merge-base --is-ancestor";
        if ancestor == descendant {
            return Ok(true);
        }
        let mut command = git_in(self.path(), &[]);
        command.args([
            "merge-base",
            "--is-ancestor",
            ancestor.as_str(),
            descendant.as_str(),
        ]);
        let answer = run(command, COMMAND, None)?;
        match answer.status.code() {
            Some(0) => Ok(true),
            Some(1) => Ok(false),
            _ => Err(answer.into_error(COMMAND)),
        }
    }

    /// Checks every object and link of the repository.
    pub fn check(&self) -> Result<(), GitError> {
        let mut command = git_in(self.path(), &[]);
        command.args([
            "fsck",
            "--full",
            "--strict",
            "--no-dangling",
            "--no-progress",
        ]);
        run(command, "fsck", None)?.success("fsck").map(drop)
    }

    /// Joins packs when there are so many that reads would suffer; safe beside readers and writers.
    ///
    /// Every write adds one pack, and every start of git opens the index of each.
    pub fn tidy(&self) -> Result<bool, GitError> {
        const PACKS_MAX: usize = 50;
        let folder = self.path().join("objects/pack");
        let error = |cause| GitError::File {
            doing: "list",
            path: folder.clone(),
            cause,
        };
        let packs = std::fs::read_dir(&folder)
            .map_err(error)?
            .filter_map(Result::ok)
            .filter(|entry| entry.path().extension().is_some_and(|end| end == "pack"))
            .count();
        if packs <= PACKS_MAX {
            return Ok(false);
        }
        let Some(_turn) = Turn::for_packs(self.path())? else {
            return Ok(false);
        };
        let mut command = git_in(self.path(), &[]);
        command.args(["repack", "--geometric=2", "-d", "--quiet"]);
        run(command, "repack", None)?.success("repack")?;
        sync_packs(self.path())?;
        Ok(true)
    }
}
