//! Everything known, in the three shapes in which it is used.

use std::net::Ipv4Addr;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Secret, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::Ingress;
use tokio::sync::watch;

use crate::routes::Routes;
use crate::service::Services;
use crate::zone::Zone;

/// One consistent state. Readers keep the one they started with.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct View {
    pub(crate) services: Services,
    pub(crate) zone: Zone,
    pub(crate) routes: Routes,
    /// Whether the Service of the DNS exists.
    pub(crate) has_dns_service: bool,
}

/// The latest view; none before the first one.
pub(crate) type Views = watch::Receiver<Option<Arc<View>>>;

/// The objects a view is made of.
#[derive(Debug, Default)]
pub(crate) struct Objects {
    pub(crate) services: Vec<Arc<Service>>,
    pub(crate) slices: Vec<Arc<EndpointSlice>>,
    pub(crate) ingresses: Vec<Arc<Ingress>>,
    /// Those of type `kubernetes.io/tls`.
    pub(crate) secrets: Vec<Arc<Secret>>,
}

impl View {
    pub(crate) fn new(objects: &Objects, dns: Ipv4Addr, ingress_class: &str) -> Self {
        let services = Services::new(&objects.services, &objects.slices, dns);
        let routes = Routes::new(
            &objects.ingresses,
            &services,
            &objects.secrets,
            ingress_class,
        );
        let has_dns_service = objects.services.iter().any(|service| {
            service.metadata.namespace.as_deref() == Some("kube-system")
                && service.metadata.name.as_deref() == Some("kube-dns")
        });
        Self {
            zone: Zone::new(&objects.services, &objects.slices),
            services,
            routes,
            has_dns_service,
        }
    }
}
