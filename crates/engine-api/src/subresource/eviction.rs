//! `pods/eviction`: a deletion that first asks the pod's disruption budget.

use std::sync::Arc;

use foreshore_engine_store::{CommitError, Expect, Object, Op};
use http::StatusCode;
use serde_json::{Value, json};

use crate::body;
use crate::call::Call;
use crate::core::Core;
use crate::object::{self, text};
use crate::reply::{Content, Reply};
use crate::status::{Answer, Failure, Named};
use crate::strategy;
use crate::write::commit_failure;
use crate::write::delete::{DeleteOptions, delete_one};

/// Attempts against others who change the same pod or budget.
const TRIES: usize = 20;
/// Evictions a budget may hold that its controller has not seen.
const DISRUPTED_MAX: usize = 2000;
/// When to try again while a budget is being worked out.
const RETRY_SECONDS: u32 = 10;

const POLICY: &str = "policy";
const BUDGETS: &str = "poddisruptionbudgets";
/// The word the real server uses in refusals about budgets.
const BUDGET: Named<'static> = Named {
    group: POLICY,
    plural: "poddisruptionbudget",
};

pub(super) async fn evict(core: &Core, call: &Call) -> Answer<Reply> {
    let eviction = body::read_other(call, "policy/v1", "Eviction")?;
    if text(&eviction, "/metadata/name") != call.path.name {
        return Err(Failure::bad_request(
            "name in URL does not match name in Eviction object",
        ));
    }
    let mut options = match eviction.get("deleteOptions") {
        Some(options) => DeleteOptions::from_value(options)?,
        None => DeleteOptions::default(),
    };
    options.dry_run |= call.dry_run()?;
    let pod = pod(core, call)?;
    let value = object::decode(&pod)?;
    let ends = ignores_budgets(&value);
    if !ends {
        let budgets = budgets(core, call, &value)?;
        if budgets.len() > 1 {
            return Err(Failure::untyped(
                "This pod has more than one PodDisruptionBudget, which the eviction subresource \
                 does not support.",
            ));
        }
        if let Some(budget) = budgets.into_iter().next() {
            if may_go_unhealthy(&value, &object::decode(&budget)?) {
                options
                    .version
                    .get_or_insert_with(|| pod.revision.to_string());
            } else {
                spend(core, call, budget, options.dry_run).await?;
            }
        }
    } else if !has_ended(&value) {
        // It must not become healthy, and so count for its budget, before it goes.
        options
            .version
            .get_or_insert_with(|| pod.revision.to_string());
    }
    remove(core, call, options).await?;
    let done = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201,
    });
    Ok(Reply {
        code: StatusCode::CREATED,
        content: Content::Other(done),
        warnings: vec![],
    })
}

fn pod(core: &Core, call: &Call) -> Answer<Arc<Object>> {
    let key = call.entry.key(&call.path.namespace, &call.path.name);
    let stored = core.store.get(&key);
    stored.ok_or_else(|| Failure::not_found(call.entry.named(), &call.path.name))
}

fn has_ended(pod: &Value) -> bool {
    matches!(text(pod, "/status/phase"), "Succeeded" | "Failed")
}

/// A pod that serves nobody, or no more, disturbs nobody when it goes.
fn ignores_budgets(pod: &Value) -> bool {
    has_ended(pod) || text(pod, "/status/phase") == "Pending" || object::is_deleting(pod)
}

/// The budgets that count the pod.
fn budgets(core: &Core, call: &Call, pod: &Value) -> Answer<Vec<Arc<Object>>> {
    let rows = &core.catalog.known(POLICY, BUDGETS).rows;
    let snapshot = core.store.snapshot();
    let none = json!({});
    let labels = pod.pointer("/metadata/labels").unwrap_or(&none);
    let mut found = vec![];
    for stored in snapshot.list(rows, Some(&call.path.namespace), None) {
        let budget = object::decode(stored)?;
        let selector = budget.pointer("/spec/selector");
        if selector
            .is_some_and(|selector| !selector.is_null() && strategy::selects(selector, labels))
        {
            found.push(Arc::clone(stored));
        }
    }
    Ok(found)
}

/// Whether an unhealthy pod may go without being counted.
fn may_go_unhealthy(pod: &Value, budget: &Value) -> bool {
    let conditions = pod.pointer("/status/conditions").and_then(Value::as_array);
    let ready = conditions
        .into_iter()
        .flatten()
        .any(|condition| condition["type"] == "Ready" && condition["status"] == "True");
    let count = |field| number(budget, &format!("/status/{field}"));
    !ready
        && (text(budget, "/spec/unhealthyPodEvictionPolicy") == "AlwaysAllow"
            || (count("desiredHealthy") > 0 && count("currentHealthy") >= count("desiredHealthy")))
}

fn number(value: &Value, pointer: &str) -> i64 {
    value.pointer(pointer).and_then(Value::as_i64).unwrap_or(0)
}

