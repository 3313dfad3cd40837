//! Rows of the groups `apps`, `batch` and `policy`.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::selector::{label_selector, labels};
use super::{Shown, human_duration, or_none};

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
            vec![
                shown.name(),
                number("/spec/replicas"),
                number("/status/replicas"),
                number("/status/readyReplicas"),
                shown.age(),
                names,
                images,
                json!(selector_or_none(selector)),
            ]
        }
        "statefulsets" => vec![
            shown.name(),
            ready("/spec/replicas"),
            shown.age(),
            names,
            images,
        ],
        "daemonsets" => daemon_set(shown, selector),
        "jobs" => vec![
            shown.name(),
            json!(job_status(shown)),
            json!(completions(shown)),
            json!(job_duration(shown)),
            shown.age(),
            names,
            images,
            json!(selector_or_none(selector)),
        ],
        "cronjobs" => cron_job(shown),
        "controllerrevisions" => vec![
            shown.name(),
            json!(controller(shown)),
            number("/revision"),
            shown.age(),
        ],
        "poddisruptionbudgets" => vec![
            shown.name(),
            json!(amount(&shown.object["spec"]["minAvailable"])),
            json!(amount(&shown.object["spec"]["maxUnavailable"])),
            number("/status/disruptionsAllowed"),
            shown.age(),
        ],
        _ => return None,
    })
}

fn daemon_set(shown: Shown<'_>, selector: Option<String>) -> Vec<Value> {
    let count = |field: &str| json!(shown.number(&format!("/status/{field}")));
    let [names, images] = shown.containers(CONTAINERS);
    let chosen = labels(shown.object["spec"]["template"]["spec"]["nodeSelector"].as_object());
    vec![
        shown.name(),
        count("desiredNumberScheduled"),
        count("currentNumberScheduled"),
        count("numberReady"),
        count("updatedNumberScheduled"),
        count("numberAvailable"),
        json!(or_none(&chosen)),
        shown.age(),
        names,
        images,
        json!(selector_or_none(selector)),
    ]
}

fn selector_or_none(selector: Option<String>) -> String {
    selector.map_or_else(|| "<error>".to_owned(), |text| or_none(&text).to_owned())
}

fn has_condition(shown: Shown<'_>, kind: &str) -> bool {
    shown
        .list("/status/conditions")
        .iter()
        .any(|condition| condition["type"] == kind && condition["status"] == "True")
}

fn job_status(shown: Shown<'_>) -> &'static str {
    let leaving = !shown.object["metadata"]["deletionTimestamp"].is_null();
    match () {
        () if has_condition(shown, "Complete") => "Complete",
        () if has_condition(shown, "Failed") => "Failed",
        () if leaving => "Terminating",
        () if has_condition(shown, "Suspended") => "Suspended",
        () if has_condition(shown, "FailureTarget") => "FailureTarget",
        () if has_condition(shown, "SuccessCriteriaMet") => "SuccessCriteriaMet",
        () => "Running",
    }
}

fn completions(shown: Shown<'_>) -> String {
    let done = shown.number("/status/succeeded");
    if let Some(wanted) = shown.object["spec"]["completions"].as_i64() {
        return format!("{done}/{wanted}");
    }
    match shown.number("/spec/parallelism") {
        parallel if parallel > 1 => format!("{done}/1 of {parallel}"),
        _ => format!("{done}/1"),
    }
}

fn job_duration(shown: Shown<'_>) -> String {
    let time = |pointer| shown.text(pointer).parse::<Timestamp>().ok();
    let Some(start) = time("/status/startTime") else {
        return String::new();
    };
    let end = time("/status/completionTime").unwrap_or(shown.now);
    human_duration(end.duration_since(start))
}

fn cron_job(shown: Shown<'_>) -> Vec<Value> {
    let suspended = match shown.object["spec"]["suspend"].as_bool() {
        None => "<unset>",
        Some(true) => "True",
        Some(false) => "False",
    };
    let last = &shown.object["status"]["lastScheduleTime"];
    let last = if last.is_null() {
        "<none>".to_owned()
    } else {
        shown.since(last)
    };
    let [names, images] = shown.containers("/spec/jobTemplate/spec/template/spec/containers");
    let selector = label_selector(&shown.object["spec"]["jobTemplate"]["spec"]["selector"]);
    vec![
        shown.name(),
        json!(shown.text("/spec/schedule")),
        json!(or_none(shown.text("/spec/timeZone"))),
        json!(suspended),
        json!(shown.list("/status/active").len()),
        json!(last),
        shown.age(),
        names,
        images,
        json!(selector_or_none(selector)),
    ]
}

/// The object's controller, as `statefulset.apps/web`.
fn controller(shown: Shown<'_>) -> String {
    let owners = shown.list("/metadata/ownerReferences");
    let Some(owner) = owners.iter().find(|owner| owner["controller"] == true) else {
        return "<none>".to_owned();
    };
    let word = |field: &str| owner[field].as_str().unwrap_or_default();
    let kind = word("kind").to_lowercase();
    match word("apiVersion").split_once('/') {
        Some((group, _)) => format!("{kind}.{group}/{}", word("name")),
        None => format!("{kind}/{}", word("name")),
    }
}

/// A number or percentage, or what stands for none.
fn amount(value: &Value) -> String {
    match value {
        Value::Null => "N/A".to_owned(),
        Value::String(text) => text.clone(),
        number => number.to_string(),
    }
}
