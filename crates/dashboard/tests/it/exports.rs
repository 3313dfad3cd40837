//! The same address with `.csv` or `.json` gives the same rows, all of them.

use serde_json::{Value, json};

use crate::stage::{Stage, pod};

#[tokio::test]
async fn a_file_holds_all_rows_of_the_filter_and_no_formula() {
    let stage = Stage::new().await;
    for number in 0..450 {
        let mut one = pod(&format!("many-{number:03}"), "dev", true);
        one["spec"]["nodeName"] = json!("=cmd|' /C calc'!A0");
        stage.cluster.put("/api/v1/pods", one);
    }
    stage
        .until("/pods?q=many-449", |page| {
            page.contains("local/dev/many-449")
        })
        .await;
    let json: Value = serde_json::from_str(&stage.get("/pods.json?q=many").await.text).unwrap();
    assert_eq!(json.as_array().unwrap().len(), 450);
    let csv = stage.get("/pods.csv?q=many&sort=name").await;
    assert!(
        csv.headers["content-disposition"]
            .to_str()
            .unwrap()
            .contains("pods.csv")
    );
    let lines: Vec<&str> = csv.text.lines().collect();
    assert_eq!(lines.len(), 451);
    assert!(lines[0].starts_with("name,status,check,"));
    assert!(lines[1].starts_with("many-000,Running,"));
    assert!(
        lines.iter().skip(1).all(|line| line.contains("\"'=cmd|")),
        "{}",
        lines[1]
    );
}

#[tokio::test]
async fn every_list_can_be_had_as_a_file() {
    let stage = Stage::new().await;
    for name in ["services", "pods", "nodes", "events", "checks", "audit"] {
        let json = stage.get(&format!("/{name}.json")).await;
        assert!(
            serde_json::from_str::<Value>(&json.text)
                .unwrap()
                .is_array(),
            "{name}"
        );
        assert_eq!(
            stage.get(&format!("/{name}.csv")).await.status,
            200,
            "{name}"
        );
    }
}
