//! What the files of a repository say, before anything is chosen of it.

use std::collections::BTreeMap;

use foreshore_model::plan::Action;
use foreshore_model::service::Resources;

/// What the files of a repository say, each fact with its origin; the first to say something wins.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) name: Option<(String, String)>,
    pub(super) plan: Option<(&'static str, String)>,
    pub(super) package: Option<String>,
    pub(super) ports: BTreeMap<String, (u16, String)>,
    pub(super) host: Option<(String, String)>,
    pub(super) environment: BTreeMap<String, (String, String)>,
    pub(super) secrets: BTreeMap<String, String>,
    pub(super) resources: Resources,
    pub(super) resources_origin: String,
    pub(super) dependencies: BTreeMap<String, String>,
    pub(super) actions: BTreeMap<String, (Action, String)>,
    pub(super) variables: BTreeMap<String, (serde_json::Value, String)>,
    /// Worth knowing, though nothing is written of it.
    pub(super) notes: Vec<(String, String, String)>,
}

impl Facts {
    pub(super) fn name(&mut self, name: &str, origin: &str) {
        self.name
            .get_or_insert_with(|| (name.to_owned(), origin.to_owned()));
    }

    pub(super) fn plan(&mut self, plan: &'static str, origin: &str) {
        self.plan.get_or_insert_with(|| (plan, origin.to_owned()));
    }

    pub(super) fn port(&mut self, name: &str, port: u16, origin: &str) {
        self.ports
            .entry(name.to_owned())
            .or_insert_with(|| (port, origin.to_owned()));
    }

    /// Takes a setting, or only its name if it may be a secret.
    pub(super) fn setting(&mut self, name: &str, value: &str, origin: &str) {
        let upper = name.to_ascii_uppercase();
        let secret = [
            "PASSWORD",
            "PASSWD",
            "SECRET",
            "TOKEN",
            "KEY",
            "CREDENTIALS",
        ]
        .iter()
        .any(|end| upper.ends_with(end))
            || value.split_once("://").is_some_and(|(_, rest)| {
                rest.split('/')
                    .next()
                    .is_some_and(|host| host.contains('@') && host.contains(':'))
            });
        if secret {
            self.secrets
                .entry(name.to_owned())
                .or_insert_with(|| origin.to_owned());
        } else {
            self.environment
                .entry(name.to_owned())
                .or_insert_with(|| (value.to_owned(), origin.to_owned()));
        }
    }
}
