//! Names of images as people and pods write them: `host:port/repository[:tag][@digest]`.

use std::fmt;
use std::str::FromStr;

use foreshore_model::Digest;
use foreshore_model::digest::DigestError;

/// The host that names without a host mean, and the address it answers at.
const DEFAULT_REGISTRY: &str = "docker.io";
const DEFAULT_REGISTRY_ADDRESS: &str = "registry-1.docker.io";
/// Longest repository path (distribution specification: host and path fit 255).
const REPOSITORY_BYTES_MAX: usize = 255;
const TAG_BYTES_MAX: usize = 128;

/// An image in a registry.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// Why a text does not name an image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    #[error("the image name is empty")]
    Empty,
    #[error("image name `{text}` has a wrong host `{host}`")]
    Host { text: String, host: String },
    #[error(
        "repository `{repository}` is not allowed (lower-case letters, digits and single `.`, `_`, `-` \
         between them, parts joined by `/`)"
    )]
    Repository { repository: String },
    #[error(
        "tag `{tag}` is not allowed (letters, digits, `_`, `.`, `-`; at most {TAG_BYTES_MAX}; no `.` or `-` first)"
    )]
    Tag { tag: String },
    #[error("image name `{text}` has a wrong digest")]
    Digest {
        text: String,
        #[source]
        cause: DigestError,
    },
}

/// Checks a repository path such as `artifacts/web`.
pub fn check_repository(repository: &str) -> Result<(), ReferenceError> {
    let part_is_valid = |part: &str| {
        let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let bytes = part.as_bytes();
        let (Some(&first), Some(&last)) = (bytes.first(), bytes.last()) else {
            return false;
        };
        let separators = part.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
        let separated = separators
            .filter(|run| !run.is_empty())
            .all(|run| matches!(run, "." | "_" | "__") || run.bytes().all(|b| b == b'-'));
        inner(first) && inner(last) && separated
    };
    let valid =
        repository.len() <= REPOSITORY_BYTES_MAX && repository.split('/').all(part_is_valid);
    if valid {
        Ok(())
    } else {
        Err(ReferenceError::Repository {
            repository: repository.chars().take(300).collect(),
        })
    }
}

/// Checks a tag.
pub fn check_tag(tag: &str) -> Result<(), ReferenceError> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let valid = tag.len() <= TAG_BYTES_MAX
        && tag.starts_with(word)
        && tag.chars().all(|c| word(c) || matches!(c, '.' | '-'));
    if valid {
        Ok(())
    } else {
        Err(ReferenceError::Tag {
            tag: tag.chars().take(140).collect(),
        })
    }
}

fn is_host(part: &str) -> bool {
    part == "localhost" || part.contains(['.', ':']) || part.starts_with('[')
}

fn check_host(text: &str, host: &str) -> Result<(), ReferenceError> {
    let wrong = || ReferenceError::Host {
        text: text.to_owned(),
        host: host.to_owned(),
    };
    let url = url::Url::parse(&format!("https://{host}/")).map_err(|_| wrong())?;
    let plain = url.username().is_empty() && url.password().is_none() && url.path() == "/";
    let named = url.host_str().is_some() && url.query().is_none() && url.fragment().is_none();
    if plain && named { Ok(()) } else { Err(wrong()) }
}

impl Reference {
    /// Names `repository` in `registry` by its content.
    pub fn by_digest(
        registry: &str,
        repository: &str,
        digest: Digest,
    ) -> Result<Self, ReferenceError> {
        check_host(registry, registry)?;
        check_repository(repository)?;
        Ok(Self {
            registry: registry.to_owned(),
            repository: repository.to_owned(),
            tag: None,
            digest: Some(digest),
        })
    }

    /// Returns `host[:port]`.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// Returns the `host[:port]` to connect to.
    pub fn address(&self) -> &str {
        if self.registry == DEFAULT_REGISTRY {
            DEFAULT_REGISTRY_ADDRESS
        } else {
            &self.registry
        }
    }

    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// Returns the tag; a name with neither tag nor digest has the tag `latest`.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// Returns what a registry is asked for: the digest where there is one.
    pub fn target(&self) -> &str {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.as_str(),
            (None, Some(tag)) => tag,
            (None, None) => "latest",
        }
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        if text.is_empty() {
            return Err(ReferenceError::Empty);
        }
        let (name, digest) = match text.split_once('@') {
            None => (text, None),
            Some((name, digest)) => {
                let digest = digest.parse().map_err(|cause| ReferenceError::Digest {
                    text: text.to_owned(),
                    cause,
                })?;
                (name, Some(digest))
            }
        };
        let (registry, path) = match name.split_once('/') {
            Some((host, path)) if is_host(host) => {
                check_host(text, host)?;
                (host, path)
            }
            _ => (DEFAULT_REGISTRY, name),
        };
        let (path, tag) = match path.rsplit_once(':') {
            None => (path, None),
            Some((path, tag)) => {
                check_tag(tag)?;
                (path, Some(tag.to_owned()))
            }
        };
        let official = registry == DEFAULT_REGISTRY && !path.contains('/');
        let repository = if official {
            format!("library/{path}")
        } else {
            path.to_owned()
        };
        check_repository(path)?;
        let tag = if tag.is_none() && digest.is_none() {
            Some("latest".to_owned())
        } else {
            tag
        };
        Ok(Self {
            registry: registry.to_owned(),
            repository,
            tag,
            digest,
        })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(text.parse::<Reference>().unwrap().to_string(), expected);
    }

    #[test]
    fn a_name_is_completed_the_way_kubernetes_does() {
        check("nginx", "docker.io/library/nginx:latest");
        check("team/web:1", "docker.io/team/web:1");
        check("127.0.0.1:5000/web", "127.0.0.1:5000/web:latest");
        check("localhost/a/b:v1", "localhost/a/b:v1");
        check("[::1]:5000/web:1", "[::1]:5000/web:1");
        let digest = Digest::of(b"x");
        check(&format!("r.io/web@{digest}"), &format!("r.io/web@{digest}"));
        check(
            &format!("r.io:443/web:1@{digest}"),
            &format!("r.io:443/web:1@{digest}"),
        );
    }

    #[test]
    fn a_digest_wins_over_a_tag() {
        let digest = Digest::of(b"x");
        let reference: Reference = format!("r.io/web:1@{digest}").parse().unwrap();
        assert_eq!(reference.target(), digest.as_str());
    }

    #[test]
    fn names_that_could_leave_their_folder_are_refused() {
        for text in [
            "",
            "r.io/",
            "r.io/../web",
            "r.io/Web",
            "r.io/web:",
            "r.io/web:.a",
            "r.io//web",
            "web@sha256:0",
            "r.io/a..b",
            "r.io/-a",
            "r.io/a_",
            "user@r.io/web",
            "r.io:x/web",
            "r.io/we b",
            "r.io/%2e%2e/web",
        ] {
            assert!(text.parse::<Reference>().is_err(), "{text}");
        }
    }
}
