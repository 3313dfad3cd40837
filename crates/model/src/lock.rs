//! `foreshore.lock`: exactly which plan a service was last built with.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// The file's name, beside `foreshore.yaml`.
pub const FILE_NAME: &str = "foreshore.lock";

/// The pinned plan of one service; written by `foreshore plan update`, committed with the source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    /// The reference that was resolved, as the service file has it.
    pub plan: String,
    /// The commit of a plan from git.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// The manifest of a plan from a registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<Digest>,
    /// Hash of the plan's content; what is built from must have it.
    pub hash: Digest,
}

impl Lock {
    /// Writes the file, with a line that says where it comes from.
    pub fn text(&self) -> Result<String, crate::yaml::WriteError> {
        let body = crate::yaml::write(self)?;
        Ok(format!(
            "# Written by `foreshore plan update`; commit it with the source.\n{body}"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_reads_back_and_nothing_else_does() {
        let lock = Lock {
            plan: "https://git.example.org/plan.git#v1".into(),
            commit: Some("0123456789abcdef0123456789abcdef01234567".into()),
            manifest: None,
            hash: Digest::of(b"x"),
        };
        let text = lock.text().unwrap();
        assert_eq!(crate::yaml::read::<Lock>(FILE_NAME, &text).unwrap(), lock);
        let wrong = text.replace("sha256:", "md5:");
        assert!(crate::yaml::read::<Lock>(FILE_NAME, &wrong).is_err());
    }
}
