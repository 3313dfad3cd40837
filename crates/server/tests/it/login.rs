//! The door beyond loopback: TLS, a login, and nothing for whoever has neither session nor token.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use foreshore_server::login::{NewUser, Password, Role, Users};
use foreshore_server::{
    CertificateFiles, Options, Public, Server, ServerError, TlsError, credentials,
};
use reqwest::{Client, Response, StatusCode, header, redirect};
use tokio_util::sync::CancellationToken;

const NAME: &str = "foreshore.test";
const PASSWORD: &str = "correct horse battery";

struct Guarded {
    folder: tempfile::TempDir,
    address: SocketAddr,
    server: Server,
    shutdown: CancellationToken,
}

impl Drop for Guarded {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// Writes a certificate that signs itself; returns it.
fn certify(files: &CertificateFiles) -> String {
    let issued = rcgen::generate_simple_self_signed(vec![NAME.to_owned()]).unwrap();
    // The key last: in between the old pair serves on.
    std::fs::write(&files.certificate, issued.cert.pem()).unwrap();
    std::fs::write(&files.key, issued.signing_key.serialize_pem()).unwrap();
    issued.cert.pem()
}

fn files(folder: &tempfile::TempDir) -> CertificateFiles {
    CertificateFiles {
        certificate: folder.path().join("tls.crt"),
        key: folder.path().join("tls.key"),
    }
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap())
}

fn make_user(users: &Users, name: &str, role: Role) {
    let user = NewUser {
        name: name.to_owned(),
        email: None,
        role,
    };
    let password = Password::chosen(PASSWORD, name).unwrap();
    users
        .add(&user, &password, foreshore_model::clock::now())
        .unwrap();
}

async fn start(
    folder: &tempfile::TempDir,
    shutdown: &CancellationToken,
) -> Result<(Server, SocketAddr), ServerError> {
    foreshore_cluster::install_tls_provider();
    let listen = || {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        listener
    };
    let public = Public {
        listener: listen(),
        files: files(folder),
    };
    let address = public.listener.local_addr().unwrap();
    let options = Options::new(folder.path().to_owned(), listen());
    let server = Server::start_behind_login(options, Some(public), shutdown.clone()).await?;
    Ok((server, address))
}

impl Guarded {
    async fn new() -> (Self, Client) {
        let (folder, shutdown) = (folder(), CancellationToken::new());
        let users = Users::open(folder.path()).unwrap();
        make_user(&users, "ada", Role::Operator);
        make_user(&users, "vera", Role::Viewer);
        let certificate = certify(&files(&folder));
        let (server, address) = start(&folder, &shutdown).await.unwrap();
        let guarded = Self {
            folder,
            address,
            server,
            shutdown,
        };
        let client = guarded.client(&certificate);
        (guarded, client)
    }

    /// A browser, more or less: it trusts this certificate and follows nothing by itself.
    fn client(&self, certificate: &str) -> Client {
        let certificate = reqwest::Certificate::from_pem(certificate.as_bytes()).unwrap();
        Client::builder()
            .tls_certs_only([certificate])
            .resolve(NAME, self.address)
            .redirect(redirect::Policy::none())
            .build()
            .unwrap()
    }

    fn url(&self, path: &str) -> String {
        format!("https://{NAME}:{}{path}", self.address.port())
    }

    async fn get(&self, client: &Client, path: &str, session: &str) -> Response {
        let request = client
            .get(self.url(path))
            .header(header::ACCEPT, "text/html")
            .header(header::COOKIE, format!("__Host-foreshore={session}"));
        request.send().await.unwrap()
    }

