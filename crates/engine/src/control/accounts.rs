//! Feeds the decisions about what every namespace gets.

use std::sync::Arc;

use foreshore_controllers::service_account::{self, DEFAULT_ACCOUNT, ROOT_CA};

use super::execute::Executor;
use super::queue::Queue;
use super::work::workers;
use super::{Informers, Task, after_sync};

pub(super) fn tasks(
    informers: &mut Informers,
    executor: &Executor,
    certificate_authority: String,
) -> Vec<Task> {
    let queue = Arc::new(Queue::<String>::new());
    let namespaces = informers.namespaces.cache();
    let accounts = informers.accounts.cache();
    let config_maps = informers.config_maps.cache();

    let filled = Arc::clone(&queue);
    informers.namespaces.on_change(move |delta| {
        filled.add(delta.latest().metadata.name.clone().unwrap_or_default());
    });
    let filled = Arc::clone(&queue);
    informers.accounts.on_change(move |delta| {
        let meta = &delta.latest().metadata;
        if delta.new.is_none() && meta.name.as_deref() == Some(DEFAULT_ACCOUNT) {
            filled.add(meta.namespace.clone().unwrap_or_default());
        }
    });
    let filled = Arc::clone(&queue);
    informers.config_maps.on_change(move |delta| {
        filled.add(
            delta
                .latest()
                .metadata
                .namespace
                .clone()
                .unwrap_or_default(),
        );
    });

    let caches = (
        Arc::clone(&namespaces),
        Arc::clone(&accounts),
        Arc::clone(&config_maps),
    );
    let ready = async move {
        tokio::join!(caches.0.synced(), caches.1.synced(), caches.2.synced());
    };
    let decide = move |namespace: &String| {
        let Some(object) = namespaces.get("", namespace) else {
            return Vec::new();
        };
        service_account::decide(service_account::Inputs {
            namespace: &object,
            account: accounts.get(namespace, DEFAULT_ACCOUNT).as_deref(),
            root_ca: config_maps.get(namespace, ROOT_CA).as_deref(),
            certificate_authority: &certificate_authority,
        })
    };
    let executor = executor.of("serviceaccount-controller");
    vec![after_sync(
        ready,
        workers(1, &queue, &executor, decide, |_, _| ()),
    )]
}
