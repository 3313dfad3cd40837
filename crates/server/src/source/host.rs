//! Serves the source repositories and turns what is pushed into jobs.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State as Extract};
use axum::response::Response;
use axum::routing::any;
use foreshore_git::smart_http::{Access as Wish, Authorizer as _, Credentials, Permission};
use foreshore_git::{Expected, GitError, RefUpdate, Repository, smart_http};
use foreshore_model::{ServiceName, clock};
use http::{HeaderValue, StatusCode, Uri, header};
use tower::ServiceExt as _;

use super::door::Door;
use super::queue::{Builds, Wanted};
use crate::access::Access;

/// Where is noted which references have a job; clients do not see it.
const SEEN: &str = "refs/foreshore/seen";
/// References that one push may have built; whoever moves a whole repository here gets its main branch.
const PUSH_MAX: usize = 10;
const MAIN: &str = "refs/heads/main";

/// All source repositories of a server.
pub(crate) struct Host {
    folder: PathBuf,
    access: Access,
    builds: Arc<Builds>,
    doors: Mutex<BTreeMap<ServiceName, Router>>,
}

impl Host {
    /// Finds the repositories that are there, and makes the jobs that a dead server left unmade.
    pub(crate) fn open(
        access: Access,
        builds: Arc<Builds>,
        folder: PathBuf,
    ) -> Result<Self, GitError> {
        let host = Self {
            folder,
            access,
            builds,
            doors: Mutex::default(),
        };
        let entries = match std::fs::read_dir(&host.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(host),
            Err(cause) => {
                return Err(GitError::File {
                    doing: "list",
                    path: host.folder,
                    cause,
                });
            }
        };
        let names: Vec<ServiceName> = entries
            .filter_map(Result::ok)
            .filter_map(|entry| {
                entry
                    .file_name()
                    .to_str()?
                    .strip_suffix(".git")?
                    .parse()
                    .ok()
            })
            .collect();
        for service in names {
            let repository = Repository::open(host.path(&service))?;
            catch_up(&repository, &service, &host.builds)?;
        }
        Ok(host)
    }

    pub(crate) fn router(self: Arc<Self>) -> Router {
        Router::new()
            .route("/source/{repository}/{*rest}", any(serve))
            .with_state(self)
    }

    fn path(&self, service: &ServiceName) -> PathBuf {
        self.folder.join(format!("{service}.git"))
    }

    /// The routes of a service's repository, which a first push makes; none if there is none.
    fn door(&self, service: &ServiceName, create: bool) -> Result<Option<Router>, GitError> {
        if let Some(door) = self.doors().get(service) {
            return Ok(Some(door.clone()));
        }
        let path = self.path(service);
        if !create && !path.exists() {
            return Ok(None);
        }
        let repository = Repository::init_bare(&path)?;
        repository.hide("refs/foreshore")?;
        let door = Door {
            access: self.access.clone(),
            service: service.clone(),
        };
        let pushed = {
            let (repository, builds, door) =
                (repository.clone(), self.builds.clone(), door.clone());
            move |credentials: Option<&Credentials>, moved: &[RefUpdate]| {
                let by = credentials.and_then(|shown| door.recognise(shown));
                let by = by.map_or_else(String::new, |principal| principal.actor.name);
                take(&repository, &door.service, &builds, &by, moved);
            }
        };
        let options = smart_http::Options {
            pushed: Some(Arc::new(pushed)),
            ..smart_http::Options::new(Arc::new(door))
        };
        let router = smart_http::router(repository, options);
        self.doors().insert(service.clone(), router.clone());
        Ok(Some(router))
    }

