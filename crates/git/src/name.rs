//! What may be the name of a reference, and what a path inside a repository.

use crate::error::GitError;

/// Refuses what is not the full name of a reference (`refs/…`).
pub fn check_ref(name: &str) -> Result<(), GitError> {
    let bad = |why| {
        Err(GitError::BadRef {
            name: name.chars().take(200).collect(),
            why,
        })
    };
    if !name.starts_with("refs/") {
        return bad("it does not start with `refs/`");
    }
    if name.len() > 200 {
        return bad("it is longer than 200 bytes");
    }
    let forbidden = |c: char| c.is_ascii_control() || " ~^:?*[\\".contains(c);
    if name.contains(forbidden) || name.contains("..") || name.contains("@{") {
        return bad("it holds a character that git does not allow");
    }
    for part in name.split('/') {
        let lock = part.rsplit_once('.').is_some_and(|(_, end)| end == "lock");
        if part.is_empty() || part.starts_with('.') || part.ends_with('.') || lock {
            return bad(
                "one of its parts is empty, starts or ends with a dot, or ends with `.lock`",
            );
        }
    }
    Ok(())
}

/// Refuses a path that some file system or tool would read as something else.
pub fn check_path(path: &str) -> Result<(), GitError> {
    let bad = |why| GitError::BadPath {
        path: path.chars().take(200).collect(),
        why,
    };
    if path.len() > 1000 {
        return Err(bad("it is longer than 1000 bytes"));
    }
    path.split('/')
        .try_for_each(|part| check_component(part).map_err(bad))
}

pub(crate) fn check_component(name: &str) -> Result<(), &'static str> {
    // Bidirectional and zero-width characters make one name look like another.
    let invisible = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
    };
    match name {
        "" => Err("a part of it is empty"),
        "." | ".." => Err("it holds `.` or `..`"),
        // `git~1` is what `.git` is called on file systems with short names.
        _ if name.eq_ignore_ascii_case(".git") || name.eq_ignore_ascii_case("git~1") => {
            Err("it names git's own folder")
        }
        _ if name.contains(invisible) => Err("it holds an invisible character"),
        _ if name.contains(['\\', '/', ':']) => Err("it holds `\\`, `/` or `:`"),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_full_names_of_references_are_taken() {
        for good in [
            "refs/heads/main",
            "refs/heads/requests/01h",
            "refs/foreshore/outcomes",
        ] {
            check_ref(good).unwrap();
        }
        for bad in [
            "main",
            "HEAD",
            "refs/heads/..",
            "refs/heads/a b",
            "refs/heads/",
            "refs/x.lock",
            "refs/heads/a\n",
            "-x",
        ] {
            assert!(check_ref(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn paths_that_mean_something_else_elsewhere_are_refused() {
        check_path("environments/dev/web/manifests/service-web.yaml").unwrap();
        for bad in [
            "",
            "/a",
            "a/",
            "a//b",
            "../a",
            "a/./b",
            ".git/config",
            "a/.GIT/x",
            "a\nb",
            "a\u{202e}b",
            "a\\b",
            "C:x",
        ] {
            assert!(check_path(bad).is_err(), "{bad}");
        }
    }
}
