//! Describes the routes by the types of their handlers: what cannot be described cannot be added.

use axum::extract::{Path, Query, State as Extract};
use axum::response::Sse;
use axum::{Json, Router};
use foreshore_model::api::Problem as ProblemBody;
use http::Method;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};
use std::sync::Arc;

use super::body::Body;
use crate::access::Caller;
use crate::problem::Problem;
use crate::state::State;

/// Where every path of the API starts.
pub(super) const PREFIX: &str = "/api/v1";

/// Routes, and what each says of itself.
pub(super) struct Routes {
    router: Router<Arc<State>>,
    paths: Map<String, Value>,
    generator: SchemaGenerator,
}

/// What is known of one operation.
#[derive(Default)]
pub(super) struct Operation {
    needs_caller: bool,
    parameters: Vec<Value>,
    request: Option<Schema>,
    answer: Option<(&'static str, Schema)>,
}

/// Something that a handler takes.
pub(super) trait Part {
    fn describe(operation: &mut Operation, generator: &mut SchemaGenerator);
}

impl Part for Extract<Arc<State>> {
    fn describe(_: &mut Operation, _: &mut SchemaGenerator) {}
}

/// Parts of the path are named by the route itself.
impl<T> Part for Path<T> {
    fn describe(_: &mut Operation, _: &mut SchemaGenerator) {}
}

impl Part for Caller {
    fn describe(operation: &mut Operation, _: &mut SchemaGenerator) {
        operation.needs_caller = true;
    }
}

impl<T: JsonSchema> Part for Body<T> {
    fn describe(operation: &mut Operation, generator: &mut SchemaGenerator) {
        operation.request = Some(generator.subschema_for::<T>());
    }
}

impl<T: JsonSchema> Part for Query<T> {
    fn describe(operation: &mut Operation, generator: &mut SchemaGenerator) {
        let schema = T::json_schema(generator).to_value();
        let required = schema["required"].as_array().cloned().unwrap_or_default();
        let properties = schema["properties"].as_object().cloned();
        for (name, mut schema) in properties.unwrap_or_default() {
            let description = schema
                .as_object_mut()
                .and_then(|it| it.remove("description"));
            let mut parameter = json!({
                "name": name,
                "in": "query",
                "required": required.contains(&json!(name)),
                "schema": schema,
            });
            if let Some(description) = description {
                parameter["description"] = description;
            }
            operation.parameters.push(parameter);
        }
    }
}

/// Something that a handler answers.
pub(super) trait Answer {
    fn describe(operation: &mut Operation, generator: &mut SchemaGenerator);
}

impl<T: JsonSchema> Answer for Json<T> {
    fn describe(operation: &mut Operation, generator: &mut SchemaGenerator) {
        operation.answer = Some(("application/json", generator.subschema_for::<T>()));
    }
}

impl<S> Answer for Sse<S> {
    fn describe(operation: &mut Operation, generator: &mut SchemaGenerator) {
        operation.answer = Some(("text/event-stream", generator.subschema_for::<String>()));
    }
}

impl<A: Answer> Answer for Result<A, Problem> {
    fn describe(operation: &mut Operation, generator: &mut SchemaGenerator) {
        A::describe(operation, generator);
    }
}

/// A handler all of whose parts can be described.
pub(super) trait Endpoint<Parts> {
    fn describe(operation: &mut Operation, generator: &mut SchemaGenerator);
}

macro_rules! endpoint {
    ($($part:ident),+) => {
        impl<F, Answered, $($part),+> Endpoint<($($part,)+)> for F
        where
            F: Fn($($part),+) -> Answered,
            Answered: Future,
            Answered::Output: Answer,
            $($part: Part),+
        {
            fn describe(operation: &mut Operation, generator: &mut SchemaGenerator) {
                $(<$part as Part>::describe(operation, generator);)+
                <Answered::Output as Answer>::describe(operation, generator);
            }
        }
    };
}

endpoint!(A, B);
endpoint!(A, B, C);
endpoint!(A, B, C, D);

impl Routes {
    pub(super) fn new() -> Self {
        let settings = SchemaSettings::draft2020_12().with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
        });
        Self {
            router: Router::new(),
            paths: Map::new(),
            generator: settings.into_generator(),
        }
    }

    pub(super) fn get<H, T, P>(self, path: &'static str, summary: &str, handler: H) -> Self
    where
        H: axum::handler::Handler<T, Arc<State>> + Endpoint<P>,
        T: 'static,
    {
        self.add(&Method::GET, path, summary, handler)
    }

    pub(super) fn post<H, T, P>(self, path: &'static str, summary: &str, handler: H) -> Self
    where
        H: axum::handler::Handler<T, Arc<State>> + Endpoint<P>,
        T: 'static,
    {
        self.add(&Method::POST, path, summary, handler)
    }

    pub(super) fn put<H, T, P>(self, path: &'static str, summary: &str, handler: H) -> Self
    where
        H: axum::handler::Handler<T, Arc<State>> + Endpoint<P>,
        T: 'static,
    {
        self.add(&Method::PUT, path, summary, handler)
    }

    pub(super) fn delete<H, T, P>(self, path: &'static str, summary: &str, handler: H) -> Self
    where
        H: axum::handler::Handler<T, Arc<State>> + Endpoint<P>,
        T: 'static,
    {
        self.add(&Method::DELETE, path, summary, handler)
    }

    fn add<H, T, P>(mut self, method: &Method, path: &str, summary: &str, handler: H) -> Self
    where
        H: axum::handler::Handler<T, Arc<State>> + Endpoint<P>,
        T: 'static,
    {
        let mut operation = Operation::default();
        H::describe(&mut operation, &mut self.generator);
        let problem = self.generator.subschema_for::<ProblemBody>();
        let described = operation.into_value(path, summary, &problem);
        let entry = self.paths.entry(format!("{PREFIX}{path}"));
        let entry = entry.or_insert_with(|| json!({}));
        entry[method.as_str().to_lowercase()] = described;
        let filter = method
            .clone()
            .try_into()
            .expect("GET, POST, PUT and DELETE can be routed");
        self.router = self.router.route(path, axum::routing::on(filter, handler));
        self
    }

    /// The routes, and the document that describes them.
    pub(super) fn finish(mut self) -> (Router<Arc<State>>, String) {
        let document = json!({
            "openapi": "3.1.0",
            "info": {
                "title": "Foreshore",
                "version": env!("CARGO_PKG_VERSION"),
                "description": "What command line, agents, CI and pages ask of a server. An answer that is not 2xx is a Problem, whose code is the exit code of the command line.",
            },
            "paths": self.paths,
            "components": {
                "schemas": self.generator.take_definitions(true),
                "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            },
        });
        let text = serde_json::to_string_pretty(&document).expect("a document is plain data");
        (self.router, format!("{text}\n"))
    }
}

impl Operation {
    fn into_value(self, path: &str, summary: &str, problem: &Schema) -> Value {
        let in_path = path.split('/').filter_map(|part| {
            let name = part.strip_prefix('{')?.strip_suffix('}')?;
            Some(json!({
                "name": name,
                "in": "path",
                "required": true,
                "schema": {"type": "string"},
            }))
        });
        let parameters: Vec<Value> = in_path.chain(self.parameters).collect();
        let mut value = json!({"summary": summary});
        if !parameters.is_empty() {
            value["parameters"] = parameters.into();
        }
        if self.needs_caller {
            value["security"] = json!([{"token": []}]);
        }
        if let Some(schema) = self.request {
            value["requestBody"] = json!({
                "required": true,
                "content": {"application/json": {"schema": schema}},
            });
        }
        let mut responses = json!({
            "default": {
                "description": "why it was not done",
                "content": {"application/json": {"schema": problem}},
            },
        });
        if let Some((kind, schema)) = self.answer {
            let mut content = Map::new();
            content.insert(kind.to_owned(), json!({"schema": schema}));
            responses["200"] = json!({"description": "done", "content": content});
        }
        value["responses"] = responses;
        value
    }
}
