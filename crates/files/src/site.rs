//! The table of everything a site has.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use foreshore_model::Digest;

/// More than this is no site but a mistake.
const FILES_MAX: usize = 100_000;
const DEPTH_MAX: usize = 64;

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    pub file: PathBuf,
    pub size: u64,
    /// Digest of the content, which a browser may keep it by.
    pub tag: String,
    pub content_type: &'static str,
}

/// Every file by the path that it is asked for with.
#[derive(Debug, Clone, Default)]
pub struct Site {
    pages: BTreeMap<String, Page>,
}

/// Why a directory is no site.
#[derive(Debug, thiserror::Error)]
pub enum SiteError {
    #[error("cannot read `{path}`")]
    Read {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("`{path}` has more than {FILES_MAX} files, or folders deeper than {DEPTH_MAX}")]
    TooMuch { path: PathBuf },
}

impl Site {
    /// Reads a directory with all below it.
    pub fn read(directory: &Path) -> Result<Self, SiteError> {
        let mut site = Self::default();
        let mut folders = vec![(directory.to_owned(), String::new(), 0)];
        while let Some((folder, prefix, depth)) = folders.pop() {
            let failed = |cause| SiteError::Read {
                path: folder.clone(),
                cause,
            };
            for entry in fs::read_dir(&folder).map_err(failed)? {
                let entry = entry.map_err(failed)?;
                // What has no plain name cannot be asked for.
                let Ok(name) = entry.file_name().into_string() else {
                    continue;
                };
                let file = entry.path();
                let path = format!("{prefix}/{name}");
                let kind = fs::metadata(&file).map_err(failed)?;
                if kind.is_dir() && depth < DEPTH_MAX {
                    folders.push((file, path, depth + 1));
                } else if kind.is_file() && site.pages.len() < FILES_MAX {
                    site.add(path, file)?;
                } else if kind.is_dir() || kind.is_file() {
                    return Err(SiteError::TooMuch {
                        path: directory.to_owned(),
                    });
                }
            }
        }
        Ok(site)
    }

    fn add(&mut self, path: String, file: PathBuf) -> Result<(), SiteError> {
        let content = fs::read(&file).map_err(|cause| SiteError::Read {
            path: file.clone(),
            cause,
        })?;
        let page = Page {
            size: content.len() as u64,
            tag: format!("\"{}\"", Digest::of(&content).hex()),
            content_type: content_type(&path),
            file,
        };
        self.pages.insert(path, page);
        Ok(())
    }

    /// Finds what a path means: a file, the `index.html` of a folder, or a page without its ending.
    pub fn find(&self, path: &str) -> Option<&Page> {
        if let Some(folder) = path.strip_suffix('/') {
            return self.pages.get(&format!("{folder}/index.html"));
        }
        self.pages
            .get(path)
            .or_else(|| self.pages.get(&format!("{path}.html")))
    }

    /// Whether a path names a folder but for the `/` at its end.
    pub fn is_folder(&self, path: &str) -> bool {
        self.pages.contains_key(&format!("{path}/index.html"))
    }

    /// How many files there are.
    pub fn len(&self) -> usize {
        self.pages.len()
    }

    pub fn is_empty(&self) -> bool {
        self.pages.is_empty()
    }
}

fn content_type(path: &str) -> &'static str {
    let ending = path.rsplit_once('.').map_or("", |(_, ending)| ending);
    match ending {
        "avif" => "image/avif",
        "css" => "text/css; charset=utf-8",
        "gif" => "image/gif",
        "htm" | "html" => "text/html; charset=utf-8",
        "ico" => "image/x-icon",
        "jpeg" | "jpg" => "image/jpeg",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "json" | "map" => "application/json",
        "md" | "txt" => "text/plain; charset=utf-8",
        "mp4" => "video/mp4",
        "pdf" => "application/pdf",
        "png" => "image/png",
        "svg" => "image/svg+xml",
        "wasm" => "application/wasm",
        "webmanifest" => "application/manifest+json",
        "webp" => "image/webp",
        "woff" => "font/woff",
        "woff2" => "font/woff2",
        "xml" => "application/xml",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(files: &[&str]) -> (tempfile::TempDir, Site) {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, file).unwrap();
        }
        let site = Site::read(folder.path()).unwrap();
        (folder, site)
    }

    #[test]
    fn paths_mean_what_people_expect() {
        let (_folder, site) = site(&["index.html", "about.html", "docs/index.html", "a.css"]);
        let found = |path: &str| {
            let page = site.find(path)?;
            fs::read_to_string(&page.file).ok()
        };
        for (path, file) in [
            ("/", Some("index.html")),
            ("/index.html", Some("index.html")),
            ("/about", Some("about.html")),
            ("/docs/", Some("docs/index.html")),
            ("/a.css", Some("a.css")),
            ("/docs", None),
            ("/nope", None),
            ("/../index.html", None),
            ("//index.html", None),
        ] {
            assert_eq!(found(path).as_deref(), file, "{path}");
        }
        assert!(site.is_folder("/docs") && !site.is_folder("/about"));
        assert_eq!(
            site.find("/a.css").unwrap().content_type,
            "text/css; charset=utf-8"
        );
    }

    #[test]
    fn a_directory_that_is_not_there_is_an_error() {
        assert!(matches!(
            Site::read(Path::new("/no/such/site")),
            Err(SiteError::Read { .. })
        ));
    }
}
