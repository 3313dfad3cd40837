//! Whether this machine can run the real kubelet, and if not, what to do.

use std::{
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{cluster::cgroups, environment};

/// Where Debian keeps the programs that connect pods.
pub(super) const NETWORK_PLUGINS: &str = "/usr/lib/cni";

/// Folders of programs that root's `PATH` may lack.
pub(super) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A program, and the Debian package that brings it.
const PROGRAMS: [(&str, &str); 8] = [
    ("containerd", "containerd"),
    ("ctr", "containerd"),
    ("containerd-shim-runc-v2", "containerd"),
    ("runc", "runc"),
    ("ip", "iproute2"),
    ("unshare", "util-linux"),
    ("mount", "mount"),
    ("bash", "bash"),
];

const PLUGINS: [&str; 3] = ["bridge", "host-local", "loopback"];

/// Says why no kubelet runs here and what would help, if none does.
pub fn unmet() -> Option<String> {
    let mut packages: Vec<&str> = PROGRAMS
        .iter()
        .filter(|(program, _)| find(program).is_none())
        .map(|(_, package)| *package)
        .collect();
    let plugins = Path::new(NETWORK_PLUGINS);
    if !PLUGINS.iter().all(|name| plugins.join(name).is_file()) {
        packages.push("containernetworking-plugins");
    }
    packages.dedup();
    if !packages.is_empty() {
        return Some(format!(
            "packages are missing; install them with: apt-get install --yes --no-install-recommends {}",
            packages.join(" ")
        ));
    }
    if !std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0) {
        return Some("kubelet needs root; run the tests as root".to_owned());
    }
    if let Err(error) = cgroups::usable() {
        return Some(format!("{error:#}"));
    }
    let namespaces = Command::new("unshare")
        .args(["--mount", "--pid", "--fork", "--mount-proc", "true"])
        .env("PATH", PATH)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if !namespaces.is_ok_and(|status| status.success()) {
        return Some(
            "mount and process namespaces are not permitted here; run the tests in a virtual machine \
             or a privileged container"
                .to_owned(),
        );
    }
    if environment::oracle("kubelet").is_err() || environment::oracle("pause").is_err() {
        return Some("kubelet is not built; build it with `cargo xtask tools`".to_owned());
    }
    None
}

fn find(program: &str) -> Option<PathBuf> {
    std::env::split_paths(PATH)
        .map(|folder| folder.join(program))
        .find(|path| path.is_file())
}
