//! A cluster that answers badly delays a release and changes nothing else about it.

use foreshore_model::Phase;
use foreshore_testkit::cluster::Kind;

use crate::scene::{Scene, config, deployment, service};
use crate::wire::Fate;

pub(crate) async fn refusals_of_every_other_request_only_cost_time(kind: Kind) {
    for code in [429, 500, 503] {
        let scene = Scene::new(kind, "faults").await;
        scene.wire.decide(move |count, _| {
            if count % 2 == 0 {
                Fate::Refused(code)
            } else {
                Fate::Pass
            }
        });
        scene.repository.release(
            "web",
            &[
                deployment("web", "good"),
                service("web"),
                config("web", "1"),
            ],
        );
        let mut agent = scene.start().await;
        agent.phase("web", 1, Phase::Healthy).await;
        assert_eq!(scene.listed("web").await.len(), 3);
    }
}

pub(crate) async fn an_inventory_that_cannot_be_read_stops_everything(kind: Kind) {
    let scene = Scene::new(kind, "inventory").await;
    scene
        .repository
        .release("web", &[config("web", "1"), config("old", "1")]);
    let mut agent = scene.start().await;
    agent.phase("web", 1, Phase::Healthy).await;
    agent.kill().await;
    scene.wire.clear();
    scene.wire.decide(|_, line| {
        if line.contains("foreshore.local%2Finventory") || line.contains("foreshore-inventory") {
            Fate::Refused(403)
        } else {
            Fate::Pass
        }
    });
    scene.repository.release("web", &[config("web", "2")]);
    let mut agent = scene.start().await;
    scene
        .until("three tries", async || {
            scene
                .wire
                .lines()
                .iter()
                .filter(|line| line.contains("inventory"))
                .count()
                >= 3
        })
        .await;
    assert_eq!(
        scene.wire.writes(),
        Vec::<String>::new(),
        "an error is not an empty inventory"
    );
    scene.wire.decide(|_, _| Fate::Pass);
    agent.phase("web", 2, Phase::Healthy).await;
    scene
        .until("the prune", async || {
            scene.get("v1", "ConfigMap", "old").await.is_none()
        })
        .await;
}

pub(crate) async fn a_right_that_is_missing_is_named_and_the_release_goes_on_when_it_is_given(
    kind: Kind,
) {
    let scene = Scene::new(kind, "rights").await;
    scene.repository.release("web", &[config("web", "1")]);
    scene.wire.decide(|_, line| {
        if line.starts_with("PATCH") && line.contains("configmaps/web") {
            Fate::Refused(403)
        } else {
            Fate::Pass
        }
    });
    let mut agent = scene.start().await;
    let failed = agent.phase("web", 1, Phase::Failed).await;
    assert_eq!(
        (
            failed.causes[0].object.as_str(),
            failed.causes[0].reason.as_str()
        ),
        ("ConfigMap/web", "Forbidden")
    );
}
