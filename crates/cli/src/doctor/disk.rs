//! Is there room for the state?

use std::io;
use std::path::Path;

use super::Finding;

const CHECK: &str = "disk";
const MIB: u64 = 1 << 20;
/// Below this a store may not be able to write its next transaction.
const TOO_LITTLE: u64 = 200 * MIB;
/// Below this the first files of a platform do not fit.
const TOO_LITTLE_TO_START: u64 = 64 * MIB;
/// Images of a handful of services.
const COMFORTABLE: u64 = 2_048 * MIB;

pub(super) fn examine(data: &Path) -> Finding {
    judge(data, room(data))
}

/// Says so if a store could not even start; a size that cannot be seen is no reason to stop.
pub(crate) fn too_little_room(data: &Path) -> Option<String> {
    let left = room(data).ok().filter(|left| *left < TOO_LITTLE_TO_START)?;
    Some(format!(
        "the disk of `{}` has only {} MiB left",
        data.display(),
        left / MIB
    ))
}

/// Bytes that may still be written under a folder which may not be there yet.
fn room(data: &Path) -> io::Result<u64> {
    let there = data
        .ancestors()
        .find(|folder| folder.is_dir())
        .unwrap_or_else(|| Path::new("/"));
    let system = rustix::fs::statvfs(there)?;
    Ok(system.f_bavail.saturating_mul(system.f_frsize))
}

fn judge(data: &Path, room: io::Result<u64>) -> Finding {
    let path = data.display();
    let elsewhere = "free some, or choose another disk with `--data DIR`";
    match room {
        Err(error) => Finding::broken(
            CHECK,
            format!("cannot see how much room `{path}` has: {error}"),
            "choose a directory on a local disk with `--data DIR`",
        ),
        Ok(room) if room < TOO_LITTLE => Finding::broken(
            CHECK,
            format!("only {} MiB are free for `{path}`", room / MIB),
            elsewhere,
        ),
        Ok(room) if room < COMFORTABLE => Finding::notice(
            CHECK,
            format!(
                "{} MiB are free for `{path}`; images need more soon",
                room / MIB
            ),
            elsewhere,
        ),
        Ok(room) => Finding::fine(
            CHECK,
            format!("{} GiB are free for `{path}`", room / MIB / 1_024),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn room_is_judged_by_what_the_stores_need() {
        let state = |room| judge(Path::new("/data"), room).state;
        assert_eq!(state(Ok(10 * MIB)), State::Broken);
        assert_eq!(state(Ok(500 * MIB)), State::Notice);
        assert_eq!(state(Ok(50_000 * MIB)), State::Fine);
        assert_eq!(state(Err(io::Error::other("stale handle"))), State::Broken);
    }

    #[test]
    fn a_folder_that_is_not_there_yet_has_the_room_of_its_parent() {
        let folder = tempfile::tempdir().unwrap();
        assert!(room(&folder.path().join("not/yet")).unwrap() > 0);
    }
}
