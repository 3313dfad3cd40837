//! Walks trees: paths, listings, differences.

use std::collections::BTreeMap;

use crate::error::GitError;
use crate::object::{EntryKind, ObjectId, TreeEntry, join};
use crate::repository::Repository;

/// Most entries that one listing returns.
const ENTRIES_MAX: usize = 500_000;

/// Deepest folder that is walked.
const DEPTH_MAX: usize = 32;

/// A path whose entry is not the same in two trees; both sides are never none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeChange {
    pub path: String,
    pub before: Option<TreeEntry>,
    pub after: Option<TreeEntry>,
}

impl Repository {
    /// Returns the entry at `path` of a commit; none if there is nothing at that path.
    pub fn entry(&self, commit: &ObjectId, path: &str) -> Result<Option<TreeEntry>, GitError> {
        crate::name::check_path(path)?;
        let mut tree = self.root(commit)?;
        let mut parts = path.split('/').peekable();
        while let Some(part) = parts.next() {
            let Some(entry) = self
                .tree(&tree)?
                .into_iter()
                .find(|entry| entry.name == part)
            else {
                return Ok(None);
            };
            if parts.peek().is_none() {
                return Ok(Some(entry));
            }
            if entry.kind != EntryKind::Tree {
                return Ok(None);
            }
            tree = entry.id;
        }
        Ok(None)
    }

    /// Returns the id of the folder at `path` of a commit; none if there is no folder.
    pub fn tree_id(&self, commit: &ObjectId, path: &str) -> Result<Option<ObjectId>, GitError> {
        let entry = self.entry(commit, path)?;
        Ok(entry
            .filter(|entry| entry.kind == EntryKind::Tree)
            .map(|entry| entry.id))
    }

    /// Returns the content of the file at `path` of a commit; none if there is nothing.
    pub fn read_path(&self, commit: &ObjectId, path: &str) -> Result<Option<Vec<u8>>, GitError> {
        let Some(entry) = self.entry(commit, path)? else {
            return Ok(None);
        };
        entry.check(path.rsplit_once('/').map_or("", |(parent, _)| parent))?;
        self.read_blob(&entry.id).map(Some)
    }

    /// Lists every file below a tree by its path, and refuses all that is not a plain file or folder.
    pub fn files(&self, tree: &ObjectId) -> Result<BTreeMap<String, TreeEntry>, GitError> {
        let mut files = BTreeMap::new();
        let mut level = vec![(String::new(), tree.clone())];
        for _ in 0..DEPTH_MAX {
            let ids: Vec<ObjectId> = level.iter().map(|(_, id)| id.clone()).collect();
            let mut next = Vec::new();
            for ((parent, _), entries) in level.iter().zip(self.trees(&ids)?) {
                check_folder(parent, &entries)?;
                for entry in entries {
                    let path = join(parent, &entry.name);
                    if entry.kind == EntryKind::Tree {
                        next.push((path, entry.id));
                    } else {
                        files.insert(path, entry);
                    }
                }
            }
            if files.len() + next.len() > ENTRIES_MAX {
                return Err(GitError::TooMany {
                    tree: tree.clone(),
                    limit: ENTRIES_MAX,
                });
            }
            if next.is_empty() {
                return Ok(files);
            }
            level = next;
        }
        let path = level
            .into_iter()
            .next()
            .map(|(path, _)| path)
            .unwrap_or_default();
        Err(GitError::OddEntry {
            path,
            why: "it is nested too deeply",
        })
    }

    /// Returns the entries of one folder, refusing all that is not a plain file or folder.
    pub fn folder(&self, path: &str, tree: &ObjectId) -> Result<Vec<TreeEntry>, GitError> {
        let entries = self.tree(tree)?;
        check_folder(path, &entries)?;
        Ok(entries)
    }

    /// Lists the files that differ between two trees; equal folders are not opened.
    pub fn diff_trees(
        &self,
        before: Option<&ObjectId>,
        after: Option<&ObjectId>,
    ) -> Result<Vec<TreeChange>, GitError> {
        let mut changes = Vec::new();
        self.diff_into("", before, after, 0, &mut changes)?;
        Ok(changes)
    }

    fn diff_into(
        &self,
        parent: &str,
        before: Option<&ObjectId>,
        after: Option<&ObjectId>,
        depth: usize,
        changes: &mut Vec<TreeChange>,
    ) -> Result<(), GitError> {
        if before == after {
            return Ok(());
        }
        if depth > DEPTH_MAX {
            return Err(GitError::OddEntry {
                path: parent.to_owned(),
                why: "it is nested too deeply",
            });
        }
        let mut names: BTreeMap<String, (Option<TreeEntry>, Option<TreeEntry>)> = BTreeMap::new();
        for entry in before
            .map(|id| self.tree(id))
            .transpose()?
            .unwrap_or_default()
        {
            let name = entry.name.clone();
            names.entry(name).or_default().0 = Some(entry);
        }
        for entry in after
            .map(|id| self.tree(id))
            .transpose()?
            .unwrap_or_default()
        {
            let name = entry.name.clone();
            names.entry(name).or_default().1 = Some(entry);
        }
        for (name, (before, after)) in names {
            if before == after {
                continue;
            }
            let path = join(parent, &name);
            let tree = |side: &Option<TreeEntry>| {
                side.as_ref()
                    .filter(|entry| entry.kind == EntryKind::Tree)
                    .map(|entry| entry.id.clone())
            };
            let (tree_before, tree_after) = (tree(&before), tree(&after));
            let file = |side: Option<TreeEntry>| side.filter(|entry| entry.kind != EntryKind::Tree);
            let (before, after) = (file(before), file(after));
            if before.is_some() || after.is_some() {
                changes.push(TreeChange {
                    path: path.clone(),
                    before,
                    after,
                });
            }
            self.diff_into(
                &path,
                tree_before.as_ref(),
                tree_after.as_ref(),
                depth + 1,
                changes,
            )?;
        }
        Ok(())
    }
}

/// Refuses odd entries, and names that differ in letter case alone.
fn check_folder(path: &str, entries: &[TreeEntry]) -> Result<(), GitError> {
    let mut seen = std::collections::BTreeSet::new();
    for entry in entries {
        entry.check(path)?;
        if !seen.insert(entry.name.to_lowercase()) {
            let path = join(path, &entry.name);
            return Err(GitError::OddEntry {
                path,
                why: "another name differs from it in letter case alone",
            });
        }
    }
    Ok(())
}
