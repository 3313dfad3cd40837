//! From a state to a file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use foreshore_server::platform::State;
use jiff::Timestamp;

use super::{ABOUT, About, BUNDLE, BackupError, Draft, END, FORMAT, file, git};

/// How often the registry is read anew when something was deleted meanwhile.
const ATTEMPTS_MAX: u32 = 5;
const REGISTRY: &str = "server/registry";
const JOURNAL: &str = "journal";

type Archive = tar::Builder<GzEncoder<BufWriter<File>>>;

/// Writes the state of `data` as the new file `path`, and returns its size.
pub(crate) fn pack(data: &Path, path: &Path, now: Timestamp) -> Result<u64, BackupError> {
    if !data.join("server/config.git").is_dir() {
        return Err(BackupError::NoState {
            data: data.to_owned(),
        });
    }
    State::check(data)?;
    if path.exists() {
        return Err(BackupError::There {
            path: path.to_owned(),
        });
    }
    let mut partial = path.as_os_str().to_owned();
    partial.push(format!(".partial-{}", std::process::id()));
    let partial = PathBuf::from(partial);
    let written = write(data, &partial, now).and_then(|size| {
        // A name that somebody took meanwhile is theirs.
        fs::hard_link(&partial, path).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => BackupError::There {
                path: path.to_owned(),
            },
            _ => file(path)(error),
        })?;
        Ok(size)
    });
    match fs::remove_file(&partial) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(file(&partial)(error)),
        _ => written,
    }
}

fn write(data: &Path, path: &Path, now: Timestamp) -> Result<u64, BackupError> {
    let draft = Draft::new(data.join(format!(".backup-{}", std::process::id())))?;
    let mut attempts = 0;
    loop {
        // It holds tokens and keys.
        let open = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(path);
        let open = BufWriter::new(open.map_err(file(path))?);
        let mut archive = tar::Builder::new(GzEncoder::new(open, Compression::fast()));
        archive.follow_symlinks(false);
        let about = About {
            format: FORMAT,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            made_at: now,
        };
        let about = serde_json::to_vec(&about).expect("numbers and a version are JSON");
        put(&mut archive, path, ABOUT, &about)?;
        put_config(&mut archive, data, &draft)?;
        put_small(&mut archive, data, &draft)?;
        let quiet = put_registry(&mut archive, data, path)?;
        put(&mut archive, path, END, b"")?;
        let mut open = archive
            .into_inner()
            .and_then(GzEncoder::finish)
            .map_err(file(path))?;
        open.flush().map_err(file(path))?;
        let done = open
            .into_inner()
            .map_err(|error| file(path)(error.into()))?;
        done.sync_all().map_err(file(path))?;
        if quiet {
            return Ok(done.metadata().map_err(file(path))?.len());
        }
        attempts += 1;
        if attempts == ATTEMPTS_MAX {
            return Err(BackupError::Unrest { times: attempts });
        }
    }
}

fn put(archive: &mut Archive, path: &Path, name: &str, bytes: &[u8]) -> Result<(), BackupError> {
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes.len() as u64);
    header.set_mode(0o600);
    archive
        .append_data(&mut header, name, bytes)
        .map_err(file(path))
}

/// All references and what they reach, read by git as a clone reads it.
fn put_config(archive: &mut Archive, data: &Path, draft: &Draft) -> Result<(), BackupError> {
    let bundle = draft.0.join(BUNDLE);
    let name = bundle.to_string_lossy();
    git(
        &data.join("server/config.git"),
        "write the config repository down",
        &["bundle", "create", "--quiet", &name, "--all"],
    )?;
    archive
        .append_path_with_name(&bundle, BUNDLE)
        .map_err(file(&bundle))
}

