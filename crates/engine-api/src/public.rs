//! Paths that name no resource: discovery, OpenAPI, version, health, metrics, keys.

use std::fmt::Write as _;

use foreshore_engine_schema::{custom, openapi};
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode, header};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::core::Core;
use crate::discovery::{self, Offers};
use crate::negotiate::{Range, ranges};
use crate::reply::{ResponseBody, full, json_response, respond};
use crate::request::Query;
use crate::status::{Answer, Failure};
use crate::token::ISSUER;

/// The release whose behaviour the engine follows.
const KUBERNETES: &str = "v1.36.2";
/// Marks the answers as ours, as other distributions do.
const BUILD: &str = "foreshore";

pub(crate) fn answer(
    core: &Core,
    parts: &Parts,
    path: &str,
    query: &Query,
) -> Answer<Response<ResponseBody>> {
    if !matches!(parts.method, Method::GET | Method::HEAD) {
        return Err(Failure::method_not_allowed());
    }
    let segments: Vec<&str> = path
        .split('/')
        .filter(|segment| !segment.is_empty())
        .collect();
    let accept = parts
        .headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok());
    let accept = accept.unwrap_or_default();
    let offers = || Offers::of(core);
    match segments[..] {
        [] => Ok(json_response(
            StatusCode::OK,
            &json!({"paths": paths(&offers())}),
        )),
        ["version"] => Ok(json_response(StatusCode::OK, &version())),
        ["livez" | "readyz" | "healthz", ..] => Ok(health(core, segments[0], query)),
        ["metrics"] => Ok(metrics(core)),
        ["openid", "v1", "jwks"] => Ok(respond(
            StatusCode::OK,
            "application/jwk-set+json",
            full(core.signer.jwks().to_string()),
        )),
        [".well-known", "openid-configuration"] => {
            Ok(json_response(StatusCode::OK, &openid_configuration()))
        }
        ["api" | "apis"] => {
            let core_group = segments[0] == "api";
            let form = ranges(accept).iter().find_map(discovery_form);
            match form {
                Some(Discovery::Aggregated(version)) => {
                    let content_type = format!(
                        "application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList"
                    );
                    Ok(tagged(
                        parts,
                        &content_type,
                        &offers().aggregated(core_group, version),
                    ))
                }
                _ if core_group => Ok(json_response(
                    StatusCode::OK,
                    &discovery::core_versions(parts),
                )),
                _ => Ok(json_response(StatusCode::OK, &offers().groups())),
            }
        }
        ["api", version] => resources(&offers(), "", version),
        ["apis", group] => {
            let found = offers().group(group).ok_or_else(Failure::unknown_path)?;
            Ok(json_response(StatusCode::OK, &found))
        }
        ["apis", group, version] => resources(&offers(), group, version),
        ["openapi", "v3"] => Ok(json_response(StatusCode::OK, &openapi_index(core))),
        ["openapi", "v3", "apis", group, version]
            if openapi::document(&segments[2..].join("/")).is_none() =>
        {
            let document = custom_document(core, group, version);
            let document = document.ok_or_else(Failure::unknown_path)?;
            Ok(tagged(parts, "application/json", &document))
        }
        ["openapi", "v3", ..] => openapi_document(parts, accept, &segments[2..].join("/")),
        _ => Err(Failure::unknown_path()),
    }
}

fn resources(offers: &Offers, group: &str, version: &str) -> Answer<Response<ResponseBody>> {
    let found = offers
        .resources(group, version)
        .ok_or_else(Failure::unknown_path)?;
    Ok(json_response(StatusCode::OK, &found))
}

/// The form of discovery an entry of the `Accept` header asks for.
#[derive(Clone, Copy)]
enum Discovery {
    Plain,
    Aggregated(&'static str),
}

fn discovery_form(range: &Range<'_>) -> Option<Discovery> {
    if !matches!(range.media, "application/json" | "*/*" | "application/*") {
        return None;
    }
    let kind = range.param("as");
    match (range.param("g"), range.param("v"), kind) {
        (None, None, None) => Some(Discovery::Plain),
        (Some("apidiscovery.k8s.io"), Some(version), Some("APIGroupDiscoveryList")) => {
            match version {
                "v2" => Some(Discovery::Aggregated("v2")),
                "v2beta1" => Some(Discovery::Aggregated("v2beta1")),
                _ => None,
            }
        }
        _ => None,
    }
}

/// An answer clients may keep and ask about again.
fn tagged(parts: &Parts, content_type: &str, value: &Value) -> Response<ResponseBody> {
    let text = value.to_string();
    let tag = format!("\"{}\"", hex::encode_upper(Sha256::digest(&text)));
    let known = parts
        .headers
        .get(header::IF_NONE_MATCH)
        .and_then(|value| value.to_str().ok());
    let unchanged = known.is_some_and(|known| known.split(',').any(|known| known.trim() == tag));
    let mut response = if unchanged {
        respond(StatusCode::NOT_MODIFIED, content_type, full(""))
    } else {
        respond(StatusCode::OK, content_type, full(text))
    };
    let headers = response.headers_mut();
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(header::ETAG, tag);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public"));
    headers.insert(header::VARY, HeaderValue::from_static("Accept"));
    response
}

fn version() -> Value {
    let mut numbers = KUBERNETES.trim_start_matches('v').split('.');
    let (major, minor) = (
        numbers.next().unwrap_or_default(),
        numbers.next().unwrap_or_default(),
    );
    json!({
        "major": major,
        "minor": minor,
        "gitVersion": format!("{KUBERNETES}+{BUILD}"),
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "none",
        "compiler": "rustc",
        "platform": format!("{}/{}", std::env::consts::OS, architecture()),
    })
}

/// The machine's architecture as Go calls it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn health(core: &Core, check: &str, query: &Query) -> Response<ResponseBody> {
    let closing = core.closing.is_cancelled();
    if closing && check == "readyz" {
        let text = "[-]shutdown failed: the server is shutting down\nreadyz check failed\n";
        return respond(
            StatusCode::INTERNAL_SERVER_ERROR,
            "text/plain; charset=utf-8",
            full(text),
        );
    }
    let text = match query.all("verbose").next() {
        Some(_) => format!("[+]ping ok\n[+]store ok\n{check} check passed\n"),
        None => "ok".to_owned(),
    };
    respond(StatusCode::OK, "text/plain; charset=utf-8", full(text))
}

