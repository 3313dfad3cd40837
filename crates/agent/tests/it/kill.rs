//! Killed at any request, the agent ends right after its next start.

use foreshore_model::Phase;
use foreshore_testkit::cluster::Kind;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use crate::scene::{Scene, config, deployment, service};
use crate::wire::Fate;

/// Kills the agent at its `number`-th request after the second release, starts
/// it again, and checks that the release ends as if nothing had happened.
async fn check(kind: Kind, number: usize, fate: Fate) {
    let scene = Scene::new(kind, "kill").await;
    scene.repository.release(
        "web",
        &[
            deployment("web", "good:1"),
            config("old", "1"),
            service("web"),
        ],
    );
    let mut agent = scene.start().await;
    agent.phase("web", 1, Phase::Healthy).await;
    scene.wire.clear();
    scene
        .wire
        .decide(move |count, _| if count >= number { fate } else { Fate::Pass });
    scene.repository.release(
        "web",
        &[
            deployment("web", "good:2"),
            config("new", "1"),
            service("web"),
        ],
    );
    let is_over = async {
        agent.phase("web", 2, Phase::Healthy).await;
        scene
            .until("the prune", async || scene.listed("web").await.len() == 3)
            .await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = scene.wire.stuck() => {}
        () = async { tokio::time::timeout(std::time::Duration::from_secs(8), is_over).await.ok(); } => {}
    }
    agent.kill().await;

    scene.wire.decide(|_, _| Fate::Pass);
    let mut agent = scene.start().await;
    agent.phase("web", 2, Phase::Healthy).await;
    let expected = ["ConfigMap/new", "Deployment/web", "Service/web"];
    scene
        .until("the record", async || scene.listed("web").await == expected)
        .await;
    assert_eq!(scene.get("v1", "ConfigMap", "old").await, None);
    let found = scene.get("apps/v1", "Deployment", "web").await.unwrap();
    assert_eq!(
        found["spec"]["template"]["spec"]["containers"][0]["image"],
        "good:2"
    );
    let inventory = scene.inventory("web").await.unwrap();
    assert_eq!(inventory.sequence, 2);
    assert!(
        inventory.entries.iter().all(|entry| !entry.uid.is_empty()),
        "{inventory:?}"
    );
}

pub(crate) async fn a_kill_before_or_after_any_request_of_a_release_loses_and_doubles_nothing(
    kind: Kind,
) {
    let mut random = ChaCha8Rng::seed_from_u64(7);
    // A release of three objects takes about fifteen requests.
    let mut runs = tokio::task::JoinSet::new();
    for number in 1..=15 {
        let fate = if random.random_bool(0.5) {
            Fate::Lost
        } else {
            Fate::Unanswered
        };
        runs.spawn(check(kind, number, fate));
        if runs.len() == 5 {
            runs.join_next().await.unwrap().unwrap();
        }
    }
    while let Some(run) = runs.join_next().await {
        run.unwrap();
    }
}

pub(crate) async fn a_kill_in_the_middle_of_a_retirement_leaves_nothing_behind(kind: Kind) {
    for number in [1, 3, 5, 7] {
        let scene = Scene::new(kind, "killretire").await;
        scene
            .repository
            .release("web", &[config("web", "1"), service("web")]);
        scene.repository.release("stays", &[config("stays", "1")]);
        let mut agent = scene.start().await;
        agent.phase("web", 1, Phase::Healthy).await;
        scene.wire.clear();
        scene.wire.decide(move |count, _| {
            if count >= number {
                Fate::Unanswered
            } else {
                Fate::Pass
            }
        });
        scene.repository.retire("web", &[]);
        tokio::select! {
            () = scene.wire.stuck() => {}
            _ = agent.phase("web", 1, Phase::Retired) => {}
        }
        agent.kill().await;
        scene.wire.decide(|_, _| Fate::Pass);
        let _agent = scene.start().await;
        scene
            .until("the end", async || {
                scene.inventory("web").await.is_none()
                    && scene.get("v1", "ConfigMap", "web").await.is_none()
                    && scene.get("v1", "Service", "web").await.is_none()
            })
            .await;
    }
}