    fn doors(&self) -> MutexGuard<'_, BTreeMap<ServiceName, Router>> {
        self.doors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn serve(
    Extract(host): Extract<Arc<Host>>,
    Path((repository, rest)): Path<(String, String)>,
    mut request: Request,
) -> Response {
    let name = repository.strip_suffix(".git");
    let Some(service) = name.and_then(|name| name.parse::<ServiceName>().ok()) else {
        return plain(
            StatusCode::NOT_FOUND,
            "source repositories are at /source/<service>.git",
        );
    };
    let query = request.uri().query().map(str::to_owned);
    let pushes = rest == "git-receive-pack";
    let writes = pushes || query.as_deref() == Some("service=git-receive-pack");
    let wish = if writes { Wish::Write } else { Wish::Read };
    let door = Door {
        access: host.access.clone(),
        service: service.clone(),
    };
    let shown = Credentials::from_headers(request.headers());
    match door.authorize(shown, wish).await {
        Permission::Granted => {}
        Permission::LoginNeeded => return login_needed(),
        Permission::Denied { reason } => return plain(StatusCode::FORBIDDEN, &reason),
    }
    if pushes && host.builds.is_full() {
        return busy();
    }
    let opened = {
        let (host, service) = (host.clone(), service.clone());
        tokio::task::spawn_blocking(move || host.door(&service, writes)).await
    };
    let router = match opened {
        Ok(Ok(Some(router))) => router,
        Ok(Ok(None)) => {
            return plain(
                StatusCode::NOT_FOUND,
                &format!("`{service}` has no source here yet; the first push makes the repository"),
            );
        }
        Ok(Err(error)) => {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "source repository cannot be opened"
            );
            return broken();
        }
        Err(_) => return broken(),
    };
    let query = query.map_or_else(String::new, |query| format!("?{query}"));
    let Ok(uri) = format!("/{rest}{query}").parse::<Uri>() else {
        return plain(StatusCode::BAD_REQUEST, "that is no path of a repository");
    };
    *request.uri_mut() = uri;
    let Ok(response) = router.oneshot(request).await;
    response
}

/// Makes jobs of what a push moved. A failure leaves them to the next start, and is told in the log.
fn take(
    repository: &Repository,
    service: &ServiceName,
    builds: &Builds,
    by: &str,
    moved: &[RefUpdate],
) {
    let names: Vec<&str> = moved
        .iter()
        .filter(|update| update.new.is_some() && is_source(&update.name))
        .map(|update| update.name.as_str())
        .collect();
    let many = names.len() > PUSH_MAX;
    for name in names {
        let leave_out = many && name != MAIN;
        if leave_out {
            tracing::info!(%service, reference = name, "not built, it came with many others");
        }
        if let Err(error) = make_job(
            repository,
            service,
            (!leave_out).then_some(builds),
            by,
            name,
        ) {
            tracing::error!(
                error,
                %service,
                reference = name,
                "a push has no build yet; the next start of the server makes it"
            );
        }
    }
}

fn make_job(
    repository: &Repository,
    service: &ServiceName,
    builds: Option<&Builds>,
    by: &str,
    name: &str,
) -> Result<(), String> {
    let told = |error: &dyn std::error::Error| foreshore_model::chain(error);
    let commit = repository.commit_of(name).map_err(|error| told(&error))?;
    // A tag of a file or a tree is nothing to build.
    if let (Some(builds), Some(commit)) = (builds, commit) {
        let wanted = Wanted {
            service: service.clone(),
            reference: name.to_owned(),
            commit,
            pushed_by: by.to_owned(),
        };
        builds
            .add(&wanted, clock::now())
            .map_err(|error| told(&error))?;
    }
    let seen = seen_name(name);
    let before = repository.resolve(&seen).map_err(|error| told(&error))?;
    let now = repository.resolve(name).map_err(|error| told(&error))?;
    repository
        .update_refs(&[RefUpdate {
            name: seen,
            new: now,
            expected: Expected::of(before.as_ref()),
        }])
        .map_err(|error| told(&error))
}

fn is_source(name: &str) -> bool {
    name.starts_with("refs/heads/") || name.starts_with("refs/tags/")
}

fn seen_name(name: &str) -> String {
    format!("{SEEN}/{}", name.trim_start_matches("refs/"))
}

