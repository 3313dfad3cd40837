//! Makes what all containers of a pod share: volumes and the files in `/etc`.

mod claims;
mod empty;
mod files;

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::{HostPathVolumeSource, Pod};
use tokio::sync::Mutex;

use crate::context::Context;
use crate::folders::PodFolder;
use crate::pod::fields;
use crate::pod::volumes::{self, VolumeError};
use crate::sources::{self, SourceError, Tokens};

pub(crate) use empty::has_memory_volumes;

#[derive(Debug, thiserror::Error)]
pub(crate) enum PrepareError {
    #[error("this node cannot honour {}", .0.join(", "))]
    Refused(Vec<String>),
    #[error("MountVolume.SetUp failed for volume \"{volume}\"")]
    Volume {
        volume: String,
        #[source]
        source: VolumeError,
    },
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error("cannot write `{path}`")]
    Disk {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("persistent volume claim `{claim}` cannot be used: {problem}")]
    Claim { claim: String, problem: String },
    #[error("host path `{path}` is not {expected}")]
    HostPath {
        path: String,
        expected: &'static str,
    },
}

fn disk(path: &Path) -> impl FnOnce(io::Error) -> PrepareError {
    let path = path.to_path_buf();
    move |source| PrepareError::Disk { path, source }
}

/// Makes all of it. Doing it again is fine, and brings files up to date.
pub(crate) async fn prepare(
    context: &Context,
    pod: &Pod,
    folder: &PodFolder,
    address: &str,
    tokens: &Mutex<Tokens>,
) -> Result<(), PrepareError> {
    let refused = crate::pod::support::refused_by_pod(pod, context.options.runtime);
    if !refused.is_empty() {
        return Err(PrepareError::Refused(refused));
    }
    folder.create().map_err(disk(folder.path()))?;
    write_objects(context, pod, folder, address, tokens).await?;
    for volume in fields::spec(pod).volumes.iter().flatten() {
        let path = folder.volume(&volume.name);
        if let Some(source) = &volume.host_path {
            check_host_path(source)?;
        } else if let Some(source) = &volume.empty_dir {
            empty::make(source, &path, context.options.capacity.memory_bytes)?;
            own(&path, group_of(pod))?;
        } else if let Some(source) = &volume.persistent_volume_claim {
            let client = &context.options.client;
            claims::link(client, pod, &source.claim_name, &path).await?;
        }
    }
    write_etc(context, pod, folder, address)
}

/// Whether anything of the pod's volumes has to be looked at while it runs.
pub(crate) fn may_change(pod: &Pod) -> bool {
    let mut volumes = fields::spec(pod).volumes.iter().flatten();
    volumes.any(|volume| {
        let limited = volume.empty_dir.as_ref();
        volume.config_map.is_some()
            || volume.secret.is_some()
            || volume.projected.is_some()
            || volume.downward_api.is_some()
            || limited.is_some_and(|source| source.size_limit.is_some())
    })
}

/// Brings volumes up to date while the pod runs. Answers why the pod must
/// end, if it has outgrown a volume.
pub(crate) async fn refresh(
    context: &Context,
    pod: &Pod,
    folder: &PodFolder,
    address: &str,
    tokens: &Mutex<Tokens>,
) -> Result<Option<String>, PrepareError> {
    let (its, place) = (pod.clone(), folder.clone());
    let outgrown = tokio::task::spawn_blocking(move || empty::outgrown(&its, &place));
    write_objects(context, pod, folder, address, tokens).await?;
    outgrown
        .await
        .map_err(|error| disk(folder.path())(io::Error::other(error)))
}

/// Writes the volumes that are made from objects of the API.
async fn write_objects(
    context: &Context,
    pod: &Pod,
    folder: &PodFolder,
    address: &str,
    tokens: &Mutex<Tokens>,
) -> Result<(), PrepareError> {
    let wishes = volumes::wishes(pod);
    let (client, now) = (&context.options.client, context.now());
    let (sources, tokens) = sources::for_volumes(client, pod, &wishes, tokens, now).await?;
    let facts = context.facts(address);
    let group = group_of(pod);
    for volume in fields::spec(pod).volumes.iter().flatten() {
        let made = volumes::files(pod, volume, &sources, &tokens, &facts).map_err(|source| {
            PrepareError::Volume {
                volume: volume.name.clone(),
                source,
            }
        })?;
        if let Some(made) = made {
            let path = folder.volume(&volume.name);
            if files::write(&made, &path, group)? {
                own(&path, group)?;
            }
        }
    }
    Ok(())
}

