//! Smart HTTP against the real client, on loopback.

use std::sync::Arc;
use std::time::Duration;

use foreshore_git::smart_http::{Access, Authorizer, Credentials, Options, Permission, router};
use foreshore_git::{
    Change, Credential, Expected, FetchError, Push, PushError, Remote, Repository,
};
use secrecy::ExposeSecret as _;

use crate::{MAIN, commit, git, repository, write_file};

/// `reader` reads, `writer` writes, everybody else must log in.
struct Names;

#[async_trait::async_trait]
impl Authorizer for Names {
    async fn authorize(&self, credentials: Option<Credentials>, access: Access) -> Permission {
        let token = match &credentials {
            Some(Credentials::Basic { password, .. }) => password.expose_secret(),
            Some(Credentials::Bearer(token)) => token.expose_secret(),
            None => "",
        };
        match (token, access) {
            ("writer", _) | ("reader", Access::Read) => Permission::Granted,
            ("reader", Access::Write) => Permission::Denied {
                reason: "read-only".to_owned(),
            },
            _ => Permission::LoginNeeded,
        }
    }
}

/// A served repository; the server dies with it.
struct Served {
    _runtime: tokio::runtime::Runtime,
    folder: tempfile::TempDir,
    repository: Repository,
    address: std::net::SocketAddr,
}

impl Served {
    fn start(change: impl FnOnce(&mut Options)) -> Self {
        let (folder, repository) = repository();
        let mut options = Options::new(Arc::new(Names));
        change(&mut options);
        let app = axum::Router::new().nest("/git/config.git", router(repository.clone(), options));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime
            .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
            .unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self {
            _runtime: runtime,
            folder,
            repository,
            address,
        }
    }

    fn url(&self) -> String {
        format!("http://{}/git/config.git", self.address)
    }

    fn remote(&self, token: &str) -> Remote {
        Remote::new(self.url(), Credential::Bearer(token.into()))
    }

    fn other(&self) -> Repository {
        Repository::init_bare(self.folder.path().join("other.git")).unwrap()
    }
}

fn push_of(new: &foreshore_git::ObjectId, expected: Expected) -> Push {
    Push {
        name: MAIN.to_owned(),
        new: Some(new.clone()),
        expected,
    }
}

#[test]
fn plain_git_clones_commits_and_pushes() {
    let pushes = Arc::new(std::sync::atomic::AtomicU32::new(0));
    let served = Served::start(|options| {
        let pushes = pushes.clone();
        options.after_push = Some(Arc::new(move || {
            pushes.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        }));
    });
    write_file(&served.repository, "a", "1");
    let url = format!("http://x:writer@{}/git/config.git", served.address);
    for version in ["0", "2"] {
        let name = format!("clone{version}");
        let protocol = format!("protocol.version={version}");
        git(
            served.folder.path(),
            &["-c", &protocol, "clone", "--quiet", &url, &name],
        );
        let clone = served.folder.path().join(&name);
        std::fs::write(clone.join(&name), "2").unwrap();
        git(&clone, &["add", "."]);
        git(&clone, &["commit", "--quiet", "-m", "by hand"]);
        git(&clone, &["push", "--quiet", "origin", "main"]);
        let tip = git(&clone, &["rev-parse", "HEAD"]);
        assert_eq!(
            served.repository.resolve(MAIN).unwrap().unwrap().as_str(),
            tip.trim()
        );
    }
    assert_eq!(pushes.load(std::sync::atomic::Ordering::SeqCst), 2);
    served.repository.check().unwrap();
}

#[test]
fn a_question_of_many_commits_is_gzipped_and_understood() {
    let served = Served::start(|_| {});
    let other = served.other();
    for number in 0..3 {
        write_file(&served.repository, "a", &number.to_string());
    }
    let remote = served.remote("reader");
    other
        .fetch(&remote, &["+refs/heads/main:refs/heads/main"])
        .unwrap();
    // The client gzips what is longer than a kilobyte: make it say it has many commits.
    for number in 0..60 {
        let commit = commit("side", vec![Change::write("side", number.to_string())]);
        other
            .commit(&format!("refs/heads/side{number}"), None, vec![commit])
            .unwrap();
    }
    let tip = write_file(&served.repository, "a", "next");
    other
        .fetch(&remote, &["+refs/heads/main:refs/heads/main"])
        .unwrap();
    assert_eq!(other.resolve(MAIN).unwrap(), Some(tip));
}

