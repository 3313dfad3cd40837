//! Mounts in a mount namespace of one's own, and the change of root.
//!
//! Mount points are resolved after the change of root: a symbolic link in an
//! image then leads nowhere but into the image. So what comes from outside is
//! first taken as a detached [`Tree`] and attached afterwards.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::CWD;
use rustix::mount::{
    MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, mount,
    mount_bind_recursive, mount_change, mount_remount, move_mount, open_tree, unmount,
};
use rustix::thread::UnshareFlags;

/// What may be separated from the parent's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Namespaces {
    /// For the caller itself: mounts, host name, System V IPC.
    MountsNameIpc,
    /// For the caller's next child, which will be process 1 in it.
    ChildProcesses,
    /// Users, so that an ordinary user may have the other kinds.
    Users,
}

/// Gives the calling thread namespaces of its own. Only in a program with a
/// single thread does that mean the whole program.
pub fn unshare(what: Namespaces) -> io::Result<()> {
    let flags = match what {
        Namespaces::MountsNameIpc => {
            UnshareFlags::NEWNS | UnshareFlags::NEWUTS | UnshareFlags::NEWIPC
        }
        Namespaces::ChildProcesses => UnshareFlags::NEWPID,
        Namespaces::Users => UnshareFlags::NEWUSER,
    };
    // SAFETY: none of the flags unshares the descriptor table.
    unsafe { rustix::thread::unshare_unsafe(flags) }?;
    Ok(())
}

/// Enters the namespaces of the process `pid`: all but its network, and for
/// process ids only with the caller's next child. Afterwards the caller's root
/// is that process's. Only for programs with a single thread.
pub fn join(pid: u32) -> io::Result<()> {
    use rustix::thread::LinkNameSpaceType as Kind;
    // Mounts last: the others are looked up in the `/proc` of the host.
    let kinds = [
        ("uts", Kind::HostNameAndNISDomainName),
        ("ipc", Kind::InterProcessCommunication),
        ("pid", Kind::ProcessID),
        ("mnt", Kind::Mount),
    ];
    let mut opened = Vec::new();
    for (name, kind) in kinds {
        opened.push((fs::File::open(format!("/proc/{pid}/ns/{name}"))?, kind));
    }
    for (file, kind) in opened {
        rustix::thread::move_into_link_name_space(file.as_fd(), Some(kind))?;
    }
    Ok(())
}

/// Keeps mounts made from here on to this mount namespace, while mounts and
/// unmounts of the host still arrive.
pub fn keep_private() -> io::Result<()> {
    Ok(mount_change(
        "/",
        MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC,
    )?)
}

/// A copy of a mounted tree that is not attached anywhere yet.
#[derive(Debug)]
pub struct Tree(OwnedFd);

impl Tree {
    /// Takes the tree at `source`, a directory or a file, with all below it.
    pub fn of(source: &Path) -> io::Result<Self> {
        let flags = OpenTreeFlags::OPEN_TREE_CLONE
            | OpenTreeFlags::OPEN_TREE_CLOEXEC
            | OpenTreeFlags::AT_RECURSIVE;
        Ok(Self(open_tree(CWD, source, flags)?))
    }

    /// Mounts the tree on `target`, which must exist.
    pub fn attach(self, target: &Path, writable: bool) -> io::Result<()> {
        move_mount(
            &self.0,
            "",
            CWD,
            target,
            MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH,
        )?;
        if !writable {
            make_read_only(target)?;
        }
        Ok(())
    }
}

/// Binds `source` on `target` with everything mounted below it.
pub fn bind(source: &Path, target: &Path) -> io::Result<()> {
    Ok(mount_bind_recursive(source, target)?)
}

/// Makes the mount at `target` read-only for its users.
pub fn make_read_only(target: &Path) -> io::Result<()> {
    let flags = MountFlags::BIND | MountFlags::RDONLY | kept_flags(target)?;
    Ok(mount_remount(target, flags, "")?)
}

