//! No file names the host of a package registry.
//!
//! Where packages come from is for each machine to configure; a file that
//! names a host does not build behind a mirror. Lock files are exempt.

use super::Text;

/// In two parts, so that this file does not break its own rule.
const HOSTS: [(&str, &str); 6] = [
    ("crates", ".io"),
    ("proxy.golang", ".org"),
    ("sum.golang", ".org"),
    ("registry.npmjs", ".org"),
    ("pypi", ".org"),
    ("arti", "factory"),
];

fn offences(texts: &[Text]) -> Vec<String> {
    let mut offences = Vec::new();
    for text in texts {
        let name = text.path.file_name().unwrap_or_default();
        if name == "Cargo.lock" || name == "go.sum" {
            continue;
        }
        for (number, line) in text.content.lines().enumerate() {
            for (first, second) in HOSTS {
                let host = format!("{first}{second}");
                if line.contains(&host) {
                    offences.push(format!(
                        "{}:{}: names `{host}`",
                        text.path.display(),
                        number + 1
                    ));
                }
            }
        }
    }
    offences
}

#[cfg(test)]
mod tests {
    use super::{super::text, *};

    #[test]
    fn no_file_names_a_package_registry() {
        super::super::none(&offences(&super::super::texts().unwrap()));
    }

    #[test]
    fn a_named_host_is_found_with_its_line() {
        let content = format!("one\nsee https://crates{}/x\n", ".io");
        let found = offences(&[text("docs/a.md", &content)]);
        assert_eq!(found, [format!("docs/a.md:2: names `crates{}`", ".io")]);
    }

    #[test]
    fn lock_files_may_name_hosts() {
        let content = format!("source = \"crates{}\"", ".io");
        assert!(offences(&[text("Cargo.lock", &content)]).is_empty());
    }
}
