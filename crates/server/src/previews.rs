//! What clusters would make of open requests, as their agents found by dry run.
//!
//! Kept in memory only: an agent that is asked again finds the same again.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use foreshore_model::SiteName;
use foreshore_model::api::SitePreview;

/// The most previews kept; older requests give way.
const PREVIEWS_MAX: usize = 200;

/// Previews by request and site.
#[derive(Debug, Default)]
pub(crate) struct Previews {
    kept: Mutex<BTreeMap<(String, SiteName), SitePreview>>,
}

impl Previews {
    pub(crate) fn put(&self, preview: SitePreview) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.insert((preview.request.clone(), preview.site.clone()), preview);
        while kept.len() > PREVIEWS_MAX {
            let oldest = kept.iter().min_by_key(|(_, preview)| preview.at);
            let Some(oldest) = oldest.map(|(key, _)| key.clone()) else {
                return;
            };
            kept.remove(&oldest);
        }
    }

    pub(crate) fn of(&self, request: &str) -> Vec<SitePreview> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter()
            .filter(|((of, _), _)| of == request)
            .map(|(_, preview)| preview.clone())
            .collect()
    }
}
