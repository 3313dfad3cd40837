//! Success policies: when some of the indexes are enough.

use k8s_openapi::api::batch::v1::JobSpec;

use super::indexes::Indexes;
use super::tally::Tally;
use crate::bounds::count;

/// Returns which rule is met, in words.
pub(super) fn met(spec: &JobSpec, tally: &Tally) -> Option<String> {
    let completed = tally.completed.as_ref()?;
    let limit = spec.completions.unwrap_or(0);
    let rules = &spec.success_policy.as_ref()?.rules;
    let index = rules.iter().position(|rule| {
        let counted = match &rule.succeeded_indexes {
            None => completed.0.clone(),
            Some(text) => {
                let listed = Indexes::parse(Some(text), limit);
                let both = completed.0.intersection(&listed.0).copied().collect();
                if rule.succeeded_count.is_none() && both != listed.0 {
                    return false;
                }
                both
            }
        };
        rule.succeeded_count
            .is_none_or(|wanted| count(counted.len()) >= wanted)
    })?;
    Some(format!("Matched rules at index {index}"))
}