fn metrics(core: &Core) -> Response<ResponseBody> {
    let snapshot = core.store.snapshot();
    let objects: Vec<(String, usize)> = snapshot
        .resources()
        .map(|resource| (resource.to_string(), snapshot.count(resource)))
        .collect();
    let text = core
        .metrics
        .render(snapshot.revision(), &objects, core.store.watcher_count());
    respond(
        StatusCode::OK,
        "text/plain; version=0.0.4; charset=utf-8",
        full(text),
    )
}

fn openid_configuration() -> Value {
    json!({
        "issuer": ISSUER,
        "jwks_uri": format!("{ISSUER}/openid/v1/jwks"),
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
    })
}

/// What OpenAPI says of the custom resources of a group-version.
fn custom_document(core: &Core, group: &str, version: &str) -> Option<Value> {
    let custom = core.custom();
    let mut versions: Vec<&custom::Version> = custom
        .entries()
        .filter_map(|entry| entry.custom())
        .map(|custom| &custom.version)
        .filter(|made| made.resource.group == group && made.resource.version == version)
        .collect();
    versions.sort_by(|left, right| left.resource.plural.cmp(&right.resource.plural));
    (!versions.is_empty()).then(|| custom::Version::document(&versions))
}

fn openapi_index(core: &Core) -> Value {
    let paths = openapi::documents().iter().map(|document| {
        let url = format!("/openapi/v3/{}?hash={}", document.path, document.hash);
        (document.path.clone(), json!({"serverRelativeURL": url}))
    });
    let mut paths: serde_json::Map<String, Value> = paths.collect();
    let custom = core.custom();
    for entry in custom.entries() {
        let (group, version) = (&entry.resource.group, &entry.resource.version);
        let path = format!("apis/{group}/{version}");
        if !paths.contains_key(&path)
            && let Some(document) = custom_document(core, group, version)
        {
            let hash = hex::encode_upper(Sha256::digest(document.to_string()));
            let url = format!("/openapi/v3/{path}?hash={hash}");
            paths.insert(path, json!({"serverRelativeURL": url}));
        }
    }
    json!({"paths": paths})
}

fn openapi_document(parts: &Parts, accept: &str, path: &str) -> Answer<Response<ResponseBody>> {
    let ranges = ranges(accept);
    let json =
        |range: &Range<'_>| matches!(range.media, "application/json" | "application/*" | "*/*");
    if !ranges.is_empty() && !ranges.iter().any(json) {
        return Err(Failure::not_acceptable("application/json"));
    }
    let document = openapi::document(path).ok_or_else(Failure::unknown_path)?;
    let encodings = parts.headers.get(header::ACCEPT_ENCODING);
    let gzip = encodings
        .and_then(|value| value.to_str().ok())
        .is_some_and(|text| {
            text.split(',')
                .any(|coding| coding.trim().starts_with("gzip"))
        });
    let mut response = if gzip {
        respond(StatusCode::OK, "application/json", full(document.gzip()))
    } else {
        respond(StatusCode::OK, "application/json", full(document.json()))
    };
    let headers = response.headers_mut();
    if gzip {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    let mut tag = String::from("\"");
    write!(tag, "{}\"", document.hash).expect("writing to a string cannot fail");
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(header::ETAG, tag);
    }
    headers.insert(
        header::VARY,
        HeaderValue::from_static("Accept, Accept-Encoding"),
    );
    Ok(response)
}

fn paths(offers: &Offers) -> Vec<String> {
    let mut paths: Vec<String> = ["/api", "/api/v1", "/apis"].map(str::to_owned).to_vec();
    paths.extend(offers.paths());
    let rest = [
        "/healthz",
        "/livez",
        "/metrics",
        "/openapi/v3",
        "/openid/v1/jwks",
        "/readyz",
        "/version",
    ];
    paths.extend(rest.map(str::to_owned));
    paths
}

#[cfg(test)]
mod tests {
    use foreshore_engine_schema::Schema;

    use super::*;

    #[test]
    fn the_tables_are_of_the_release_we_name() {
        let tables = Schema::builtin()
            .kubernetes_version()
            .trim_start_matches('v');
        let named = KUBERNETES.trim_start_matches('v');
        assert!(
            named == tables || named.starts_with(&format!("{tables}.")),
            "{tables}"
        );
    }
}