/// Takes one disruption from the budget, or says why there is none.
async fn spend(core: &Core, call: &Call, budget: Arc<Object>, dry_run: bool) -> Answer<()> {
    let entry = core.catalog.known(POLICY, BUDGETS);
    let name = budget.key.name.to_string();
    let mut stored = budget;
    for _ in 0..TRIES {
        let mut value = object::decode(&stored)?;
        check(&value)?;
        if dry_run {
            return Ok(());
        }
        let left = number(&value, "/status/disruptionsAllowed") - 1;
        let status = object::map_mut(&mut value, "status");
        status.insert("disruptionsAllowed".into(), left.into());
        let disrupted = status.entry("disruptedPods").or_insert(json!({}));
        disrupted[call.path.name.as_str()] = object::time(call.now);
        if left == 0 {
            forbid_more(&mut value, call);
        }
        let op = Op::Put {
            key: stored.key.clone(),
            expect: Expect::Revision(stored.revision),
            body: object::encode(&value),
        };
        match core.store.write(op).await {
            Ok(_) => return Ok(()),
            Err(CommitError::Changed { .. }) => {
                let newest = core.store.get(&stored.key);
                stored = newest.ok_or_else(|| Failure::not_found(entry.named(), &name))?;
            }
            Err(error) => return Err(commit_failure(call, &name, &error)),
        }
    }
    Err(Failure::timeout(
        format!("couldn't update PodDisruptionBudget {name:?} due to conflicts"),
        RETRY_SECONDS,
    ))
}

/// Refuses when the budget has nothing left.
fn check(budget: &Value) -> Answer<()> {
    let name = object::name(budget);
    let refused = "Cannot evict pod as it would violate the pod's disruption budget.";
    if number(budget, "/status/observedGeneration") < number(budget, "/metadata/generation") {
        let why = format!("The disruption budget {name} is still being processed by the server.");
        return Err(Failure::too_many_requests(refused, RETRY_SECONDS, why));
    }
    let left = number(budget, "/status/disruptionsAllowed");
    if left < 0 {
        let why = "pdb disruptions allowed is negative";
        return Err(Failure::forbidden(BUDGET, name, why));
    }
    let disrupted = budget.pointer("/status/disruptedPods");
    if disrupted
        .and_then(Value::as_object)
        .is_some_and(|pods| pods.len() > DISRUPTED_MAX)
    {
        let why = "DisruptedPods map too big - too many evictions not confirmed by PDB controller";
        return Err(Failure::forbidden(BUDGET, name, why));
    }
    if left > 0 {
        return Ok(());
    }
    let conditions = budget
        .pointer("/status/conditions")
        .and_then(Value::as_array);
    let failed = conditions.into_iter().flatten().find(|condition| {
        condition["type"] == "DisruptionAllowed"
            && condition["status"] == "False"
            && condition["reason"] == "SyncFailed"
    });
    let why = match failed {
        Some(condition) => format!(
            "The disruption budget {name} does not allow evicting pods currently because it \
             failed sync: {}",
            text(condition, "/message")
        ),
        None => format!(
            "The disruption budget {name} needs {} healthy pods and has {} currently",
            number(budget, "/status/desiredHealthy"),
            number(budget, "/status/currentHealthy")
        ),
    };
    Err(Failure::too_many_requests(refused, 0, why))
}

/// The last disruption is spent: say so at once, before the controller looks again.
fn forbid_more(budget: &mut Value, call: &Call) {
    let generation = budget.pointer("/status/observedGeneration").cloned();
    let status = object::map_mut(budget, "status");
    let conditions = status.entry("conditions").or_insert(json!([]));
    let Some(conditions) = conditions.as_array_mut() else {
        return;
    };
    conditions.retain(|condition| condition["type"] != "DisruptionAllowed");
    conditions.push(json!({
        "type": "DisruptionAllowed", "status": "False", "reason": "InsufficientPods",
        "message": "", "lastTransitionTime": object::time(call.now),
        "observedGeneration": generation,
    }));
}

/// Marks the pod as evicted and deletes exactly the one that was marked.
async fn remove(core: &Core, call: &Call, mut options: DeleteOptions) -> Answer<()> {
    let (name, namespace) = (&call.path.name, &call.path.namespace);
    if options.dry_run {
        return delete_one(core, call, name, namespace, &options)
            .await
            .map(drop);
    }
    let named_version = options.version.is_some();
    for _ in 0..TRIES {
        let stored = pod(core, call)?;
        let mut value = object::decode(&stored)?;
        options.check(call, name, &stored, &value)?;
        mark(&mut value, call);
        let op = Op::Put {
            key: stored.key.clone(),
            expect: Expect::Revision(stored.revision),
            body: object::encode(&value),
        };
        let marked = match core.store.write(op).await {
            Ok(marked) => marked,
            Err(CommitError::Changed { .. }) if !named_version => continue,
            Err(error) => return Err(commit_failure(call, name, &error)),
        };
        // Whatever the kubelet writes meanwhile, it is still this pod.
        options.version = None;
        options.uid = Some(object::uid(&value).to_owned());
        if named_version {
            options.version = Some(marked.revision.to_string());
        }
        return delete_one(core, call, name, namespace, &options)
            .await
            .map(drop);
    }
    Err(Failure::modified(call.entry.named(), name))
}

fn mark(pod: &mut Value, call: &Call) {
    let generation = pod.pointer("/metadata/generation").cloned();
    let tracked = number(pod, "/status/observedGeneration") != 0;
    let status = object::map_mut(pod, "status");
    let conditions = status.entry("conditions").or_insert(json!([]));
    let Some(conditions) = conditions.as_array_mut() else {
        return;
    };
    let is_target = |condition: &Value| condition["type"] == "DisruptionTarget";
    let before = conditions.iter().find(|condition| is_target(condition));
    let since = before
        .filter(|condition| condition["status"] == "True")
        .map(|condition| condition["lastTransitionTime"].clone());
    let mut condition = json!({
        "type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI",
        "message": "Eviction API: evicting", "lastProbeTime": null,
        "lastTransitionTime": since.unwrap_or_else(|| object::time(call.now)),
    });
    if let Some(generation) = generation.filter(|_| tracked) {
        condition["observedGeneration"] = generation;
    }
    conditions.retain(|condition| !is_target(condition));
    conditions.push(condition);
}