#[test]
fn a_large_push_arrives_whole_and_a_too_large_one_not_at_all() {
    let served = Served::start(|options| options.push_bytes_max = 3 * 1024 * 1024);
    let other = served.other();
    // Bytes that do not compress, more than the client sends in one piece.
    let noise = |mut state: u64, length: usize| -> Vec<u8> {
        let mut next = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            state.to_be_bytes()[0]
        };
        (0..length).map(|_| next()).collect()
    };
    let ids = other
        .commit(
            MAIN,
            None,
            vec![commit(
                "large",
                vec![Change::write("a", noise(1, 2_000_000))],
            )],
        )
        .unwrap();
    other
        .push(
            &served.remote("writer"),
            &[push_of(&ids[0], Expected::Absent)],
        )
        .unwrap();
    assert_eq!(
        served.repository.read_path(&ids[0], "a").unwrap().unwrap(),
        noise(1, 2_000_000)
    );
    let large = commit("larger", vec![Change::write("a", noise(2, 4_000_000))]);
    let more = other.commit(MAIN, Some(&ids[0]), vec![large]).unwrap();
    let result = other.push(
        &served.remote("writer"),
        &[push_of(&more[0], Expected::At(ids[0].clone()))],
    );
    assert!(result.is_err());
    assert_eq!(
        served.repository.resolve(MAIN).unwrap().as_ref(),
        Some(&ids[0])
    );
}

#[test]
fn each_failure_of_the_other_side_has_its_own_type() {
    let served = Served::start(|_| {});
    let other = served.other();
    let spec = ["+refs/heads/main:refs/heads/main"];
    let fetch = |remote: &Remote| other.fetch(remote, &spec).unwrap_err();
    assert!(matches!(
        fetch(&served.remote("reader")),
        FetchError::NoRef { .. }
    ));
    assert!(matches!(
        fetch(&served.remote("stranger")),
        FetchError::Unauthorized { .. }
    ));
    let nowhere = Remote::new(
        format!("http://{}/git/other.git", served.address),
        Credential::None,
    );
    assert!(matches!(fetch(&nowhere), FetchError::NoRepository { .. }));
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let closed = Remote::new(format!("http://{closed}/x.git"), Credential::None);
    assert!(matches!(fetch(&closed), FetchError::Unreachable { .. }));

    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut silent = Remote::new(
        format!("http://{}/x.git", silent.local_addr().unwrap()),
        Credential::None,
    );
    silent.deadline = Duration::from_millis(300);
    let error = fetch(&silent);
    assert!(
        matches!(
            error,
            FetchError::Git(foreshore_git::GitError::Deadline { .. })
        ),
        "{error}"
    );

    let tip = write_file(&other, "a", "1");
    let push =
        |token: &str, expected| other.push(&served.remote(token), &[push_of(&tip, expected)]);
    let error = push("reader", Expected::Absent).unwrap_err();
    assert!(matches!(error, PushError::Unauthorized { .. }), "{error}");
    push("writer", Expected::Absent).unwrap();
    let served_tip = write_file(&served.repository, "a", "2");
    let next = write_file(&other, "b", "1");
    let stale = other
        .push(
            &served.remote("writer"),
            &[push_of(&next, Expected::At(tip.clone()))],
        )
        .unwrap_err();
    assert!(matches!(stale, PushError::Stale { .. }), "{stale}");
    let back = other
        .push(
            &served.remote("writer"),
            &[push_of(&next, Expected::At(served_tip.clone()))],
        )
        .unwrap_err();
    assert!(
        matches!(back, PushError::Stale { .. } | PushError::Rejected { .. }),
        "{back}"
    );
    assert_eq!(served.repository.resolve(MAIN).unwrap(), Some(served_tip));
}

#[test]
fn a_stranger_is_asked_to_log_in_and_a_reader_cannot_write() {
    let served = Served::start(|_| {});
    let ask = |path: &str, token: Option<&str>| -> String {
        use std::io::{Read as _, Write as _};
        let mut stream = std::net::TcpStream::connect(served.address).unwrap();
        let token = token
            .map(|token| format!("Authorization: Bearer {token}\r\n"))
            .unwrap_or_default();
        write!(
            stream,
            "GET /git/config.git{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{token}\r\n"
        )
        .unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    };
    let answer = ask("/info/refs?service=git-upload-pack", None);
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    assert!(answer.contains("www-authenticate: Basic"), "{answer}");
    assert!(ask("/info/refs?service=git-upload-pack", Some("reader")).starts_with("HTTP/1.1 200"));
    let answer = ask("/info/refs?service=git-receive-pack", Some("reader"));
    assert!(
        answer.starts_with("HTTP/1.1 403") && answer.contains("read-only"),
        "{answer}"
    );
    assert!(
        ask("/info/refs", Some("reader")).starts_with("HTTP/1.1 403"),
        "the dumb protocol is not served"
    );
    assert!(ask("/objects/info/packs", Some("writer")).starts_with("HTTP/1.1 404"));
}
