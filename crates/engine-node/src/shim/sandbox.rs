//! What the child does between fork and exec to become the container.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use foreshore_sys::credentials;
use foreshore_sys::mount::{self, Namespaces, Tree};

use super::files::Files;
use super::spec::{ContainerSpec, Isolation, MountSpec, SandboxSpec};

/// Devices every container may expect.
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];
/// Links every container may expect in `/dev`.
const DEVICE_LINKS: [(&str, &str); 5] = [
    ("/proc/self/fd", "/dev/fd"),
    ("/proc/self/fd/0", "/dev/stdin"),
    ("/proc/self/fd/1", "/dev/stdout"),
    ("/proc/self/fd/2", "/dev/stderr"),
    ("pts/ptmx", "/dev/ptmx"),
];
/// Parts of `/proc` through which root could reach the host.
const HIDDEN: [&str; 5] = [
    "/proc/kcore",
    "/proc/keys",
    "/proc/timer_list",
    "/proc/sched_debug",
    "/proc/sysrq-trigger",
];

#[derive(Debug, thiserror::Error)]
pub(super) enum SandboxError {
    #[error("cannot {action} `{path}`")]
    Path {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot {action}")]
    Step {
        action: &'static str,
        #[source]
        source: io::Error,
    },
    #[error("`{0}` is not the name of a capability")]
    Capability(String),
}

impl SandboxError {
    pub(super) fn errno(&self) -> i32 {
        match self {
            Self::Path { source, .. } | Self::Step { source, .. } => {
                source.raw_os_error().unwrap_or_else(libc_einval)
            }
            Self::Capability(_) => libc_einval(),
        }
    }
}

fn libc_einval() -> i32 {
    rustix::io::Errno::INVAL.raw_os_error()
}

fn step(action: &'static str) -> impl FnOnce(io::Error) -> SandboxError {
    move |source| SandboxError::Step { action, source }
}

fn at(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SandboxError {
    let path = path.to_path_buf();
    move |source| SandboxError::Path {
        action,
        path,
        source,
    }
}

/// Opens the files through which a process joins control groups.
pub(super) fn open_doors(paths: &[PathBuf]) -> io::Result<Vec<fs::File>> {
    paths
        .iter()
        .map(|path| fs::File::options().write(true).open(path))
        .collect()
}

/// Makes the calling process part of the groups.
pub(super) fn pass_doors(doors: &mut [fs::File]) -> io::Result<()> {
    doors.iter_mut().try_for_each(|door| door.write_all(b"0"))
}

/// Turns the calling process, a fresh child of the shim, into the container.
pub(super) fn become_container(files: &Files, spec: &ContainerSpec) -> Result<(), SandboxError> {
    if let Isolation::Sandbox(sandbox) = &spec.isolation {
        enter(files, sandbox)?;
    }
    // Capabilities first: whoever is not root afterwards may not lower the bound.
    let kept = spec
        .capabilities
        .as_ref()
        .map(|names| capabilities(names))
        .transpose()?;
    if let Some(kept) = kept {
        credentials::keep_capabilities(kept).map_err(step("drop capabilities"))?;
    }
    if let Some(user) = &spec.user {
        credentials::become_user(user.id, user.group, &user.further_groups)
            .map_err(step("change the user"))?;
    }
    if let Some(kept) = kept {
        credentials::limit_capabilities(kept).map_err(step("drop capabilities"))?;
    }
    if spec.no_new_privileges {
        credentials::forbid_new_privileges().map_err(step("forbid new privileges"))?;
    }
    std::env::set_current_dir(&spec.directory).map_err(at("start in", &spec.directory))
}

pub(super) fn capabilities(
    names: &[String],
) -> Result<rustix::thread::CapabilitySet, SandboxError> {
    names
        .iter()
        .try_fold(rustix::thread::CapabilitySet::empty(), |all, name| {
            let one = credentials::capability(name)
                .ok_or_else(|| SandboxError::Capability(name.clone()))?;
            Ok(all | one)
        })
}

fn enter(files: &Files, sandbox: &SandboxSpec) -> Result<(), SandboxError> {
    mount::unshare(Namespaces::MountsNameIpc).map_err(step("make namespaces"))?;
    mount::keep_private().map_err(step("keep mounts private"))?;
    // Everything from the host is taken hold of before its paths disappear.
    let mut devices = Vec::new();
    for name in DEVICES {
        let path = Path::new("/dev").join(name);
        devices.push((path.clone(), Tree::of(&path).map_err(at("use", &path))?));
    }
    let mut volumes = Vec::new();
    for volume in &sandbox.mounts {
        let is_folder = fs::metadata(&volume.source)
            .map_err(at("examine", &volume.source))?
            .is_dir();
        let tree = Tree::of(&volume.source).map_err(at("use", &volume.source))?;
        volumes.push((volume, is_folder, tree));
    }

    let root = mount_root(files, sandbox)?;
    mount::change_root(&root).map_err(at("change the root to", &root))?;
    system_mounts(devices)?;
    for (volume, is_folder, tree) in volumes {
        attach(volume, is_folder, tree)?;
    }
    if sandbox.read_only_root {
        mount::make_read_only(Path::new("/")).map_err(step("make the root read-only"))?;
    }
    mount::set_host_name(&sandbox.host_name).map_err(step("set the host name"))
}

/// Mounts a writable layer of this container alone over the image.
fn mount_root(files: &Files, sandbox: &SandboxSpec) -> Result<PathBuf, SandboxError> {
    let folder = |name: &str| {
        let path = files.folder().join(name);
        fs::create_dir_all(&path).map_err(at("create", &path))?;
        Ok(path)
    };
    let (upper, work, root) = (folder("upper")?, folder("work")?, folder("root")?);
    mount::overlay(&sandbox.image_root, &upper, &work, &root).map_err(at("mount", &root))?;
    Ok(root)
}

fn system_mounts(devices: Vec<(PathBuf, Tree)>) -> Result<(), SandboxError> {
    let folder = |path: &'static str| {
        fs::create_dir_all(path).map_err(at("create", Path::new(path)))?;
        Ok(Path::new(path))
    };
    let path = folder("/proc")?;
    mount::proc(path).map_err(at("mount", path))?;
    let path = folder("/dev")?;
    mount::tmpfs(path, "mode=755,size=65536k").map_err(at("mount", path))?;
    for (path, tree) in devices {
        fs::write(&path, "").map_err(at("create", &path))?;
        tree.attach(&path, true).map_err(at("mount", &path))?;
    }
    let path = folder("/dev/shm")?;
    mount::tmpfs(path, "mode=1777,size=65536k").map_err(at("mount", path))?;
    let path = folder("/dev/pts")?;
    mount::devpts(path).map_err(at("mount", path))?;
    for (target, link) in DEVICE_LINKS {
        symlink(target, link).map_err(at("create", Path::new(link)))?;
    }
    let path = folder("/sys")?;
    mount::sysfs(path).map_err(at("mount", path))?;
    hide_host()
}

fn hide_host() -> Result<(), SandboxError> {
    let parameters = Path::new("/proc/sys");
    mount::bind(parameters, parameters).map_err(at("mount", parameters))?;
    mount::make_read_only(parameters).map_err(at("make read-only", parameters))?;
    for path in HIDDEN
        .map(Path::new)
        .into_iter()
        .filter(|path| path.exists())
    {
        mount::bind(Path::new("/dev/null"), path).map_err(at("hide", path))?;
    }
    Ok(())
}

fn attach(volume: &MountSpec, is_folder: bool, tree: Tree) -> Result<(), SandboxError> {
    let target = &volume.target;
    if is_folder {
        fs::create_dir_all(target).map_err(at("create", target))?;
    } else if !target.exists() {
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent).map_err(at("create", parent))?;
        }
        fs::write(target, "").map_err(at("create", target))?;
    }
    tree.attach(target, volume.writable)
        .map_err(at("mount", target))
}
