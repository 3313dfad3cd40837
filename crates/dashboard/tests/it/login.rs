//! Where a login is needed: nothing without a session, and no more than its holder may.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use foreshore_dashboard::{Attempt, Login, LoginError, Sign, Ticket, Visitor};
use foreshore_identity::{Principal, Right};
use foreshore_model::Actor;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::{Method, Request, header};
use secrecy::ExposeSecret as _;

use crate::stage::{Answer, HOST, Stage, body, form, send, token};

const PASSWORD: &str = "correct horse battery";
const COOKIE: &str = "foreshore-session";

/// Three people with one password, and their sessions.
#[derive(Debug, Default)]
struct People {
    sessions: Mutex<BTreeMap<String, Principal>>,
    count: Mutex<u32>,
    from: Mutex<Vec<IpAddr>>,
}

fn person(name: &str) -> Option<Principal> {
    let rights: &[Right] = match name {
        "vera" => &[Right::Read],
        "ada" | "grace" => &[Right::Read, Right::Release],
        "ci" => &[],
        _ => return None,
    };
    Some(Principal {
        actor: Actor::new(name, format!("{name}@example.org")),
        rights: rights.to_vec(),
    })
}

impl Login for People {
    fn enter(&self, attempt: Attempt) -> BoxFuture<'_, Result<Ticket, LoginError>> {
        self.from.lock().unwrap().push(attempt.from);
        let who = person(&attempt.name)
            .filter(|_| attempt.password.expose_secret() == PASSWORD)
            .ok_or(LoginError::Wrong);
        let ticket = who.map(|who| {
            let mut count = self.count.lock().unwrap();
            *count += 1;
            let secret = format!("secret-{count}");
            let mut sessions = self.sessions.lock().unwrap();
            if let Some(before) = &attempt.before {
                sessions.remove(before);
            }
            sessions.insert(secret.clone(), who);
            Ticket {
                secret: secret.into(),
                lasts: Duration::from_hours(12),
            }
        });
        async { ticket }.boxed()
    }

    fn recognise(&self, session: &str, _: Sign) -> Result<Option<Visitor>, LoginError> {
        let found = self.sessions.lock().unwrap().get(session).cloned();
        Ok(found.map(|principal| Visitor { principal }))
    }

    fn leave(&self, session: &str) -> Result<(), LoginError> {
        self.sessions.lock().unwrap().remove(session);
        Ok(())
    }
}

/// A stage whose pages ask for a login.
struct Guarded {
    stage: Stage,
    people: Arc<People>,
    router: axum::Router,
}

impl Guarded {
    async fn new() -> Self {
        let stage = Stage::new().await;
        let people = Arc::new(People::default());
        let router = stage.dashboard.router_behind(people.clone(), false);
        Self {
            stage,
            people,
            router,
        }
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        send(&self.router, request).await
    }

    async fn get(&self, session: &str, path: &str) -> Answer {
        let request = Request::get(path)
            .header(header::HOST, HOST)
            .header(header::ACCEPT, "text/html")
            .header(header::COOKIE, format!("{COOKIE}={session}"));
        self.send(request.body(Body::empty()).unwrap()).await
    }

    async fn post(&self, session: &str, path: &str, fields: &[(&str, &str)]) -> Answer {
        let request = form(path, fields)
            .header("sec-fetch-site", "same-origin")
            .header(header::COOKIE, format!("{COOKIE}={session}"));
        self.send(request.body(body(fields)).unwrap()).await
    }

    /// Logs somebody in; returns their session.
    async fn log_in(&self, name: &str) -> String {
        let answer = self.enter(name, "").await;
        assert_eq!(answer.status, 303, "{}", answer.text);
        session_of(&answer)
    }

    async fn enter(&self, name: &str, before: &str) -> Answer {
        let fields = [("name", name), ("password", PASSWORD), ("to", "/pods?q=x")];
        self.post(before, "/login", &fields).await
    }
}

fn location(answer: &Answer) -> &str {
    assert_eq!(answer.status, 303, "{}", answer.text);
    answer.headers[header::LOCATION].to_str().unwrap()
}

