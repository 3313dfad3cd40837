//! Rule of persistent volume claims.

use crate::assess::Related;
use crate::object::Object;
use crate::state::{Health, State};

pub(crate) fn claim(object: Object<'_>, related: Related<'_>) -> Health {
    let phase = object.text("/status/phase").unwrap_or_default();
    match phase {
        "Bound" => bound(object),
        "Lost" => Health::new(
            State::Failed,
            object.cause("Lost", "the volume behind the claim is gone"),
        ),
        _ if waits_for_consumer(object, related) => Health {
            state: State::Current,
            causes: vec![object.cause("WaitForFirstConsumer", "bound when the first pod uses it")],
        },
        _ => Health::new(
            State::InProgress,
            object.cause("Pending", "no volume is bound yet"),
        ),
    }
}

fn bound(object: Object<'_>) -> Health {
    for kind in [
        "ControllerResizeError",
        "NodeResizeError",
        "ModifyVolumeError",
    ] {
        if let Some(found) = object.met(kind) {
            return Health::new(State::Degraded, object.cause(kind, found.message));
        }
    }
    for kind in ["Resizing", "FileSystemResizePending"] {
        if let Some(found) = object.met(kind) {
            return Health::new(State::InProgress, object.cause(kind, found.message));
        }
    }
    let capacity = object.text("/status/capacity/storage").and_then(bytes);
    let request = object
        .text("/spec/resources/requests/storage")
        .and_then(bytes);
    match (capacity, request) {
        (Some(capacity), Some(request)) if capacity < request => Health::new(
            State::InProgress,
            object.cause("Resizing", "the volume is smaller than requested"),
        ),
        _ => Health::current(),
    }
}

fn waits_for_consumer(object: Object<'_>, related: Related<'_>) -> bool {
    if object
        .annotation("volume.kubernetes.io/selected-node")
        .is_some()
    {
        return false;
    }
    let Some(class) = object.text("/spec/storageClassName") else {
        return false;
    };
    related.of_kind("StorageClass").any(|found| {
        found.name() == class && found.text("/volumeBindingMode") == Some("WaitForFirstConsumer")
    })
}

/// Reads a quantity of bytes; `None` for what is no plain byte quantity.
fn bytes(quantity: &str) -> Option<u128> {
    let digits = quantity
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(quantity.len());
    let (number, suffix) = quantity.split_at(digits);
    let factor: u128 = match suffix {
        "" => 1,
        "k" => 1_000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        "T" => 1_000_000_000_000,
        "P" => 1_000_000_000_000_000,
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        "Ti" => 1 << 40,
        "Pi" => 1 << 50,
        _ => return None,
    };
    number.parse::<u128>().ok()?.checked_mul(factor)
}
