//! The way of a request through the server: who, what, may they, and then to its handler.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tracing::error;

use crate::access;
use crate::authn;
use crate::body::BODY_MAX;
use crate::call::Call;
use crate::catalog::Entry;
use crate::core::Core;
use crate::list;
use crate::negotiate::{self, Form};
use crate::public;
use crate::rbac::Attributes;
use crate::reply::{self, Content, Reply, ResponseBody};
use crate::request::{Query, ResourcePath, Target, parse_path};
use crate::status::{Answer, Failure, Named};
use crate::subresource;
use crate::usage;
use crate::user::UserInfo;
use crate::watch;
use crate::write::{create, delete, patch, update};

/// Answers one request, whatever it is.
pub(crate) async fn answer<B>(
    core: &Arc<Core>,
    peer: Option<&UserInfo>,
    request: Request<B>,
) -> Response<ResponseBody>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (parts, body) = request.into_parts();
    let method = parts.method.clone();
    let mut resource = String::new();
    let routed = route(core, peer, parts, body, &mut resource);
    let caught = AssertUnwindSafe(routed).catch_unwind().await;
    let routed = caught.unwrap_or_else(|_| {
        error!(resource, "a handler panicked");
        Err(Failure::internal("the handler of this request failed"))
    });
    let response = routed.unwrap_or_else(|failure| reply::refuse(&failure));
    core.metrics
        .count(verb_label(&method), &resource, response.status().as_u16());
    response
}

/// Methods are chosen by clients; labels must come from a small set.
fn verb_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        _ => "OTHER",
    }
}

async fn route<B>(
    core: &Arc<Core>,
    peer: Option<&UserInfo>,
    parts: Parts,
    body: B,
    resource: &mut String,
) -> Answer<Response<ResponseBody>>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let user = authn::authenticate(core, peer, &parts.headers)?;
    let query = Query::parse(parts.uri.query().unwrap_or_default());
    let path = match parse_path(parts.uri.path(), parts.uri.query())? {
        Target::Other(path) => {
            authorize_path(core, &user, &parts.method, &path)?;
            return public::answer(core, &parts, &path, &query);
        }
        Target::Resource(path) => path,
    };
    let verb = verb(&parts.method, &path, &query)?;
    authorize(core, &user, verb, &path)?;
    if path.group == usage::GROUP {
        return usage::answer(core, verb, &path, &query).await;
    }
    let entry = find(core, &path)?;
    entry.resource.plural.clone_into(resource);
    if path.subresource == "exec" && entry.is("", "pods") {
        // Whoever may look into a container may change it: reading is not enough.
        authorize(core, &user, "create", &path)?;
        return subresource::exec::connect(core, &entry, &path, &query, parts).await;
    }
    let body = collect(body, core.body_limit).await?;
    let streams = path.subresource == "log";
    let form = if streams {
        Form::JSON
    } else {
        negotiate::choose(text(&parts.headers, header::ACCEPT))?
    };
    let call = Call {
        user,
        now: core.now(),
        entry,
        path,
        query,
        form,
        content_type: text(&parts.headers, header::CONTENT_TYPE)
            .unwrap_or_default()
            .to_owned(),
        user_agent: text(&parts.headers, header::USER_AGENT)
            .unwrap_or_default()
            .to_owned(),
        body,
    };
    if verb == "watch" {
        let entry = Arc::clone(&call.entry);
        return watch_response(core, call, &entry).await;
    }
    let reply = dispatch(core, &call, verb).await?;
    reply::render(&call, reply)
}

async fn watch_response(core: &Core, call: Call, entry: &Entry) -> Answer<Response<ResponseBody>> {
    if !entry.resource.has_verb("watch") {
        return Err(Failure::method_not_allowed());
    }
    let reply = watch::watch(core, call).await?;
    let Content::Raw(content_type, body) = reply.content else {
        return Err(Failure::internal("a watch is a stream"));
    };
    Ok(reply::respond(reply.code, content_type, body))
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

async fn collect<B>(body: B, limit: Duration) -> Answer<Bytes>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let collected = Limited::new(body, BODY_MAX).collect();
    let Ok(collected) = tokio::time::timeout(limit, collected).await else {
        return Err(Failure::timeout(
            "request did not complete within the allotted timeout",
            1,
        ));
    };
    match collected {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Failure::too_large(BODY_MAX)),
        Err(error) => Err(Failure::bad_request(format!(
            "the body could not be read: {error}"
        ))),
    }
}

