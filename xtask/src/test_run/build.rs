//! Builds programs and test programs, and learns from cargo where they are.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::TestProgram;
use crate::shell;

/// What a build made.
#[derive(Debug, Default)]
pub(crate) struct Built {
    /// Ordinary programs by name.
    pub(crate) programs: BTreeMap<String, PathBuf>,
    pub(crate) tests: Vec<TestProgram>,
}

impl Built {
    /// Path of an ordinary program.
    pub(crate) fn program(&self, name: &str) -> Result<&Path> {
        self.programs
            .get(name)
            .map(PathBuf::as_path)
            .with_context(|| format!("no package builds a program `{name}`"))
    }
}

/// Builds with `cargo ARGUMENTS`. Always for the whole workspace: a part of it
/// would choose other features for shared dependencies and compile them again.
pub(crate) fn build(arguments: &[&str]) -> Result<Built> {
    let mut built = Built::default();
    attempt(&mut built, arguments)?;
    Ok(built)
}

/// Builds as much as can be built and adds it to `built`, even if the rest
/// fails: one broken crate does not keep the others from being tested.
pub(crate) fn attempt(built: &mut Built, arguments: &[&str]) -> Result<()> {
    let mut cargo = shell::cargo();
    cargo
        .args(arguments)
        .args([
            "--workspace",
            "--keep-going",
            "--message-format=json-render-diagnostics",
        ])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit());
    let output = cargo
        .output()
        .with_context(|| format!("cannot run `{}`", shell::spelled(&cargo)))?;
    let text = String::from_utf8(output.stdout).context("cargo's messages are not text")?;
    let Built { programs, tests } = read(&text)?;
    built.programs.extend(programs);
    built.tests.extend(tests);
    if !output.status.success() {
        bail!("`{}` ended with {}", shell::spelled(&cargo), output.status);
    }
    Ok(())
}

fn read(messages: &str) -> Result<Built> {
    let mut built = Built::default();
    for line in messages.lines().filter(|line| line.starts_with('{')) {
        let message: Value =
            serde_json::from_str(line).context("a message of cargo is not JSON")?;
        let Some(executable) = message["executable"].as_str() else {
            continue;
        };
        let target = message["target"]["name"]
            .as_str()
            .context("a program has a name")?;
        let kind = message["target"]["kind"][0]
            .as_str()
            .context("a program has a kind")?;
        if message["profile"]["test"] == true {
            let manifest = message["manifest_path"]
                .as_str()
                .context("a program has a package")?;
            let folder = Path::new(manifest)
                .parent()
                .context("a manifest lies in a folder")?;
            let package = folder
                .file_name()
                .context("a package lies in a folder")?
                .to_string_lossy();
            built.tests.push(TestProgram {
                name: format!("{package}/{kind}/{target}"),
                path: executable.into(),
                folder: folder.to_owned(),
            });
        } else if kind == "bin" || kind == "example" {
            built.programs.insert(target.to_owned(), executable.into());
        }
    }
    built.tests.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(built)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_and_test_programs_are_told_apart() {
        let messages = concat!(
            r#"{"reason":"compiler-artifact","manifest_path":"/r/crates/a/Cargo.toml","target":{"kind":["bin"],"name":"a"},"profile":{"test":false},"executable":"/t/a"}"#,
            "\n",
            r#"{"reason":"compiler-artifact","manifest_path":"/r/crates/a/Cargo.toml","target":{"kind":["lib"],"name":"a"},"profile":{"test":false},"executable":null}"#,
            "\n",
            r#"{"reason":"compiler-artifact","manifest_path":"/r/crates/a/Cargo.toml","target":{"kind":["test"],"name":"it"},"profile":{"test":true},"executable":"/t/it-1"}"#,
            "\n",
            r#"{"reason":"build-finished","success":true}"#,
            "\nsomething a build script printed\n",
        );
        let built = read(messages).unwrap();
        assert_eq!(built.program("a").unwrap(), Path::new("/t/a"));
        assert_eq!(built.tests.len(), 1);
        assert_eq!(built.tests[0].name, "a/test/it");
        assert_eq!(built.tests[0].folder, Path::new("/r/crates/a"));
    }
}
