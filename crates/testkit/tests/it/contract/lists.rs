//! Many objects at once.

use serde_json::{Value, json};

use super::samples::{config_map, pod};
use crate::world::World;

async fn several(world: &World, count: usize) {
    for number in 0..count {
        let mut object = config_map(&format!("map-{number}"));
        let parity = if number % 2 == 0 { "even" } else { "odd" };
        object["metadata"]["labels"] = json!({"parity": parity, "ours": "yes"});
        world.post(&world.core("configmaps"), object).await.ok();
    }
}

fn names(list: &Value) -> Vec<&str> {
    list["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["metadata"]["name"].as_str().unwrap())
        .collect()
}

pub(crate) async fn labels_and_fields_select(world: World) {
    several(&world, 4).await;
    let select = async |query: &str| {
        let list = world
            .get(&world.core(&format!("configmaps?{query}")))
            .await
            .ok();
        names(&list)
            .iter()
            .map(|name| (*name).to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(select("labelSelector=parity=odd").await, ["map-1", "map-3"]);
    assert_eq!(
        select("labelSelector=parity!=odd,ours").await,
        ["map-0", "map-2"]
    );
    assert_eq!(
        select("labelSelector=parity%20in%20(odd,none)").await,
        ["map-1", "map-3"]
    );
    assert_eq!(select("fieldSelector=metadata.name=map-2").await, ["map-2"]);
    world.post(&world.core("pods"), pod("one")).await.ok();
    let pods = world
        .get(&world.core("pods?fieldSelector=spec.nodeName=,status.phase=Pending"))
        .await
        .ok();
    assert_eq!(names(&pods), ["one"]);
    let reply = world
        .get(&world.core("configmaps?fieldSelector=data.key=value"))
        .await;
    reply.refused(
        400,
        "BadRequest",
        "\"data.key\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"",
    );
}

pub(crate) async fn long_lists_come_in_pages(world: World) {
    several(&world, 5).await;
    let select = "configmaps?labelSelector=ours&limit=2";
    let mut seen = Vec::new();
    let mut next = String::new();
    loop {
        let page = world
            .get(&world.core(&format!("{select}{next}")))
            .await
            .ok();
        seen.extend(names(&page).iter().map(|name| (*name).to_owned()));
        let Some(token) = page["metadata"]["continue"]
            .as_str()
            .filter(|token| !token.is_empty())
        else {
            break;
        };
        assert_eq!(page["items"].as_array().unwrap().len(), 2);
        next = format!("&continue={token}");
    }
    assert_eq!(seen, ["map-0", "map-1", "map-2", "map-3", "map-4"]);
}

pub(crate) async fn a_collection_is_deleted_by_label(world: World) {
    several(&world, 4).await;
    world
        .delete(
            &world.core("configmaps?labelSelector=parity=odd"),
            json!({}),
        )
        .await
        .ok();
    let list = world
        .get(&world.core("configmaps?labelSelector=ours"))
        .await
        .ok();
    assert_eq!(names(&list), ["map-0", "map-2"]);
}
