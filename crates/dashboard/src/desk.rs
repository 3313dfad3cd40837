//! What pages ask of the server: the same HTTP API as everybody's, without sockets in between.
//!
//! The caller is handed over as a value beside the request, which nobody can
//! send from outside; what they may do is decided where it always is.

use axum::Router;
use axum::body::Body;
use foreshore_identity::Principal;
use foreshore_model::api::Problem;
use foreshore_model::{ExitCode, api};
use http::{Method, Request, header};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tower::ServiceExt as _;

/// An answer of the API is never longer.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Speaks to the API as somebody.
#[derive(Debug, Clone)]
pub(crate) struct Desk {
    api: Router,
}

impl Desk {
    pub(crate) fn new(api: Router) -> Self {
        Self { api }
    }

    pub(crate) async fn get<T: DeserializeOwned>(
        &self,
        who: &Principal,
        path: &str,
    ) -> Result<T, Problem> {
        self.ask(who, Method::GET, path, Body::empty()).await
    }

    pub(crate) async fn send<T: DeserializeOwned>(
        &self,
        who: &Principal,
        method: Method,
        path: &str,
        body: &(impl Serialize + Sync),
    ) -> Result<T, Problem> {
        let body =
            serde_json::to_vec(body).map_err(|error| unreadable(path, &error.to_string()))?;
        self.ask(who, method, path, Body::from(body)).await
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        who: &Principal,
        method: Method,
        path: &str,
        body: Body,
    ) -> Result<T, Problem> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::CONTENT_TYPE, "application/json")
            .extension(who.clone())
            .body(body)
            .map_err(|error| unreadable(path, &error.to_string()))?;
        let answer = match self.api.clone().oneshot(request).await {
            Ok(answer) => answer,
            Err(never) => match never {},
        };
        let good = answer.status().is_success();
        let bytes = axum::body::to_bytes(answer.into_body(), ANSWER_BYTES_MAX)
            .await
            .map_err(|error| unreadable(path, &error.to_string()))?;
        if good {
            return serde_json::from_slice(&bytes)
                .map_err(|error| unreadable(path, &error.to_string()));
        }
        Err(serde_json::from_slice::<api::Problem>(&bytes)
            .unwrap_or_else(|_| unreadable(path, &String::from_utf8_lossy(&bytes))))
    }
}

fn unreadable(path: &str, why: &str) -> Problem {
    Problem {
        code: ExitCode::Failed.code(),
        kind: "internal".to_owned(),
        message: format!("the server's answer to `{path}` cannot be read: {why}"),
        hints: Vec::new(),
    }
}

/// What pages need beside the public API.
pub mod inside {
    use foreshore_model::Environment;
    use serde::{Deserialize, Serialize};

    /// `GET /inside/world`
    #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
    pub struct World {
        pub environments: Vec<Environment>,
    }
}