fn session_of(answer: &Answer) -> String {
    let cookie = answer.headers[header::SET_COOKIE].to_str().unwrap();
    let (pair, rest) = cookie.split_once("; ").unwrap();
    assert_eq!(rest, "Path=/; HttpOnly; SameSite=Strict; Max-Age=43200");
    pair.strip_prefix("foreshore-session=").unwrap().to_owned()
}

#[tokio::test]
async fn without_a_session_nothing_is_shown_and_nothing_is_done() {
    let guarded = Guarded::new().await;
    for session in ["", "guess", "secret-1", "../x"] {
        let answer = guarded.get(session, "/pods?sort=name").await;
        assert_eq!(location(&answer), "/login?to=%2Fpods%3Fsort%3Dname");
        for path in ["/live/pods", "/logs/follow?service=web"] {
            assert_eq!(guarded.get(session, path).await.status, 401, "{path}");
        }
        let answer = guarded.post(session, "/act", &[("token", "x")]).await;
        assert_eq!(answer.status, 401);
    }
    for path in [
        "/pods.csv",
        "/pods.json",
        "/audit.json",
        "/search.json?q=web",
    ] {
        let request = Request::get(path).header(header::HOST, HOST);
        let answer = guarded.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, 401, "{path}");
        assert!(!answer.text.contains("web"), "{path}");
    }
    // What the login page itself needs is no secret, and says nothing of what runs.
    let page = guarded.get("", "/login").await;
    assert_eq!(page.status, 200);
    assert!(page.text.contains("type=password") && !page.text.contains("local: live"));
    assert_eq!(guarded.get("", "/assets/icon.svg").await.status, 200);
}

#[tokio::test]
async fn a_login_begins_a_new_session_and_ends_the_one_before() {
    let guarded = Guarded::new().await;
    let wrong = [("name", "ada"), ("password", "wrong"), ("to", "/")];
    let answer = guarded.post("", "/login", &wrong).await;
    assert_eq!(answer.status, 401);
    assert!(answer.text.contains("the name or the password is wrong"));
    assert!(!answer.headers.contains_key(header::SET_COOKIE) && !answer.text.contains("\"wrong\""));
    let answer = guarded.enter("ada", "fixed-by-somebody").await;
    assert_eq!(location(&answer), "/pods?q=x");
    let first = session_of(&answer);
    assert_ne!(first, "fixed-by-somebody");
    let page = guarded.get(&first, "/").await;
    assert!(
        page.text.contains("Log out") && page.text.contains(">ada<") || page.text.contains("ada ")
    );
    let second = session_of(&guarded.enter("ada", &first).await);
    assert_ne!(first, second);
    assert_eq!(
        guarded.get(&first, "/").await.status,
        303,
        "the old one is over"
    );
    assert_eq!(guarded.get(&second, "/").await.status, 200);
    // Whoever is in already need not log in again.
    assert_eq!(
        location(&guarded.get(&second, "/login?to=/nodes").await),
        "/nodes"
    );
    let audit = guarded.get(&second, "/audit").await.text;
    assert!(audit.contains("log in 127.0.0.1"), "{audit}");
}

#[tokio::test]
async fn a_logout_ends_the_session_on_the_server() {
    let guarded = Guarded::new().await;
    let session = guarded.log_in("ada").await;
    assert_eq!(
        guarded.get(&session, "/logout").await.status,
        405,
        "a link logs nobody out"
    );
    let foreign = form("/logout", &[])
        .header("sec-fetch-site", "cross-site")
        .header(header::COOKIE, format!("{COOKIE}={session}"));
    assert_eq!(
        guarded
            .send(foreign.body(Body::empty()).unwrap())
            .await
            .status,
        403
    );
    assert_eq!(guarded.get(&session, "/").await.status, 200);
    let answer = guarded.post(&session, "/logout", &[]).await;
    assert_eq!(location(&answer), "/login");
    let cookie = answer.headers[header::SET_COOKIE].to_str().unwrap();
    assert!(cookie.starts_with("foreshore-session=; ") && cookie.contains("Max-Age=0"));
    assert_eq!(
        guarded.get(&session, "/").await.status,
        303,
        "the cookie alone opens nothing"
    );
}

