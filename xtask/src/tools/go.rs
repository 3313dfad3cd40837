//! Builds the Go modules under `oracle/`.
//!
//! A build is named after the content of the module, the flags and the
//! version of Go, so one that is there is taken without asking Go anything else.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use anyhow::{Context as _, Result, bail};
use sha2::{Digest as _, Sha256};

use super::{Cache, link};
use crate::{repository, shell, terminal};

/// A module, how it is built, and the names its program is called by.
#[derive(Debug)]
pub(super) struct Module {
    folder: &'static str,
    package: &'static str,
    /// Variables set by the linker. Without them every component believes to
    /// be version 0.0 and refuses its peers.
    variables: &'static [(&'static str, &'static str)],
    names: &'static [&'static str],
}

pub(super) const MODULES: [Module; 3] = [
    Module {
        folder: "oracle/control-plane",
        package: ".",
        variables: &[
            ("k8s.io/component-base/version.gitVersion", "v1.36.2"),
            ("k8s.io/component-base/version.gitMajor", "1"),
            ("k8s.io/component-base/version.gitMinor", "36"),
            ("k8s.io/component-base/version.gitCommit", "oracle"),
            ("k8s.io/component-base/version.gitTreeState", "clean"),
        ],
        names: &[
            "kube-apiserver",
            "kube-controller-manager",
            "kube-scheduler",
            "kubelet",
            "kubectl",
            "etcd",
            "client-check",
        ],
    },
    Module {
        folder: "oracle/helm",
        package: "helm.sh/helm/v3/cmd/helm",
        variables: &[("helm.sh/helm/v3/internal/version.version", "v3.21.4")],
        names: &["helm"],
    },
    Module {
        folder: "oracle/pause",
        package: ".",
        variables: &[],
        names: &["pause"],
    },
];

/// Builds `module` unless that was done before, and links its names.
pub(super) fn build(cache: &Cache, module: &Module) -> Result<()> {
    let folder = repository::root().join(module.folder);
    let flags = flags(module);
    let version = go_version(&folder)?;
    let name = Path::new(module.folder)
        .file_name()
        .context("a module lies in a folder")?;
    let content = content(&folder, &version, &flags)?;
    let home = cache.tool(&name.to_string_lossy(), &content);
    let program = home.join(name);
    if !program.exists() {
        terminal::note(&format!(
            "building `{}`; the first time takes minutes",
            module.folder
        ));
        let started = Instant::now();
        compile(cache, &folder, module, &flags, &program)?;
        terminal::note(&format!(
            "built `{}` in {:.0} s",
            module.folder,
            started.elapsed().as_secs_f64()
        ));
    }
    for name in module.names {
        link(&program, &cache.programs().join(name))?;
    }
    Ok(())
}

/// Fetches the sources that generators read, and returns where they are.
pub(super) fn sources(cache: &Cache) -> Result<PathBuf> {
    let mut go = Command::new("go");
    go.current_dir(repository::root().join(MODULES[0].folder))
        .env("GOTOOLCHAIN", "local")
        .env("GOFLAGS", "")
        .env("GOMODCACHE", cache.go_modules())
        .args(["mod", "download"])
        .args([
            "k8s.io/api",
            "k8s.io/apimachinery",
            "k8s.io/apiextensions-apiserver",
        ]);
    shell::run(&mut go).context("cannot fetch the sources of the Kubernetes API types")?;
    Ok(cache.go_modules())
}

fn flags(module: &Module) -> Vec<String> {
    let set = module
        .variables
        .iter()
        .map(|(name, value)| format!(" -X {name}={value}"));
    vec![
        "-mod=readonly".to_owned(),
        "-trimpath".to_owned(),
        "-buildvcs=false".to_owned(),
        format!("-ldflags=-s -w{}", set.collect::<String>()),
    ]
}

fn go_version(folder: &Path) -> Result<String> {
    let mut go = Command::new("go");
    go.current_dir(folder)
        .env("GOTOOLCHAIN", "local")
        .args(["env", "GOVERSION"]);
    shell::answer(&mut go)
        .context("Go is needed to build the real control plane; install the version `go.mod` names, or newer")
}

fn content(folder: &Path, version: &str, flags: &[String]) -> Result<String> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .with_context(|| format!("cannot list `{}`", folder.display()))?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    files.retain(|path| {
        let kind = path.extension().and_then(|extension| extension.to_str());
        matches!(kind, Some("go" | "mod" | "sum"))
    });
    files.sort();
    let mut hash = Sha256::new();
    let mut add = |bytes: &[u8]| {
        // The length keeps neighbours apart.
        hash.update(bytes.len().to_le_bytes());
        hash.update(bytes);
    };
    add(version.as_bytes());
    for flag in flags {
        add(flag.as_bytes());
    }
    for path in files {
        let bytes = fs::read(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
        add(path
            .file_name()
            .context("a file has a name")?
            .as_encoded_bytes());
        add(&bytes);
    }
    Ok(hex::encode(&hash.finalize()[..8]))
}

fn compile(
    cache: &Cache,
    folder: &Path,
    module: &Module,
    flags: &[String],
    program: &Path,
) -> Result<()> {
    let home = program.parent().context("a tool has a folder")?;
    fs::create_dir_all(home).with_context(|| format!("cannot make `{}`", home.display()))?;
    // Built beside and renamed, so that a broken-off build is never taken.
    let beside = program.with_extension(format!("partial-{}", std::process::id()));
    let mut go = Command::new("go");
    go.current_dir(folder)
        .env("GOTOOLCHAIN", "local")
        .env("GOFLAGS", "")
        .env("CGO_ENABLED", "0")
        .env("GOCACHE", cache.go_builds())
        .env("GOMODCACHE", cache.go_modules())
        .arg("build")
        .args(flags)
        .arg("-o")
        .arg(&beside)
        .arg(module.package);
    if let Err(error) = shell::run(&mut go) {
        bail!(
            "{error:#}; modules come from the Go module proxy, which must be reachable the first time"
        );
    }
    fs::rename(&beside, program).with_context(|| format!("cannot name `{}`", program.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_file_flag_or_compiler_changes_the_name() {
        let folder = repository::root().join(MODULES[0].folder);
        let name = |version: &str, flags: &[String]| content(&folder, version, flags).unwrap();
        let usual = name("go1", &["-a".to_owned()]);
        assert_eq!(usual, name("go1", &["-a".to_owned()]));
        assert_ne!(usual, name("go2", &["-a".to_owned()]));
        assert_ne!(usual, name("go1", &["-b".to_owned()]));
        let other = repository::root().join(MODULES[1].folder);
        assert_ne!(usual, content(&other, "go1", &["-a".to_owned()]).unwrap());
    }
}
