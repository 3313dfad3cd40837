//! Services: their addresses and node ports, given out when they are written.
//! The caller holds the allocation lock until the Service is stored.

use std::collections::HashSet;
use std::net::Ipv4Addr;

use foreshore_engine_schema::defaults;
use foreshore_engine_store::Object;
use rand::RngExt;
use serde_json::{Map, Value, json};

use crate::catalog::Entry;
use crate::core::Core;
use crate::object::{self, text};
use crate::options::ServiceNetwork;
use crate::status::{Answer, Cause};
use crate::strategy::pod_spec::port_number;

const NODE_PORT_MIN: u16 = 30000;
const NODE_PORT_MAX: u16 = 32767;
/// Lowest numbers are left to those who ask for an address by name.
const STATIC_BAND: u32 = 256;

/// What other Services hold.
struct Taken {
    addresses: HashSet<Ipv4Addr>,
    ports: HashSet<u16>,
}

fn taken(core: &Core, entry: &Entry, except: (&str, &str)) -> Taken {
    let mut taken = Taken {
        addresses: HashSet::new(),
        ports: HashSet::new(),
    };
    for stored in core.store.snapshot().list(&entry.rows, None, None) {
        if (&*stored.key.namespace, &*stored.key.name) != except {
            note(stored, &mut taken);
        }
    }
    taken
}

fn note(stored: &Object, taken: &mut Taken) {
    let Ok(value) = serde_json::from_slice::<Value>(&stored.bytes) else {
        return;
    };
    taken
        .addresses
        .extend(text(&value, "/spec/clusterIP").parse::<Ipv4Addr>());
    let ports = value.pointer("/spec/ports").and_then(Value::as_array);
    taken
        .ports
        .extend(ports.into_iter().flatten().filter_map(node_port));
}

fn node_port(port: &Value) -> Option<u16> {
    let number = port.get("nodePort").and_then(Value::as_u64)?;
    u16::try_from(number).ok().filter(|number| *number > 0)
}

fn kind_of(value: &Value) -> &str {
    match text(value, "/spec/type") {
        "" => "ClusterIP",
        kind => kind,
    }
}

fn has_cluster_ip(value: &Value) -> bool {
    kind_of(value) != "ExternalName"
}

fn is_headless(value: &Value) -> bool {
    text(value, "/spec/clusterIP") == "None"
}

fn wants_node_ports(value: &Value) -> bool {
    match kind_of(value) {
        "NodePort" => true,
        "LoadBalancer" => {
            value.pointer("/spec/allocateLoadBalancerNodePorts") != Some(&Value::Bool(false))
        }
        _ => false,
    }
}

pub(super) fn prepare_create(core: &Core, entry: &Entry, value: &mut Value) -> Answer<()> {
    object::map_mut(value, "status").insert("loadBalancer".into(), json!({}));
    defaults::complete_created_service(value);
    check_listed(entry, value, &Value::Null)?;
    allocate(core, entry, value)
}

pub(super) fn prepare_update(
    core: &Core,
    entry: &Entry,
    value: &mut Value,
    old: &Value,
) -> Answer<()> {
    carry_over(value, old);
    check_listed(entry, value, &old["spec"]["clusterIPs"])?;
    allocate(core, entry, value)
}

/// What the server gave out before stays, where the writer did not say otherwise.
fn carry_over(value: &mut Value, old: &Value) {
    if has_cluster_ip(value) && has_cluster_ip(old) {
        let unset = text(value, "/spec/clusterIP").is_empty();
        let spec = object::map_mut(value, "spec");
        if unset {
            let listed = spec.get("clusterIPs") != old.pointer("/spec/clusterIPs")
                && spec.contains_key("clusterIPs");
            for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
                if let Some(before) = old.pointer(&format!("/spec/{field}"))
                    && !(listed && field == "clusterIPs")
                {
                    spec.insert(field.into(), before.clone());
                }
            }
        }
    }
    if !(wants_node_ports(value) && wants_node_ports(old)) {
        return;
    }
    let before = old.pointer("/spec/ports").and_then(Value::as_array);
    let before: Vec<Value> = before.cloned().unwrap_or_default();
    let ports = object::map_mut(value, "spec")
        .get_mut("ports")
        .and_then(Value::as_array_mut);
    for port in ports
        .into_iter()
        .flatten()
        .filter(|port| node_port(port).is_none())
    {
        let same = before.iter().find(|known| {
            known.get("port") == port.get("port") && protocol(known) == protocol(port)
        });
        if let (Some(number), Some(port)) = (same.and_then(node_port), port.as_object_mut()) {
            port.insert("nodePort".into(), number.into());
        }
    }
}

