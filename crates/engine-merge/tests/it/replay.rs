//! Replays a recorded story step by step.

use foreshore_engine_merge::{ApplyError, Manager};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use crate::server::{Refusal, Request, Server, Verb};

#[derive(Deserialize)]
struct Story {
    about: String,
    group: String,
    version: String,
    plural: String,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
struct Step {
    #[serde(rename = "do")]
    verb: String,
    manager: String,
    #[serde(default)]
    subresource: String,
    #[serde(default)]
    force: bool,
    body: Value,
    object: Option<Value>,
    refused: Option<Refused>,
}

#[derive(Deserialize)]
struct Refused {
    code: u16,
    message: String,
    #[serde(default)]
    causes: Vec<Cause>,
}

#[derive(Deserialize)]
struct Cause {
    message: String,
    field: String,
}

#[track_caller]
pub(crate) fn check(text: &str) {
    let story: Story = serde_json::from_str(text).unwrap();
    let mut server = Server::new(&story.group, &story.version, &story.plural);
    let api_version = if story.group.is_empty() {
        story.version.clone()
    } else {
        format!("{}/{}", story.group, story.version)
    };
    for (index, step) in story.steps.iter().enumerate() {
        // The server's own validation is not under test here.
        if step
            .refused
            .as_ref()
            .is_some_and(|refused| refused.code == 422 && step.verb != "json")
            || step
                .refused
                .as_ref()
                .is_some_and(|refused| refused.message.starts_with("invalid object type"))
        {
            continue;
        }
        let now: Timestamp = format!("2026-01-01T00:00:{index:02}Z").parse().unwrap();
        let verb = match step.verb.as_str() {
            "create" => Verb::Create,
            "update" => Verb::Update,
            "apply" => Verb::Apply { force: step.force },
            "merge" => Verb::Merge,
            "strategic" => Verb::Strategic,
            "json" => Verb::Json,
            other => panic!("no verb {other}"),
        };
        let manager = Manager {
            name: step.manager.clone(),
            api_version: api_version.clone(),
            subresource: step.subresource.clone(),
        };
        let before = server.live.clone();
        let result = server.handle(&Request {
            verb,
            manager,
            body: &step.body,
            now,
        });
        let place = format!(
            "{}: step {index}, {} by {}",
            story.about, step.verb, step.manager
        );
        match (&step.refused, result) {
            (None, Ok(())) => {
                let got = comparable(server.live.clone().unwrap());
                let wanted = comparable(step.object.clone().unwrap());
                assert!(
                    got == wanted,
                    "{place}\n got {}\nwant {}",
                    pretty(&got),
                    pretty(&wanted)
                );
            }
            (Some(refused), Err(refusal)) => {
                check_refusal(&place, refused, &refusal);
                server.live = before;
            }
            (Some(refused), Ok(())) => panic!("{place}: must be refused: {}", refused.message),
            (None, Err(refusal)) => panic!("{place}: must not be refused: {refusal:?}"),
        }
    }
}

fn check_refusal(place: &str, refused: &Refused, refusal: &Refusal) {
    let message = match refusal {
        Refusal::Apply(error) => error.to_string(),
        Refusal::Strategic(error) => error.to_string(),
        Refusal::Json(error) => error.to_string(),
    };
    match refusal {
        Refusal::Apply(ApplyError::Conflicts(conflicts)) => {
            let got: Vec<(&str, &str)> = conflicts
                .0
                .iter()
                .map(|conflict| (conflict.message.as_str(), conflict.path.as_str()))
                .collect();
            let wanted: Vec<(&str, &str)> = refused
                .causes
                .iter()
                .map(|cause| (cause.message.as_str(), cause.field.as_str()))
                .collect();
            assert_eq!(got, wanted, "{place}");
            assert_eq!(message, refused.message, "{place}");
        }
        // These quote values the way Go prints them.
        Refusal::Strategic(_) => assert_eq!(
            message.split(':').next(),
            refused.message.split(':').next(),
            "{place}"
        ),
        Refusal::Apply(ApplyError::Undeclared { .. }) => {
            let start = |text: &str| text.split(", got").next().unwrap_or_default().to_owned();
            assert_eq!(start(&message), start(&refused.message), "{place}");
        }
        _ => assert_eq!(message, refused.message, "{place}"),
    }
}

/// The object without what only a server has.
fn comparable(mut object: Value) -> Value {
    let metadata = object["metadata"].as_object_mut().unwrap();
    for field in ["uid", "creationTimestamp", "generation"] {
        metadata.remove(field);
    }
    object
}

fn pretty(object: &Value) -> String {
    serde_json::to_string_pretty(object).unwrap()
}
