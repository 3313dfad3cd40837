//! Which version wrote the state of a data directory, and whether all of it is there.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::record::{RecordError, write_private};

/// The form of the state that this version writes.
pub const FORMAT: u32 = 1;
/// The oldest form that this version reads.
const OLDEST_FORMAT: u32 = 1;

/// What cannot be made anew: without one of these the state is not whole.
const PARTS: [&str; 5] = [
    "server/config.git",
    "server/registry",
    "server/server.db",
    "server/signing.key",
    "credentials/agent.agekey",
];

/// What is written down of a state, beside the state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    pub format: u32,
    /// The version of Foreshore that last started from it.
    pub program: String,
    /// How many sites its production has.
    #[serde(default = "one")]
    pub sites: u8,
    /// A platform was up from it once, so that every part must be there.
    #[serde(default)]
    pub complete: bool,
}

fn one() -> u8 {
    1
}

/// Why a state is not used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    #[error(
        "the state in `{data}` was written by Foreshore {program} in form {format}; this is {own}, which reads forms {OLDEST_FORMAT} to {FORMAT}", own = env!("CARGO_PKG_VERSION")
    )]
    Format {
        data: PathBuf,
        program: String,
        format: u32,
    },
    #[error("the state in `{data}` is not whole: {} missing", missing.join(", "))]
    Missing { data: PathBuf, missing: Vec<String> },
    #[error("`{data}` holds files of somebody else: `{found}`")]
    Foreign { data: PathBuf, found: String },
    #[error(transparent)]
    File(#[from] RecordError),
}

impl StateError {
    /// What to type next.
    pub fn hint(&self) -> String {
        match self {
            Self::Format {
                program, format, ..
            } if *format > FORMAT => {
                format!("use Foreshore {program} or newer; it was not changed")
            }
            Self::Format { .. } => {
                "start it once with a version in between, see docs/operations/upgrade.md".to_owned()
            }
            Self::Missing { data, .. } => format!(
                "bring it back from a backup: move `{0}` away, then `foreshore restore FILE --data {0}`",
                data.display()
            ),
            Self::Foreign { .. } => {
                "choose an empty or a new directory with `--data DIR`".to_owned()
            }
            Self::File(RecordError::Format { path, .. }) => format!(
                "it only says which version wrote the state: bring `{}` back from a backup",
                path.display()
            ),
            Self::File(_) => {
                "give the directory to yourself, or choose another with `--data DIR`".to_owned()
            }
        }
    }
}

impl State {
    fn path(data: &Path) -> PathBuf {
        data.join("state.json")
    }

    /// Reads what is written down; nothing for a directory no platform was started from.
    pub fn read(data: &Path) -> Result<Option<Self>, StateError> {
        let path = Self::path(data);
        match fs::read(&path) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(|cause| RecordError::Format { path, cause })?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(cause) => Err(RecordError::Read { path, cause }.into()),
        }
    }

    /// Looks whether this version may start from the directory; changes nothing.
    ///
    /// A state without a version is from before versions were written down, and is read.
    pub fn check(data: &Path) -> Result<Self, StateError> {
        let known = Self::read(data)?;
        let state = match known {
            Some(state) => state,
            None if data.join("server").exists() => Self {
                complete: false,
                ..Self::new(1)
            },
            None => {
                refuse_foreign(data)?;
                Self::new(1)
            }
        };
        if !(OLDEST_FORMAT..=FORMAT).contains(&state.format) {
            return Err(StateError::Format {
                data: data.to_owned(),
                program: state.program,
                format: state.format,
            });
        }
        let missing: Vec<String> = PARTS
            .iter()
            .filter(|part| state.complete && !data.join(part).exists())
            .map(|part| format!("`{part}`"))
            .collect();
        if !missing.is_empty() {
            return Err(StateError::Missing {
                data: data.to_owned(),
                missing,
            });
        }
        Ok(state)
    }

    fn new(sites: u8) -> Self {
        Self {
            format: FORMAT,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            sites,
            complete: false,
        }
    }

    /// Writes down that this version uses the state now.
    pub fn keep(self, data: &Path) -> Result<(), StateError> {
        let state = Self {
            complete: self.complete,
            ..Self::new(self.sites)
        };
        let text = serde_json::to_vec_pretty(&state).expect("numbers and a version are JSON");
        Ok(write_private(&Self::path(data), &text)?)
    }
}

