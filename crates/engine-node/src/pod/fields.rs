//! Short ways to what is asked for in a pod.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Container, Pod, PodSpec};

/// What a container is in its pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Runs to its end before the next one starts.
    Init,
    /// Starts among the init containers and runs beside the main ones.
    Sidecar,
    Main,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RestartPolicy {
    Always,
    OnFailure,
    Never,
}

pub(crate) fn spec(pod: &Pod) -> &PodSpec {
    static EMPTY: std::sync::LazyLock<PodSpec> = std::sync::LazyLock::new(PodSpec::default);
    pod.spec.as_ref().unwrap_or(&EMPTY)
}

pub(crate) fn namespace(pod: &Pod) -> &str {
    pod.metadata.namespace.as_deref().unwrap_or("default")
}

pub(crate) fn name(pod: &Pod) -> &str {
    pod.metadata.name.as_deref().unwrap_or_default()
}

pub(crate) fn uid(pod: &Pod) -> &str {
    pod.metadata.uid.as_deref().unwrap_or_default()
}

/// One annotation by its name.
pub(crate) fn annotation<'a>(pod: &'a Pod, name: &str) -> Option<&'a str> {
    pod.metadata
        .annotations
        .as_ref()?
        .get(name)
        .map(String::as_str)
}

/// All containers in the order they start.
pub(crate) fn containers(pod: &Pod) -> impl Iterator<Item = (Role, &Container)> {
    let spec = spec(pod);
    let early = spec.init_containers.iter().flatten().map(|container| {
        let stays = container.restart_policy.as_deref() == Some("Always");
        (if stays { Role::Sidecar } else { Role::Init }, container)
    });
    early.chain(
        spec.containers
            .iter()
            .map(|container| (Role::Main, container)),
    )
}

pub(crate) fn container<'a>(pod: &'a Pod, name: &str) -> Option<&'a Container> {
    containers(pod)
        .map(|(_, container)| container)
        .find(|container| container.name == name)
}

/// Names of containers that somebody added to look into the pod.
pub(crate) fn ephemeral_names(pod: &Pod) -> Vec<&str> {
    let added = spec(pod).ephemeral_containers.iter().flatten();
    added.map(|container| container.name.as_str()).collect()
}

/// The policy for one container: sidecars always restart, init containers
/// only fail for good where the pod never restarts anything.
pub(crate) fn restart_policy(pod: &Pod, role: Role) -> RestartPolicy {
    let pod_policy = match spec(pod).restart_policy.as_deref() {
        Some("Never") => RestartPolicy::Never,
        Some("OnFailure") => RestartPolicy::OnFailure,
        _ => RestartPolicy::Always,
    };
    match (role, pod_policy) {
        (Role::Sidecar, _) => RestartPolicy::Always,
        (Role::Init, RestartPolicy::Always) => RestartPolicy::OnFailure,
        (_, policy) => policy,
    }
}

pub(crate) fn deletion(pod: &Pod) -> Option<Timestamp> {
    pod.metadata.deletion_timestamp.as_ref().map(|time| time.0)
}

/// How long a container may take to end by itself.
pub(crate) fn grace(pod: &Pod) -> SignedDuration {
    let seconds = match deletion(pod) {
        Some(_) => pod.metadata.deletion_grace_period_seconds,
        None => spec(pod).termination_grace_period_seconds,
    };
    SignedDuration::from_secs(seconds.unwrap_or(30).max(0))
}

pub(crate) fn is_host_network(pod: &Pod) -> bool {
    spec(pod).host_network == Some(true)
}

/// The name the pod's programs see as their host.
pub(crate) fn host_name(pod: &Pod) -> String {
    let wanted = spec(pod).hostname.as_deref().unwrap_or_else(|| name(pod));
    // The kernel allows 64 bytes, DNS 63.
    wanted
        .chars()
        .take(63)
        .collect::<String>()
        .trim_end_matches(['-', '.'])
        .to_owned()
}

