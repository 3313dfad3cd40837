//! The jail of an action: what it may read and write, enforced by the kernel (Landlock).
//!
//! A process can only jail itself, so the action is started through a program
//! of ours that does so and then becomes the action ([`Jail::program`] with
//! the words of [`Jail::words`], which end in [`enter`]). Everything the
//! action starts is in the same jail. Network and signals are not confined.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access as _, AccessFs, CompatLevel, Compatible as _, Ruleset, RulesetAttr as _,
    RulesetCreatedAttr as _, RulesetError, RulesetStatus, path_beneath_rules,
};

/// Where programs and what they need are, on common systems.
const SYSTEM: [&str; 12] = [
    "/bin", "/etc", "/lib", "/lib32", "/lib64", "/nix", "/opt", "/proc", "/run", "/sbin", "/sys",
    "/usr",
];
/// Where everybody may write.
const SHARED: [&str; 3] = ["/dev", "/tmp", "/var/tmp"];

/// What a jailed action may reach, besides the system's programs and temporary files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Jail {
    /// Enters the jail and becomes the action.
    pub program: PathBuf,
    /// Folders it may change; those that do not exist count for nothing.
    pub writes: Vec<PathBuf>,
    /// Folders it may read.
    pub reads: Vec<PathBuf>,
    /// Whether the action must not run where the kernel cannot confine it.
    pub required: bool,
}

/// How far the kernel confines this process now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confinement {
    Full,
    /// An older kernel: files are confined, some ways of changing them are not.
    Partial,
    /// The kernel has no Landlock, or it is switched off.
    None,
}

/// Why no jail was made.
#[derive(Debug, thiserror::Error)]
#[error("the kernel refused the jail")]
pub struct JailError {
    #[source]
    cause: Box<RulesetError>,
}

impl From<RulesetError> for JailError {
    fn from(cause: RulesetError) -> Self {
        Self {
            cause: Box::new(cause),
        }
    }
}

impl Jail {
    /// The words between the program and the action's own.
    pub(crate) fn words(&self) -> Vec<PathBuf> {
        let mut words = vec![PathBuf::from("jailed")];
        if self.required {
            words.push("--required".into());
        }
        for (flag, folders) in [("--write", &self.writes), ("--read", &self.reads)] {
            let named = folders
                .iter()
                .filter(|folder| !folder.as_os_str().is_empty());
            words.extend(named.flat_map(|folder| [PathBuf::from(flag), folder.clone()]));
        }
        words.push("--".into());
        words
    }
}

/// Confines this process and all it starts from now on; there is no way back.
pub fn enter(reads: &[PathBuf], writes: &[PathBuf]) -> Result<Confinement, JailError> {
    let abi = ABI::V3;
    let reads = SYSTEM
        .iter()
        .map(Path::new)
        .chain(reads.iter().map(PathBuf::as_path));
    let writes = SHARED
        .iter()
        .map(Path::new)
        .chain(writes.iter().map(PathBuf::as_path));
    let status = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(abi))?
        .create()?
        .add_rules(path_beneath_rules(reads, AccessFs::from_read(abi)))?
        .add_rules(path_beneath_rules(writes, AccessFs::from_all(abi)))?
        .restrict_self()?;
    Ok(match status.ruleset {
        RulesetStatus::FullyEnforced => Confinement::Full,
        RulesetStatus::PartiallyEnforced => Confinement::Partial,
        RulesetStatus::NotEnforced => Confinement::None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_name_every_folder_and_end_before_the_action() {
        let jail = Jail {
            program: "/bin/foreshore".into(),
            writes: vec!["/work".into()],
            reads: vec!["/plan".into(), PathBuf::new()],
            required: true,
        };
        let words: Vec<String> = jail
            .words()
            .iter()
            .map(|word| word.display().to_string())
            .collect();
        assert_eq!(
            words.join(" "),
            "jailed --required --write /work --read /plan --"
        );
    }
}