/// Addresses a writer lists must begin with the address itself; `known` are not its own.
fn check_listed(entry: &Entry, value: &Value, known: &Value) -> Answer<()> {
    let listed = &value["spec"]["clusterIPs"];
    let Some(first) = listed.get(0).and_then(Value::as_str) else {
        return Ok(());
    };
    let why = match text(value, "/spec/clusterIP") {
        _ if listed == known || !has_cluster_ip(value) => return Ok(()),
        "" => "must be empty when `clusterIP` is not specified",
        address if address != first => "first value must match `clusterIP`",
        _ => return Ok(()),
    };
    let cause = Cause::invalid("spec.clusterIPs", listed, why);
    Err(entry.invalid(object::name(value), vec![cause]))
}

fn protocol(port: &Value) -> &str {
    match text(port, "/protocol") {
        "" => "TCP",
        protocol => protocol,
    }
}

fn allocate(core: &Core, entry: &Entry, value: &mut Value) -> Answer<()> {
    let namespace = text(value, "/metadata/namespace").to_owned();
    let name = object::name(value).to_owned();
    let invalid = |causes| entry.invalid(&name, causes);
    let mut taken = taken(core, entry, (&namespace, &name));
    let (clustered, headless) = (has_cluster_ip(value), is_headless(value));
    let wants_ports = wants_node_ports(value);
    let spec = object::map_mut(value, "spec");
    if clustered {
        if !headless {
            let asked = spec
                .get("clusterIP")
                .and_then(Value::as_str)
                .unwrap_or_default();
            let address =
                address(core.network, asked, &taken).map_err(|cause| invalid(vec![cause]))?;
            spec.insert("clusterIP".into(), address.to_string().into());
        }
        let address = spec.get("clusterIP").cloned().unwrap_or_default();
        spec.insert("clusterIPs".into(), json!([address]));
        spec.insert("ipFamilies".into(), json!(["IPv4"]));
        spec.insert("ipFamilyPolicy".into(), "SingleStack".into());
    } else {
        for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
            spec.remove(field);
        }
    }
    node_ports(spec, wants_ports, &mut taken).map_err(|cause| invalid(vec![cause]))
}

fn address(network: ServiceNetwork, asked: &str, taken: &Taken) -> Result<Ipv4Addr, Cause> {
    let refuse = |why: &str| {
        Cause::invalid(
            "spec.clusterIPs",
            &json!([asked]),
            &format!("failed to allocate IP {asked}: {why}"),
        )
    };
    if !asked.is_empty() {
        let address: Ipv4Addr = asked
            .parse()
            .map_err(|_| refuse("must be a valid IPv4 address"))?;
        let number = network
            .number_of(address)
            .filter(|n| *n > 0 && *n < network.size() - 1);
        if number.is_none() {
            let why = format!(
                "the provided IP ({asked}) is not in the valid range. The range of valid IPs is \
                 {}/{}",
                network.base, network.prefix
            );
            return Err(refuse(&why));
        }
        if taken.addresses.contains(&address) {
            return Err(refuse("provided IP is already allocated"));
        }
        return Ok(address);
    }
    let size = network.size();
    let lowest = if size > 2 * STATIC_BAND {
        STATIC_BAND
    } else {
        1
    };
    let span = size.saturating_sub(1).saturating_sub(lowest).max(1);
    let start = rand::rng().random_range(0..span);
    (0..span)
        .map(|offset| network.address(lowest + (start + offset) % span))
        .find(|address| !taken.addresses.contains(address) && *address != network.dns())
        .ok_or_else(|| refuse("range is full"))
}

