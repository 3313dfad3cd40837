//! What this node and its pods use, from control groups or from `/proc`.

use foreshore_sys::Census;
use foreshore_sys::cgroup::Usage;
use jiff::Timestamp;

use crate::context::Context;
use crate::folders::{PodFolder, PodRecord};
use crate::pod::state::Phase;
use crate::shim::Files;

/// Use at one moment; processor time counts from the start of each.
#[derive(Debug)]
pub(crate) struct NodeUsage {
    pub at: Timestamp,
    pub node: Option<Usage>,
    pub pods: Vec<PodUsage>,
}

#[derive(Debug)]
pub(crate) struct PodUsage {
    pub namespace: String,
    pub name: String,
    pub uid: String,
    pub total: Usage,
    pub containers: Vec<ContainerUsage>,
}

#[derive(Debug)]
pub(crate) struct ContainerUsage {
    pub name: String,
    pub since: Timestamp,
    pub usage: Usage,
}

/// Reads all counters; takes a few system calls per container.
pub(crate) fn of_node(context: &Context) -> NodeUsage {
    let mut census = LazyCensus(None);
    let pods = context
        .records()
        .iter()
        .filter_map(|record| of_pod(context, record, &mut census))
        .collect();
    let machine = || match foreshore_sys::usage_of_machine() {
        Ok(usage) => Some(usage),
        Err(error) => {
            tracing::warn!(%error, "use of this machine cannot be read");
            None
        }
    };
    NodeUsage {
        at: context.now(),
        // The pods' own group, for several nodes may share the machine.
        node: context.groups.usage().or_else(machine),
        pods,
    }
}

/// `None` if nothing of the pod runs.
fn of_pod(context: &Context, record: &PodRecord, census: &mut LazyCensus) -> Option<PodUsage> {
    let folder = PodFolder::new(&context.options.root, &record.uid);
    let mut containers = Vec::new();
    for (name, state) in &record.state.containers {
        let Phase::Running { since } = state.phase else {
            continue;
        };
        let group = context.groups.of_start(&record.uid, name, state.restarts);
        let counted = group.usage().or_else(|| {
            // One that has just ended has no file, or one that tells of nobody.
            let files = Files::new(&folder.attempt(name, state.restarts));
            let running = files.state().ok().flatten()?;
            Some(census.get().usage_of(running.container.pid))
        });
        if let Some(usage) = counted {
            containers.push(ContainerUsage {
                name: name.clone(),
                since,
                usage,
            });
        }
    }
    if containers.is_empty() {
        return None;
    }
    let sum = |sum: Usage, one: &ContainerUsage| Usage {
        cpu: sum.cpu + one.usage.cpu,
        memory_bytes: sum.memory_bytes + one.usage.memory_bytes,
    };
    let total = context.groups.of_pod(&record.uid).usage();
    Some(PodUsage {
        namespace: record.namespace.clone(),
        name: record.name.clone(),
        uid: record.uid.clone(),
        total: total.unwrap_or_else(|| containers.iter().fold(Usage::default(), sum)),
        containers,
    })
}

/// Taken at most once per reading, and only if some container needs it.
struct LazyCensus(Option<Census>);

impl LazyCensus {
    fn get(&mut self) -> &Census {
        self.0.get_or_insert_with(|| {
            Census::take().unwrap_or_else(|error| {
                tracing::warn!(%error, "processes of this machine cannot be read");
                Census::default()
            })
        })
    }
}