fn group_of(pod: &Pod) -> Option<u32> {
    let security = fields::spec(pod).security_context.as_ref()?;
    u32::try_from(security.fs_group?).ok()
}

fn own(path: &Path, group: Option<u32>) -> Result<(), PrepareError> {
    match group {
        Some(_) => chown(path, None, group).map_err(disk(path)),
        None => Ok(()),
    }
}

fn check_host_path(source: &HostPathVolumeSource) -> Result<(), PrepareError> {
    let path = Path::new(&source.path);
    let expect = |holds: bool, expected| {
        if holds {
            Ok(())
        } else {
            Err(PrepareError::HostPath {
                path: source.path.clone(),
                expected,
            })
        }
    };
    match source.type_.as_deref().unwrap_or_default() {
        "" => expect(path.exists(), "there"),
        "Directory" => expect(path.is_dir(), "a directory"),
        "File" => expect(path.is_file(), "a file"),
        "DirectoryOrCreate" => fs::create_dir_all(path).map_err(disk(path)),
        "FileOrCreate" if path.exists() => expect(path.is_file(), "a file"),
        "FileOrCreate" => fs::write(path, "").map_err(disk(path)),
        _ => Err(PrepareError::HostPath {
            path: source.path.clone(),
            expected: "of a type this node knows",
        }),
    }
}

fn write_etc(
    context: &Context,
    pod: &Pod,
    folder: &PodFolder,
    address: &str,
) -> Result<(), PrepareError> {
    let path = folder.etc("");
    fs::create_dir_all(&path).map_err(disk(&path))?;
    let files = [
        ("hosts", hosts(pod, address)),
        ("hostname", format!("{}\n", fields::host_name(pod))),
        ("resolv.conf", resolver(context, pod)),
    ];
    for (name, content) in files {
        let path = folder.etc(name);
        fs::write(&path, content).map_err(disk(&path))?;
    }
    Ok(())
}

fn hosts(pod: &Pod, address: &str) -> String {
    let name = fields::host_name(pod);
    let mut text = format!("127.0.0.1\tlocalhost\n::1\tlocalhost\n{address}\t{name}\n");
    for alias in fields::spec(pod).host_aliases.iter().flatten() {
        let names = alias
            .hostnames
            .iter()
            .flatten()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join("\t");
        writeln!(text, "{}\t{names}", alias.ip).expect("writing to a string does not fail");
    }
    text
}

/// Name servers and search domains as the pod's policy has them.
pub(crate) fn resolver(context: &Context, pod: &Pod) -> String {
    let spec = fields::spec(pod);
    let domain = &context.options.dns_domain;
    let policy = spec.dns_policy.as_deref().unwrap_or("ClusterFirst");
    let (mut servers, mut searches, mut options) = (Vec::new(), Vec::new(), Vec::new());
    if policy != "None" {
        // Nothing leaves a ground, so the cluster's own server is the only one.
        servers.push(context.options.dns_address.to_string());
    }
    if policy.starts_with("ClusterFirst") {
        let namespace = fields::namespace(pod);
        searches = vec![
            format!("{namespace}.svc.{domain}"),
            format!("svc.{domain}"),
            domain.clone(),
        ];
        options.push("ndots:5".to_owned());
    }
    if let Some(config) = &spec.dns_config {
        servers.extend(config.nameservers.iter().flatten().cloned());
        searches.extend(config.searches.iter().flatten().cloned());
        options.extend(config.options.iter().flatten().filter_map(|option| {
            let name = option.name.clone()?;
            Some(
                option
                    .value
                    .as_ref()
                    .map_or_else(|| name.clone(), |value| format!("{name}:{value}")),
            )
        }));
    }
    let mut text = String::new();
    for server in &servers {
        writeln!(text, "nameserver {server}").expect("writing to a string does not fail");
    }
    if !searches.is_empty() {
        writeln!(text, "search {}", searches.join(" ")).expect("writing to a string does not fail");
    }
    if !options.is_empty() {
        writeln!(text, "options {}", options.join(" ")).expect("writing to a string does not fail");
    }
    text
}
