//! Feeds the decisions about Jobs and `CronJobs`.

use std::sync::Arc;

use foreshore_controllers::{Change, controller_of, cron_job, job};
use foreshore_model::clock;
use jiff::tz::TimeZone;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::cache::{Cache, ObjectKey, key_of};
use super::execute::{Executor, Outcome};
use super::owners::{MakesPods, Owners};
use super::queue::Queue;
use super::work::workers;
use super::{Informers, Task, after_sync};

/// Jobs worked on at once.
const WORKERS: usize = 5;

impl MakesPods for Job {
    fn selector(&self) -> Option<&LabelSelector> {
        self.spec.as_ref()?.selector.as_ref()
    }
}

pub(super) fn tasks(informers: &mut Informers, executor: &Executor) -> Vec<Task> {
    let owners = Owners::new(&mut informers.jobs, &mut informers.pods);
    let mut tasks = vec![orphans(informers, executor, &owners)];
    let (deciding, learning) = (Arc::clone(&owners), Arc::clone(&owners));
    let decide = move |(namespace, name): &ObjectKey| {
        let Some(job) = deciding.cache.get(namespace, name) else {
            return Vec::new();
        };
        let inputs = job::Inputs {
            job: &job,
            pods: &deciding.pods_of(&job),
            settled: deciding.is_settled(&job),
        };
        let changes = job::decide(&inputs, clock::now());
        deciding.expect(&job, &changes);
        changes
    };
    let after = move |key: &ObjectKey, outcome: &Outcome| learning.learn(key, outcome);
    let counting = executor.of("job-controller");
    tasks.push(after_sync(
        owners.synced(),
        workers(WORKERS, &owners.queue, &counting, decide, after),
    ));
    tasks.push(schedules(informers, executor, &owners.cache));
    tasks
}

/// Lets pods go whose Job is gone.
fn orphans(informers: &mut Informers, executor: &Executor, owners: &Arc<Owners<Job>>) -> Task {
    let queue = Arc::new(Queue::<ObjectKey>::new());
    let pods = informers.pods.cache();
    let is_orphan = |jobs: &Cache<Job>, pod: &Pod| {
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        controller_of(&pod.metadata)
            .filter(|owner| owner.kind == "Job")
            .is_some_and(|owner| {
                jobs.get(namespace, &owner.name)
                    .is_none_or(|job| job.metadata.uid.as_ref() != Some(&owner.uid))
            })
    };
    let (filled, jobs) = (Arc::clone(&queue), Arc::clone(&owners.cache));
    informers.pods.on_change(move |delta| {
        if let Some(pod) = delta.new.as_ref().filter(|pod| is_orphan(&jobs, pod)) {
            filled.add(key_of(&pod.metadata));
        }
    });
    let (filled, known) = (Arc::clone(&queue), Arc::clone(&pods));
    informers.jobs.on_change(move |delta| {
        if let (None, Some(uid)) = (&delta.new, &delta.latest().metadata.uid) {
            for pod in known.owned_by(uid) {
                filled.add(key_of(&pod.metadata));
            }
        }
    });
    let jobs = Arc::clone(&owners.cache);
    let decide = move |(namespace, name): &ObjectKey| {
        pods.get(namespace, name)
            .filter(|pod| is_orphan(&jobs, pod))
            .map(|pod| job::decide_orphan(&pod))
            .unwrap_or_default()
    };
    let executor = executor.of("job-controller");
    after_sync(
        owners.synced(),
        workers(2, &queue, &executor, decide, |_, _| ()),
    )
}

fn schedules(informers: &mut Informers, executor: &Executor, jobs: &Arc<Cache<Job>>) -> Task {
    let queue = Arc::new(Queue::<ObjectKey>::new());
    let cron_jobs = informers.cron_jobs.cache();
    let filled = Arc::clone(&queue);
    informers
        .cron_jobs
        .on_change(move |delta| filled.add(key_of(&delta.latest().metadata)));
    let filled = Arc::clone(&queue);
    informers.jobs.on_change(move |delta| {
        let meta = &delta.latest().metadata;
        if let Some(owner) = controller_of(meta).filter(|owner| owner.kind == "CronJob") {
            let namespace = meta.namespace.clone().unwrap_or_default();
            filled.add((namespace, owner.name.clone()));
        }
    });
    let caches = (Arc::clone(&cron_jobs), Arc::clone(jobs));
    let ready = async move {
        tokio::join!(caches.0.synced(), caches.1.synced());
    };
    let jobs = Arc::clone(jobs);
    let decide = move |(namespace, name): &ObjectKey| {
        cron_jobs
            .get(namespace, name)
            .map(|cron_job| decide_schedule(&cron_job, &jobs))
            .unwrap_or_default()
    };
    let executor = executor.of("cronjob-controller");
    after_sync(ready, workers(2, &queue, &executor, decide, |_, _| ()))
}

fn decide_schedule(cron_job: &CronJob, jobs: &Cache<Job>) -> Vec<Change> {
    let namespace = cron_job.metadata.namespace.as_deref().unwrap_or_default();
    let zone = match cron_job.spec.time_zone.as_deref() {
        None => Ok(TimeZone::UTC),
        Some(named) => TimeZone::get(named).map_err(|error| error.to_string()),
    };
    let inputs = cron_job::Inputs {
        cron_job,
        jobs: &jobs.in_namespace(namespace),
        time_zone: zone.as_ref().map_err(String::as_str),
    };
    cron_job::decide(&inputs, clock::now())
}