/// Everything but config repository and registry.
fn put_small(archive: &mut Archive, data: &Path, draft: &Draft) -> Result<(), BackupError> {
    for name in ["state.json", "ports.json"] {
        let path = data.join(name);
        if path.exists() {
            archive
                .append_path_with_name(&path, name)
                .map_err(file(&path))?;
        }
    }
    for folder in ["credentials", "server"] {
        for path in listed(&data.join(folder))? {
            let name = format!("{folder}/{}", name_of(&path));
            if !path.is_file() || is_passing(&name_of(&path)) {
                continue;
            }
            if path.extension().is_some_and(|end| end == "db") {
                let copy = draft.0.join("copy.db");
                copy_database(&path, &copy)?;
                archive
                    .append_path_with_name(&copy, &name)
                    .map_err(file(&copy))?;
                fs::remove_file(&copy).map_err(file(&copy))?;
            } else {
                archive
                    .append_path_with_name(&path, &name)
                    .map_err(file(&path))?;
            }
        }
    }
    Ok(())
}

/// Locks, drafts, and what belongs to a database that is copied by itself.
fn is_passing(name: &str) -> bool {
    let ends = ["-wal", "-shm", "-journal", ".lock"];
    name.starts_with('.') || name == "lock" || ends.iter().any(|end| name.ends_with(end))
}

/// A copy as of one moment, whoever writes meanwhile.
fn copy_database(from: &Path, to: &Path) -> Result<(), BackupError> {
    let failed = |cause| BackupError::Database {
        path: from.to_owned(),
        cause,
    };
    let connection = rusqlite::Connection::open_with_flags(
        from,
        rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE | rusqlite::OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )
    .map_err(failed)?;
    connection
        .busy_timeout(std::time::Duration::from_secs(10))
        .map_err(failed)?;
    connection
        .execute("VACUUM INTO ?1", [to.to_string_lossy()])
        .map_err(failed)?;
    Ok(())
}

/// The journal, then what it names; false if something was deleted meanwhile.
fn put_registry(archive: &mut Archive, data: &Path, path: &Path) -> Result<bool, BackupError> {
    let registry = data.join(REGISTRY);
    let journal = registry.join(JOURNAL);
    let read = || match fs::read(&journal) {
        Ok(bytes) => Ok(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(cause) => Err(file(&journal)(cause)),
    };
    let before = read()?;
    put(archive, path, &format!("{REGISTRY}/{JOURNAL}"), &before)?;
    for path in walked(&registry)? {
        let name = path.strip_prefix(&registry).unwrap_or(&path);
        if name == Path::new(JOURNAL) || is_unfinished(name) {
            continue;
        }
        let appended = archive.append_path_with_name(&path, Path::new(REGISTRY).join(name));
        match appended {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            other => other.map_err(file(&path))?,
        }
    }
    let after = read()?;
    let new = after.get(before.len()..).unwrap_or_default();
    let new = String::from_utf8_lossy(new);
    Ok(after.starts_with(&before) && !new.contains("\"remove-"))
}

fn is_unfinished(name: &Path) -> bool {
    name.components().any(|part| {
        let part = part.as_os_str().to_string_lossy();
        part == "incoming" || is_passing(&part)
    })
}

fn name_of(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// What a folder holds, in order; nothing if it is not there.
fn listed(folder: &Path) -> Result<Vec<PathBuf>, BackupError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(cause) => return Err(file(folder)(cause)),
    };
    let mut found = Vec::new();
    for entry in entries {
        found.push(entry.map_err(file(folder))?.path());
    }
    found.sort();
    Ok(found)
}

/// All files below a folder. What goes away while it is looked at is left out.
fn walked(folder: &Path) -> Result<Vec<PathBuf>, BackupError> {
    let mut files = Vec::new();
    for path in listed(folder)? {
        match fs::symlink_metadata(&path) {
            Ok(found) if found.is_dir() => files.extend(walked(&path)?),
            Ok(found) if found.is_file() && found.nlink() > 0 => files.push(path),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(cause) => return Err(file(&path)(cause)),
        }
    }
    Ok(files)
}
