//! From a file to a state.

use std::fs::{self, File};
use std::io::{self, BufReader, Read as _};
use std::path::{Component, Path, PathBuf};

use flate2::read::GzDecoder;
use foreshore_git::Repository;
use foreshore_server::platform::State;

use super::{ABOUT, About, BUNDLE, BackupError, Draft, END, FORMAT, file, git};

/// Makes the state that a backup holds, all of it or nothing, and says what the backup is.
pub(crate) fn unpack(path: &Path, data: &Path) -> Result<About, BackupError> {
    let occupied = match fs::read_dir(data) {
        Ok(mut entries) => entries.next().is_some(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(cause) => return Err(file(data)(cause)),
    };
    if occupied {
        return Err(BackupError::NotEmpty {
            data: data.to_owned(),
        });
    }
    let mut beside = data.as_os_str().to_owned();
    beside.push(format!(".restoring-{}", std::process::id()));
    let draft = Draft::new(PathBuf::from(beside))?;
    let about = unpack_into(path, &draft.0)?;
    let bundle = draft.0.join(BUNDLE);
    restore_config(&bundle, &draft.0.join("server/config.git"))?;
    fs::remove_file(&bundle).map_err(file(&bundle))?;
    State::check(&draft.0)?;
    // An empty folder gives way; anything else would have been refused.
    fs::rename(&draft.0, data).map_err(file(data))?;
    Ok(about)
}

fn unpack_into(path: &Path, folder: &Path) -> Result<About, BackupError> {
    let damaged = |cause| BackupError::Damaged {
        path: path.to_owned(),
        cause,
    };
    let wrong = |what: &str| damaged(io::Error::new(io::ErrorKind::InvalidData, what.to_owned()));
    let open = File::open(path).map_err(file(path))?;
    let mut archive = tar::Archive::new(GzDecoder::new(BufReader::new(open)));
    let mut about: Option<About> = None;
    let mut ended = false;
    for entry in archive.entries().map_err(damaged)? {
        let mut entry = entry.map_err(damaged)?;
        let name = entry.path().map_err(damaged)?.into_owned();
        if name == Path::new(ABOUT) {
            let mut text = String::new();
            entry.read_to_string(&mut text).map_err(damaged)?;
            let found: About =
                serde_json::from_str(&text).map_err(|_| wrong("it does not say what it is"))?;
            if found.format > FORMAT {
                return Err(BackupError::Newer {
                    path: path.to_owned(),
                    program: found.program,
                });
            }
            about = Some(found);
            continue;
        }
        if name == Path::new(END) {
            ended = true;
            continue;
        }
        if about.is_none() {
            return Err(wrong("it does not say what it is"));
        }
        if !is_ours(&name) || !entry.header().entry_type().is_file() {
            return Err(wrong(&format!(
                "`{}` is no part of a state",
                name.display()
            )));
        }
        let target = folder.join(&name);
        let parent = target.parent().unwrap_or(folder);
        fs::create_dir_all(parent).map_err(file(parent))?;
        entry.unpack(&target).map_err(damaged)?;
    }
    // Only at the very end the sum of all bytes is compared.
    io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(damaged)?;
    match about {
        Some(about) if ended => Ok(about),
        _ => Err(wrong("its end is missing")),
    }
}

/// Whether a name leads to a place that belongs to a state, and nowhere else.
fn is_ours(name: &Path) -> bool {
    let mut parts = name.components();
    let Some(Component::Normal(first)) = parts.next() else {
        return false;
    };
    let rest: Vec<_> = parts.collect();
    let known = match first.to_str() {
        Some(BUNDLE | "state.json" | "ports.json") => rest.is_empty(),
        Some("credentials" | "server") => !rest.is_empty(),
        _ => false,
    };
    known && rest.iter().all(|part| matches!(part, Component::Normal(_)))
}

fn restore_config(bundle: &Path, repository: &Path) -> Result<(), BackupError> {
    Repository::init_bare(repository).map_err(|error| BackupError::Git {
        doing: "make the config repository",
        said: crate::failure::chain(&error),
    })?;
    let bundle = bundle.to_string_lossy();
    git(
        repository,
        "read the config repository",
        &["fetch", "--quiet", "--no-tags", &bundle, "+refs/*:refs/*"],
    )?;
    git(
        repository,
        "check the config repository",
        &["fsck", "--strict"],
    )
}