fn node_ports(spec: &mut Map<String, Value>, wanted: bool, taken: &mut Taken) -> Result<(), Cause> {
    let ports = spec.get_mut("ports").and_then(Value::as_array_mut);
    for (index, port) in ports.into_iter().flatten().enumerate() {
        let field = format!("spec.ports[{index}].nodePort");
        let asked = node_port(port);
        let Some(port) = port.as_object_mut() else {
            continue;
        };
        if !wanted {
            // Left over from an earlier type; validation refuses it where it is new.
            if asked.is_some() {
                port.remove("nodePort");
            }
            continue;
        }
        let number = match asked {
            Some(asked) if !(NODE_PORT_MIN..=NODE_PORT_MAX).contains(&asked) => {
                let why = format!(
                    "provided port is not in the valid range. The range of valid ports is \
                     {NODE_PORT_MIN}-{NODE_PORT_MAX}"
                );
                return Err(Cause::invalid(field, &asked.into(), &why));
            }
            Some(asked) if taken.ports.contains(&asked) => {
                return Err(Cause::invalid(
                    field,
                    &asked.into(),
                    "provided port is already allocated",
                ));
            }
            Some(asked) => asked,
            None => free_port(taken).ok_or_else(|| {
                Cause::invalid(
                    field,
                    &Value::Null,
                    "failed to allocate a nodePort: range is full",
                )
            })?,
        };
        taken.ports.insert(number);
        port.insert("nodePort".into(), number.into());
    }
    Ok(())
}

fn free_port(taken: &Taken) -> Option<u16> {
    let span = NODE_PORT_MAX - NODE_PORT_MIN + 1;
    let start = rand::rng().random_range(0..span);
    (0..span)
        .map(|offset| NODE_PORT_MIN + (start + offset) % span)
        .find(|port| !taken.ports.contains(port))
}

pub(super) fn validate(value: &Value) -> Vec<Cause> {
    let mut causes = vec![];
    let kind = kind_of(value);
    let ports = value.pointer("/spec/ports").and_then(Value::as_array);
    let ports = ports.map_or(&[][..], Vec::as_slice);
    if ports.is_empty() && kind != "ExternalName" && !is_headless(value) {
        causes.push(Cause::required("spec.ports", ""));
    }
    if kind == "ExternalName" && text(value, "/spec/externalName").is_empty() {
        causes.push(Cause::required("spec.externalName", ""));
    }
    let mut names = HashSet::new();
    let mut numbers = HashSet::new();
    for (index, port) in ports.iter().enumerate() {
        let path = format!("spec.ports[{index}]");
        let name = text(port, "/name");
        if name.is_empty() && ports.len() > 1 {
            causes.push(Cause::required(format!("{path}.name"), ""));
        } else if let Some(why) = crate::names::label(name).filter(|_| !name.is_empty()) {
            causes.push(Cause::invalid(format!("{path}.name"), &name.into(), &why));
        } else if !name.is_empty() && !names.insert(name) {
            causes.push(Cause::duplicate(format!("{path}.name"), &name.into()));
        }
        let number = port.get("port").unwrap_or(&Value::Null);
        port_number(number, format!("{path}.port"), &mut causes);
        if let Some(target) = port.get("targetPort").filter(|target| target.is_number()) {
            port_number(target, format!("{path}.targetPort"), &mut causes);
        }
        if !numbers.insert((number.as_i64(), protocol(port))) {
            let what = json!({"port": number, "protocol": protocol(port)});
            causes.push(Cause::duplicate(path, &what));
        }
    }
    causes
}

pub(super) fn validate_update(value: &Value, old: &Value) -> Vec<Cause> {
    if !(has_cluster_ip(value) && has_cluster_ip(old)) {
        return vec![];
    }
    if value["spec"]["clusterIP"] == old["spec"]["clusterIP"] {
        return vec![];
    }
    let listed = &value["spec"]["clusterIPs"];
    let why = "may not change once set";
    vec![Cause::invalid("spec.clusterIPs[0]", listed, why)]
}
