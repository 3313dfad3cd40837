//! Answers on their way out: what was found or done, and how it is written.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use foreshore_engine_store as store;
use futures::{Stream, StreamExt, stream};
use http::{HeaderValue, Response, StatusCode, header};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use serde_json::{Value, json};

use crate::call::Call;
use crate::catalog::Entry;
use crate::negotiate::{Form, Format, View};
use crate::status::{Answer, Failure};
use crate::table;

/// The body of every answer.
pub type ResponseBody = UnsyncBoxBody<Bytes, io::Error>;

/// Bytes gathered before a part of a long list is sent.
const CHUNK: usize = 64 << 10;

/// A page of a list.
pub(crate) struct Page {
    pub(crate) objects: Vec<Arc<store::Object>>,
    pub(crate) revision: u64,
    pub(crate) continues: Option<String>,
    pub(crate) remaining: Option<usize>,
}

/// What an answer carries.
pub(crate) enum Content {
    /// An object as it is stored.
    Stored(Arc<store::Object>),
    /// An object of the entry's kind in its version.
    Object(Value),
    /// Anything else, written as it is.
    Other(Value),
    Page(Page),
    /// Written by whoever made it; with its content type.
    Raw(&'static str, ResponseBody),
}

pub(crate) struct Reply {
    pub(crate) code: StatusCode,
    pub(crate) content: Content,
    pub(crate) warnings: Vec<String>,
}

impl Reply {
    pub(crate) fn ok(content: Content) -> Self {
        Self {
            code: StatusCode::OK,
            content,
            warnings: vec![],
        }
    }

    pub(crate) fn created(content: Content) -> Self {
        Self {
            code: StatusCode::CREATED,
            ..Self::ok(content)
        }
    }

    pub(crate) fn warn(mut self, warnings: Vec<String>) -> Self {
        self.warnings.extend(warnings);
        self
    }
}

pub(crate) fn full(bytes: impl Into<Bytes>) -> ResponseBody {
    Full::new(bytes.into())
        .map_err(|never: Infallible| match never {})
        .boxed_unsync()
}

pub(crate) fn streamed(
    parts: impl Stream<Item = Result<Bytes, io::Error>> + Send + 'static,
) -> ResponseBody {
    StreamBody::new(parts.map(|part| part.map(Frame::data))).boxed_unsync()
}

/// A refusal as a response.
pub(crate) fn refuse(failure: &Failure) -> Response<ResponseBody> {
    let mut response = json_response(
        StatusCode::from_u16(failure.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        &failure.to_value(),
    );
    let retry = failure
        .details
        .as_ref()
        .map_or(0, |details| details.retry_after_seconds);
    if retry > 0 {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from(retry));
    }
    response
}

pub(crate) fn json_response(code: StatusCode, value: &Value) -> Response<ResponseBody> {
    respond(code, "application/json", full(value.to_string()))
}

pub(crate) fn respond(
    code: StatusCode,
    content_type: &str,
    body: ResponseBody,
) -> Response<ResponseBody> {
    let mut response = Response::new(body);
    *response.status_mut() = code;
    let headers = response.headers_mut();
    if let Ok(content_type) = HeaderValue::from_str(content_type) {
        headers.insert(header::CONTENT_TYPE, content_type);
    }
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("no-cache, private"),
    );
    response
}

/// Writes an answer in the form the call asked for.
pub(crate) fn render(call: &Call, reply: Reply) -> Answer<Response<ResponseBody>> {
    let Reply {
        code,
        content,
        warnings,
    } = reply;
    let form = &call.form;
    let mut response = match content {
        Content::Raw(content_type, body) => respond(code, content_type, body),
        Content::Stored(object) if *form == Form::JSON && call.entry.is_verbatim() => {
            respond(code, form.content_type(), full(object.bytes.clone()))
        }
        Content::Page(page) if *form == Form::JSON && call.entry.is_verbatim() => respond(
            code,
            form.content_type(),
            streamed(chunks(&call.entry, page)),
        ),
        Content::Stored(object) => {
            respond_value(code, form, &view_object(call, call.entry.present(&object)?))?
        }
        Content::Object(object) => respond_value(code, form, &view_object(call, object))?,
        Content::Other(value) => respond_value(code, form, &value)?,
        Content::Page(page) => match &form.view {
            View::Table(version) if form.format == Format::Json && call.entry.is_verbatim() => {
                let metadata = list_metadata(&page);
                let text = table::of_stored(call, version, &page.objects, &metadata)?;
                respond(code, form.content_type(), full(text))
            }
            _ => respond_value(code, form, &view_page(call, &page)?)?,
        },
    };
    for warning in warnings {
        let text = warning.replace('\\', "\\\\").replace('"', "\\\"");
        if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{text}\"")) {
            response.headers_mut().append(header::WARNING, value);
        }
    }
    Ok(response)
}

