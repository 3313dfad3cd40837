//! Defaults of horizontal pod autoscalers.

use serde_json::json;

use super::{Fields, is_unset, object, set_null, set_unset};

pub(super) fn set_defaults(package: &str, name: &str, fields: &mut Fields) {
    if name != "HorizontalPodAutoscalerSpec" {
        return;
    }
    set_null(fields, "minReplicas", 1);
    if package == "autoscaling.v1" {
        // The CPU target of `v1` is filled in when it becomes `v2`, where annotations count.
        return;
    }
    if is_unset(fields, "metrics") {
        let cpu = json!({"type": "Resource", "resource": {
            "name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80},
        }});
        fields.insert("metrics".into(), json!([cpu]));
    }
    if let Some(behavior) = object(fields, "behavior") {
        behavior_rules(behavior);
    }
}

fn behavior_rules(behavior: &mut Fields) {
    set_null(behavior, "scaleUp", json!({}));
    set_null(behavior, "scaleDown", json!({}));
    let percent = json!({"type": "Percent", "value": 100, "periodSeconds": 15});
    if let Some(up) = object(behavior, "scaleUp") {
        set_null(up, "stabilizationWindowSeconds", 0);
        set_null(up, "selectPolicy", "Max");
        let pods = json!({"type": "Pods", "value": 4, "periodSeconds": 15});
        set_unset(up, "policies", json!([pods, percent]));
    }
    if let Some(down) = object(behavior, "scaleDown") {
        set_null(down, "selectPolicy", "Max");
        set_unset(down, "policies", json!([percent]));
    }
}
