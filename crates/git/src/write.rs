//! Writes commits without worktree or index, through `git fast-import`.

use std::io::Write as _;

use foreshore_model::Actor;
use jiff::Timestamp;

use crate::command::{git_in, run};
use crate::durable::sync_packs;
use crate::error::GitError;
use crate::name::check_path;
use crate::object::ObjectId;
use crate::pack::commit_id;
use crate::refs::{Expected, RefUpdate};
use crate::repository::Repository;
use crate::signature::CommitKey;

const COMMAND: &str = "fast-import";

/// Never written: fast-import wants a name, and forgets it at the end of the stream.
const SCRATCH: &str = "refs/foreshore/scratch";

/// One change of a tree, relative to the parent commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    Write {
        path: String,
        content: Vec<u8>,
    },
    /// Removes a file or a whole folder; nothing there is no error.
    Remove {
        path: String,
    },
    /// Puts an existing tree at the path, in place of what is there.
    Graft {
        path: String,
        tree: ObjectId,
    },
}

impl Change {
    pub fn write(path: impl Into<String>, content: impl Into<Vec<u8>>) -> Self {
        Self::Write {
            path: path.into(),
            content: content.into(),
        }
    }

    pub fn remove(path: impl Into<String>) -> Self {
        Self::Remove { path: path.into() }
    }
}

/// A commit to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCommit {
    pub changes: Vec<Change>,
    pub message: String,
    pub author: Actor,
    pub committer: Actor,
    pub at: Timestamp,
}

/// Commits on top of each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// What the first one stands on; none makes it the root of a new history.
    pub parent: Option<ObjectId>,
    pub commits: Vec<NewCommit>,
}

impl Repository {
    /// Writes the objects of all chains to the disk; no reference points at them yet.
    pub fn write_commits(&self, chains: &[Chain]) -> Result<Vec<Vec<ObjectId>>, GitError> {
        let count: usize = chains.iter().map(|chain| chain.commits.len()).sum();
        if count == 0 {
            return Ok(vec![Vec::new(); chains.len()]);
        }
        let mut command = git_in(self.path(), &[]);
        command.args([COMMAND, "--quiet", "--done", "--date-format=raw"]);
        let text = run(command, COMMAND, Some(stream(chains)?))?.text(COMMAND)?;
        let written = Written::read(&text, count)?;
        let ids = match self.signed_by() {
            Some(key) => {
                let signed = signed(chains, &written.trees, key);
                self.add_commits(&signed.commits)?;
                signed.ids
            }
            None => written.ids,
        };
        sync_packs(self.path())?;
        let mut ids = ids.into_iter();
        Ok(chains
            .iter()
            .map(|chain| ids.by_ref().take(chain.commits.len()).collect())
            .collect())
    }

    /// Commits on top of `expected` and moves the reference there; returns the ids, all durable.
    pub fn commit(
        &self,
        name: &str,
        expected: Option<&ObjectId>,
        commits: Vec<NewCommit>,
    ) -> Result<Vec<ObjectId>, GitError> {
        let chain = Chain {
            parent: expected.cloned(),
            commits,
        };
        let ids = self.write_commits(&[chain])?.pop().unwrap_or_default();
        if let Some(new) = ids.last() {
            self.update_refs(&[RefUpdate {
                name: name.to_owned(),
                new: Some(new.clone()),
                expected: Expected::of(expected),
            }])?;
        }
        Ok(ids)
    }
}

/// What fast-import told of the commits it wrote, in order.
struct Written {
    ids: Vec<ObjectId>,
    trees: Vec<ObjectId>,
}

impl Written {
    /// Reads the answers to `get-mark` and `ls`, one pair for each commit.
    fn read(text: &str, count: usize) -> Result<Self, GitError> {
        let malformed = || GitError::Malformed {
            command: COMMAND.to_owned(),
            what: text.to_owned(),
        };
        let id = |line: &str| line.parse::<ObjectId>().map_err(|_| malformed());
        let (mut ids, mut trees) = (Vec::new(), Vec::new());
        for line in text.lines() {
            match line.strip_prefix("040000 tree ") {
                Some(tree) => trees.push(id(tree.trim_end_matches('\t'))?),
                // The root of a commit without any file.
                None if line.starts_with("missing ") => trees.push(id(EMPTY_TREE)?),
                None => ids.push(id(line)?),
            }
        }
        if ids.len() == count && trees.len() == count {
            Ok(Self { ids, trees })
        } else {
            Err(malformed())
        }
    }
}

