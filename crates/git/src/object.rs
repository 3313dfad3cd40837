//! Names of objects and the entries of trees.

use std::fmt;
use std::str::FromStr;

use crate::error::GitError;

/// Names an object by its hash: 40 lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId(Box<str>);

/// Why a text is not an object id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an object id (40 lower-case hexadecimal digits)")]
pub struct ObjectIdError {
    text: String,
}

impl ObjectId {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the first ten digits, enough for people.
    pub fn short(&self) -> &str {
        &self.0[..10]
    }

    fn from_bytes(bytes: &[u8]) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let text: String = bytes
            .iter()
            .flat_map(|byte| {
                [
                    DIGITS[usize::from(byte >> 4)],
                    DIGITS[usize::from(byte & 15)],
                ]
            })
            .map(char::from)
            .collect();
        Self(text.into_boxed_str())
    }
}

impl FromStr for ObjectId {
    type Err = ObjectIdError;

    fn from_str(text: &str) -> Result<Self, ObjectIdError> {
        let valid =
            text.len() == 40 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if valid {
            Ok(Self(text.into()))
        } else {
            Err(ObjectIdError {
                text: text.chars().take(80).collect(),
            })
        }
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// What an entry of a tree is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EntryKind {
    File,
    Executable,
    Tree,
    Symlink,
    Submodule,
    /// A mode that no current git writes.
    Odd,
}

impl EntryKind {
    fn of(mode: &[u8]) -> Self {
        match mode {
            b"100644" => Self::File,
            b"100755" => Self::Executable,
            b"40000" => Self::Tree,
            b"120000" => Self::Symlink,
            b"160000" => Self::Submodule,
            _ => Self::Odd,
        }
    }

    pub fn is_file(self) -> bool {
        matches!(self, Self::File | Self::Executable)
    }
}

/// One name in a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeEntry {
    pub name: String,
    pub kind: EntryKind,
    pub id: ObjectId,
}

impl TreeEntry {
    /// Refuses what a reader of plain files must not follow; `parent` names the place in the error.
    pub fn check(&self, parent: &str) -> Result<(), GitError> {
        let odd = |why| GitError::OddEntry {
            path: join(parent, &self.name),
            why,
        };
        match self.kind {
            EntryKind::File | EntryKind::Executable | EntryKind::Tree => {}
            EntryKind::Symlink => return Err(odd("it is a symbolic link")),
            EntryKind::Submodule => return Err(odd("it is a submodule")),
            EntryKind::Odd => return Err(odd("it has an unknown file mode")),
        }
        crate::name::check_component(&self.name).map_err(odd)
    }
}

/// Joins a folder and a name; the empty folder is the root.
pub(crate) fn join(parent: &str, name: &str) -> String {
    if parent.is_empty() {
        name.to_owned()
    } else {
        format!("{parent}/{name}")
    }
}

/// Reads the bytes of a tree object.
pub(crate) fn parse_tree(id: &ObjectId, mut bytes: &[u8]) -> Result<Vec<TreeEntry>, GitError> {
    let malformed = || GitError::Malformed {
        command: "cat-file --batch".to_owned(),
        what: format!("tree `{id}` is damaged"),
    };
    let mut entries = Vec::new();
    while !bytes.is_empty() {
        let space = bytes
            .iter()
            .position(|b| *b == b' ')
            .ok_or_else(malformed)?;
        let nul = bytes
            .iter()
            .position(|b| *b == 0)
            .filter(|nul| *nul > space)
            .ok_or_else(malformed)?;
        let hash = bytes.get(nul + 1..nul + 21).ok_or_else(malformed)?;
        let name = std::str::from_utf8(&bytes[space + 1..nul]).map_err(|_| GitError::OddEntry {
            path: String::from_utf8_lossy(&bytes[space + 1..nul]).into_owned(),
            why: "its name is not UTF-8",
        })?;
        entries.push(TreeEntry {
            name: name.to_owned(),
            kind: EntryKind::of(&bytes[..space]),
            id: ObjectId::from_bytes(hash),
        });
        bytes = &bytes[nul + 21..];
    }
    Ok(entries)
}