fn verb(method: &Method, path: &ResourcePath, query: &Query) -> Answer<&'static str> {
    let named = !path.name.is_empty();
    let fits = match *method {
        Method::PUT | Method::PATCH => named,
        Method::POST => !named || !path.subresource.is_empty(),
        _ => true,
    };
    if !fits {
        return Err(Failure::method_not_allowed());
    }
    Ok(match *method {
        Method::GET | Method::HEAD if path.watch_prefix => "watch",
        Method::GET | Method::HEAD if named => "get",
        Method::GET | Method::HEAD if query.flag("watch")? => "watch",
        Method::GET | Method::HEAD => "list",
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE if named => "delete",
        Method::DELETE => "deletecollection",
        _ => return Err(Failure::method_not_allowed()),
    })
}

/// Refuses what the stored roles do not allow.
pub(crate) fn authorize(
    core: &Core,
    user: &UserInfo,
    verb: &str,
    path: &ResourcePath,
) -> Answer<()> {
    let wanted = Attributes {
        verb: verb.to_owned(),
        resource: path.resource.clone(),
        subresource: path.subresource.clone(),
        group: path.group.clone(),
        namespace: path.namespace.clone(),
        name: path.name.clone(),
        path: String::new(),
    };
    if core.policy().allows(user, &wanted) {
        return Ok(());
    }
    let named = Named {
        group: &path.group,
        plural: &path.resource,
    };
    Err(Failure::forbidden(
        named,
        &path.name,
        &authn::forbidden(user, &wanted),
    ))
}

fn authorize_path(core: &Core, user: &UserInfo, method: &Method, path: &str) -> Answer<()> {
    let verb = method.as_str().to_ascii_lowercase();
    let wanted = Attributes {
        verb,
        path: path.to_owned(),
        ..Attributes::default()
    };
    if core.policy().allows(user, &wanted) {
        return Ok(());
    }
    Err(Failure::forbidden_path(&user.name, &wanted.verb, path))
}

/// Subresources of pods and nodes that Kubernetes has and the engine has not yet.
const REFUSED: &[&str] = &[
    "attach",
    "portforward",
    "proxy",
    "ephemeralcontainers",
    "resize",
];

fn find(core: &Core, path: &ResourcePath) -> Answer<Arc<Entry>> {
    let entry = core
        .find(&path.group, &path.version, &path.resource)
        .ok_or_else(Failure::unknown_path)?;
    let is_namespace = entry.is("", "namespaces");
    if !path.namespace.is_empty() && !entry.resource.namespaced && !is_namespace {
        return Err(Failure::unknown_path());
    }
    if path.subresource.is_empty() {
        return Ok(entry);
    }
    let served = entry.resource.subresource(&path.subresource);
    let served =
        served.is_some_and(|found| found.support == foreshore_engine_schema::Support::Served);
    if served && path.rest.is_empty() {
        return Ok(entry);
    }
    if REFUSED.contains(&path.subresource.as_str())
        && matches!(path.resource.as_str(), "pods" | "nodes" | "services")
    {
        return Err(Failure::not_implemented(&format!(
            "{}/{}",
            path.resource, path.subresource
        )));
    }
    Err(Failure::unknown_path())
}

/// A namespace's own path names it twice; its objects have none.
fn settle_namespace(call: &Call) -> bool {
    !call.entry.resource.namespaced && !call.path.namespace.is_empty()
}

async fn dispatch(core: &Core, call: &Call, verb: &str) -> Answer<Reply> {
    if settle_namespace(call) {
        let mut path = call.path.clone();
        path.namespace.clear();
        let call = Call {
            path,
            ..call.clone()
        };
        return Box::pin(dispatch(core, &call, verb)).await;
    }
    if !call.path.subresource.is_empty() {
        return subresource::dispatch(core, call, verb).await;
    }
    if !call.entry.resource.has_verb(verb) {
        return Err(Failure::method_not_allowed());
    }
    if !call.entry.is_stored() {
        return access::review(core, call);
    }
    match verb {
        "get" => get(core, call).await,
        "list" => list::list(&core.store, call).await,
        "create" => create::create(core, call).await,
        "update" => update::replace(core, call).await,
        "patch" => patch::patch(core, call).await,
        "delete" => delete::delete(core, call).await,
        "deletecollection" => delete::delete_collection(core, call).await,
        _ => Err(Failure::method_not_allowed()),
    }
}

/// Answers a GET of one object.
pub(crate) async fn get(core: &Core, call: &Call) -> Answer<Reply> {
    if let Some(revision) = list::revision_of(call.query.get("resourceVersion"))? {
        list::wait_for(&core.store, revision).await?;
    }
    let key = call.entry.key(&call.path.namespace, &call.path.name);
    match core.store.get(&key) {
        Some(stored) => Ok(Reply::ok(Content::Stored(stored))),
        None => Err(Failure::not_found(call.entry.named(), &call.path.name)),
    }
}