/// A container's request or limit in units of `divisor`, rounded up; what the
/// node has where no limit is set. `None` for resources not known here.
pub(crate) fn resource(
    container: &Container,
    name: &str,
    divisor: Option<&str>,
    node_cpu_millis: i64,
    node_memory_bytes: i64,
) -> Option<String> {
    let (group, kind) = name.split_once('.')?;
    let resources = container.resources.as_ref();
    let limits = resources.and_then(|resources| resources.limits.as_ref());
    let requests = resources.and_then(|resources| resources.requests.as_ref());
    let asked = match group {
        "limits" => limits,
        "requests" => requests,
        _ => return None,
    };
    // In thousandths, so that parts of a processor are whole numbers.
    let value = match asked.and_then(|map| map.get(kind)) {
        Some(quantity) => milli(&quantity.0)?,
        None if group == "requests" => 0,
        None => match kind {
            "cpu" => i128::from(node_cpu_millis),
            "memory" => i128::from(node_memory_bytes) * 1000,
            _ => return None,
        },
    };
    let unit = match divisor {
        None | Some("" | "0") => 1000,
        Some(divisor) => milli(divisor)?,
    };
    (unit > 0).then(|| ((value + unit - 1) / unit).to_string())
}

/// A quantity such as `100m`, `1.5`, `64Mi` or `2e3` in thousandths, rounded up.
pub(crate) fn milli(quantity: &str) -> Option<i128> {
    const UNITS: [(&str, i128, i128); 16] = [
        ("Ki", 1 << 10, 1),
        ("Mi", 1 << 20, 1),
        ("Gi", 1 << 30, 1),
        ("Ti", 1 << 40, 1),
        ("Pi", 1 << 50, 1),
        ("Ei", 1 << 60, 1),
        ("n", 1, 1_000_000_000),
        ("u", 1, 1_000_000),
        ("m", 1, 1000),
        ("k", 1000, 1),
        ("M", 1_000_000, 1),
        ("G", 1_000_000_000, 1),
        ("T", 1_000_000_000_000, 1),
        ("P", 1_000_000_000_000_000, 1),
        ("E", 1_000_000_000_000_000_000, 1),
        ("", 1, 1),
    ];
    let quantity = quantity.trim();
    let suffixed = || {
        let known = |unit: &(&str, i128, i128)| {
            let number = quantity.strip_suffix(unit.0)?;
            Some((number, unit.1, unit.2))
        };
        UNITS.iter().find_map(known)
    };
    let (number, times, over) = power_of_ten(quantity).or_else(suffixed)?;
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    if part.len() > 9 || part.chars().any(|digit| !digit.is_ascii_digit()) {
        return None;
    }
    let scale = 10_i128.pow(u32::try_from(part.len()).ok()?);
    let digits: i128 = format!("{whole}{part}").parse().ok()?;
    let numerator = digits.checked_mul(times)?.checked_mul(1000)?;
    let denominator = scale.checked_mul(over)?;
    Some(
        numerator
            .checked_add(denominator - 1)?
            .div_euclid(denominator),
    )
}

/// Number, factor and divisor of a quantity with an exponent. `1E` has none:
/// there the letter is a unit.
fn power_of_ten(quantity: &str) -> Option<(&str, i128, i128)> {
    let (number, exponent) = quantity.split_once(['e', 'E'])?;
    let exponent: i32 = exponent.parse().ok()?;
    let factor = 10_i128.checked_pow(exponent.unsigned_abs())?;
    Some(if exponent < 0 {
        (number, 1, factor)
    } else {
        (number, factor, 1)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_in_every_form() {
        let check =
            |text: &str, expected: Option<i128>| assert_eq!(milli(text), expected, "{text}");
        check("100m", Some(100));
        check("1.5", Some(1500));
        check("64Mi", Some((64 << 20) * 1000));
        check("1e3", Some(1_000_000));
        check("1E3", Some(1_000_000));
        check("1.5e+2", Some(150_000));
        check("5e-1", Some(500));
        check("1E", Some(1_000_000_000_000_000_000 * 1000));
        check("1Ei", Some((1 << 60) * 1000));
        check("1u", Some(1));
        check("1e99", None);
        check("1e3Ki", None);
        check("e3", None);
        check("lots", None);
    }
}
