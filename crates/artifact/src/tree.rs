//! The name that git gives to a folder of manifests, computed without git.
//!
//! A release in the config repository is exactly the bytes of its artifact;
//! whoever knows git's name of the folder need not read the bytes to see that.

use std::fmt::Write as _;

use foreshore_model::artifact::Manifests;
use ring::digest::{Algorithm, SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};

/// Digits of a name in repositories that hash with SHA-256; others hash with SHA-1.
const LONG: usize = 64;

/// Returns whether `tree`, a tree id of git, names a folder of exactly these files.
pub fn is_tree_of(tree: &str, manifests: &Manifests) -> bool {
    let algorithm = if tree.len() == LONG {
        &SHA256
    } else {
        &SHA1_FOR_LEGACY_USE_ONLY
    };
    tree == tree_id(manifests, algorithm)
}

fn tree_id(manifests: &Manifests, algorithm: &'static Algorithm) -> String {
    let mut entries = Vec::new();
    for (name, text) in manifests {
        entries.extend_from_slice(format!("100644 {name}\0").as_bytes());
        entries.extend_from_slice(&object("blob", text.as_bytes(), algorithm));
    }
    let mut id = String::new();
    for byte in object("tree", &entries, algorithm) {
        write!(id, "{byte:02x}").expect("writing to a string cannot fail");
    }
    id
}

/// The id of an object, as git hashes it: kind, length and content.
fn object(kind: &str, content: &[u8], algorithm: &'static Algorithm) -> Vec<u8> {
    let mut bytes = format!("{kind} {}\0", content.len()).into_bytes();
    bytes.extend_from_slice(content);
    digest(algorithm, &bytes).as_ref().to_vec()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn files() -> Manifests {
        [
            ("deployment-web.yaml", "kind: Deployment\n"),
            ("deployment-web-2.yaml", "kind: Deployment\nü: 1\n"),
            ("service-web.yaml", ""),
        ]
        .map(|(name, text)| (name.to_owned(), text.to_owned()))
        .into()
    }

    /// What git itself calls the folder.
    fn of_git(format: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let git = |words: &[&str]| {
            let output = Command::new("git")
                .args(words)
                .current_dir(folder.path())
                .output()
                .unwrap();
            assert!(
                output.status.success(),
                "{}",
                String::from_utf8_lossy(&output.stderr)
            );
            String::from_utf8(output.stdout).unwrap().trim().to_owned()
        };
        git(&["init", "--quiet", &format!("--object-format={format}"), "."]);
        for (name, text) in files() {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        git(&["add", "--all"]);
        git(&["write-tree"])
    }

    #[test]
    fn a_folder_has_the_name_that_git_gives_it() {
        for format in ["sha1", "sha256"] {
            assert!(is_tree_of(&of_git(format), &files()), "{format}");
        }
    }

    #[test]
    fn a_byte_or_a_file_more_is_another_folder() {
        let tree = of_git("sha1");
        let mut changed = files();
        changed.insert("service-web.yaml".to_owned(), " ".to_owned());
        assert!(!is_tree_of(&tree, &changed));
        let mut more = files();
        more.insert("x.yaml".to_owned(), String::new());
        assert!(!is_tree_of(&tree, &more));
        assert!(!is_tree_of("", &files()));
    }
}
