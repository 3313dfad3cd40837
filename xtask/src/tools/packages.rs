//! Programs of the operating system, installed with apt where that is allowed.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};

use super::variable;
use crate::{shell, terminal};

/// What a package is known by, and the Debian package that brings it.
struct Program {
    /// Name in `PATH`, or a whole path.
    name: &'static str,
    package: &'static str,
}

const NEEDED: [Program; 3] = [
    Program {
        name: "git",
        package: "git",
    },
    // For the C parts of dependencies: SQLite and the cryptography.
    Program {
        name: "cc",
        package: "build-essential",
    },
    Program {
        name: "go",
        package: "golang-go",
    },
];

/// For the story on a real kubelet.
const KUBELET: [Program; 4] = [
    Program {
        name: "containerd",
        package: "containerd",
    },
    Program {
        name: "runc",
        package: "runc",
    },
    Program {
        name: "/usr/lib/cni/bridge",
        package: "containernetworking-plugins",
    },
    Program {
        name: "ip",
        package: "iproute2",
    },
];

/// What some tests stand beside: a second registry, a container tool, a clock that is set, a verifier of signatures.
const COMPANIONS: [Program; 5] = [
    Program {
        name: "buildah",
        package: "buildah",
    },
    Program {
        name: "faketime",
        package: "faketime",
    },
    Program {
        name: "ssh-keygen",
        package: "openssh-client",
    },
    Program {
        name: "docker-registry",
        package: "docker-registry",
    },
    Program {
        name: "skopeo",
        package: "skopeo",
    },
];

/// Who stands beside us in benchmarks.
const BENCHES: [Program; 4] = [
    Program {
        name: "wrk",
        package: "wrk",
    },
    Program {
        name: "nginx",
        package: "nginx-light",
    },
    Program {
        name: "taskset",
        package: "util-linux",
    },
    Program {
        name: "docker-registry",
        package: "docker-registry",
    },
];

/// For the pages in a real browser.
const BROWSER: [Program; 3] = [
    Program {
        name: "chromium",
        package: "chromium",
    },
    Program {
        name: "node",
        package: "nodejs",
    },
    Program {
        name: "npm",
        package: "npm",
    },
];

/// Finds what is needed, and installs what is missing when run by root.
pub(crate) fn ensure() -> Result<()> {
    install(&NEEDED)
}

/// The same for what one story needs; without it that story is not run.
pub(crate) fn ensure_for_kubelet() {
    if let Err(error) = install(&KUBELET) {
        terminal::note(&format!(
            "the tests of a real kubelet will not be run: {error:#}"
        ));
    }
}

/// The same for what stands beside us in some tests; without it those are not run.
pub(crate) fn ensure_companions() {
    if let Err(error) = install(&COMPANIONS) {
        terminal::note(&format!(
            "tests beside other programs will not be run: {error:#}"
        ));
    }
}

/// The same for benchmarks.
pub(crate) fn ensure_for_benches() -> Result<()> {
    install(&BENCHES)
}

/// The same for the tests of pages in a browser.
pub(crate) fn ensure_for_browser() -> Result<()> {
    install(&BROWSER)
}

fn install(programs: &[Program]) -> Result<()> {
    let packages: Vec<&str> = programs
        .iter()
        .filter(|program| find(program.name).is_none())
        .map(|program| program.package)
        .collect();
    if packages.is_empty() {
        return Ok(());
    }
    let line = format!(
        "apt-get install --yes --no-install-recommends {}",
        packages.join(" ")
    );
    if !is_root() || find("apt-get").is_none() {
        bail!("these packages are missing; install them with: {line}");
    }
    terminal::note(&format!("installing: {line}"));
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command
            .env("DEBIAN_FRONTEND", "noninteractive")
            .stdin(Stdio::null())
            .args(arguments);
        shell::run(&mut command)
    };
    apt(&["update", "--quiet"])?;
    apt(&[
        &["install", "--yes", "--no-install-recommends", "--quiet"],
        packages.as_slice(),
    ]
    .concat())
    .with_context(|| {
        format!(
            "cannot install {}; the package mirror must be reachable, or run: {line}",
            packages.join(", ")
        )
    })
}

fn find(program: &str) -> Option<PathBuf> {
    // Root's programs are not in everybody's `PATH`.
    let path = format!("{}:/usr/sbin:/sbin", variable("PATH")?);
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|path| path.is_file())
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}
