//! Starts one container: image, environment, specification, shim.

mod assemble;
mod mounts;
mod plain;
mod user;

use std::path::PathBuf;
use std::sync::Arc;

use foreshore_image::{
    Credentials, Image, Policy, PullError, PullOptions, Reference, ReferenceError, UnpackError,
};
use foreshore_model::chain;
use foreshore_sys::cgroup::Group;
use futures::FutureExt as _;
use k8s_openapi::api::core::v1::{Container, Pod};
use tokio_util::sync::CancellationToken;

use crate::container::{self, ContainerError, Outcome};
use crate::context::Context;
use crate::folders::PodFolder;
use crate::options::RuntimeKind;
use crate::pod::environment;
use crate::pod::support::{PLAIN_ROOT, refused_by_container};
use crate::sources;

/// Why a container was not even created; it is tried again later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NotCreated {
    /// In kubelet's words, for the container's waiting state.
    pub reason: &'static str,
    pub message: String,
    /// Whether the image was the trouble, which has a back-off of its own.
    pub is_pull: bool,
}

impl NotCreated {
    fn config(message: String) -> Self {
        Self {
            reason: "CreateContainerConfigError",
            message,
            is_pull: false,
        }
    }

    fn unwanted() -> Self {
        Self::create("the container is no longer wanted".to_owned())
    }

    fn create(message: String) -> Self {
        Self {
            reason: "CreateContainerError",
            message,
            is_pull: false,
        }
    }
}

impl From<ContainerError> for NotCreated {
    fn from(error: ContainerError) -> Self {
        Self::create(chain(&error))
    }
}

/// What came of a start.
#[derive(Debug)]
pub(crate) struct Created {
    pub outcome: Outcome,
    pub image_id: String,
}

/// One wish to start a container.
#[derive(Debug)]
pub(crate) struct Start {
    pub context: Arc<Context>,
    pub pod: Arc<Pod>,
    pub folder: PodFolder,
    pub container: Container,
    pub attempt: u32,
    pub address: String,
    /// Cancelled when the container is no longer wanted.
    pub unwanted: CancellationToken,
}

impl Start {
    /// Does all of it; takes as long as the image takes to come.
    pub(crate) async fn run(self) -> Result<Created, NotCreated> {
        let runtime = self.context.options.runtime;
        let refused = refused_by_container(&self.container, runtime);
        if !refused.is_empty() {
            let words = format!("the {runtime} runtime cannot honour {}", refused.join(", "));
            return Err(NotCreated::config(words));
        }
        // Only the image can take long, so only there is giving up worth it.
        // Boxed where the compiler otherwise loses sight of `Send`.
        let (image, root) = tokio::select! {
            pulled = self.pull().boxed() => pulled?,
            () = self.unwanted.cancelled() => return Err(NotCreated::unwanted()),
        };
        let image_id = self.image_id(&image);
        let variables = self.variables(&image).boxed().await?;
        let folder = self
            .folder
            .begin_attempt(&self.container.name, self.attempt)
            .map_err(|error| {
                NotCreated::create(format!("cannot make the container's folder: {error}"))
            })?;
        let root = match runtime {
            RuntimeKind::Process => {
                let copy = self.root_of_its_own();
                plain::copy(&root, &copy).await.map_err(|error| {
                    NotCreated::create(format!("cannot copy the image's files: {error}"))
                })?;
                copy
            }
            RuntimeKind::Sandbox | RuntimeKind::Simulated => root,
        };
        let group = self.begin_group().await?;
        let spec = assemble::spec(
            &self,
            &image.configuration.config,
            &root,
            variables,
            &folder,
            &group,
        )
        .map_err(|error| NotCreated::config(chain(&error)))?;
        self.tell("Created", "Container created".to_owned());
        let outcome = container::start(&self.context.options.shim, &folder, &spec).await?;
        if let Outcome::Running(_) = outcome {
            self.tell("Started", "Container started".to_owned());
        }
        Ok(Created { outcome, image_id })
    }

    /// Makes the control groups of this start; those of earlier ones go.
    async fn begin_group(&self) -> Result<Group, NotCreated> {
        let (context, name) = (&self.context, &self.container.name);
        if let Some(before) = self.attempt.checked_sub(1) {
            let uid = crate::pod::fields::uid(&self.pod);
            let group = context.groups.of_start(uid, name, before);
            if group.exists()
                && let Err(error) = context.groups.end(&group).await
            {
                tracing::warn!(error = chain(&error), "control group of a container stays");
            }
        }
        let processes_max = context.options.pod_processes_max;
        context
            .groups
            .begin(&self.pod, &self.container, self.attempt, processes_max)
            .map_err(|error| NotCreated::create(chain(&error)))
    }

    fn image_id(&self, image: &Image) -> String {
        let name = self.container.image.as_deref().unwrap_or_default();
        match name.parse::<Reference>() {
            Ok(reference) => format!(
                "{}/{}@{}",
                reference.registry(),
                reference.repository(),
                image.digest
            ),
            Err(_) => image.digest.to_string(),
        }
    }

