//! Writes commits of our own making as one pack; what fast-import of older gits cannot write: signed ones.

use std::fmt::Write as _;
use std::io::Write as _;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY, digest};

use crate::command::{git_in, run};
use crate::error::GitError;
use crate::object::ObjectId;
use crate::repository::Repository;

const COMMAND: &str = "index-pack";
/// The number of commits among the kinds of a pack's objects.
const COMMIT: u8 = 1;

/// Names a commit by its content, as git does.
pub(crate) fn commit_id(commit: &[u8]) -> ObjectId {
    let mut context = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
    context.update(format!("commit {}\0", commit.len()).as_bytes());
    context.update(commit);
    let mut text = String::with_capacity(40);
    for byte in context.finish().as_ref() {
        write!(text, "{byte:02x}").expect("writing to a string cannot fail");
    }
    text.parse().expect("it is 40 hexadecimal digits")
}

impl Repository {
    /// Brings commits into the repository; the caller syncs the folder of packs.
    pub(crate) fn add_commits(&self, commits: &[Vec<u8>]) -> Result<(), GitError> {
        let mut command = git_in(self.path(), &[]);
        command.args([COMMAND, "--stdin", "--fsck-objects"]);
        run(command, COMMAND, Some(pack(commits)))?
            .success(COMMAND)
            .map(drop)
    }
}

fn pack(commits: &[Vec<u8>]) -> Vec<u8> {
    let count = u32::try_from(commits.len()).expect("a batch is small");
    let mut pack = b"PACK".to_vec();
    pack.extend(2_u32.to_be_bytes());
    pack.extend(count.to_be_bytes());
    for commit in commits {
        header(&mut pack, commit.len());
        let mut encoder = ZlibEncoder::new(&mut pack, Compression::fast());
        encoder
            .write_all(commit)
            .and_then(|()| encoder.finish().map(drop))
            .expect("writing to memory cannot fail");
    }
    let sum = digest(&SHA1_FOR_LEGACY_USE_ONLY, &pack);
    pack.extend_from_slice(sum.as_ref());
    pack
}

/// Writes kind and size: four bits of the size first, then seven at a time.
fn header(pack: &mut Vec<u8>, size: usize) {
    let low = |size: usize, mask: usize| u8::try_from(size & mask).expect("it is masked");
    let mut byte = (COMMIT << 4) | low(size, 0x0f);
    let mut rest = size >> 4;
    while rest > 0 {
        pack.push(byte | 0x80);
        byte = low(rest, 0x7f);
        rest >>= 7;
    }
    pack.push(byte);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_has_the_name_that_git_gives_it() {
        let commit = b"tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\nauthor A <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\n\nmsg";
        assert_eq!(
            commit_id(commit).as_str(),
            "ffc65a5f2b025910779d4e8497a22a24029aa9b8"
        );
    }
}
