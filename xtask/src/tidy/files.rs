//! Every Rust file says first what it is for, and none is called `mod.rs`.

use super::Text;

fn offences(texts: &[Text]) -> Vec<String> {
    let mut offences = Vec::new();
    for text in texts.iter().filter(|text| text.is_rust()) {
        let path = text.path.display();
        if text.path.ends_with("mod.rs") {
            offences.push(format!("{path}: call it after its folder, one level up; tabs and searches then keep its name"));
        }
        let first = text.content.lines().next().unwrap_or_default();
        if first
            .strip_prefix("//! ")
            .is_none_or(|purpose| purpose.trim().is_empty())
        {
            offences.push(format!(
                "{path}: the first line must be `//! ` and what the file is for"
            ));
        }
    }
    offences
}

#[cfg(test)]
mod tests {
    use super::{super::text, *};

    #[test]
    fn every_file_says_what_it_is_for() {
        super::super::none(&offences(&super::super::texts().unwrap()));
    }

    #[test]
    fn a_file_without_purpose_is_found() {
        for content in [
            "",
            "use std::fs;\n",
            "//!\n",
            "//! \n",
            "// Just a comment.\n",
        ] {
            assert_eq!(
                offences(&[text("crates/a/src/b.rs", content)]).len(),
                1,
                "{content:?}"
            );
        }
        assert!(offences(&[text("crates/a/src/b.rs", "//! Holds b.\n")]).is_empty());
    }

    #[test]
    fn a_file_called_mod_is_found() {
        assert_eq!(
            offences(&[text("crates/a/src/b/mod.rs", "//! Holds b.\n")]).len(),
            1
        );
    }

    #[test]
    fn other_languages_are_left_alone() {
        assert!(offences(&[text("oracle/main.go", "package main\n")]).is_empty());
    }
}