    async fn variables(
        &self,
        image: &Image,
    ) -> Result<std::collections::BTreeMap<String, String>, NotCreated> {
        let client = &self.context.options.client;
        let (config_maps, secrets) = environment::references(&self.container);
        let fetched = async {
            let mut sources = sources::named(client, &self.pod, &config_maps, &secrets).await?;
            sources::add_services(client, &self.pod, &mut sources).await?;
            Ok::<_, sources::SourceError>(sources)
        };
        let mut sources = fetched
            .await
            .map_err(|error| NotCreated::config(chain(&error)))?;
        let ground = &self.context.options.ground;
        for service in sources.services.iter_mut().chain(&mut sources.api) {
            let spec = service.spec.as_mut();
            if let Some(address) = spec.and_then(|spec| spec.cluster_ip.as_mut())
                && let Ok(known) = address.parse()
            {
                *address = ground.on_machine(known).to_string();
            }
        }
        let facts = self.context.facts(&self.address);
        let mut image = image.configuration.config.env.clone();
        if self.context.options.runtime == RuntimeKind::Process {
            let root = self.root_of_its_own();
            image.push(format!("{PLAIN_ROOT}={}", root.display()));
        }
        environment::resolve(&self.pod, &self.container, &image, &sources, &facts)
            .map_err(|error| NotCreated::config(error.to_string()))
    }

    /// Where a plain process has its copy of the image's files.
    fn root_of_its_own(&self) -> PathBuf {
        let folder = self.folder.attempt(&self.container.name, self.attempt);
        folder.join("root")
    }

    /// Gets the image and its unpacked files.
    async fn pull(&self) -> Result<(Image, PathBuf), NotCreated> {
        let name = self.container.image.as_deref().unwrap_or_default();
        let reference: Reference = name.parse().map_err(|error: ReferenceError| NotCreated {
            reason: "InvalidImageName",
            message: format!("Failed to apply default image tag \"{name}\": {error}"),
            is_pull: true,
        })?;
        let options = PullOptions {
            policy: policy(&self.container),
            ..self.context.options.pull.clone()
        };
        let options = self.with_credentials(options, &reference).await?;
        let store = &self.context.options.images;
        let present = store
            .find(&reference, &options.platform)
            .is_ok_and(|image| image.is_some());
        if present && options.policy != Policy::Always {
            self.tell(
                "Pulled",
                format!("Container image \"{name}\" already present on machine"),
            );
        } else if options.policy != Policy::Never {
            self.tell("Pulling", format!("Pulling image \"{name}\""));
        }
        let _turn = self
            .context
            .pulls
            .acquire()
            .await
            .map_err(|error| NotCreated::create(error.to_string()))?;
        let image = self.bring(&reference, &options).await?;
        if !present {
            self.tell("Pulled", format!("Successfully pulled image \"{name}\""));
        }
        let root = store
            .unpacked(&image)
            .boxed()
            .await
            .map_err(|error| unpack_failure(&error))?;
        let now = self.context.now();
        self.context.images.touch(&image.digest, now).await;
        Ok((image, root))
    }

    /// Pulls the image as far as needed, and sees to it that it is not removed
    /// for want of room before it is used.
    async fn bring(
        &self,
        reference: &Reference,
        options: &PullOptions,
    ) -> Result<Image, NotCreated> {
        let store = &self.context.options.images;
        let pulled = || store.pull(reference, options).boxed();
        let image = pulled().await.map_err(|error| pull_failure(&error))?;
        let now = self.context.now();
        self.context.images.touch(&image.digest, now).await;
        match store.image(&image.digest, &options.platform) {
            Ok(Some(_)) => Ok(image),
            // It went at that very moment, and is known to be in use from now on.
            _ => pulled().await.map_err(|error| pull_failure(&error)),
        }
    }

    /// Adds what the pod's `imagePullSecrets` hold for the image's registry.
    async fn with_credentials(
        &self,
        mut options: PullOptions,
        image: &Reference,
    ) -> Result<PullOptions, NotCreated> {
        let wanted = crate::pod::fields::spec(&self.pod)
            .image_pull_secrets
            .iter()
            .flatten();
        let names = wanted.map(|reference| reference.name.clone()).collect();
        let client = &self.context.options.client;
        let sources = sources::named(
            client,
            &self.pod,
            &std::collections::BTreeSet::new(),
            &names,
        )
        .await
        .map_err(|error| NotCreated::config(chain(&error)))?;
        let found = sources
            .secrets
            .values()
            .find_map(|secret| assemble::registry_login(secret, image.registry()));
        if let Some((user, password)) = found {
            options.client.credentials = Credentials::Basic { user, password };
        }
        Ok(options)
    }

    fn tell(&self, reason: &'static str, message: String) {
        self.context
            .normal(&self.pod, Some(&self.container.name), reason, message);
    }
}

fn policy(container: &Container) -> Policy {
    let latest =
        |image: &str| !image.contains('@') && (image.ends_with(":latest") || !has_tag(image));
    match container.image_pull_policy.as_deref() {
        Some("Always") => Policy::Always,
        Some("Never") => Policy::Never,
        None if container.image.as_deref().is_some_and(latest) => Policy::Always,
        Some(_) | None => Policy::IfNotPresent,
    }
}

fn has_tag(image: &str) -> bool {
    image
        .rsplit('/')
        .next()
        .is_some_and(|last| last.contains(':'))
}

fn pull_failure(error: &PullError) -> NotCreated {
    let reason = match error {
        PullError::NeverPulled { .. } => "ErrImageNeverPull",
        _ => "ErrImagePull",
    };
    NotCreated {
        reason,
        message: chain(error),
        is_pull: true,
    }
}

fn unpack_failure(error: &UnpackError) -> NotCreated {
    NotCreated {
        reason: "ErrImagePull",
        message: chain(error),
        is_pull: true,
    }
}
