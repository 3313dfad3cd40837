//! What was done before with the same inputs: an action whose inputs did not change is not repeated.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use foreshore_model::Digest;
use foreshore_render::Command;
use regex::RegexSet;

/// Files that are looked at for one action.
const FILES_MAX: usize = 50_000;
const DEPTH_MAX: usize = 32;

/// Why it cannot be told whether inputs changed.
#[derive(Debug, thiserror::Error)]
pub enum MemoryError {
    #[error("cannot read `{path}`")]
    Read {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("cannot keep what was done in `{path}`")]
    Write {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("`{pattern}` is no pattern of file names")]
    Pattern { pattern: String },
    #[error("the inputs are more than {FILES_MAX} files")]
    TooMany,
}

/// Keys of what was done, in one folder of the user's cache.
#[derive(Debug, Clone)]
pub struct Memory {
    folder: PathBuf,
}

impl Memory {
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
        }
    }

    /// Hashes a command with everything it declares to depend on.
    pub fn key(
        &self,
        command: &Command,
        directory: &Path,
        inputs: &[String],
        needed: &[&str],
    ) -> Result<String, MemoryError> {
        let mut text = format!("{}\0{}\0", command.program, command.arguments.join("\0"));
        for (name, value) in &command.environment {
            text.extend([name, "=", value, "\0"]);
        }
        text.extend([
            &directory.display().to_string(),
            "\0",
            &needed.join(","),
            "\0",
        ]);
        for (path, hash) in matching(directory, inputs)? {
            text.extend([&path, " ", hash.as_str(), "\n"]);
        }
        Ok(Digest::of(text.as_bytes()).hex().to_owned())
    }

    /// Whether this was done before, and what it left behind is still there.
    pub fn knows(
        &self,
        key: &str,
        directory: &Path,
        outputs: &[String],
    ) -> Result<bool, MemoryError> {
        let Ok(recorded) = fs::read_to_string(self.folder.join(key)) else {
            return Ok(false);
        };
        Ok(recorded == outcome(directory, outputs)?)
    }

    /// Remembers that this was done.
    pub fn remember(
        &self,
        key: &str,
        directory: &Path,
        outputs: &[String],
    ) -> Result<(), MemoryError> {
        let path = self.folder.join(key);
        let failed = |cause| MemoryError::Write {
            path: path.clone(),
            cause,
        };
        let text = outcome(directory, outputs)?;
        fs::create_dir_all(&self.folder).map_err(failed)?;
        let file = tempfile::NamedTempFile::new_in(&self.folder).map_err(failed)?;
        fs::write(file.path(), text).map_err(failed)?;
        file.persist(&path).map_err(|error| failed(error.error))?;
        Ok(())
    }
}

fn outcome(directory: &Path, outputs: &[String]) -> Result<String, MemoryError> {
    let files = matching(directory, outputs)?;
    Ok(files.into_iter().fold(String::new(), |text, (path, hash)| {
        format!("{text}{path} {hash}\n")
    }))
}

/// Returns the files that fit one of the patterns, each with the hash of its content.
fn matching(
    directory: &Path,
    patterns: &[String],
) -> Result<BTreeMap<String, Digest>, MemoryError> {
    let mut found = BTreeMap::new();
    if patterns.is_empty() {
        return Ok(found);
    }
    let expressions = patterns.iter().map(|pattern| expression(pattern));
    let set = RegexSet::new(expressions).map_err(|_| MemoryError::Pattern {
        pattern: patterns.join(" "),
    })?;
    let mut folders = vec![(directory.to_owned(), String::new(), 0)];
    while let Some((folder, prefix, depth)) = folders.pop() {
        let failed = |cause| MemoryError::Read {
            path: folder.clone(),
            cause,
        };
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            let kind = entry.file_type().map_err(failed)?;
            let path = format!("{prefix}{name}");
            if kind.is_dir() && depth < DEPTH_MAX && name != ".git" {
                folders.push((entry.path(), format!("{path}/"), depth + 1));
            } else if kind.is_file() && set.is_match(&path) {
                let bytes = fs::read(entry.path()).map_err(failed)?;
                found.insert(path, Digest::of(&bytes));
                if found.len() > FILES_MAX {
                    return Err(MemoryError::TooMany);
                }
            }
        }
    }
    Ok(found)
}

/// `**` stands for any folders, `*` and `?` for what is inside one name.
fn expression(pattern: &str) -> String {
    let mut expression = "^".to_owned();
    let mut rest = pattern.strip_prefix("./").unwrap_or(pattern);
    while let Some(c) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix("**/") {
            expression.push_str("(?:.*/)?");
            rest = after;
        } else if let Some(after) = rest.strip_prefix("**") {
            expression.push_str(".*");
            rest = after;
        } else {
            match c {
                '*' => expression.push_str("[^/]*"),
                '?' => expression.push_str("[^/]"),
                c => expression.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
            }
            rest = &rest[c.len_utf8()..];
        }
    }
    expression.push('$');
    expression
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_people_mean_them() {
        let check = |pattern: &str, path: &str, expected: bool| {
            let set = RegexSet::new([expression(pattern)]).unwrap();
            assert_eq!(set.is_match(path), expected, "{pattern} {path}");
        };
        check("src/**/*.rs", "src/a/b/c.rs", true);
        check("src/**/*.rs", "src/c.rs", true);
        check("src/*.rs", "src/a/c.rs", false);
        check("**", "a/b", true);
        check("Cargo.toml", "Cargo.toml", true);
        check("Cargo.toml", "CargoXtoml", false);
        check("a?c", "abc", true);
        check("./a", "a", true);
    }

    #[test]
    fn any_changed_input_or_missing_output_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let work = folder.path().join("work");
        fs::create_dir_all(work.join("src")).unwrap();
        fs::write(work.join("src/a.rs"), "a").unwrap();
        let memory = Memory::new(folder.path().join("memory"));
        let command = Command {
            program: "x".into(),
            arguments: vec![],
            environment: BTreeMap::new(),
            output: None,
        };
        let (inputs, outputs) = (vec!["src/**".to_owned()], vec!["out".to_owned()]);
        let key = || memory.key(&command, &work, &inputs, &[]).unwrap();
        let first = key();
        assert!(!memory.knows(&first, &work, &outputs).unwrap());
        fs::write(work.join("out"), "built").unwrap();
        memory.remember(&first, &work, &outputs).unwrap();
        assert_eq!(key(), first);
        assert!(memory.knows(&first, &work, &outputs).unwrap());
        fs::write(work.join("out"), "changed by hand").unwrap();
        assert!(!memory.knows(&first, &work, &outputs).unwrap());
        fs::write(work.join("src/a.rs"), "b").unwrap();
        assert_ne!(key(), first);
        assert_ne!(memory.key(&command, &work, &inputs, &["x"]).unwrap(), key());
    }
}
