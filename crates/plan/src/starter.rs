//! The files that a new service starts with: the folder `new` of its plan.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use foreshore_model::ServiceName;

/// What stands for the name of the service.
const NAME: &str = "{{ service.name }}";
const FILES_MAX: usize = 1000;
const FILE_BYTES_MAX: u64 = 1 << 20;

macro_rules! starters {
    ($($plan:literal: [$($file:literal),* $(,)?]),+ $(,)?) => {
        &[$((
            $plan,
            &[$((
                $file,
                include_str!(concat!("../../../plans/", $plan, "/new/", $file)),
            )),*],
        )),+]
    };
}

/// Path and text of each file of each plan.
type Starters = [(&'static str, &'static [(&'static str, &'static str)])];

const STARTERS: &Starters = starters! {
    "container": ["Dockerfile"],
    "cronjob": [".gitignore", "Cargo.lock", "Cargo.toml", "src/main.rs"],
    "external": [],
    "rust-service": [".gitignore", "Cargo.lock", "Cargo.toml", "src/main.rs"],
    "static-site": ["public/index.html"],
    "worker": [".gitignore", "Cargo.lock", "Cargo.toml", "src/main.rs"],
};

/// Why a plan's starting files cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum StarterError {
    #[error("cannot read `{path}`")]
    Read {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("`{path}` is neither a plain file nor a folder")]
    Kind { path: PathBuf },
    #[error("`{path}` has more than {FILES_MAX} files, or one of more than {FILE_BYTES_MAX} bytes")]
    TooMuch { path: PathBuf },
}

/// Returns path and text of each file that a service of a plan starts with.
///
/// `plan` is the name of a shipped plan or a directory; others have none.
pub fn starter(plan: &str, service: &ServiceName) -> Result<Vec<(String, String)>, StarterError> {
    let fill = |text: &str| text.replace(NAME, service.as_str());
    if let Some((_, files)) = STARTERS.iter().find(|(name, _)| *name == plan) {
        let files = files.iter();
        return Ok(files
            .map(|(path, text)| ((*path).to_owned(), fill(text)))
            .collect());
    }
    let root = Path::new(plan).join("new");
    if !root.is_dir() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    let mut folders = vec![(root.clone(), String::new())];
    while let Some((folder, prefix)) = folders.pop() {
        let failed = |cause| StarterError::Read {
            path: folder.clone(),
            cause,
        };
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let (path, kind) = (entry.path(), entry.file_type().map_err(failed)?);
            let name = entry.file_name().into_string();
            let Some(name) = name.ok().filter(|_| kind.is_dir() || kind.is_file()) else {
                return Err(StarterError::Kind { path });
            };
            let inside = format!("{prefix}{name}");
            if kind.is_dir() {
                folders.push((path, format!("{inside}/")));
                continue;
            }
            let too_long = entry.metadata().map_err(failed)?.len() > FILE_BYTES_MAX;
            if too_long || found.len() == FILES_MAX {
                return Err(StarterError::TooMuch { path: root });
            }
            let text = fs::read_to_string(&path).map_err(failed)?;
            found.push((inside, fill(&text)));
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_plan_has_what_a_service_starts_with() {
        let shop = ServiceName::new("shop").unwrap();
        for plan in crate::names() {
            assert!(STARTERS.iter().any(|(name, _)| *name == plan), "{plan}");
            for (path, text) in starter(plan, &shop).unwrap() {
                assert!(!text.contains(NAME), "{plan} {path}");
            }
        }
    }

    #[test]
    fn a_plan_of_ones_own_brings_its_folder_new() {
        let folder = tempfile::tempdir().unwrap();
        let new = folder.path().join("new/src");
        fs::create_dir_all(&new).unwrap();
        fs::write(new.join("a.txt"), "hello {{ service.name }}").unwrap();
        let plan = folder.path().to_str().unwrap();
        let shop = ServiceName::new("shop").unwrap();
        assert_eq!(
            starter(plan, &shop).unwrap(),
            [("src/a.txt".to_owned(), "hello shop".to_owned())]
        );
        std::os::unix::fs::symlink("/etc/passwd", new.join("b")).unwrap();
        assert!(matches!(
            starter(plan, &shop),
            Err(StarterError::Kind { .. })
        ));
    }
}
