//! The API of the simulated world: names, versions, generations, finalizers.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};

use super::{Id, World};
use crate::change::{Change, Part};

impl World {
    /// Creates or replaces an object the way a user would.
    pub(crate) fn put(&mut self, kind: &str, mut object: Value) {
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        let id = (kind.to_owned(), name);
        match self.objects.get(&id) {
            None => self.insert(kind, object),
            Some(known) => {
                let generation = known["metadata"]["generation"].as_i64().unwrap_or(0);
                object["metadata"] = known["metadata"].clone();
                object["metadata"]["generation"] = json!(generation + 1);
                object["status"] = known["status"].clone();
                self.store(id, object);
            }
        }
    }

    /// Deletes an object the way a user would.
    pub(crate) fn remove(&mut self, kind: &str, name: &str) {
        self.delete(&(kind.to_owned(), name.to_owned()));
    }

    /// Changes the status of an object the way a node does.
    pub(crate) fn set_status(&mut self, kind: &str, name: &str, status: Value) {
        let id = (kind.to_owned(), name.to_owned());
        let mut object = self.objects[&id].clone();
        object["status"] = status;
        self.store(id, object);
    }

    /// Does one thing a controller asked for; refuses it if it is stale.
    pub(super) fn apply(&mut self, change: Change) -> Result<bool, ()> {
        match change {
            Change::Create { kind, body, .. } => {
                let mut body = body;
                if body["metadata"]["name"].is_null() {
                    let prefix = body["metadata"]["generateName"].as_str().unwrap();
                    body["metadata"]["name"] = json!(format!("{prefix}{:05}", self.serial));
                }
                let name = body["metadata"]["name"].as_str().unwrap().to_owned();
                if self.objects.contains_key(&(kind.kind.to_string(), name)) {
                    return Err(());
                }
                self.insert(&kind.kind, body);
                Ok(true)
            }
            Change::Patch { target, part, body } => {
                let id = (target.kind.kind.to_string(), target.name);
                self.patch(id, part, &body)
            }
            Change::Delete { target, uid, .. } => {
                let id = (target.kind.kind.to_string(), target.name);
                let known = self.objects.get(&id).ok_or(())?;
                if known["metadata"]["uid"] != json!(uid) {
                    return Err(());
                }
                self.delete(&id);
                Ok(true)
            }
            Change::ConfirmLive { target, uid } => {
                let id = (target.kind.kind.to_string(), target.name);
                let known = self.objects.get(&id).ok_or(())?;
                let lives = known["metadata"]["uid"] == json!(uid)
                    && known["metadata"]["deletionTimestamp"].is_null();
                lives.then_some(false).ok_or(())
            }
            Change::Event {
                reason, message, ..
            } => {
                self.told.push(format!("{reason}: {message}"));
                Ok(false)
            }
            Change::Requeue { .. } => Ok(false),
            other => panic!("not expected here: {other:?}"),
        }
    }

    fn insert(&mut self, kind: &str, mut object: Value) {
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        let uid = format!("{kind}-{name}-{}", self.serial);
        object["metadata"]["uid"] = json!(uid);
        object["metadata"]["namespace"] = json!("dev");
        object["metadata"]["generation"] = json!(1);
        object["metadata"]["creationTimestamp"] = json!(Time(self.now));
        object["kind"] = json!(kind);
        if kind == "Pod" {
            object["status"]["phase"] = json!("Pending");
        }
        self.store((kind.to_owned(), name), object);
    }

    /// What the API does with a merge patch, preconditions included.
    fn patch(&mut self, id: Id, part: Part, body: &Value) -> Result<bool, ()> {
        let before = self.objects.get(&id).ok_or(())?.clone();
        for key in ["uid", "resourceVersion"] {
            if let Some(wanted) = body["metadata"].get(key)
                && *wanted != before["metadata"][key]
            {
                return Err(());
            }
        }
        let mut after = before.clone();
        merge(&mut after, body);
        match part {
            Part::Main => after["status"] = before["status"].clone(),
            Part::Status | Part::Scale => after["spec"] = before["spec"].clone(),
        }
        if after == before {
            return Ok(false);
        }
        if part == Part::Main && after["spec"] != before["spec"] {
            let generation = after["metadata"]["generation"].as_i64().unwrap_or(0);
            after["metadata"]["generation"] = json!(generation + 1);
        }
        if is_finished(&after) {
            self.erase(id);
        } else {
            self.store(id, after);
        }
        Ok(true)
    }

    fn delete(&mut self, id: &Id) {
        let Some(mut object) = self.objects.get(id).cloned() else {
            return;
        };
        let waits = id.0 == "Pod" || has_finalizers(&object);
        if !waits {
            self.erase(id.clone());
        } else if object["metadata"]["deletionTimestamp"].is_null() {
            object["metadata"]["deletionTimestamp"] = json!(Time(self.now));
            self.store(id.clone(), object);
        }
    }

    /// Ends a pod for good, or as soon as its finalizers are gone.
    pub(super) fn end_pod(&mut self, name: &str) {
        let id = ("Pod".to_owned(), name.to_owned());
        let mut object = self.objects[&id].clone();
        object["metadata"]["ended"] = json!(true);
        if has_finalizers(&object) {
            self.store(id, object);
        } else {
            self.erase(id);
        }
    }

    /// Writes an object as it is.
    pub(super) fn replace(&mut self, id: Id, object: Value) {
        self.store(id, object);
    }

    fn store(&mut self, id: Id, mut object: Value) {
        self.serial += 1;
        object["metadata"]["resourceVersion"] = json!(self.serial.to_string());
        self.objects.insert(id.clone(), object.clone());
        let queue = self.unseen.entry(id.0.clone()).or_default();
        queue.push_back((self.serial, id, Some(object)));
    }

    fn erase(&mut self, id: Id) {
        self.serial += 1;
        self.objects.remove(&id);
        let queue = self.unseen.entry(id.0.clone()).or_default();
        queue.push_back((self.serial, id, None));
    }
}

fn has_finalizers(object: &Value) -> bool {
    object["metadata"]["finalizers"]
        .as_array()
        .is_some_and(|finalizers| !finalizers.is_empty())
}

/// Deleted, with nobody left to wait for.
fn is_finished(object: &Value) -> bool {
    let ended = object["kind"] != "Pod" || object["metadata"]["ended"] == json!(true);
    !object["metadata"]["deletionTimestamp"].is_null() && ended && !has_finalizers(object)
}

fn merge(value: &mut Value, patch: &Value) {
    let Value::Object(fields) = patch else {
        *value = patch.clone();
        return;
    };
    if !value.is_object() {
        *value = json!({});
    }
    for (key, field) in fields {
        if field.is_null() {
            value.as_object_mut().unwrap().remove(key);
        } else {
            merge(&mut value[key.as_str()], field);
        }
    }
}
