//! What a backup holds, refuses and never does by half.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use foreshore_git::Repository;

use super::*;

fn now() -> Timestamp {
    "2026-11-20T12:00:00Z".parse().unwrap()
}

/// A state as a platform leaves it.
fn state(data: &Path) {
    for folder in [
        "credentials",
        "server/registry/blobs/sha256",
        "server/registry/incoming",
    ] {
        fs::create_dir_all(data.join(folder)).unwrap();
    }
    Repository::init_bare(data.join("server/config.git")).unwrap();
    for (name, content) in [
        ("credentials/owner.json", "{\"token\":\"t\"}"),
        ("credentials/agent.agekey", "key"),
        ("server/signing.key", "key"),
        ("server/registry/journal", "line\n"),
        ("server/registry/blobs/sha256/aa", "blob"),
        ("server/registry/incoming/half", "no"),
        ("server/.draft", "no"),
        ("ports.json", "{}"),
    ] {
        fs::write(data.join(name), content).unwrap();
    }
    let database = rusqlite::Connection::open(data.join("server/server.db")).unwrap();
    database
        .execute_batch("PRAGMA journal_mode=WAL; CREATE TABLE t (x); INSERT INTO t VALUES (7)")
        .unwrap();
}

/// Gives the config repository one commit on main and one on a side ref.
fn commit(data: &Path) {
    let repository = data.join("server/config.git");
    let run = |words: &[&str]| {
        let output = Command::new("git")
            .arg("--git-dir")
            .arg(&repository)
            .args(["-c", "user.name=a", "-c", "user.email=a@b"])
            .args(words)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(output.status.success(), "{words:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let tree = run(&["hash-object", "-w", "-t", "tree", "/dev/null"]);
    let one = run(&["commit-tree", &tree, "-m", "one"]);
    let two = run(&["commit-tree", &tree, "-m", "two"]);
    run(&["update-ref", "refs/heads/main", &one]);
    run(&["update-ref", "refs/foreshore/outcomes", &two]);
}

#[test]
fn a_state_comes_back_as_it_was_without_what_was_unfinished() {
    let folder = tempfile::tempdir().unwrap();
    let (data, back) = (folder.path().join("data"), folder.path().join("back"));
    state(&data);
    commit(&data);
    let path = folder.path().join("b.tar.gz");
    assert!(pack(&data, &path, now()).unwrap() > 0);
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    fs::create_dir(&back).unwrap();
    assert_eq!(unpack(&path, &back).unwrap().made_at, now());
    for name in [
        "credentials/owner.json",
        "credentials/agent.agekey",
        "server/signing.key",
        "server/registry/journal",
        "server/registry/blobs/sha256/aa",
        "ports.json",
    ] {
        let read = |root: &Path| fs::read(root.join(name)).unwrap();
        assert_eq!(read(&data), read(&back), "{name}");
    }
    for gone in ["server/.draft", "server/registry/incoming", "config.bundle"] {
        assert!(!back.join(gone).exists(), "{gone}");
    }
    let database = rusqlite::Connection::open(back.join("server/server.db")).unwrap();
    let kept: i64 = database
        .query_row("SELECT x FROM t", [], |row| row.get(0))
        .unwrap();
    assert_eq!(kept, 7);
    for name in ["refs/heads/main", "refs/foreshore/outcomes"] {
        let tip = |root: &Path| {
            let repository = Repository::open(root.join("server/config.git")).unwrap();
            repository.resolve(name).unwrap().unwrap()
        };
        assert_eq!(tip(&data), tip(&back));
    }
    let left: Vec<_> = fs::read_dir(&data)
        .unwrap()
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with('.'))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_backup_that_is_cut_short_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    state(&data);
    commit(&data);
    let path = folder.path().join("b.tar.gz");
    pack(&data, &path, now()).unwrap();
    let whole = fs::read(&path).unwrap();
    for length in [0, 10, whole.len() / 2, whole.len() - 9] {
        let cut = folder.path().join("cut.tar.gz");
        fs::write(&cut, &whole[..length]).unwrap();
        let back = folder.path().join("back");
        let error = unpack(&cut, &back).unwrap_err();
        assert!(
            matches!(error, BackupError::Damaged { .. }),
            "{length}: {error}"
        );
        assert!(!back.exists());
    }
    let names: Vec<_> = fs::read_dir(folder.path()).unwrap().flatten().collect();
    assert_eq!(names.len(), 3, "{names:?}");
}

#[test]
fn nothing_is_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    state(&data);
    commit(&data);
    let path = folder.path().join("b.tar.gz");
    fs::write(&path, "mine").unwrap();
    let error = pack(&data, &path, now()).unwrap_err();
    assert!(matches!(error, BackupError::There { .. }), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
    let other = folder.path().join("c.tar.gz");
    pack(&data, &other, now()).unwrap();
    let error = unpack(&other, &data).unwrap_err();
    assert!(matches!(error, BackupError::NotEmpty { .. }), "{error}");
    let empty = folder.path().join("empty");
    let error = pack(&empty, &folder.path().join("d"), now()).unwrap_err();
    assert!(matches!(error, BackupError::NoState { .. }), "{error}");
}

#[test]
fn a_name_that_leads_elsewhere_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("evil.tar.gz");
    for name in ["server/../../evil", "evil", "credentials"] {
        let open = fs::File::create(&path).unwrap();
        let gzip = flate2::write::GzEncoder::new(open, flate2::Compression::fast());
        let mut archive = tar::Builder::new(gzip);
        let about = About {
            format: FORMAT,
            program: "1".into(),
            made_at: now(),
        };
        let about = serde_json::to_vec(&about).unwrap();
        for (name, bytes) in [(ABOUT, about.as_slice()), (name, b"x"), (END, b"")] {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_cksum();
            archive.append(&header, bytes).unwrap();
        }
        archive.into_inner().unwrap().finish().unwrap();
        let error = unpack(&path, &folder.path().join("back")).unwrap_err();
        assert!(
            matches!(error, BackupError::Damaged { .. }),
            "{name}: {error}"
        );
    }
    assert!(!folder.path().join("evil").exists());
}

#[test]
fn a_backup_of_a_newer_version_is_refused_by_its_version() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new.tar.gz");
    let gzip = flate2::write::GzEncoder::new(
        fs::File::create(&path).unwrap(),
        flate2::Compression::fast(),
    );
    let mut archive = tar::Builder::new(gzip);
    let about = r#"{"format":99,"program":"7.0.0","made_at":"2030-01-01T00:00:00Z"}"#;
    let mut header = tar::Header::new_gnu();
    header.set_size(about.len() as u64);
    archive
        .append_data(&mut header, ABOUT, about.as_bytes())
        .unwrap();
    archive.into_inner().unwrap().finish().unwrap();
    let error = unpack(&path, &folder.path().join("back")).unwrap_err();
    assert!(error.to_string().contains("7.0.0"), "{error}");
}