/// A remount states all flags anew, and may not lose those of the source.
fn kept_flags(target: &Path) -> io::Result<MountFlags> {
    use rustix::fs::StatVfsMountFlags as Had;
    let had = rustix::fs::statvfs(target)?.f_flag;
    let pairs = [
        (Had::NOSUID, MountFlags::NOSUID),
        (Had::NODEV, MountFlags::NODEV),
        (Had::NOEXEC, MountFlags::NOEXEC),
        (Had::NOATIME, MountFlags::NOATIME),
        (Had::NODIRATIME, MountFlags::NODIRATIME),
        (Had::RELATIME, MountFlags::RELATIME),
    ];
    let kept = pairs.into_iter().filter(|(flag, _)| had.contains(*flag));
    Ok(kept.fold(MountFlags::empty(), |all, (_, flag)| all | flag))
}

/// Mounts `upper` over the read-only `lower` on `target`.
///
/// Nothing in it is ever synced, and it may not be mounted a second time: its
/// end would otherwise wait until the whole disk below has written what every
/// other program left in memory.
pub fn overlay(lower: &Path, upper: &Path, work: &Path, target: &Path) -> io::Result<()> {
    for path in [lower, upper, work] {
        // These separate options and layers in the kernel's syntax.
        if path
            .as_os_str()
            .as_encoded_bytes()
            .iter()
            .any(|byte| matches!(byte, b',' | b':' | b'\\'))
        {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!(
                    "`{}` holds a comma, colon or backslash, which an overlay cannot express",
                    path.display()
                ),
            ));
        }
    }
    let options = format!(
        "lowerdir={},upperdir={},workdir={},volatile",
        lower.display(),
        upper.display(),
        work.display()
    );
    let options = std::ffi::CString::new(options)?;
    Ok(mount(
        "overlay",
        target,
        "overlay",
        MountFlags::NODEV,
        options.as_c_str(),
    )?)
}

/// Mounts an empty file system in memory on `target`.
pub fn tmpfs(target: &Path, options: &str) -> io::Result<()> {
    let options = std::ffi::CString::new(options)?;
    Ok(mount(
        "tmpfs",
        target,
        "tmpfs",
        MountFlags::NOSUID,
        options.as_c_str(),
    )?)
}

/// Mounts `/proc` of the caller's process namespace on `target`.
pub fn proc(target: &Path) -> io::Result<()> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    Ok(mount("proc", target, "proc", flags, c"")?)
}

/// Mounts a pseudo terminal file system of its own on `target`.
pub fn devpts(target: &Path) -> io::Result<()> {
    let flags = MountFlags::NOSUID | MountFlags::NOEXEC;
    Ok(mount(
        "devpts",
        target,
        "devpts",
        flags,
        c"newinstance,ptmxmode=0666,mode=0620",
    )?)
}

/// Mounts a read-only view of the devices and the network namespace on `target`.
pub fn sysfs(target: &Path) -> io::Result<()> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC | MountFlags::RDONLY;
    Ok(mount("sysfs", target, "sysfs", flags, c"")?)
}

/// Makes `root`, which must be a mount point, the root of this mount
/// namespace, and lets go of the old one entirely.
pub fn change_root(root: &Path) -> io::Result<()> {
    std::env::set_current_dir(root)?;
    // With both arguments the same, the old root ends on top of the new one,
    // so no directory for it is needed inside the image.
    rustix::process::pivot_root(".", ".")?;
    unmount(".", UnmountFlags::DETACH)?;
    std::env::set_current_dir("/")
}

/// Takes away whatever is mounted on `target`, now from sight and for good
/// when its last user is gone; nothing mounted there is fine.
pub fn detach(target: &Path) -> io::Result<()> {
    use rustix::io::Errno;
    match unmount(target, UnmountFlags::DETACH) {
        Ok(()) | Err(Errno::INVAL | Errno::NOENT) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// Sets the host name of this name namespace.
pub fn set_host_name(name: &str) -> io::Result<()> {
    Ok(rustix::system::sethostname(name.as_bytes())?)
}

/// Maps the caller to root in the user namespace it has just entered.
pub fn map_to_root(user: u32, group: u32) -> io::Result<()> {
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("0 {user} 1"))?;
    fs::write("/proc/self/gid_map", format!("0 {group} 1"))
}
