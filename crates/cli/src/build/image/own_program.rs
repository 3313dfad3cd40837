//! What serves a site in its image, as something to pack: the small server that is installed beside this program, or this program itself.
//!
//! A program that is linked statically needs nothing else. One that is not
//! takes along the loader that its header names and the libraries that this
//! one runs with at this moment, so that the image does not depend on any other.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use foreshore_image::Entry;

/// The small server's name, beside this program and in an image.
const SERVER: &str = "foreshore-files";
/// Where this program is in an image, if there is no small server.
const OWN: &str = "/foreshore";

/// Header of a 64-bit ELF file, and one row of its program headers.
const HEADER: usize = 64;
const ROW: usize = 56;
/// The row that names the loader.
const PT_INTERP: u32 = 3;
/// Rows and bytes beyond which a header is not believed.
const ROWS_MAX: usize = 64;
const NAME_MAX: usize = 4096;

/// A server of files with all that it needs to start, and the words it is started with.
#[derive(Debug)]
pub(super) struct FileServer {
    pub(super) entries: Vec<Entry>,
    pub(super) words: Vec<String>,
}

/// Returns what has to be packed so that a site is served from an image.
pub(super) fn file_server() -> io::Result<FileServer> {
    let own = fs::canonicalize(std::env::current_exe()?)?;
    let small = own.with_file_name(SERVER);
    if small.is_file()
        && let Some(entries) = entries(&small, &format!("/{SERVER}"), &own)?
    {
        return Ok(FileServer {
            entries,
            words: vec![format!("/{SERVER}")],
        });
    }
    let entries = entries(&own, OWN, &own)?
        .ok_or_else(|| io::Error::other("its libraries are not mapped"))?;
    Ok(FileServer {
        entries,
        words: vec![OWN.to_owned(), "serve-files".to_owned()],
    })
}

/// Returns what has to be packed so that this program runs from an image, as `/foreshore`.
pub(crate) fn own_program() -> io::Result<Vec<Entry>> {
    let own = fs::canonicalize(std::env::current_exe()?)?;
    entries(&own, OWN, &own)?.ok_or_else(|| io::Error::other("its libraries are not mapped"))
}

/// Returns a program with its loader and libraries; none if this process does not know its libraries.
fn entries(program: &Path, inside: &str, own: &Path) -> io::Result<Option<Vec<Entry>>> {
    let mut entries = vec![entry(program, inside)];
    let Some(loader) = loader(program)? else {
        return Ok(Some(entries));
    };
    let maps = fs::read_to_string("/proc/self/maps")?;
    let libraries = libraries(&maps, own);
    if libraries.is_empty() {
        return Ok(None);
    }
    for library in libraries {
        let target = library.display().to_string();
        if target != loader {
            entries.push(entry(&library, &target));
        }
    }
    entries.push(entry(Path::new(&loader), &loader));
    Ok(Some(entries))
}

fn entry(source: &Path, target: &str) -> Entry {
    Entry {
        source: source.to_owned(),
        target: target.to_owned(),
    }
}

/// Returns the files that are mapped as code, but for the program itself.
fn libraries(maps: &str, program: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = maps
        .lines()
        .filter_map(|line| {
            let mut words = line.split_ascii_whitespace();
            let rights = words.nth(1)?;
            let path = words.nth(3)?;
            (rights.contains('x') && path.starts_with('/')).then(|| PathBuf::from(path))
        })
        .filter(|path| path != program)
        .collect();
    found.sort();
    found.dedup();
    found
}

/// Returns the loader that an ELF file names; none for one that needs no loader.
fn loader(program: &Path) -> io::Result<Option<String>> {
    let wrong = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let mut file = File::open(program)?;
    let mut header = [0; HEADER];
    file.read_exact(&mut header)?;
    if !header.starts_with(b"\x7fELF\x02\x01") {
        return Err(wrong("it is no 64-bit little-endian ELF file"));
    }
    let offset = long(&header, 32);
    let (size, count) = (short(&header, 54), short(&header, 56));
    if size != ROW || count > ROWS_MAX {
        return Err(wrong("its program headers are of an unknown shape"));
    }
    for index in 0..count {
        let mut row = [0; ROW];
        file.seek(SeekFrom::Start(offset + (index * ROW) as u64))?;
        file.read_exact(&mut row)?;
        if u32::from_le_bytes([row[0], row[1], row[2], row[3]]) != PT_INTERP {
            continue;
        }
        let length = usize::try_from(long(&row, 32)).unwrap_or(usize::MAX);
        if length > NAME_MAX {
            return Err(wrong("the name of its loader is too long"));
        }
        let mut name = vec![0; length];
        file.seek(SeekFrom::Start(long(&row, 8)))?;
        file.read_exact(&mut name)?;
        let name = String::from_utf8(name).map_err(|_| wrong("its loader has no plain name"))?;
        return Ok(Some(name.trim_end_matches('\0').to_owned()));
    }
    Ok(None)
}

fn long(bytes: &[u8], at: usize) -> u64 {
    let mut long = [0; 8];
    long.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(long)
}

fn short(bytes: &[u8], at: usize) -> usize {
    usize::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_very_program_is_packed_with_all_it_is_linked_to() {
        let program = fs::canonicalize(std::env::current_exe().unwrap()).unwrap();
        let entries = entries(&program, OWN, &program).unwrap().unwrap();
        assert_eq!(entries[0].target, OWN);
        for entry in &entries {
            assert!(entry.source.is_file(), "{entry:?}");
        }
        let dynamic = loader(&program).unwrap();
        assert_eq!(
            dynamic.is_some(),
            entries.iter().any(|entry| entry.target.contains("libc.so"))
        );
    }

    #[test]
    fn only_code_of_other_files_counts_as_a_library() {
        let maps = "1-2 r--p 00000000 fe:00 1 /usr/lib/libc.so.6\n\
                    2-3 r-xp 00001000 fe:00 1 /usr/lib/libc.so.6\n\
                    3-4 r-xp 00000000 fe:00 2 /usr/bin/foreshore\n\
                    4-5 r-xp 00000000 00:00 0 [vdso]\n\
                    5-6 r--p 00000000 fe:00 3 /usr/share/locale/x\n";
        assert_eq!(
            libraries(maps, Path::new("/usr/bin/foreshore")),
            [PathBuf::from("/usr/lib/libc.so.6")]
        );
    }
}