/// A platform fills its directory with files of its own; it does not mix them with others.
fn refuse_foreign(data: &Path) -> Result<(), StateError> {
    /// What a start that was cut short leaves, and what `up --detach` writes before one.
    const OURS: [&str; 13] = [
        "lock",
        "platform.log",
        "platform.json",
        "ports.json",
        "credentials",
        "ground",
        "node",
        "engine",
        "images",
        "agent",
        "kubeconfig",
        "sites",
        "state.json",
    ];
    let Ok(entries) = fs::read_dir(data) else {
        return Ok(());
    };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        // Hidden files are drafts of ours, or a file system's own.
        if !OURS.contains(&name.as_str()) && !name.starts_with('.') && name != "lost+found" {
            return Err(StateError::Foreign {
                data: data.to_owned(),
                found: name,
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(data: &Path, format: u32, complete: bool) {
        let text = format!(r#"{{"format":{format},"program":"9.8.7","complete":{complete}}}"#);
        fs::write(data.join("state.json"), text).unwrap();
    }

    #[test]
    fn a_new_directory_is_taken_and_remembered() {
        let data = tempfile::tempdir().unwrap();
        let state = State::check(&data.path().join("new")).unwrap();
        assert_eq!(state, State::new(1));
        let state = State { sites: 2, ..state };
        state.keep(data.path()).unwrap();
        assert_eq!(State::check(data.path()).unwrap().sites, 2);
    }

    #[test]
    fn a_state_of_another_form_is_refused_both_ways_and_stays_as_it_is() {
        let data = tempfile::tempdir().unwrap();
        for (format, hint) in [(FORMAT + 1, "9.8.7 or newer"), (0, "a version in between")] {
            written(data.path(), format, true);
            let before = fs::read(data.path().join("state.json")).unwrap();
            let error = State::check(data.path()).unwrap_err();
            assert!(error.to_string().contains("Foreshore 9.8.7"), "{error}");
            assert!(error.hint().contains(hint), "{}", error.hint());
            assert_eq!(fs::read(data.path().join("state.json")).unwrap(), before);
        }
    }

    #[test]
    fn what_cannot_be_made_anew_is_missed_by_name() {
        let data = tempfile::tempdir().unwrap();
        written(data.path(), FORMAT, true);
        for part in PARTS {
            fs::create_dir_all(data.path().join(part)).unwrap();
        }
        assert!(State::check(data.path()).is_ok());
        fs::remove_dir(data.path().join("server/registry")).unwrap();
        let error = State::check(data.path()).unwrap_err();
        assert!(error.to_string().contains("`server/registry`"), "{error}");
        assert!(error.hint().contains("foreshore restore"));
        // The first start was cut short: the next one goes on with what there is.
        written(data.path(), FORMAT, false);
        assert!(State::check(data.path()).is_ok());
    }

    #[test]
    fn a_state_from_before_versions_is_read() {
        let data = tempfile::tempdir().unwrap();
        fs::create_dir(data.path().join("server")).unwrap();
        assert_eq!(State::check(data.path()).unwrap().format, 1);
    }

    #[test]
    fn a_directory_of_somebody_else_is_left_alone() {
        let data = tempfile::tempdir().unwrap();
        fs::write(data.path().join("platform.log"), "").unwrap();
        assert!(State::check(data.path()).is_ok());
        fs::write(data.path().join("thesis.tex"), "").unwrap();
        let error = State::check(data.path()).unwrap_err();
        assert!(error.to_string().contains("`thesis.tex`"), "{error}");
    }

    #[test]
    fn a_damaged_file_is_named() {
        let data = tempfile::tempdir().unwrap();
        fs::write(data.path().join("state.json"), "{").unwrap();
        let error = State::check(data.path()).unwrap_err();
        assert!(error.hint().contains("state.json"), "{}", error.hint());
    }
}
