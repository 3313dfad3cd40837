//! Every service back on an empty cluster, in the order of their dependencies.

use foreshore_model::{Outcome, Phase};
use foreshore_testkit::cluster::{Cluster, Kind, Options};

use crate::{Failure, Fleet, Ground, Run, spelled, tell};

const FLEET: Fleet = Fleet {
    services: 80,
    objects: 4,
    layer: Some(20),
};
/// Pretended nodes: pods take time to be ready, but no processes.
const NODES: u8 = 4;

/// 80 services in four layers, from an empty cluster to all healthy.
pub(crate) async fn rebuild(rounds: usize) -> Result<(), Failure> {
    for kind in [Kind::Engine, Kind::Real] {
        let mut seconds = vec![];
        for _ in 0..rounds.min(3) {
            let options = Options {
                simulated_nodes: NODES,
                fsync: true,
                ..Options::default()
            };
            let ground = Ground::of(Cluster::start(kind, options).await?).await?;
            let waits = Run::start(&ground, FLEET)?.until(1, is_well).await?;
            seconds.push(waits.into_iter().fold(0.0, f64::max));
        }
        let ground = spelled(kind);
        tell(
            &format!("80 services rebuilt in four layers on an empty cluster, {ground}"),
            "seconds",
            &seconds,
        );
    }
    Ok(())
}

fn is_well(outcome: &Outcome, sequence: u64) -> Result<bool, Failure> {
    if outcome.phase == Phase::Failed {
        return Err(format!("{} failed: {:?}", outcome.service, outcome.causes).into());
    }
    Ok(outcome.phase == Phase::Healthy && outcome.sequence == sequence)
}
