//! The status of an autoscaler, while it is put together.

use jiff::Timestamp;
use k8s_openapi::api::autoscaling::v2::{
    HorizontalPodAutoscaler, HorizontalPodAutoscalerCondition, HorizontalPodAutoscalerStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::change::Change;

pub(super) struct Report<'a> {
    autoscaler: &'a HorizontalPodAutoscaler,
    pub(super) status: HorizontalPodAutoscalerStatus,
    now: Timestamp,
}

impl<'a> Report<'a> {
    pub(super) fn new(autoscaler: &'a HorizontalPodAutoscaler, now: Timestamp) -> Self {
        Self {
            autoscaler,
            status: autoscaler.status.clone().unwrap_or_default(),
            now,
        }
    }

    pub(super) fn set(&mut self, kind: &str, value: bool, reason: &str, message: &str) {
        let conditions = self.status.conditions.get_or_insert_default();
        let index = conditions.iter().position(|one| one.type_ == kind);
        let index = index.unwrap_or_else(|| {
            conditions.push(HorizontalPodAutoscalerCondition {
                type_: kind.to_owned(),
                ..HorizontalPodAutoscalerCondition::default()
            });
            conditions.len() - 1
        });
        let condition = &mut conditions[index];
        let text = if value { "True" } else { "False" };
        if condition.status != text {
            condition.last_transition_time = Some(Time(self.now));
        }
        text.clone_into(&mut condition.status);
        condition.reason = Some(reason.to_owned());
        condition.message = Some(message.to_owned());
    }

    pub(super) fn into_change(self) -> Option<Change> {
        let wanted = HorizontalPodAutoscaler {
            status: Some(self.status),
            ..self.autoscaler.clone()
        };
        Change::update_status(self.autoscaler, &wanted)
    }
}
