//! One file to send along with a question: findings, versions and the end of the log, without secrets.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::Finding;

/// The end of a log is where the trouble is.
const LOG_TAIL: u64 = 1 << 20;
const REDACTED: &str = "(redacted)";
/// What follows one of these in a log is nobody's business.
const INTRODUCES_A_SECRET: [&str; 6] = [
    "Bearer ",
    "Basic ",
    "token=",
    "password=",
    "\"token\":\"",
    "\"password\":\"",
];

/// Why the bundle could not be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BundleError {
    #[error("cannot read `{path}`")]
    Read {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("cannot write `{path}`")]
    Write {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("`{path}` is there already")]
    There { path: PathBuf },
}

/// Writes the bundle as a new file and returns the names of its parts.
pub(crate) fn write(
    path: &Path,
    data: &Path,
    findings: &[Finding],
) -> Result<Vec<String>, BundleError> {
    let failed = |cause: io::Error| match cause.kind() {
        io::ErrorKind::AlreadyExists => BundleError::There {
            path: path.to_owned(),
        },
        _ => BundleError::Write {
            path: path.to_owned(),
            cause,
        },
    };
    let secrets = secrets(data)?;
    let mut parts = vec![(
        "findings.json".to_owned(),
        serde_json::to_string_pretty(findings).expect("findings are strings"),
    )];
    for name in ["platform.json", "ports.json", "platform.log"] {
        let file = data.join(name);
        match tail(&file) {
            Ok(text) => parts.push((name.to_owned(), text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(cause) => return Err(BundleError::Read { path: file, cause }),
        }
    }
    let file = File::create_new(path).map_err(failed)?;
    let mut archive = tar::Builder::new(GzEncoder::new(file, Compression::default()));
    for (name, text) in &parts {
        let text = redact(text, &secrets);
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o600);
        archive
            .append_data(
                &mut header,
                format!("foreshore-doctor/{name}"),
                text.as_bytes(),
            )
            .map_err(failed)?;
    }
    archive
        .into_inner()
        .and_then(GzEncoder::finish)
        .and_then(|mut file| file.flush())
        .map_err(failed)?;
    Ok(parts.into_iter().map(|(name, _)| name).collect())
}

/// Every token that stands in a credential file of this platform.
fn secrets(data: &Path) -> Result<Vec<String>, BundleError> {
    let folder = foreshore_server::credentials::directory(data);
    let failed = |path: PathBuf| move |cause| BundleError::Read { path, cause };
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(cause) => return Err(failed(folder)(cause)),
    };
    let mut secrets = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed(folder.clone()))?.path();
        let text = fs::read_to_string(&path).map_err(failed(path.clone()))?;
        let value: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        // A file of another shape is treated as a secret as a whole.
        secrets.push(value["token"].as_str().map_or(text, str::to_owned));
    }
    secrets.retain(|secret| !secret.trim().is_empty());
    Ok(secrets)
}

fn tail(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL)))?;
    let mut bytes = Vec::new();
    file.take(LOG_TAIL).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn redact(text: &str, secrets: &[String]) -> String {
    let mut text = text.to_owned();
    for secret in secrets {
        text = text.replace(secret, REDACTED);
    }
    for start in INTRODUCES_A_SECRET {
        text = redact_after(&text, start);
    }
    text
}

/// Redacts the word after each place where `start` stands.
fn redact_after(text: &str, start: &str) -> String {
    let mut pieces = text.split(start);
    let mut clean = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let end = piece
            .find(|letter: char| letter.is_whitespace() || "\"'&,;".contains(letter))
            .unwrap_or(piece.len());
        clean.push_str(start);
        clean.push_str(REDACTED);
        clean.push_str(&piece[end..]);
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unpack(path: &Path) -> Vec<(String, String)> {
        let mut archive =
            tar::Archive::new(flate2::read::GzDecoder::new(File::open(path).unwrap()));
        archive
            .entries()
            .unwrap()
            .map(|entry| {
                let mut entry = entry.unwrap();
                let name = entry.path().unwrap().display().to_string();
                let mut text = String::new();
                entry.read_to_string(&mut text).unwrap();
                (name, text)
            })
            .collect()
    }

    #[test]
    fn a_bundle_holds_the_log_and_no_secret() {
        let data = tempfile::tempdir().unwrap();
        let folder = foreshore_server::credentials::directory(data.path());
        fs::create_dir_all(&folder).unwrap();
        fs::write(
            folder.join("owner.json"),
            r#"{"server":"http://127.0.0.1:7070","token":"fst_verysecret"}"#,
        )
        .unwrap();
        fs::write(
            data.path().join("platform.log"),
            "started\nsent fst_verysecret\nAuthorization: Bearer abc.def\nGET /?token=q1w2&x=1\n{\"password\":\"hunter2\"}\n",
        )
        .unwrap();
        let path = data.path().join("bundle.tar.gz");
        let finding = Finding::fine("disk", "roomy, fst_verysecret");
        let parts = write(&path, data.path(), &[finding]).unwrap();
        assert_eq!(parts, ["findings.json", "platform.log"]);
        let files = unpack(&path);
        let all = format!("{files:?}");
        for secret in ["fst_verysecret", "abc.def", "q1w2", "hunter2"] {
            assert!(!all.contains(secret), "{secret}: {all}");
        }
        assert_eq!(
            files[1].1,
            "started\nsent (redacted)\nAuthorization: Bearer (redacted)\nGET /?token=(redacted)&x=1\n{\"password\":\"(redacted)\"}\n"
        );
    }

    #[test]
    fn a_file_that_is_there_is_not_overwritten() {
        let data = tempfile::tempdir().unwrap();
        let path = data.path().join("b.tar.gz");
        fs::write(&path, "mine").unwrap();
        let error = write(&path, data.path(), &[]).unwrap_err();
        assert!(matches!(error, BundleError::There { .. }), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
    }
}
