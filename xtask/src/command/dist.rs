//! `dist`: what people install, in one folder and one archive.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::{Context as _, Result, ensure};

use crate::{shell, terminal, tools};

const MIB: f64 = 1024.0 * 1024.0;
/// The bar of the issue.
const PROGRAM_MIB_MAX: f64 = 60.0;
const SHELLS: [&str; 3] = ["bash", "zsh", "fish"];
/// Where a program that needs no libraries is built for.
const STATIC_TARGET: &str = "x86_64-unknown-linux-musl";

/// Build the program that people install, with completions, reference and kubectl plugin
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Package this program instead of building one with the profile `dist`
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,

    /// Where the folder and the archive go [default: target/dist-package]
    #[arg(long, value_name = "DIR")]
    into: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let program = match &arguments.from {
        Some(program) => program.clone(),
        None => build()?,
    };
    let into = arguments
        .into
        .clone()
        .unwrap_or_else(|| tools::target().join("dist-package"));
    let archive = package(&program, &into)?;
    let program = mebibytes(&into.join("foreshore/foreshore"))?;
    terminal::line(&format!("program  {program:.1} MiB"));
    terminal::line(&format!(
        "archive  {:.1} MiB  {}",
        mebibytes(&archive)?,
        archive.display()
    ));
    if program > PROGRAM_MIB_MAX {
        terminal::note(&format!(
            "the program is larger than {PROGRAM_MIB_MAX} MiB; is it stripped?"
        ));
    }
    Ok(ExitCode::SUCCESS)
}

/// Builds for musl where rustup has that target, else for this machine's own libraries, and says so.
fn build() -> Result<PathBuf> {
    let mut cargo = shell::cargo();
    cargo.args(["build", "--profile", "dist", "--package", "foreshore-cli"]);
    let target = tools::target();
    if has_static_target() {
        cargo.args(["--target", STATIC_TARGET]);
        shell::run(&mut cargo)?;
        return Ok(target.join(STATIC_TARGET).join("dist/foreshore"));
    }
    terminal::note(&format!(
        "not static: `rustup target add {STATIC_TARGET}` was not done here"
    ));
    shell::run(&mut cargo)?;
    Ok(target.join("dist/foreshore"))
}

fn has_static_target() -> bool {
    let mut rustup = Command::new("rustup");
    rustup.args(["target", "list", "--installed"]);
    // Without rustup there is only the toolchain's own target.
    shell::answer(&mut rustup)
        .is_ok_and(|installed| installed.lines().any(|line| line == STATIC_TARGET))
}

/// Lays the folder out and packs it; returns the archive.
fn package(program: &Path, into: &Path) -> Result<PathBuf> {
    let folder = into.join("foreshore");
    match fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).context("cannot remove what was packaged before");
        }
        _ => {}
    }
    let completions = folder.join("completions");
    fs::create_dir_all(&completions).context("cannot make the folder of the package")?;
    let own = folder.join("foreshore");
    fs::copy(program, &own).with_context(|| format!("cannot copy `{}`", program.display()))?;
    // kubectl calls what is named so: `kubectl foreshore status`.
    std::os::unix::fs::symlink("foreshore", folder.join("kubectl-foreshore"))
        .context("cannot make the kubectl plugin")?;
    for name in SHELLS {
        let script = shell::answer(Command::new(&own).args(["completions", name]))?;
        ensure!(!script.is_empty(), "no completions for {name}");
        fs::write(completions.join(format!("foreshore.{name}")), script)
            .context("cannot write completions")?;
    }
    let reference = shell::answer(Command::new(&own).arg("reference"))?;
    fs::write(folder.join("cli.md"), reference).context("cannot write the reference")?;
    for name in ["LICENSE", "NOTICE"] {
        let text = crate::repository::root().join(name);
        fs::copy(&text, folder.join(name)).with_context(|| format!("cannot copy {name}"))?;
    }
    let archive = into.join("foreshore.tar.gz");
    let mut tar = Command::new("tar");
    tar.arg("--create")
        .arg("--gzip")
        .arg("--file")
        .arg(&archive)
        .arg("--directory")
        .arg(into)
        .arg("foreshore");
    shell::run(&mut tar)?;
    Ok(archive)
}

#[expect(clippy::cast_precision_loss, reason = "a size for people")]
fn mebibytes(path: &Path) -> Result<f64> {
    let size = fs::metadata(path)
        .with_context(|| format!("cannot see `{}`", path.display()))?
        .len();
    Ok(size as f64 / MIB)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_holds_program_plugin_completions_and_reference() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("program");
        fs::write(&program, "#!/bin/sh\necho \"$@\"\n").unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(&program, mode).unwrap();
        let into = folder.path().join("into");
        let archive = package(&program, &into).unwrap();
        // Twice: what was packaged before gives way.
        assert_eq!(package(&program, &into).unwrap(), archive);
        let listed = shell::answer(Command::new("tar").arg("tzf").arg(&archive)).unwrap();
        for name in [
            "foreshore/foreshore",
            "foreshore/kubectl-foreshore",
            "foreshore/completions/foreshore.zsh",
            "foreshore/cli.md",
            "foreshore/LICENSE",
        ] {
            assert!(listed.lines().any(|line| line == name), "{name}: {listed}");
        }
        let script = fs::read_to_string(into.join("foreshore/completions/foreshore.bash"));
        assert_eq!(script.unwrap(), "completions bash\n");
    }
}
