//! What a path below `/v2/` means.
//!
//! Repository names contain slashes, so a path is read from its end.

use foreshore_image::{check_repository, check_tag};
use foreshore_model::Digest;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Route<'a> {
    Ping,
    Blob {
        repository: &'a str,
        digest: Digest,
    },
    Uploads {
        repository: &'a str,
    },
    Upload {
        repository: &'a str,
        id: &'a str,
    },
    /// The target is a tag or a digest.
    Manifest {
        repository: &'a str,
        target: &'a str,
    },
    Tags {
        repository: &'a str,
    },
    Referrers {
        repository: &'a str,
        digest: Digest,
    },
}

impl<'a> Route<'a> {
    pub(super) fn parse(path: &'a str) -> Option<Self> {
        let rest = path.strip_prefix("/v2")?;
        if matches!(rest, "" | "/") {
            return Some(Self::Ping);
        }
        let rest = rest.strip_prefix('/')?;
        let (head, last) = rest.rsplit_once('/')?;
        let route = if let Some(repository) = head.strip_suffix("/blobs/uploads") {
            match last {
                "" => Self::Uploads { repository },
                id if id.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
                    Self::Upload { repository, id }
                }
                _ => return None,
            }
        } else if let Some(repository) = rest.strip_suffix("/blobs/uploads") {
            Self::Uploads { repository }
        } else if let Some(repository) = rest.strip_suffix("/tags/list") {
            Self::Tags { repository }
        } else if let Some(repository) = head.strip_suffix("/blobs") {
            Self::Blob {
                repository,
                digest: last.parse().ok()?,
            }
        } else if let Some(repository) = head.strip_suffix("/referrers") {
            Self::Referrers {
                repository,
                digest: last.parse().ok()?,
            }
        } else {
            let repository = head.strip_suffix("/manifests")?;
            if check_tag(last).is_err() && last.parse::<Digest>().is_err() {
                return None;
            }
            Self::Manifest {
                repository,
                target: last,
            }
        };
        check_repository(route.repository()).ok()?;
        Some(route)
    }

    /// Returns the repository, empty for none.
    pub(super) fn repository(&self) -> &'a str {
        match self {
            Self::Ping => "",
            Self::Blob { repository, .. }
            | Self::Uploads { repository }
            | Self::Upload { repository, .. }
            | Self::Manifest { repository, .. }
            | Self::Tags { repository }
            | Self::Referrers { repository, .. } => repository,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_from_their_end() {
        let digest = Digest::of(b"x");
        let parse = |path: &'static str| Route::parse(path).unwrap();
        assert_eq!(parse("/v2/"), Route::Ping);
        assert_eq!(
            parse("/v2/a/b/manifests/v1"),
            Route::Manifest {
                repository: "a/b",
                target: "v1"
            }
        );
        assert_eq!(
            parse("/v2/manifests/manifests/v1"),
            Route::Manifest {
                repository: "manifests",
                target: "v1"
            }
        );
        assert_eq!(
            parse("/v2/a/blobs/uploads/"),
            Route::Uploads { repository: "a" }
        );
        assert_eq!(
            parse("/v2/a/blobs/uploads"),
            Route::Uploads { repository: "a" }
        );
        assert_eq!(
            parse("/v2/a/blobs/uploads/0af"),
            Route::Upload {
                repository: "a",
                id: "0af"
            }
        );
        assert_eq!(parse("/v2/a/tags/list"), Route::Tags { repository: "a" });
        let path = format!("/v2/a/blobs/{digest}");
        assert_eq!(
            Route::parse(&path),
            Some(Route::Blob {
                repository: "a",
                digest
            })
        );
    }

    #[test]
    fn paths_that_could_leave_the_registry_are_no_routes() {
        for path in [
            "/v3/a/tags/list",
            "/v2/../a/tags/list",
            "/v2/A/tags/list",
            "/v2//tags/list",
            "/v2/a/manifests/..",
            "/v2/a/manifests/",
            "/v2/a/blobs/sha256:0",
            "/v2/a/blobs/uploads/../../x",
            "/v2/a/b",
            "/v2/%2e%2e/tags/list",
        ] {
            assert_eq!(Route::parse(path), None, "{path}");
        }
    }
}
