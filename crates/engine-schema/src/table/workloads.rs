//! Rows of the groups `apps`, `batch` and `policy`.

use serde_json::{Value, json};

use super::Shown;
use super::selector::label_selector;

const CONTAINERS: &str = "/spec/template/spec/containers";

pub(super) fn cells(plural: &str, shown: Shown<'_>) -> Option<Vec<Value>> {
    let ready = |desired: &str| {
        json!(format!(
            "{}/{}",
            shown.number("/status/readyReplicas"),
            shown.number(desired)
        ))
    };
    let number = |pointer: &str| json!(shown.number(pointer));
    let [names, images] = shown.containers(CONTAINERS);
    let selector = label_selector(&shown.object["spec"]["selector"]);
    Some(match plural {
        "deployments" => vec![
            shown.name(),
            ready("/spec/replicas"),
            number("/status/updatedReplicas"),
            number("/status/availableReplicas"),
            shown.age(),
            names,
            images,
            json!(selector.unwrap_or_else(|| "<invalid>".to_owned())),
        ],
        "replicasets" => {
            let selector = selector.map_or_else(
                || "<error>".to_owned(),
                |text| super::or_none(&text).to_owned(),
            );
            vec![
                shown.name(),
                number("/spec/replicas"),
                number("/status/replicas"),
                number("/status/readyReplicas"),
                shown.age(),
                names,
                images,
                json!(selector),
            ]
        }
        "statefulsets" => vec![
            shown.name(),
            ready("/spec/replicas"),
            shown.age(),
            names,
            images,
        ],
        _ => return None,
    })
}
