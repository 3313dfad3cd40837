//! From pod, image and environment to what the shim is told.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use foreshore_image::Runtime as ImageRuntime;
use foreshore_sys::cgroup::Group;
use k8s_openapi::api::core::v1::Secret;

use super::Start;
use super::mounts;
use super::plain::{self, PlainError};
use super::user::{self, UserError};
use crate::options::RuntimeKind;
use crate::pod::environment::expand;
use crate::pod::fields;
use crate::shim::{ContainerSpec, Isolation, LogLimits, SandboxSpec, User};

/// Capabilities a container keeps if it does not say.
const CAPABILITIES: [&str; 12] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FSETID",
    "FOWNER",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "SYS_CHROOT",
    "KILL",
    "SETFCAP",
    "NET_RAW",
];

#[derive(Debug, thiserror::Error)]
pub(crate) enum AssembleError {
    #[error("no command specified")]
    NoCommand,
    #[error("`{program}` is not in the image")]
    NoProgram { program: String },
    #[error("`workingDir` `{0}` is not in the image")]
    NoDirectory(String),
    #[error(transparent)]
    User(#[from] UserError),
    #[error("volume mount `{0}` names a volume the pod does not have")]
    NoVolume(String),
    #[error("sub path `{sub_path}` of volume `{volume}` leads out of it")]
    SubPath { volume: String, sub_path: String },
    #[error("cannot make the sub path of volume `{volume}`")]
    MakeSubPath {
        volume: String,
        #[source]
        source: std::io::Error,
    },
    #[error("`{0}` is not the name of a capability")]
    Capability(String),
    #[error("cannot make the termination log")]
    TerminationLog(#[source] std::io::Error),
    #[error(transparent)]
    Plain(#[from] PlainError),
}

pub(super) fn spec(
    start: &Start,
    image: &ImageRuntime,
    root: &Path,
    mut variables: BTreeMap<String, String>,
    folder: &Path,
    group: &Group,
) -> Result<ContainerSpec, AssembleError> {
    let container = &start.container;
    let arguments = arguments(start, image, &variables)?;
    let directory = container
        .working_dir
        .clone()
        .filter(|directory| !directory.is_empty());
    let directory = directory.unwrap_or_else(|| image.working_dir.clone());
    let directory = if directory.is_empty() {
        "/".to_owned()
    } else {
        directory
    };
    let user = user::resolve(&start.pod, container, &image.user, root)?;
    let user = may_change_user(start, user)?;
    let options = &start.context.options;
    let (isolation, directory) = if options.runtime == RuntimeKind::Sandbox {
        let security = container.security_context.as_ref();
        let sandbox = SandboxSpec {
            image_root: root.to_path_buf(),
            host_name: fields::host_name(&start.pod),
            mounts: mounts::mounts(start, folder, &variables)?,
            read_only_root: security.and_then(|security| security.read_only_root_filesystem)
                == Some(true),
        };
        (Isolation::Sandbox(sandbox), PathBuf::from(directory))
    } else {
        name_server(start, &mut variables);
        for volume in mounts::volumes(start, &variables)? {
            plain::place(root, &volume)?;
        }
        let program = program(&arguments[0], &directory, root, &variables)?;
        let place = user::locate(root, Path::new(&directory))
            .ok_or(AssembleError::NoDirectory(directory))?;
        (
            Isolation::None {
                program,
                root: root.to_path_buf(),
            },
            place,
        )
    };
    Ok(ContainerSpec {
        arguments,
        environment: variables.into_iter().collect(),
        directory,
        network: options.ground.pin().map(Path::to_path_buf),
        isolation,
        user,
        capabilities: rustix::process::geteuid()
            .is_root()
            .then(|| capabilities(start))
            .transpose()?,
        no_new_privileges: container
            .security_context
            .as_ref()
            .is_some_and(|security| security.allow_privilege_escalation == Some(false)),
        log: LogLimits::default(),
        groups: group.doors(),
        memory_events: group.memory_events(),
    })
}

fn arguments(
    start: &Start,
    image: &ImageRuntime,
    variables: &BTreeMap<String, String>,
) -> Result<Vec<String>, AssembleError> {
    let own = |words: &Option<Vec<String>>| words.clone().filter(|words| !words.is_empty());
    let (command, args) = (own(&start.container.command), own(&start.container.args));
    let expanded = |words: Vec<String>| {
        words
            .iter()
            .map(|word| expand(word, variables))
            .collect::<Vec<_>>()
    };
    // The image's arguments belong to the image's program.
    let words = match (command, args) {
        (Some(command), args) => expanded(
            command
                .into_iter()
                .chain(args.into_iter().flatten())
                .collect(),
        ),
        (None, Some(args)) => image
            .entrypoint
            .iter()
            .cloned()
            .chain(expanded(args))
            .collect(),
        (None, None) => image.entrypoint.iter().chain(&image.cmd).cloned().collect(),
    };
    if words.first().is_none_or(String::is_empty) {
        Err(AssembleError::NoCommand)
    } else {
        Ok(words)
    }
}

/// A plain process sees the host's resolver file; this tells programs that
/// ask where the cluster's name server is, if there is one.
fn name_server(start: &Start, variables: &mut BTreeMap<String, String>) {
    let options = &start.context.options;
    if options.ground.is_loopback() {
        return;
    }
    let namespace = fields::namespace(&start.pod);
    let domain = &options.dns_domain;
    variables
        .entry("FORESHORE_NAMESERVER".to_owned())
        .or_insert_with(|| options.dns_address.to_string());
    variables
        .entry("FORESHORE_SEARCH".to_owned())
        .or_insert_with(|| format!("{namespace}.svc.{domain} svc.{domain} {domain}"));
}

/// Where a program of the image is on the host.
fn program(
    name: &str,
    directory: &str,
    root: &Path,
    variables: &BTreeMap<String, String>,
) -> Result<PathBuf, AssembleError> {
    let candidates: Vec<PathBuf> = if name.starts_with('/') {
        vec![PathBuf::from(name)]
    } else if name.contains('/') {
        vec![Path::new(directory).join(name)]
    } else {
        let folders = variables
            .get("PATH")
            .map(String::as_str)
            .unwrap_or_default();
        folders
            .split(':')
            .map(|folder| Path::new(folder).join(name))
            .collect()
    };
    let found = candidates
        .iter()
        .filter_map(|path| user::locate(root, path))
        .find(|path| path.is_file());
    found.ok_or_else(|| AssembleError::NoProgram {
        program: name.to_owned(),
    })
}

/// Only root can run something as somebody else. A plain process runs as
/// whoever the node is, unless the pod itself asks for somebody.
fn may_change_user(start: &Start, user: User) -> Result<Option<User>, AssembleError> {
    let sandbox = start.context.options.runtime == RuntimeKind::Sandbox;
    let asked = sandbox || user::is_asked_for(&start.pod, &start.container);
    let own = rustix::process::geteuid();
    match (asked, own.is_root()) {
        (true, true) => Ok(Some(user)),
        (false, _) => Ok(None),
        (true, false) if user.id == own.as_raw() || (sandbox && user.id == 0) => Ok(None),
        (true, false) => Err(UserError::NotRoot {
            wanted: user.id,
            own: own.as_raw(),
        }
        .into()),
    }
}

fn capabilities(start: &Start) -> Result<Vec<String>, AssembleError> {
    let asked = start
        .container
        .security_context
        .as_ref()
        .and_then(|security| security.capabilities.as_ref());
    let names = |list: Option<&Vec<String>>| {
        list.into_iter()
            .flatten()
            .map(|name| name.strip_prefix("CAP_").unwrap_or(name).to_owned())
            .collect::<Vec<_>>()
    };
    let drop = names(asked.and_then(|asked| asked.drop.as_ref()));
    let add = names(asked.and_then(|asked| asked.add.as_ref()));
    for name in drop.iter().chain(&add).filter(|name| *name != "ALL") {
        if foreshore_sys::credentials::capability(name).is_none() {
            return Err(AssembleError::Capability(name.clone()));
        }
    }
    let dropped = |name: &str| {
        drop.iter()
            .any(|dropped| dropped == name || dropped == "ALL")
    };
    let mut kept: Vec<String> = CAPABILITIES
        .iter()
        .filter(|name| !dropped(name))
        .map(|name| (*name).to_owned())
        .collect();
    if add.iter().any(|name| name == "ALL") {
        return Err(AssembleError::Capability("ALL".to_owned()));
    }
    kept.extend(add);
    Ok(kept)
}

/// User and password that a `kubernetes.io/dockerconfigjson` secret has for a registry.
pub(super) fn registry_login(secret: &Secret, registry: &str) -> Option<(String, String)> {
    let bytes = secret.data.as_ref()?.get(".dockerconfigjson")?;
    let config: serde_json::Value = serde_json::from_slice(&bytes.0).ok()?;
    let logins = config.get("auths")?.as_object()?;
    let host = |name: &str| {
        name.trim_start_matches("https://")
            .trim_end_matches('/')
            .to_owned()
    };
    let (_, login) = logins.iter().find(|(name, _)| host(name) == registry)?;
    let text = |field: &str| {
        login
            .get(field)
            .and_then(serde_json::Value::as_str)
            .map(str::to_owned)
    };
    if let (Some(user), Some(password)) = (text("username"), text("password")) {
        return Some((user, password));
    }
    let decoded = base64::engine::general_purpose::STANDARD
        .decode(text("auth")?)
        .ok()?;
    let both = String::from_utf8(decoded).ok()?;
    both.split_once(':')
        .map(|(user, password)| (user.to_owned(), password.to_owned()))
}
