//! What files a volume made from objects of the API holds.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    ConfigMapProjection, ConfigMapVolumeSource, DownwardAPIVolumeFile, KeyToPath, Pod,
    SecretProjection, SecretVolumeSource, Volume, VolumeProjection,
};

use super::environment::{Facts, Sources, field};
use super::fields;

/// Mode of a file for which none is asked.
const DEFAULT_MODE: u32 = 0o644;
/// How long a token is good for if its volume does not say.
const TOKEN_SECONDS: i64 = 3600;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileContent {
    pub bytes: Vec<u8>,
    pub mode: u32,
}

/// Files by their path in the volume.
pub(crate) type Files = BTreeMap<String, FileContent>;

/// A token that has to be asked for first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TokenWish {
    pub audience: Option<String>,
    pub seconds: i64,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum VolumeError {
    #[error("{kind} \"{name}\" not found")]
    NotFound { kind: &'static str, name: String },
    #[error("references non-existent {kind} key: {key}")]
    NoKey { kind: &'static str, key: String },
    #[error("`{0}` is not a path inside the volume")]
    Path(String),
    #[error("volume `{volume}` uses `{field}`, which this node does not support")]
    Unsupported { volume: String, field: String },
}

/// What must be fetched before a pod's volumes can be made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Wishes {
    pub config_maps: Vec<String>,
    pub secrets: Vec<String>,
    pub tokens: Vec<TokenWish>,
}

/// Lists what the pod's volumes are made from.
pub(crate) fn wishes(pod: &Pod) -> Wishes {
    let mut wishes = Wishes::default();
    for volume in fields::spec(pod).volumes.iter().flatten() {
        wishes
            .config_maps
            .extend(volume.config_map.iter().map(|source| source.name.clone()));
        wishes.secrets.extend(
            volume
                .secret
                .iter()
                .filter_map(|source| source.secret_name.clone()),
        );
        let projected = volume
            .projected
            .iter()
            .flat_map(|source| source.sources.iter().flatten());
        for source in projected {
            wishes
                .config_maps
                .extend(source.config_map.iter().map(|source| source.name.clone()));
            wishes
                .secrets
                .extend(source.secret.iter().map(|source| source.name.clone()));
            wishes
                .tokens
                .extend(source.service_account_token.iter().map(token_wish));
        }
    }
    wishes
}

fn token_wish(source: &k8s_openapi::api::core::v1::ServiceAccountTokenProjection) -> TokenWish {
    TokenWish {
        audience: source.audience.clone(),
        seconds: source.expiration_seconds.unwrap_or(TOKEN_SECONDS),
    }
}

/// The files of `volume`; `None` if it is not made from objects.
pub(crate) fn files(
    pod: &Pod,
    volume: &Volume,
    sources: &Sources,
    tokens: &BTreeMap<TokenWish, String>,
    facts: &Facts,
) -> Result<Option<Files>, VolumeError> {
    let files = if let Some(source) = &volume.config_map {
        config_map(source, sources)?
    } else if let Some(source) = &volume.secret {
        secret(source, sources)?
    } else if let Some(source) = &volume.downward_api {
        downward(
            pod,
            &volume.name,
            source.items.as_deref(),
            mode(source.default_mode),
            facts,
        )?
    } else if let Some(source) = &volume.projected {
        let mut all = Files::new();
        for part in source.sources.iter().flatten() {
            all.extend(projection(
                pod,
                &volume.name,
                part,
                mode(source.default_mode),
                sources,
                tokens,
                facts,
            )?);
        }
        all
    } else {
        return Ok(None);
    };
    match files.keys().find(|path| !is_inside(path)) {
        Some(path) => Err(VolumeError::Path(path.clone())),
        None => Ok(Some(files)),
    }
}

fn is_inside(path: &str) -> bool {
    !path.is_empty() && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

fn mode(asked: Option<i32>) -> u32 {
    asked
        .and_then(|mode| u32::try_from(mode).ok())
        .map_or(DEFAULT_MODE, |mode| mode & 0o777)
}

fn config_map(source: &ConfigMapVolumeSource, sources: &Sources) -> Result<Files, VolumeError> {
    let data = config_map_data(&source.name, source.optional, sources)?;
    select(
        "configmap",
        data,
        source.items.as_deref(),
        mode(source.default_mode),
        source.optional,
    )
}

fn secret(source: &SecretVolumeSource, sources: &Sources) -> Result<Files, VolumeError> {
    let name = source.secret_name.as_deref().unwrap_or_default();
    let data = secret_data(name, source.optional, sources)?;
    select(
        "secret",
        data,
        source.items.as_deref(),
        mode(source.default_mode),
        source.optional,
    )
}

fn config_map_data(
    name: &str,
    optional: Option<bool>,
    sources: &Sources,
) -> Result<BTreeMap<String, Vec<u8>>, VolumeError> {
    match sources.config_maps.get(name) {
        Some(map) => {
            let text = map
                .data
                .iter()
                .flatten()
                .map(|(key, value)| (key.clone(), value.clone().into_bytes()));
            let binary = map
                .binary_data
                .iter()
                .flatten()
                .map(|(key, value)| (key.clone(), value.0.clone()));
            Ok(text.chain(binary).collect())
        }
        None if optional == Some(true) => Ok(BTreeMap::new()),
        None => Err(VolumeError::NotFound {
            kind: "configmap",
            name: name.to_owned(),
        }),
    }
}

fn secret_data(
    name: &str,
    optional: Option<bool>,
    sources: &Sources,
) -> Result<BTreeMap<String, Vec<u8>>, VolumeError> {
    match sources.secrets.get(name) {
        Some(secret) => Ok(secret
            .data
            .iter()
            .flatten()
            .map(|(key, value)| (key.clone(), value.0.clone()))
            .collect()),
        None if optional == Some(true) => Ok(BTreeMap::new()),
        None => Err(VolumeError::NotFound {
            kind: "secret",
            name: name.to_owned(),
        }),
    }
}

fn select(
    kind: &'static str,
    data: BTreeMap<String, Vec<u8>>,
    items: Option<&[KeyToPath]>,
    default_mode: u32,
    optional: Option<bool>,
) -> Result<Files, VolumeError> {
    let Some(items) = items.filter(|items| !items.is_empty()) else {
        let file = |(key, bytes)| {
            (
                key,
                FileContent {
                    bytes,
                    mode: default_mode,
                },
            )
        };
        return Ok(data.into_iter().map(file).collect());
    };
    let mut files = Files::new();
    for item in items {
        match data.get(&item.key) {
            Some(bytes) => {
                let mode = item
                    .mode
                    .map_or(default_mode, |mode_asked| mode(Some(mode_asked)));
                files.insert(
                    item.path.clone(),
                    FileContent {
                        bytes: bytes.clone(),
                        mode,
                    },
                );
            }
            None if optional == Some(true) => {}
            None => {
                return Err(VolumeError::NoKey {
                    kind,
                    key: item.key.clone(),
                });
            }
        }
    }
    Ok(files)
}

fn downward(
    pod: &Pod,
    volume: &str,
    items: Option<&[DownwardAPIVolumeFile]>,
    default_mode: u32,
    facts: &Facts,
) -> Result<Files, VolumeError> {
    let mut files = Files::new();
    for item in items.unwrap_or_default() {
        let unsupported = |field: &str| VolumeError::Unsupported {
            volume: volume.to_owned(),
            field: field.to_owned(),
        };
        let value = if let Some(reference) = &item.field_ref {
            field(pod, &reference.field_path, facts)
                .ok_or_else(|| unsupported(&reference.field_path))?
        } else if let Some(reference) = &item.resource_field_ref {
            let container = reference
                .container_name
                .as_deref()
                .and_then(|name| fields::container(pod, name));
            let divisor = reference
                .divisor
                .as_ref()
                .map(|quantity| quantity.0.as_str());
            container
                .and_then(|container| {
                    let (cpu, memory) = (facts.node_cpu_millis, facts.node_memory_bytes);
                    fields::resource(container, &reference.resource, divisor, cpu, memory)
                })
                .ok_or_else(|| unsupported(&reference.resource))?
        } else {
            return Err(unsupported(&item.path));
        };
        let mode = item
            .mode
            .map_or(default_mode, |mode_asked| mode(Some(mode_asked)));
        files.insert(
            item.path.clone(),
            FileContent {
                bytes: value.into_bytes(),
                mode,
            },
        );
    }
    Ok(files)
}

fn projection(
    pod: &Pod,
    volume: &str,
    part: &VolumeProjection,
    default_mode: u32,
    sources: &Sources,
    tokens: &BTreeMap<TokenWish, String>,
    facts: &Facts,
) -> Result<Files, VolumeError> {
    if let Some(ConfigMapProjection {
        name,
        items,
        optional,
    }) = &part.config_map
    {
        let data = config_map_data(name, *optional, sources)?;
        return select("configmap", data, items.as_deref(), default_mode, *optional);
    }
    if let Some(SecretProjection {
        name,
        items,
        optional,
    }) = &part.secret
    {
        let data = secret_data(name, *optional, sources)?;
        return select("secret", data, items.as_deref(), default_mode, *optional);
    }
    if let Some(source) = &part.downward_api {
        return downward(pod, volume, source.items.as_deref(), default_mode, facts);
    }
    if let Some(source) = &part.service_account_token {
        let token = tokens.get(&token_wish(source)).cloned().unwrap_or_default();
        let file = FileContent {
            bytes: token.into_bytes(),
            mode: default_mode,
        };
        return Ok(Files::from([(source.path.clone(), file)]));
    }
    let fields = serde_json::to_value(part).expect("a projection is JSON");
    let kind = fields
        .as_object()
        .and_then(|map| map.keys().next().cloned())
        .unwrap_or_default();
    Err(VolumeError::Unsupported {
        volume: volume.to_owned(),
        field: format!("projected.{kind}"),
    })
}