#[tokio::test]
async fn another_site_can_neither_log_somebody_in_nor_use_their_session() {
    let guarded = Guarded::new().await;
    let session = guarded.log_in("ada").await;
    let preview = guarded
        .get(&session, "/act/cordon?site=local&node=node-a")
        .await;
    let token = token(&preview.text);
    let login = [("name", "grace"), ("password", PASSWORD)];
    let act = [("token", token.as_str())];
    for (path, fields) in [("/login", &login[..]), ("/act", &act[..])] {
        for (name, value) in [
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
            ("origin", "http://evil.example"),
            ("x-nothing", "x"),
        ] {
            let request = form(path, fields)
                .header(name, value)
                .header(header::COOKIE, format!("{COOKIE}={session}"));
            let answer = guarded.send(request.body(body(fields)).unwrap()).await;
            assert_eq!(answer.status, 403, "{path} {name}: {value}");
        }
    }
    // A link on another site arrives without the cookie; one step of our own brings it along.
    let link = Request::get("/pods?q=web")
        .header(header::HOST, HOST)
        .header(header::ACCEPT, "text/html")
        .header("sec-fetch-site", "cross-site");
    let page = guarded.send(link.body(Body::empty()).unwrap()).await;
    assert_eq!(page.status, 200);
    assert!(
        page.text.contains("data-again href=\"/pods?q=web\"") && !page.text.contains("web-1-a")
    );
}

#[tokio::test]
async fn who_may_only_look_sees_no_buttons_and_moves_nothing() {
    let guarded = Guarded::new().await;
    let (vera, ada) = (guarded.log_in("vera").await, guarded.log_in("ada").await);
    for path in ["/services", "/pods", "/nodes", "/releases"] {
        let page = guarded.get(&vera, path).await.text;
        assert!(page.contains("web") || page.contains("node-a"), "{path}");
        assert!(!page.contains("/act/"), "{path}: {page}");
    }
    assert!(
        guarded
            .get(&ada, "/nodes")
            .await
            .text
            .contains("/act/cordon")
    );
    let path = "/act/cordon?site=local&node=node-a";
    assert_eq!(guarded.get(&vera, path).await.status, 403);
    let token = token(&guarded.get(&ada, path).await.text);
    let answer = guarded.post(&vera, "/act", &[("token", &token)]).await;
    assert_eq!(answer.status, 403);
    let approve = guarded.get(&ada, "/act/approve?request=r1").await;
    assert!(
        !approve.text.contains("name=token"),
        "an operator approves nothing"
    );
    assert!(
        guarded
            .stage
            .cluster
            .asked()
            .iter()
            .all(|asked| asked.method != Method::PATCH || !asked.path.contains("/nodes/"))
    );
    // And who may not even look, does not.
    let ci = guarded.log_in("ci").await;
    let answer = guarded.get(&ci, "/pods").await;
    assert_eq!(answer.status, 403);
    assert!(!answer.text.contains("web-1-a"));
}

