//! Who a container runs as: names of an image's user resolved in its files.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use k8s_openapi::api::core::v1::{Container, Pod};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};

use crate::pod::fields;
use crate::shim::User;

/// Largest `/etc/passwd` that is read.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

#[derive(Debug, thiserror::Error)]
pub(crate) enum UserError {
    #[error("the image's user `{0}` is not in its `/etc/passwd`")]
    Unknown(String),
    #[error("the image's group `{0}` is not in its `/etc/group`")]
    UnknownGroup(String),
    #[error("container has runAsNonRoot and image will run as root")]
    Root,
    #[error("`{field}` is {value}, which is not the number of a user or group")]
    Number { field: &'static str, value: i64 },
    #[error("cannot run as user {wanted}: the node is not root and runs as user {own}")]
    NotRoot { wanted: u32, own: u32 },
}

/// Decides from the image and the security contexts, the container's first.
pub(crate) fn resolve(
    pod: &Pod,
    container: &Container,
    image: &str,
    root: &Path,
) -> Result<User, UserError> {
    let whole = fields::spec(pod).security_context.as_ref();
    let own = container.security_context.as_ref();
    let number = |field, value: Option<i64>| {
        value
            .map(|value| u32::try_from(value).map_err(|_| UserError::Number { field, value }))
            .transpose()
    };
    let as_user = own
        .and_then(|own| own.run_as_user)
        .or_else(|| whole.and_then(|whole| whole.run_as_user));
    let as_group = own
        .and_then(|own| own.run_as_group)
        .or_else(|| whole.and_then(|whole| whole.run_as_group));
    let not_root = own
        .and_then(|own| own.run_as_non_root)
        .or_else(|| whole.and_then(|whole| whole.run_as_non_root));
    let (mut user, mut group) = of_image(image, root)?;
    if let Some(asked) = number("runAsUser", as_user)? {
        user = asked;
        group = group_of(asked, root).unwrap_or(0);
    }
    if let Some(asked) = number("runAsGroup", as_group)? {
        group = asked;
    }
    if not_root == Some(true) && user == 0 {
        return Err(UserError::Root);
    }
    let mut further_groups = Vec::new();
    if let Some(whole) = whole {
        for value in whole
            .supplemental_groups
            .iter()
            .flatten()
            .chain(&whole.fs_group)
        {
            further_groups.extend(number("supplementalGroups", Some(*value))?);
        }
    }
    Ok(User {
        id: user,
        group,
        further_groups,
    })
}

/// Whether the pod itself, not only its image, says who the container runs as.
pub(crate) fn is_asked_for(pod: &Pod, container: &Container) -> bool {
    let whole = fields::spec(pod).security_context.as_ref();
    let own = container.security_context.as_ref();
    let user = own
        .and_then(|own| own.run_as_user)
        .or_else(|| whole.and_then(|whole| whole.run_as_user));
    let group = own
        .and_then(|own| own.run_as_group)
        .or_else(|| whole.and_then(|whole| whole.run_as_group));
    let not_root = own
        .and_then(|own| own.run_as_non_root)
        .or_else(|| whole.and_then(|whole| whole.run_as_non_root));
    user.is_some() || group.is_some() || not_root == Some(true)
}

fn of_image(image: &str, root: &Path) -> Result<(u32, u32), UserError> {
    let (name, group) = image
        .split_once(':')
        .map_or((image, None), |(name, group)| (name, Some(group)));
    let user = match (name, name.parse()) {
        ("", _) => 0,
        (_, Ok(number)) => number,
        _ => entry(root, "etc/passwd", |fields| fields[0] == name, 2)
            .ok_or_else(|| UserError::Unknown(name.to_owned()))?,
    };
    let group = match group {
        None => group_of(user, root).unwrap_or(0),
        Some(group) => match group.parse() {
            Ok(number) => number,
            Err(_) => entry(root, "etc/group", |fields| fields[0] == group, 2)
                .ok_or_else(|| UserError::UnknownGroup(group.to_owned()))?,
        },
    };
    Ok((user, group))
}

fn group_of(user: u32, root: &Path) -> Option<u32> {
    let user = user.to_string();
    entry(
        root,
        "etc/passwd",
        |fields| fields.get(2) == Some(&user.as_str()),
        3,
    )
}

fn entry(root: &Path, file: &str, wanted: impl Fn(&[&str]) -> bool, field: usize) -> Option<u32> {
    // A file that is missing or unreadable has no such entry.
    let text = read_inside(root, file).ok()?;
    let mut lines = text.lines().map(|line| line.split(':').collect::<Vec<_>>());
    lines
        .find(|fields| wanted(fields))?
        .get(field)?
        .parse()
        .ok()
}

/// Reads a file of the image; links in it lead nowhere else.
fn read_inside(root: &Path, file: &str) -> io::Result<String> {
    let root = File::open(root)?;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let opened = rustix::fs::openat2(&root, file, flags, Mode::empty(), ResolveFlags::IN_ROOT)?;
    let mut text = String::new();
    File::from(opened)
        .take(FILE_BYTES_MAX)
        .read_to_string(&mut text)?;
    Ok(text)
}

/// Finds `path` of the image on the host; `None` if it is not there.
pub(crate) fn locate(root: &Path, path: &Path) -> Option<std::path::PathBuf> {
    let folder =
        rustix::fs::openat(CWD, root, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let opened =
        rustix::fs::openat2(&folder, path, flags, Mode::empty(), ResolveFlags::IN_ROOT).ok()?;
    let number = std::os::fd::AsRawFd::as_raw_fd(&opened);
    std::fs::read_link(format!("/proc/self/fd/{number}")).ok()
}