fn respond_value(code: StatusCode, form: &Form, value: &Value) -> Answer<Response<ResponseBody>> {
    let text = match form.format {
        Format::Json => value.to_string(),
        Format::Yaml => {
            foreshore_model::yaml::write(value).map_err(|error| Failure::internal(&error))?
        }
    };
    Ok(respond(code, form.content_type(), full(text)))
}

/// An object as a Table, as metadata alone, or whole.
pub(crate) fn view_object(call: &Call, object: Value) -> Value {
    match &call.form.view {
        View::Whole => object,
        View::Metadata(version) => metadata_only(&object, version),
        View::Table(version) => {
            let row = table::row(call, &object, call.now);
            let revision = crate::object::text(&object, "/metadata/resourceVersion");
            table::table(
                call,
                version,
                &[row],
                &json!({"resourceVersion": revision}),
                true,
            )
        }
    }
}

pub(crate) fn metadata_only(object: &Value, version: &str) -> Value {
    let metadata = object.get("metadata").cloned().unwrap_or_default();
    json!({
        "kind": "PartialObjectMetadata",
        "apiVersion": format!("meta.k8s.io/{version}"),
        "metadata": metadata,
    })
}

fn list_metadata(page: &Page) -> Value {
    let mut metadata = json!({"resourceVersion": page.revision.to_string()});
    if let Some(token) = &page.continues {
        metadata["continue"] = token.as_str().into();
    }
    if let Some(remaining) = page.remaining {
        metadata["remainingItemCount"] = remaining.into();
    }
    metadata
}

fn view_page(call: &Call, page: &Page) -> Answer<Value> {
    let metadata = list_metadata(page);
    let objects = page.objects.iter().map(|object| call.entry.present(object));
    let (kind, api_version, items) = match &call.form.view {
        View::Table(version) => {
            let rows = objects
                .map(|object| object.map(|object| table::row(call, &object, call.now)))
                .collect::<Answer<Vec<_>>>()?;
            return Ok(table::table(call, version, &rows, &metadata, true));
        }
        View::Metadata(version) => {
            let items = objects
                .map(|object| object.map(|object| metadata_only(&object, version)))
                .collect::<Answer<Vec<_>>>()?;
            (
                "PartialObjectMetadataList",
                format!("meta.k8s.io/{version}"),
                items,
            )
        }
        View::Whole => {
            let items = objects
                .map(|object| {
                    let mut object = object?;
                    // As in the real server, items of a list do not repeat what the list says.
                    if let Some(map) = object.as_object_mut() {
                        map.remove("kind");
                        map.remove("apiVersion");
                    }
                    Ok(object)
                })
                .collect::<Answer<Vec<_>>>()?;
            (
                call.entry.resource.list_kind.as_str(),
                call.entry.api_version.clone(),
                items,
            )
        }
    };
    Ok(json!({"kind": kind, "apiVersion": api_version, "metadata": metadata, "items": items}))
}

/// A whole JSON list, joined from the stored bytes without decoding them.
fn chunks(
    entry: &Entry,
    page: Page,
) -> impl Stream<Item = Result<Bytes, io::Error>> + Send + use<> {
    let head = format!(
        r#"{{"kind":{},"apiVersion":{},"metadata":{},"items":["#,
        Value::from(entry.resource.list_kind.as_str()),
        Value::from(entry.api_version.as_str()),
        list_metadata(&page),
    );
    let prefix_len = entry.prefix_len;
    let mut buffer = BytesMut::from(head.as_bytes());
    let mut objects = page.objects.into_iter().enumerate();
    let mut ended = false;
    stream::iter(std::iter::from_fn(move || {
        if ended {
            return None;
        }
        for (index, object) in objects.by_ref() {
            if index > 0 {
                buffer.put_u8(b',');
            }
            buffer.put_u8(b'{');
            buffer.put_slice(object.bytes.get(prefix_len..).unwrap_or(b"}"));
            if buffer.len() >= CHUNK {
                return Some(Ok(buffer.split().freeze()));
            }
        }
        ended = true;
        buffer.put_slice(b"]}");
        Some(Ok(buffer.split().freeze()))
    }))
}