#[tokio::test]
async fn the_persons_name_goes_with_what_they_do() {
    let guarded = Guarded::new().await;
    let (ada, grace) = (guarded.log_in("ada").await, guarded.log_in("grace").await);
    let cordon = "/act/cordon?site=local&node=node-a";
    let token = token(&guarded.get(&ada, cordon).await.text);
    let stolen = guarded.post(&grace, "/act", &[("token", &token)]).await;
    assert_eq!(stolen.status, 403, "a preview is its reader's alone");
    let done = guarded
        .post(
            &grace,
            "/act",
            &[(
                "token",
                &self::token(&guarded.get(&grace, cordon).await.text),
            )],
        )
        .await;
    let done = location(&done).to_owned();
    let limit = tokio::time::Instant::now() + Duration::from_mins(1);
    while !guarded
        .get(&grace, &done)
        .await
        .text
        .contains("takes no new pods")
    {
        assert!(tokio::time::Instant::now() < limit);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let asked = guarded.stage.cluster.asked();
    let patch = asked
        .iter()
        .find(|asked| asked.path == "/api/v1/nodes/node-a")
        .unwrap();
    assert_eq!(patch.headers["impersonate-user"], "foreshore:grace");
    let release = "/act/promote?environment=dev&service=web";
    let token = self::token(&guarded.get(&ada, release).await.text);
    location(&guarded.post(&ada, "/act", &[("token", &token)]).await);
    let limit = tokio::time::Instant::now() + Duration::from_mins(1);
    let by_ada = |guarded: &Guarded| {
        let arrived = guarded.stage.api.arrived.lock().unwrap();
        arrived
            .iter()
            .any(|(who, body)| who == "ada" && body["dry_run"] == false)
    };
    while !by_ada(&guarded) {
        assert!(tokio::time::Instant::now() < limit);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let audit = guarded.get(&ada, "/audit.json").await.text;
    assert!(
        audit.contains("cordon node node-a in local") && audit.contains("\"grace\""),
        "{audit}"
    );
}

#[tokio::test]
async fn an_open_page_ends_with_its_session() {
    let guarded = Guarded::new().await;
    let session = guarded.log_in("ada").await;
    let request = Request::get("/live/pods")
        .header(header::HOST, HOST)
        .header(header::COOKIE, format!("{COOKIE}={session}"));
    let request = request.body(Body::empty()).unwrap();
    let stream = tower::ServiceExt::oneshot(guarded.router.clone(), request)
        .await
        .unwrap();
    assert_eq!(stream.status(), 200);
    guarded.people.leave(&session).unwrap();
    let ended = axum::body::to_bytes(stream.into_body(), usize::MAX);
    let bytes = tokio::time::timeout(Duration::from_mins(1), ended).await;
    assert!(bytes.expect("the stream ends").is_ok());
}

#[tokio::test]
async fn one_person_cannot_take_all_streams() {
    let guarded = Guarded::new().await;
    let (ada, grace) = (guarded.log_in("ada").await, guarded.log_in("grace").await);
    let open = async |session: &str| {
        let request = Request::get("/live/pods")
            .header(header::HOST, HOST)
            .header(header::COOKIE, format!("{COOKIE}={session}"));
        let request = request.body(Body::empty()).unwrap();
        tower::ServiceExt::oneshot(guarded.router.clone(), request)
            .await
            .unwrap()
    };
    let mut held = Vec::new();
    let mut refused = 0;
    for _ in 0..60 {
        let answer = open(&ada).await;
        if answer.status() == 200 {
            held.push(answer);
        } else {
            assert_eq!(answer.status(), 503);
            refused += 1;
        }
    }
    assert_eq!((held.len(), refused), (50, 10));
    assert_eq!(open(&grace).await.status(), 200, "others go on");
    held.clear();
    assert_eq!(open(&ada).await.status(), 200);
}

#[tokio::test]
async fn behind_tls_the_cookie_is_bound_to_it_and_browsers_are_told_to_stay() {
    let guarded = Guarded::new().await;
    let router = guarded
        .stage
        .dashboard
        .router_behind(guarded.people.clone(), true);
    let fields = [("name", "ada"), ("password", PASSWORD)];
    let request = Request::post("/login")
        .header(header::HOST, "foreshore.example.org")
        .header(header::ORIGIN, "https://foreshore.example.org")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    let answer = send(&router, request.body(body(&fields)).unwrap()).await;
    assert_eq!(location(&answer), "/");
    let cookie = answer.headers[header::SET_COOKIE].to_str().unwrap();
    assert!(
        cookie.starts_with("__Host-foreshore=") && cookie.ends_with("; Secure"),
        "{cookie}"
    );
    assert_eq!(
        answer.headers[header::STRICT_TRANSPORT_SECURITY],
        "max-age=31536000"
    );
    // The cookie of the plain door, which anybody on the way can set, opens nothing here.
    let session = guarded.log_in("ada").await;
    let request = Request::get("/pods.json")
        .header(header::HOST, "foreshore.example.org")
        .header(header::COOKIE, format!("{COOKIE}={session}"));
    assert_eq!(
        send(&router, request.body(Body::empty()).unwrap())
            .await
            .status,
        401
    );
}