/// Finds references that moved without leaving a job, because the server died in between.
fn catch_up(
    repository: &Repository,
    service: &ServiceName,
    builds: &Builds,
) -> Result<(), GitError> {
    let refs: BTreeMap<_, _> = repository.refs("refs")?.into_iter().collect();
    let unseen = refs
        .iter()
        .filter(|(name, id)| is_source(name) && refs.get(&seen_name(name)) != Some(id));
    let moved: Vec<RefUpdate> = unseen
        .map(|(name, id)| RefUpdate {
            name: name.clone(),
            new: Some(id.clone()),
            expected: Expected::Absent,
        })
        .collect();
    take(repository, service, builds, "", &moved);
    Ok(())
}

fn plain(status: StatusCode, text: &str) -> Response {
    let mut response = Response::new(Body::from(format!("{text}\n")));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

fn login_needed() -> Response {
    let mut response = plain(StatusCode::UNAUTHORIZED, "login needed");
    let challenge = HeaderValue::from_static("Basic realm=\"foreshore\", charset=\"UTF-8\"");
    response
        .headers_mut()
        .insert(header::WWW_AUTHENTICATE, challenge);
    response
}

fn busy() -> Response {
    let mut response = plain(
        StatusCode::SERVICE_UNAVAILABLE,
        "too many builds wait; push again later",
    );
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, HeaderValue::from_static("30"));
    response
}

fn broken() -> Response {
    plain(
        StatusCode::INTERNAL_SERVER_ERROR,
        "the repository cannot be served; the server's log has the reason",
    )
}

#[cfg(test)]
mod tests {
    use foreshore_git::{Change, NewCommit};
    use foreshore_identity::Store;
    use foreshore_model::Actor;

    use super::*;

    fn commit(repository: &Repository, reference: &str, text: &str) {
        let tip = repository.resolve(reference).unwrap();
        let commit = NewCommit {
            changes: vec![Change::write("a", text)],
            message: text.to_owned(),
            author: Actor::automation(),
            committer: Actor::automation(),
            at: jiff::Timestamp::UNIX_EPOCH,
        };
        repository
            .commit(reference, tip.as_ref(), vec![commit])
            .unwrap();
    }

    #[test]
    fn what_moved_without_a_job_gets_one_at_the_next_start_and_only_one() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("source");
        let repository = Repository::init_bare(folder.join("web.git")).unwrap();
        let identities = Arc::new(Store::open(&home.path().join("server.db")).unwrap());
        let start = || {
            let builds = Arc::new(Builds::open(home.path().join("builds")).unwrap());
            let access = Access::new(identities.clone());
            Host::open(access, builds.clone(), folder.clone()).unwrap();
            let rows = builds.rows(None).into_iter();
            rows.map(|row| row.reference).collect::<Vec<_>>()
        };
        assert!(start().is_empty());
        commit(&repository, MAIN, "1");
        assert_eq!(start(), [MAIN]);
        assert_eq!(start(), [MAIN]);
        commit(&repository, MAIN, "2");
        commit(&repository, "refs/tags/v1", "3");
        assert_eq!(start(), ["refs/tags/v1", MAIN, MAIN]);
    }

    #[test]
    fn a_whole_history_of_references_does_not_flood_the_queue() {
        let home =
            tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap());
        let repository = Repository::init_bare(home.path().join("web.git")).unwrap();
        let builds = Builds::open(home.path().join("builds")).unwrap();
        commit(&repository, MAIN, "1");
        let tip = repository.resolve(MAIN).unwrap();
        let tags = (0..PUSH_MAX).map(|n| format!("refs/tags/v{n}"));
        let moved: Vec<RefUpdate> = std::iter::once(MAIN.to_owned())
            .chain(tags)
            .map(|name| RefUpdate {
                name,
                new: tip.clone(),
                expected: Expected::Absent,
            })
            .collect();
        repository.update_refs(&moved[1..]).unwrap();
        take(&repository, &"web".parse().unwrap(), &builds, "ci", &moved);
        let rows = builds.rows(None);
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0].reference, MAIN);
    }
}
