//! What goes into an image, found on disk and put in order.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use foreshore_model::Digest;
use serde::Serialize;

use super::{Entry, PackError, PackOptions, USER_ID};
use crate::blobs::hash;

const CA_BUNDLE: &str = "etc/ssl/certs/ca-certificates.crt";

/// One entry of a layer, its content known by digest.
#[derive(Debug, Serialize)]
pub(super) enum Item {
    Directory {
        mode: u32,
    },
    Text {
        mode: u32,
        content: String,
    },
    File {
        mode: u32,
        /// Not part of what is packed.
        #[serde(skip)]
        source: PathBuf,
        length: u64,
        digest: Digest,
    },
    Link {
        target: PathBuf,
    },
}

pub(super) type Items = BTreeMap<String, Item>;

pub(super) fn read_failed(path: &Path) -> impl FnOnce(io::Error) -> PackError {
    let path = path.to_owned();
    move |cause| PackError::Read { path, cause }
}

fn file_item(source: &Path) -> Result<Item, PackError> {
    let mut file = File::open(source).map_err(read_failed(source))?;
    let mode = file
        .metadata()
        .map_err(read_failed(source))?
        .permissions()
        .mode();
    let mode = if mode & 0o111 == 0 { 0o644 } else { 0o755 };
    let (digest, length) = hash(&mut file).map_err(read_failed(source))?;
    Ok(Item::File {
        mode,
        source: source.to_owned(),
        length,
        digest,
    })
}

/// Adds the directories above `target`.
fn add_parents(items: &mut Items, target: &str) {
    let parents = Path::new(target)
        .ancestors()
        .skip(1)
        .filter_map(Path::to_str);
    for parent in parents.filter(|parent| !parent.is_empty()) {
        items
            .entry(parent.to_owned())
            .or_insert(Item::Directory { mode: 0o755 });
    }
}

/// Tells whether a link at depth `depth` below the packed directory stays below it.
fn stays_inside(target: &Path, depth: usize) -> bool {
    let mut depth = depth;
    for component in target.components() {
        match component {
            Component::Normal(_) => depth += 1,
            Component::CurDir => {}
            Component::ParentDir if depth > 0 => depth -= 1,
            _ => return false,
        }
    }
    true
}

fn add(items: &mut Items, source: &Path, target: &str, depth: usize) -> Result<(), PackError> {
    let metadata = fs::symlink_metadata(source).map_err(read_failed(source))?;
    // What the caller names itself may be a link; what is found below must not lead out.
    let kind = if depth == 0 {
        fs::metadata(source)
            .map_err(read_failed(source))?
            .file_type()
    } else {
        metadata.file_type()
    };
    let item = if kind.is_dir() {
        let listed = fs::read_dir(source).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        for entry in listed.map_err(read_failed(source))? {
            let name = entry.file_name();
            let name = name
                .to_str()
                .ok_or_else(|| PackError::Kind { path: entry.path() })?;
            add(items, &entry.path(), &format!("{target}/{name}"), depth + 1)?;
        }
        Item::Directory { mode: 0o755 }
    } else if kind.is_file() {
        file_item(source)?
    } else if kind.is_symlink() {
        let link = fs::read_link(source).map_err(read_failed(source))?;
        if !stays_inside(&link, depth - 1) {
            return Err(PackError::Link {
                path: source.to_owned(),
                target: link,
            });
        }
        Item::Link { target: link }
    } else {
        return Err(PackError::Kind {
            path: source.to_owned(),
        });
    };
    match items.get(target) {
        Some(Item::Directory { .. }) if matches!(item, Item::Directory { .. }) => {}
        Some(Item::File { source: first, .. }) => {
            let (first, second) = (first.clone(), source.to_owned());
            return Err(PackError::Twice {
                target: format!("/{target}"),
                first,
                second,
            });
        }
        Some(_) => {
            let (first, second) = (PathBuf::from(target), source.to_owned());
            return Err(PackError::Twice {
                target: format!("/{target}"),
                first,
                second,
            });
        }
        None => drop(items.insert(target.to_owned(), item)),
    }
    Ok(())
}

pub(super) fn program(options: &PackOptions) -> Result<Items, PackError> {
    if options.entries.is_empty() {
        return Err(PackError::Empty);
    }
    let mut items = Items::new();
    for Entry { source, target } in &options.entries {
        let wrong = || PackError::Target {
            target: target.clone(),
        };
        let inside = target
            .strip_prefix('/')
            .ok_or_else(wrong)?
            .trim_end_matches('/');
        let plain = inside
            .split('/')
            .all(|part| !matches!(part, "" | "." | "..") && !part.starts_with(".wh."));
        if !plain || inside.contains('\0') {
            return Err(wrong());
        }
        add(&mut items, source, inside, 0)?;
        add_parents(&mut items, inside);
    }
    Ok(items)
}

pub(super) fn base(options: &PackOptions) -> Result<Items, PackError> {
    let text = |content: String| Item::Text {
        mode: 0o644,
        content,
    };
    let mut items = Items::from([
        ("tmp".to_owned(), Item::Directory { mode: 0o1777 }),
        (
            "etc/passwd".to_owned(),
            text(format!(
                "root:x:0:0:root:/:/sbin/nologin\nnonroot:x:{USER_ID}:{USER_ID}:nonroot:/tmp:/sbin/nologin\n"
            )),
        ),
        (
            "etc/group".to_owned(),
            text(format!("root:x:0:\nnonroot:x:{USER_ID}:\n")),
        ),
    ]);
    if let Some(bundle) = &options.ca_bundle {
        items.insert(CA_BUNDLE.to_owned(), file_item(bundle)?);
        add_parents(&mut items, CA_BUNDLE);
    }
    add_parents(&mut items, "etc/passwd");
    Ok(items)
}
