//! The second site of production: an engine, a node and an agent of its own beside the first.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use foreshore_config_repo::{bootstrap, starter};
use foreshore_engine_node::RuntimeKind;
use foreshore_git::{Change, GitError, NewCommit, Repository};
use foreshore_model::{Actor, Environment, SiteName, clock, yaml};
use tokio_util::sync::CancellationToken;

use super::ground::{self, GroundChoice, Prepared, Started};
use super::ports::{Ports, WantedPorts};
use crate::credentials;
use crate::error::ServerError;
use crate::roles::RoleError;
use crate::witness;

/// Where the config repository keeps its main branch.
const MAIN: &str = "refs/heads/main";
const PRODUCTION: &str = "environments/prod/environment.yaml";

/// Why the sites of production could not be written down.
#[derive(Debug, thiserror::Error)]
pub enum SitesError {
    #[error("cannot read or write the config repository")]
    Git(#[from] GitError),
    #[error("cannot read `{PRODUCTION}` of the config repository")]
    Read(#[source] yaml::YamlError),
    #[error("cannot write `{PRODUCTION}`")]
    Write(#[source] yaml::WriteError),
    #[error(
        "the config repository has no environment `prod`, which the second site would belong to"
    )]
    NoProduction,
    #[error("cannot make the server's directory")]
    Directory(#[source] std::io::Error),
    #[error("cannot sign for the server")]
    Signing(#[source] ServerError),
    #[error("cannot use the agent's key")]
    Key(#[from] foreshore_secret::KeyError),
}

pub(super) fn first() -> SiteName {
    SiteName::new("local").expect("`local` is a DNS label")
}

pub(super) fn second() -> SiteName {
    SiteName::new("second").expect("`second` is a DNS label")
}

/// Where the second site keeps what is its own.
pub(super) fn home(data: &Path) -> PathBuf {
    data.join("sites").join(second().as_str())
}

/// Every folder that holds nodes and a ground: the platform's own, and those of further sites.
pub(super) fn homes(data: &Path) -> Vec<PathBuf> {
    vec![data.to_owned(), home(data)]
}

/// Takes ports and makes the network namespace of the second site.
pub(super) fn prepare(
    runtime: Option<RuntimeKind>,
    data: &Path,
) -> Result<(Prepared, PathBuf), RoleError> {
    let home = home(data);
    std::fs::create_dir_all(&home).map_err(|cause| RoleError::Directory {
        path: home.clone(),
        cause,
    })?;
    // Any free ones at first, then the same again: only the first site has ports that people know.
    let wanted = if home.join("ports.json").exists() {
        WantedPorts::default()
    } else {
        WantedPorts {
            server: Some(0),
            ingress: Some(0),
            api: Some(0),
        }
    };
    let chosen = Ports::choose(&home, wanted)?;
    let prepared = ground::prepare(&GroundChoice::Embedded { runtime }, &home, chosen, &|_| ())?;
    Ports {
        server: 0,
        ingress: prepared.ingress_address.map_or(0, |address| address.port()),
        api: prepared.api_address.map_or(0, |address| address.port()),
    }
    .keep(&home)?;
    Ok((prepared, home))
}

/// Starts what was prepared.
pub(super) async fn start(
    (prepared, home): (Prepared, PathBuf),
    program: PathBuf,
    shutdown: &CancellationToken,
) -> Result<Started, RoleError> {
    ground::start(prepared, &home, (second().as_str(), program), shutdown).await
}

/// The sites of production, by their number.
pub(super) fn names(count: u8) -> Vec<SiteName> {
    if count > 1 {
        vec![first(), second()]
    } else {
        vec![first()]
    }
}

/// Makes production have exactly these sites, before anybody reads the config repository.
pub(super) fn write_down(data: &Path, sites: &[SiteName]) -> Result<(), SitesError> {
    let key_file = data.join("server/signing.key");
    std::fs::create_dir_all(data.join("server")).map_err(SitesError::Directory)?;
    witness::load_or_make(&key_file).map_err(SitesError::Signing)?;
    let key = witness::commit_key(&key_file).map_err(SitesError::Signing)?;
    let repository = Repository::init_bare(data.join("server/config.git"))?.signing(Arc::new(key));
    let recipient = credentials::agent_key(data)?.recipient().to_string();
    let (mut environments, policies) = starter();
    for environment in &mut environments {
        environment.recipients = vec![recipient.clone()];
    }
    let tip = bootstrap(&repository, &environments, &policies, clock::now())?;
    let found = repository.read_path(&tip, PRODUCTION)?;
    let found = found.ok_or(SitesError::NoProduction)?;
    let text = String::from_utf8_lossy(&found);
    let mut production: Environment = yaml::read(PRODUCTION, &text).map_err(SitesError::Read)?;
    if production.sites == sites {
        return Ok(());
    }
    production.sites = sites.to_vec();
    let names: Vec<&str> = sites.iter().map(SiteName::as_str).collect();
    let actor = Actor::automation();
    let commit = NewCommit {
        changes: vec![Change::write(
            PRODUCTION,
            yaml::write(&production).map_err(SitesError::Write)?,
        )],
        message: format!(
            "[prod] carry it on {}\n\nActor: {actor}\n",
            names.join(" and ")
        ),
        author: actor.clone(),
        committer: actor,
        at: clock::now(),
    };
    repository.commit(MAIN, Some(&tip), vec![commit])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn production_takes_the_second_site_and_lets_it_go() {
        let data = tempfile::tempdir().unwrap();
        let both = [first(), second()];
        write_down(data.path(), &both).unwrap();
        write_down(data.path(), &both).unwrap();
        let repository = Repository::open(data.path().join("server/config.git")).unwrap();
        let read = || {
            let tip = repository.resolve(MAIN).unwrap().unwrap();
            let text = repository.read_path(&tip, PRODUCTION).unwrap().unwrap();
            let text = String::from_utf8(text).unwrap();
            let production: Environment = yaml::read(PRODUCTION, &text).unwrap();
            (tip, production)
        };
        let (tip, production) = read();
        assert_eq!(production.sites, both);
        assert_eq!(production.recipients.len(), 1);
        assert!(production.promotes_from.is_some());
        write_down(data.path(), &[first()]).unwrap();
        let (later, production) = read();
        assert_ne!(tip, later);
        assert_eq!(production.sites, [first()]);
    }
}
