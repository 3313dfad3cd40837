//! A directory that no path can leave.
//!
//! The kernel resolves every path with this directory as `/` (`openat2` with
//! `RESOLVE_IN_ROOT`), so links that other entries made cannot lead out, whenever
//! they were made. The last part of a path is never followed.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, ResolveFlags, Timespec, Timestamps, Uid,
};
use rustix::io::Errno;

/// Owner, mode and time of an entry.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attributes {
    mode: u32,
    user: u32,
    group: u32,
    seconds: i64,
}

impl Attributes {
    pub(super) fn of(header: &tar::Header) -> io::Result<Self> {
        let id = |id: u64| {
            u32::try_from(id).map_err(|_| io::Error::other(format!("owner {id} is too large")))
        };
        Ok(Self {
            mode: header.mode()? & 0o7777,
            user: id(header.uid()?)?,
            group: id(header.gid()?)?,
            seconds: i64::try_from(header.mtime()?).unwrap_or(0),
        })
    }

    fn times(&self) -> Timestamps {
        let time = Timespec {
            tv_sec: self.seconds,
            tv_nsec: 0,
        };
        Timestamps {
            last_access: time,
            last_modification: time,
        }
    }
}

#[derive(Debug)]
pub(super) struct Root {
    directory: OwnedFd,
    /// Only root may give files away; others keep them as their own.
    may_chown: bool,
}

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::CLOEXEC);

