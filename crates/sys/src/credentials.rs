//! Giving up rights: user, groups, capabilities, further privileges.

use std::io;

use rustix::io::Errno;
use rustix::process::{Gid, Uid};
use rustix::thread::{CapabilitySet, CapabilitySets};

/// Becomes another user with these groups, for good. The calling program must
/// have a single thread.
pub fn become_user(user: u32, group: u32, further_groups: &[u32]) -> io::Result<()> {
    let further: Vec<Gid> = further_groups
        .iter()
        .map(|group| Gid::from_raw(*group))
        .collect();
    rustix::thread::set_thread_groups(&further)?;
    let group = Gid::from_raw(group);
    rustix::thread::set_thread_res_gid(group, group, group)?;
    let user = Uid::from_raw(user);
    rustix::thread::set_thread_res_uid(user, user, user)?;
    Ok(())
}

/// Makes sure that no program started from here on gains rights it was not given.
pub fn forbid_new_privileges() -> io::Result<()> {
    Ok(rustix::thread::set_no_new_privs(true)?)
}

/// The capabilities a container keeps when nothing else is asked for.
pub const CONTAINER_CAPABILITIES: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::SETPCAP)
    .union(CapabilitySet::NET_BIND_SERVICE)
    .union(CapabilitySet::SYS_CHROOT)
    .union(CapabilitySet::KILL)
    .union(CapabilitySet::SETFCAP)
    .union(CapabilitySet::NET_RAW);

/// A capability by the name Kubernetes uses, with or without `CAP_`.
pub fn capability(name: &str) -> Option<CapabilitySet> {
    let name = name.strip_prefix("CAP_").unwrap_or(name);
    CapabilitySet::from_name(name)
}

/// Keeps only `kept`, for this process and all it starts. Call it before
/// [`become_user`], which drops the effective ones of an ordinary user.
pub fn keep_capabilities(kept: CapabilitySet) -> io::Result<()> {
    for one in CapabilitySet::all().iter() {
        if kept.contains(one) {
            continue;
        }
        match rustix::thread::remove_capability_from_bounding_set(one) {
            // The kernel does not know this one yet, so nobody can have it.
            Ok(()) | Err(Errno::INVAL) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

/// Narrows the sets of the calling thread to `kept`.
pub fn limit_capabilities(kept: CapabilitySet) -> io::Result<()> {
    let now = rustix::thread::capabilities(None)?;
    let sets = CapabilitySets {
        effective: now.effective & kept,
        permitted: now.permitted & kept,
        inheritable: CapabilitySet::empty(),
    };
    Ok(rustix::thread::set_capabilities(None, sets)?)
}
