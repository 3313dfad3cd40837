//! The first commit of a config repository.

use std::collections::BTreeMap;

use foreshore_git::{Change, GitError, NewCommit, ObjectId, Repository};
use foreshore_model::config::{Approvals, Drift, Policy, SiteOrder};
use foreshore_model::{Actor, Environment, EnvironmentName, PolicyName, SiteName, yaml};
use jiff::Timestamp;

use crate::layout::{MAIN_REF, environment_file};

const README: &str = "\
# Config repository

What this repository says is what runs. Foreshore writes to it; every change is a commit.

- `environments/<environment>/<service>/manifests/` holds exactly the released files
- `environments/<environment>/<service>/release.yaml` says which artifact it is, who released it and why
- `environments/<environment>/<service>/operations.yaml` says what people set without a build: replicas, floors, pause
- `policies/` holds the rules, `freezes/` the times without releases, `holds/` the pins that keep automation away
- `retired/` says which services were ended on purpose
- a branch `requests/<id>` is a release that waits for approval
";

/// Returns what `foreshore up` starts with: `dev` follows the branch `main`, `prod` follows `dev` after an approval.
pub fn starter() -> (Vec<Environment>, BTreeMap<PolicyName, Policy>) {
    let name = |name: &str| EnvironmentName::new(name).expect("it is a DNS label");
    let environment = |it: &str| Environment {
        name: name(it),
        namespace: it.to_owned(),
        promotes_from: None,
        sites: vec![SiteName::new("local").expect("it is a DNS label")],
        approvals: Approvals::default(),
        production: false,
        site_order: SiteOrder::default(),
        drift: Drift::default(),
        service_account: None,
        recipients: Vec::new(),
    };
    let prod = Environment {
        promotes_from: Some(name("dev")),
        approvals: Approvals {
            count: 1,
            by: Vec::new(),
        },
        production: true,
        ..environment("prod")
    };
    let policy = Policy::AutoRelease {
        environment: name("dev"),
        branch: "main".to_owned(),
        services: Vec::new(),
    };
    let policy_name = PolicyName::new("main-to-dev").expect("it is a DNS label");
    (
        vec![environment("dev"), prod],
        BTreeMap::from([(policy_name, policy)]),
    )
}

/// Makes the first commit, or returns the tip if there is one.
pub fn bootstrap(
    repository: &Repository,
    environments: &[Environment],
    policies: &BTreeMap<PolicyName, Policy>,
    now: Timestamp,
) -> Result<ObjectId, GitError> {
    if let Some(tip) = repository.resolve(MAIN_REF)? {
        return Ok(tip);
    }
    let mut changes = vec![Change::write("README.md", README)];
    for environment in environments {
        let text = yaml::write(environment).expect("an environment is plain data");
        changes.push(Change::write(environment_file(&environment.name), text));
    }
    for (name, policy) in policies {
        let text = yaml::write(policy).expect("a policy is plain data");
        changes.push(Change::write(format!("policies/{name}.yaml"), text));
    }
    let actor = Actor::automation();
    let message = format!("start the config repository\n\nActor: {actor}\n");
    let first = NewCommit {
        changes,
        message,
        author: actor.clone(),
        committer: actor,
        at: now,
    };
    match repository.commit(MAIN_REF, None, vec![first]) {
        Ok(ids) => Ok(ids
            .into_iter()
            .next_back()
            .expect("one commit was asked for")),
        // Someone else started it in the same moment.
        Err(GitError::Moved {
            found: Some(tip), ..
        }) => Ok(tip),
        Err(error) => Err(error),
    }
}