/// Ignores that the thing is gone already.
fn gone_is_fine(result: Result<(), Errno>) -> io::Result<()> {
    match result {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

impl Root {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let directory = rustix::fs::openat(CWD, path, DIRECTORY, Mode::empty())?;
        Ok(Self {
            directory,
            may_chown: rustix::process::geteuid().is_root(),
        })
    }

    fn open_directory(&self, path: &Path) -> rustix::io::Result<OwnedFd> {
        let path = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        };
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        rustix::fs::openat2(&self.directory, path, DIRECTORY, Mode::empty(), resolve)
    }

    /// Opens the directory that holds `path`, and creates the missing ones above it.
    fn parent<'a>(&self, path: &'a Path) -> io::Result<(OwnedFd, &'a OsStr)> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let parent = above(path);
        match self.open_directory(parent) {
            Ok(directory) => Ok((directory, name)),
            Err(Errno::NOENT) => {
                self.create_directory(parent)?;
                Ok((self.open_directory(parent)?, name))
            }
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn is_directory(&self, path: &Path) -> bool {
        self.open_directory(path).is_ok()
    }

    /// Creates the directory unless one is there; anything else in its place is replaced.
    pub(super) fn create_directory(&self, path: &Path) -> io::Result<()> {
        let (parent, name) = self.parent(path)?;
        match rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o755)) {
            Ok(()) => return Ok(()),
            Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        let existing = rustix::fs::statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
        if FileType::from_raw_mode(existing.st_mode) == FileType::Directory {
            return Ok(());
        }
        rustix::fs::unlinkat(&parent, name, AtFlags::empty())?;
        Ok(rustix::fs::mkdirat(
            &parent,
            name,
            Mode::from_raw_mode(0o755),
        )?)
    }

    pub(super) fn create_file(
        &self,
        path: &Path,
        content: &mut impl Read,
        attributes: &Attributes,
    ) -> io::Result<()> {
        let (parent, name) = self.parent(path)?;
        remove_at(&parent, name)?;
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&parent, name, flags, Mode::from_raw_mode(0o600))?;
        let mut file = File::from(file);
        io::copy(content, &mut file)?;
        self.chown(
            |user, group| rustix::fs::fchown(&file, user, group),
            attributes,
        )?;
        // After the owner, because giving a file away clears its set-id bits.
        rustix::fs::fchmod(&file, Mode::from_raw_mode(attributes.mode))?;
        Ok(rustix::fs::futimens(&file, &attributes.times())?)
    }

    pub(super) fn create_symlink(
        &self,
        path: &Path,
        target: &OsStr,
        attributes: &Attributes,
    ) -> io::Result<()> {
        let (parent, name) = self.parent(path)?;
        remove_at(&parent, name)?;
        rustix::fs::symlinkat(target, &parent, name)?;
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        self.chown(
            |user, group| rustix::fs::chownat(&parent, name, user, group, flags),
            attributes,
        )?;
        Ok(rustix::fs::utimensat(
            &parent,
            name,
            &attributes.times(),
            flags,
        )?)
    }

    pub(super) fn create_hard_link(&self, path: &Path, target: &Path) -> io::Result<()> {
        let (target_parent, target_name) = self.parent(target)?;
        let (parent, name) = self.parent(path)?;
        if path == target {
            return Ok(());
        }
        remove_at(&parent, name)?;
        Ok(rustix::fs::linkat(
            &target_parent,
            target_name,
            &parent,
            name,
            AtFlags::empty(),
        )?)
    }

    fn chown(
        &self,
        change: impl FnOnce(Option<Uid>, Option<Gid>) -> rustix::io::Result<()>,
        attributes: &Attributes,
    ) -> io::Result<()> {
        if self.may_chown {
            change(
                Some(Uid::from_raw(attributes.user)),
                Some(Gid::from_raw(attributes.group)),
            )?;
        }
        Ok(())
    }

    /// Sets mode and owner of the root itself; its time stays, as it tells how old the unpacked image is.
    pub(super) fn set_mode(&self, attributes: &Attributes) -> io::Result<()> {
        self.chown(
            |user, group| rustix::fs::fchown(&self.directory, user, group),
            attributes,
        )?;
        // Whoever may run the image may also enter it.
        Ok(rustix::fs::fchmod(
            &self.directory,
            Mode::from_raw_mode(attributes.mode | 0o555),
        )?)
    }

    pub(super) fn set_attributes(
        &self,
        directory: &Path,
        attributes: &Attributes,
    ) -> io::Result<()> {
        let directory = self.open_directory(directory)?;
        self.chown(
            |user, group| rustix::fs::fchown(&directory, user, group),
            attributes,
        )?;
        rustix::fs::fchmod(&directory, Mode::from_raw_mode(attributes.mode))?;
        Ok(rustix::fs::futimens(&directory, &attributes.times())?)
    }

    /// Removes whatever is at `path`, if anything is.
    pub(super) fn remove(&self, path: &Path) -> io::Result<()> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        match self.open_directory(above(path)) {
            Ok(parent) => remove_at(&parent, name),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes everything below `path` that `spared` does not hold.
    pub(super) fn clear(&self, path: &Path, spared: &dyn Fn(&Path) -> bool) -> io::Result<()> {
        let directory = match self.open_directory(path) {
            Ok(directory) => directory,
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        for name in names(&directory)? {
            let child: PathBuf = path.join(&name);
            if !spared(&child) {
                remove_at(&directory, &name)?;
                continue;
            }
            let existing = rustix::fs::statat(&directory, &*name, AtFlags::SYMLINK_NOFOLLOW)?;
            if FileType::from_raw_mode(existing.st_mode) == FileType::Directory {
                self.clear(&child, spared)?;
            }
        }
        Ok(())
    }
}

/// The directory that holds `path`; empty is the root.
fn above(path: &Path) -> &Path {
    path.parent().unwrap_or_else(|| Path::new(""))
}

fn names(directory: &OwnedFd) -> io::Result<Vec<std::ffi::OsString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(OsStr::from_bytes(name).to_owned());
        }
    }
    Ok(names)
}

/// Removes one name and all below it, without following any link.
fn remove_at(parent: &OwnedFd, name: &OsStr) -> io::Result<()> {
    match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
        // POSIX says EPERM for a directory, Linux EISDIR.
        Err(Errno::ISDIR | Errno::PERM) => {}
        other => return gone_is_fine(other),
    }
    let directory = rustix::fs::openat(parent, name, DIRECTORY | OFlags::NOFOLLOW, Mode::empty())?;
    for child in names(&directory)? {
        remove_at(&directory, &child)?;
    }
    gone_is_fine(rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR))
}
