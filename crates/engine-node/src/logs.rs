//! Reads container logs back: the records the shim wrote, newest last.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// The last `lines` lines of a log as the container wrote them, at most
/// `bytes` of them; empty if there is no log.
pub(crate) fn last_lines(path: &Path, lines: usize, bytes: usize) -> String {
    // Heads of records are short against this, and it bounds the memory.
    let window = bytes.saturating_mul(4).max(64 * 1024);
    let tail = read_end(path, window).unwrap_or_default();
    let text = String::from_utf8_lossy(&tail);
    let mut kept: Vec<&str> = text
        .lines()
        .filter_map(|line| line.splitn(4, ' ').nth(3))
        .collect();
    kept.drain(..kept.len().saturating_sub(lines));
    let joined = kept.join("\n");
    let mut from = joined.len().saturating_sub(bytes);
    while !joined.is_char_boundary(from) {
        from += 1;
    }
    joined[from..].to_owned()
}

fn read_end(path: &Path, window: usize) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(window as u64)))?;
    let mut content = Vec::new();
    file.take(window as u64).read_to_end(&mut content)?;
    Ok(content)
}