    async fn enter(&self, client: &Client, name: &str, password: &str) -> Response {
        let form = format!("name={name}&password={}", password.replace(' ', "+"));
        let request = client
            .post(self.url("/login"))
            .header("sec-fetch-site", "same-origin")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form);
        request.send().await.unwrap()
    }

    async fn log_in(&self, client: &Client, name: &str) -> String {
        let answer = self.enter(client, name, PASSWORD).await;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER);
        let cookie = answer.headers()[header::SET_COOKIE].to_str().unwrap();
        for part in ["; HttpOnly", "; Secure", "; SameSite=Strict", "; Path=/"] {
            assert!(cookie.contains(part), "{cookie}");
        }
        let (_, rest) = cookie.split_once("__Host-foreshore=").unwrap();
        rest.split_once(';').unwrap().0.to_owned()
    }

    fn token(&self, name: &str) -> String {
        credentials::read(self.folder.path(), name).unwrap().token
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_opens_beyond_loopback_without_a_user_and_a_certificate() {
    let (folder, shutdown) = (folder(), CancellationToken::new());
    certify(&files(&folder));
    let refused = start(&folder, &shutdown).await.unwrap_err();
    assert!(matches!(refused, ServerError::NobodyCanLogIn), "{refused}");
    make_user(&Users::open(folder.path()).unwrap(), "ada", Role::Admin);
    std::fs::write(files(&folder).certificate, "nonsense").unwrap();
    let refused = start(&folder, &shutdown).await.unwrap_err();
    assert!(
        matches!(refused, ServerError::Tls(TlsError::Certificate { .. })),
        "{refused}"
    );
    std::fs::remove_file(files(&folder).key).unwrap();
    let refused = start(&folder, &shutdown).await.unwrap_err();
    assert!(
        matches!(refused, ServerError::Tls(TlsError::Read { .. })),
        "{refused}"
    );
    // The plain door refuses any address that is not loopback, login or not.
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let options = Options::new(folder.path().to_owned(), listener);
    let refused = Server::start_behind_login(options, None, shutdown)
        .await
        .unwrap_err();
    assert!(
        refused.to_string().contains("neither login nor TLS"),
        "{refused}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_for_sessions_and_the_api_is_for_tokens() {
    let (guarded, client) = Guarded::new().await;
    let answer = guarded.get(&client, "/pods", "").await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    assert!(
        answer
            .headers()
            .contains_key(header::STRICT_TRANSPORT_SECURITY)
    );
    let session = guarded.log_in(&client, "ada").await;
    let page = guarded.get(&client, "/pods", &session).await;
    assert_eq!(page.status(), StatusCode::OK);
    assert!(page.text().await.unwrap().contains("Log out"));
    // A cookie is no credential of the API, and the API's doors know no anonymous.
    for path in [
        "/api/v1/status",
        "/v2/",
        "/v2/web/manifests/latest",
        "/git/config.git/info/refs?service=git-upload-pack",
        "/inside/world",
    ] {
        let answer = guarded.get(&client, path, &session).await;
        let status = answer.status();
        assert!(
            status == StatusCode::UNAUTHORIZED || status == StatusCode::NOT_FOUND,
            "{path}: {status}"
        );
    }
    let metrics = guarded.get(&client, "/metrics", &session).await;
    assert_ne!(
        metrics.status(),
        StatusCode::OK,
        "figures are for this machine"
    );
    let health = guarded.get(&client, "/healthz", "").await;
    assert_eq!(health.status(), StatusCode::OK);
    // Machines go on with their tokens.
    let status = client
        .get(guarded.url("/api/v1/status"))
        .bearer_auth(guarded.token("owner"));
    assert_eq!(status.send().await.unwrap().status(), StatusCode::OK);
    // Plain HTTP is not spoken there.
    let plain = client.get(guarded.url("/healthz").replace("https", "http"));
    assert!(plain.send().await.is_err());
    // On loopback the pages ask as well, with a cookie of their own.
    let url = format!("{}/pods", guarded.server.url());
    let answer = client
        .get(url)
        .header(header::ACCEPT, "text/html")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_credential_is_nobody() {
    let (guarded, client) = Guarded::new().await;
    let token = guarded.token("owner");
    for value in [
        String::new(),
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        token.clone(),
        format!("bearer{token}"),
        format!("Basic {token}"),
        format!("Bearer {token} x"),
        format!("Bearer {}", &token[1..]),
        format!("Bearer Bearer {token}"),
        "Bearer null".to_owned(),
        "Bearer *".to_owned(),
    ] {
        let request = client
            .get(guarded.url("/api/v1/status"))
            .header(header::AUTHORIZATION, &value);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{value}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_at_once_wherever_it_is_ended() {
    let (guarded, client) = Guarded::new().await;
    let session = guarded.log_in(&client, "ada").await;
    let mut stream = guarded.get(&client, "/live/pods", &session).await;
    assert_eq!(stream.status(), StatusCode::OK);
    // As `foreshore user logout` does, in a process of its own.
    let users = Users::open(guarded.folder.path()).unwrap();
    assert_eq!(users.end_sessions("ada").unwrap(), 1);
    assert_eq!(
        guarded.get(&client, "/pods", &session).await.status(),
        StatusCode::SEE_OTHER
    );
    let ended = tokio::time::timeout(Duration::from_mins(1), async {
        while stream.chunk().await.unwrap().is_some() {}
    });
    ended.await.expect("an open page ends with its session");
    let session = guarded.log_in(&client, "ada").await;
    users.remove("ada").unwrap();
    assert_eq!(
        guarded.get(&client, "/pods", &session).await.status(),
        StatusCode::SEE_OTHER
    );
    let gone = guarded.enter(&client, "ada", PASSWORD).await;
    assert_eq!(gone.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_guesses_has_to_wait_and_nobody_else_does() {
    let (guarded, client) = Guarded::new().await;
    let mut answers = Vec::new();
    for _ in 0..6 {
        answers.push(guarded.enter(&client, "ada", "wrong").await.status());
    }
    assert_eq!(answers[..5], [StatusCode::UNAUTHORIZED; 5]);
    // A slow machine may have let the second of waiting pass; the next wait is longer.
    let mut last = answers[5];
    while last == StatusCode::UNAUTHORIZED {
        last = guarded.enter(&client, "ada", "wrong").await.status();
    }
    assert_eq!(last, StatusCode::TOO_MANY_REQUESTS);
    let page = guarded.enter(&client, "nobody", "wrong").await;
    assert_eq!(page.status(), StatusCode::UNAUTHORIZED);
    assert!(
        page.text()
            .await
            .unwrap()
            .contains("the name or the password is wrong")
    );
    guarded.log_in(&client, "vera").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_certificate_is_shown_without_a_restart() {
    let (guarded, old) = Guarded::new().await;
    assert_eq!(
        guarded.get(&old, "/healthz", "").await.status(),
        StatusCode::OK
    );
    let certificate = certify(&files(&guarded.folder));
    let limit = tokio::time::Instant::now() + Duration::from_mins(1);
    loop {
        // A new client each time: an open connection keeps the certificate it has seen.
        let request = guarded.client(&certificate).get(guarded.url("/healthz"));
        if request.send().await.is_ok() {
            break;
        }
        assert!(tokio::time::Instant::now() < limit, "it was never shown");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
