//! The answers.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_NONE_MATCH, LOCATION,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, Method, Request, StatusCode};
use tokio::net::TcpListener;
use tokio_util::io::ReaderStream;
use tokio_util::sync::CancellationToken;

use crate::site::{Page, Site};

/// The page for what does not exist, if the site has one.
const NOT_FOUND: &str = "/404.html";

/// How a site is served.
#[derive(Debug, Clone)]
pub struct Options {
    pub site: Site,
    /// Path that answers 200 while the server can answer at all.
    pub health_path: String,
    /// What `/info` says it is.
    pub version: String,
}

#[derive(Debug)]
struct Server {
    options: Options,
    found: AtomicU64,
    not_found: AtomicU64,
}

/// Serves until `shutdown`; connections that are open then are finished first.
pub async fn serve(
    listener: TcpListener,
    options: Options,
    shutdown: CancellationToken,
) -> io::Result<()> {
    axum::serve(listener, router(options))
        .with_graceful_shutdown(async move { shutdown.cancelled().await })
        .await
}

/// The site as something to mount.
pub fn router(options: Options) -> Router {
    let server = Arc::new(Server {
        options,
        found: AtomicU64::new(0),
        not_found: AtomicU64::new(0),
    });
    Router::new().fallback(answer).with_state(server)
}

async fn answer(State(server): State<Arc<Server>>, request: Request<Body>) -> Response {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return (StatusCode::METHOD_NOT_ALLOWED, [(ALLOW, "GET, HEAD")]).into_response();
    }
    let path = request.uri().path();
    let with_body = request.method() == Method::GET;
    let site = &server.options.site;
    if let Some(page) = site.find(path) {
        server.found.fetch_add(1, Ordering::Relaxed);
        return of_page(page, StatusCode::OK, request.headers(), with_body).await;
    }
    if site.is_folder(path) {
        return (
            StatusCode::PERMANENT_REDIRECT,
            [(LOCATION, format!("{path}/"))],
        )
            .into_response();
    }
    if path == server.options.health_path {
        return "ok\n".into_response();
    }
    match path {
        "/info" => {
            let text = format!(
                "{{\"version\":\"{}\",\"files\":{}}}\n",
                server.options.version.replace(['"', '\\'], "_"),
                site.len()
            );
            return ([(CONTENT_TYPE, "application/json")], text).into_response();
        }
        "/metrics" => return server.metrics().into_response(),
        _ => {}
    }
    server.not_found.fetch_add(1, Ordering::Relaxed);
    match site.find(NOT_FOUND) {
        Some(page) => of_page(page, StatusCode::NOT_FOUND, request.headers(), with_body).await,
        None => (StatusCode::NOT_FOUND, "there is no such page\n").into_response(),
    }
}

async fn of_page(page: &Page, status: StatusCode, asked: &HeaderMap, with_body: bool) -> Response {
    let known = asked
        .get(IF_NONE_MATCH)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|tags| tags.split(',').any(|tag| tag.trim() == page.tag));
    let common = [
        (ETAG, page.tag.clone()),
        // Asked again every time, answered with 304 while nothing changed.
        (CACHE_CONTROL, "no-cache".to_owned()),
        (X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
    ];
    if known && status == StatusCode::OK {
        return (StatusCode::NOT_MODIFIED, common).into_response();
    }
    let own = [
        (CONTENT_TYPE, page.content_type.to_owned()),
        (CONTENT_LENGTH, page.size.to_string()),
    ];
    if !with_body {
        return (status, common, own).into_response();
    }
    match tokio::fs::File::open(&page.file).await {
        Ok(file) => {
            let body = Body::from_stream(ReaderStream::new(file));
            (status, common, own, body).into_response()
        }
        Err(error) => {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                file = %page.file.display(),
                "a file of the site cannot be read"
            );
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

impl Server {
    fn metrics(&self) -> String {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        format!(
            "# TYPE http_requests_total counter\n\
             http_requests_total{{status=\"200\"}} {}\n\
             http_requests_total{{status=\"404\"}} {}\n",
            count(&self.found),
            count(&self.not_found)
        )
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    fn server(folder: &Path) -> Arc<Server> {
        fs::create_dir(folder.join("docs")).unwrap();
        fs::write(folder.join("index.html"), "<h1>hello</h1>").unwrap();
        fs::write(folder.join("docs/index.html"), "docs").unwrap();
        Arc::new(Server {
            options: Options {
                site: Site::read(folder).unwrap(),
                health_path: "/health".into(),
                version: "v1".into(),
            },
            found: AtomicU64::new(0),
            not_found: AtomicU64::new(0),
        })
    }

    async fn ask(server: &Arc<Server>, method: &str, path: &str, tag: &str) -> Response {
        let request = Request::builder().method(method).uri(path);
        let request = request.header(IF_NONE_MATCH, tag).body(Body::empty());
        answer(State(server.clone()), request.unwrap()).await
    }

    async fn text(response: Response) -> String {
        let bytes = axum::body::to_bytes(response.into_body(), 1 << 20)
            .await
            .unwrap();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn pages_are_served_with_their_type_and_kept_by_their_tag() {
        let folder = tempfile::tempdir().unwrap();
        let server = server(folder.path());
        let first = ask(&server, "GET", "/", "").await;
        assert_eq!(first.headers()[CONTENT_TYPE], "text/html; charset=utf-8");
        let tag = first.headers()[ETAG].to_str().unwrap().to_owned();
        assert_eq!(text(first).await, "<h1>hello</h1>");
        let again = ask(&server, "GET", "/", &tag).await;
        assert_eq!(again.status(), 304);
        let head = ask(&server, "HEAD", "/", "").await;
        assert_eq!(head.headers()[CONTENT_LENGTH], "14");
        assert_eq!(text(head).await, "");
        let folder = ask(&server, "GET", "/docs", "").await;
        assert_eq!(folder.status(), 308);
        assert_eq!(folder.headers()[LOCATION], "/docs/");
    }

    #[tokio::test]
    async fn nothing_but_the_site_is_reached() {
        let folder = tempfile::tempdir().unwrap();
        let server = server(folder.path());
        for path in ["/nope", "/../etc/passwd", "/docs/..%2f..%2fetc/passwd"] {
            assert_eq!(ask(&server, "GET", path, "").await.status(), 404, "{path}");
        }
        assert_eq!(ask(&server, "POST", "/", "").await.status(), 405);
        let metrics = text(ask(&server, "GET", "/metrics", "").await).await;
        assert!(metrics.contains("{status=\"404\"} 3"), "{metrics}");
        assert_eq!(ask(&server, "GET", "/health", "").await.status(), 200);
    }
}