/// The tree without entries, which every repository knows.
const EMPTY_TREE: &str = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";

/// Commits with their signatures in them, and their names.
struct Signed {
    commits: Vec<Vec<u8>>,
    ids: Vec<ObjectId>,
}

/// Makes the chains anew of the trees that are written, signed.
fn signed(chains: &[Chain], trees: &[ObjectId], key: &CommitKey) -> Signed {
    let mut trees = trees.iter();
    let mut signed = Signed {
        commits: Vec::new(),
        ids: Vec::new(),
    };
    for chain in chains {
        let mut parent = chain.parent.clone();
        for (commit, tree) in chain.commits.iter().zip(trees.by_ref()) {
            let bytes = key.sign(&raw(commit, tree, parent.as_ref()));
            let id = commit_id(&bytes);
            parent = Some(id.clone());
            signed.commits.push(bytes);
            signed.ids.push(id);
        }
    }
    signed
}

/// A commit as git stores it.
fn raw(commit: &NewCommit, tree: &ObjectId, parent: Option<&ObjectId>) -> Vec<u8> {
    let seconds = commit.at.as_second();
    let parent = parent.map_or_else(String::new, |parent| format!("parent {parent}\n"));
    let mut raw = format!(
        "tree {tree}\n{parent}author {} {seconds} +0000\ncommitter {} {seconds} +0000\n\n",
        identity(&commit.author),
        identity(&commit.committer)
    )
    .into_bytes();
    raw.extend_from_slice(message(commit).as_bytes());
    raw
}

/// No git takes a message with a NUL in it.
fn message(commit: &NewCommit) -> String {
    commit.message.replace('\0', "")
}

fn stream(chains: &[Chain]) -> Result<Vec<u8>, GitError> {
    let mut out = Vec::new();
    let mut mark = 0_usize;
    for chain in chains {
        let mut parent = chain.parent.as_ref().map(|id| id.as_str().to_owned());
        for commit in &chain.commits {
            mark += 1;
            // `reset` forgets the chain before, so a root commit has no parent.
            push(&mut out, &format!("reset {SCRATCH}\n"));
            push(&mut out, &format!("commit {SCRATCH}\nmark :{mark}\n"));
            let seconds = commit.at.as_second();
            push(
                &mut out,
                &format!("author {} {seconds} +0000\n", identity(&commit.author)),
            );
            push(
                &mut out,
                &format!(
                    "committer {} {seconds} +0000\n",
                    identity(&commit.committer)
                ),
            );
            data(&mut out, message(commit).as_bytes());
            if let Some(parent) = &parent {
                push(&mut out, &format!("from {parent}\n"));
            }
            for change in &commit.changes {
                write_change(&mut out, change)?;
            }
            push(&mut out, &format!("\nget-mark :{mark}\nls :{mark} \n"));
            parent = Some(format!(":{mark}"));
        }
    }
    push(
        &mut out,
        &format!("reset {SCRATCH}\nfrom {}\n\ndone\n", "0".repeat(40)),
    );
    Ok(out)
}

fn write_change(out: &mut Vec<u8>, change: &Change) -> Result<(), GitError> {
    match change {
        Change::Write { path, content } => {
            push(out, &format!("M 100644 inline {}\n", quoted(path)?));
            data(out, content);
        }
        Change::Remove { path } => push(out, &format!("D {}\n", quoted(path)?)),
        Change::Graft { path, tree } => push(out, &format!("M 040000 {tree} {}\n", quoted(path)?)),
    }
    Ok(())
}

fn push(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

fn data(out: &mut Vec<u8>, content: &[u8]) {
    writeln!(out, "data {}", content.len()).expect("writing to memory cannot fail");
    out.extend_from_slice(content);
    out.push(b'\n');
}

/// A checked path holds no control characters and no backslash, so only quotes need care.
fn quoted(path: &str) -> Result<String, GitError> {
    check_path(path)?;
    Ok(format!("\"{}\"", path.replace('"', "\\\"")))
}

/// Writes `Name <address>`; what would end either part early is left out.
fn identity(actor: &Actor) -> String {
    let clean = |text: &str| {
        text.chars()
            .filter(|c| !c.is_control() && !"<>".contains(*c))
            .collect::<String>()
    };
    format!(
        "{} <{}>",
        clean(&actor.name).trim(),
        clean(&actor.email).trim()
    )
}
