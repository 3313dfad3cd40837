//! Which Service an HTTP request belongs to, by the rules of all Ingresses; pure.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::networking::v1::{HTTPIngressPath, Ingress, IngressBackend};

use crate::certificates::{Certificate, Certificates};
use crate::service::{ServiceName, Services};

/// A Service and the number of its port.
pub(crate) type Destination = (ServiceName, i32);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Pattern {
    Exact(String),
    /// Path elements: `/shop` covers `/shop/cart` but not `/shopping`.
    Prefix(Vec<String>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    pattern: Pattern,
    destination: Arc<Destination>,
}

/// All rules, by host. `*.example.com` stands under `.example.com`, rules for
/// every host under the empty name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Routes {
    hosts: BTreeMap<String, Vec<Rule>>,
    fallback: Option<Arc<Destination>>,
    /// What was asked for and is not done, by Ingress.
    pub(crate) unsupported: BTreeMap<ServiceName, Vec<String>>,
    /// What hosts show to clients that speak TLS.
    pub(crate) certificates: Certificates,
    /// The Ingresses served.
    pub(crate) served: Vec<ServiceName>,
}

impl Routes {
    /// Reads the rules of the Ingresses that name `class` or none.
    ///
    /// Where two claim the same path, the older one wins.
    pub(crate) fn new(
        ingresses: &[Arc<Ingress>],
        services: &Services,
        secrets: &[Arc<Secret>],
        class: &str,
    ) -> Self {
        let mut ordered: Vec<&Arc<Ingress>> = ingresses
            .iter()
            .filter(|ingress| is_ours(ingress, class))
            .collect();
        ordered.sort_by_key(|ingress| {
            (
                ingress
                    .metadata
                    .creation_timestamp
                    .as_ref()
                    .map(|time| time.0),
                name_of(ingress),
            )
        });
        let mut routes = Self::default();
        for ingress in ordered {
            routes.add(ingress, services);
            routes.add_certificates(ingress, secrets);
        }
        for rules in routes.hosts.values_mut() {
            // Stable: among equals the older Ingress stays first.
            rules.sort_by_key(|rule| match &rule.pattern {
                Pattern::Exact(_) => (0, 0),
                Pattern::Prefix(elements) => (1, usize::MAX - elements.len()),
            });
        }
        routes
    }

    fn add(&mut self, ingress: &Ingress, services: &Services) {
        let name = name_of(ingress);
        self.served.push(name.clone());
        let Some(spec) = &ingress.spec else { return };
        if let Some(backend) = &spec.default_backend
            && let Some(destination) = self.destination(&name, backend, services)
        {
            self.fallback.get_or_insert(destination);
        }
        for rule in spec.rules.iter().flatten() {
            let host = rule.host.clone().unwrap_or_default().to_lowercase();
            let host = host
                .strip_prefix('*')
                .map_or_else(|| host.clone(), str::to_owned);
            for path in rule.http.iter().flat_map(|http| &http.paths) {
                if let Some(destination) = self.destination(&name, &path.backend, services) {
                    let rule = Rule {
                        pattern: pattern(path),
                        destination,
                    };
                    self.hosts.entry(host.clone()).or_default().push(rule);
                }
            }
        }
    }

    /// Takes the certificates an Ingress names, and tells what is wrong with them.
    fn add_certificates(&mut self, ingress: &Ingress, secrets: &[Arc<Secret>]) {
        let name = name_of(ingress);
        let Some(spec) = &ingress.spec else { return };
        for tls in spec.tls.iter().flatten() {
            let Some(wanted) = &tls.secret_name else {
                continue;
            };
            let secret = secrets.iter().find(|secret| {
                secret.metadata.namespace.as_deref() == Some(name.0.as_str())
                    && secret.metadata.name.as_ref() == Some(wanted)
            });
            let certificate = secret
                .ok_or_else(|| "there is no such secret of type kubernetes.io/tls".to_owned())
                .and_then(|secret| Certificate::of_secret(secret));
            match certificate {
                Ok(certificate) => {
                    for host in tls.hosts.iter().flatten() {
                        self.certificates.add(host, &certificate);
                    }
                }
                Err(problem) => self.note(&name, &format!("spec.tls secret {wanted}: {problem}")),
            }
        }
    }

    fn destination(
        &mut self,
        ingress: &ServiceName,
        backend: &IngressBackend,
        services: &Services,
    ) -> Option<Arc<Destination>> {
        let Some(service) = &backend.service else {
            self.note(ingress, "backend.resource");
            return None;
        };
        let name = (ingress.0.clone(), service.name.clone());
        let port = service.port.as_ref();
        let number = port.and_then(|port| port.number).or_else(|| {
            services.port_number(
                &name,
                port.and_then(|port| port.name.as_deref())
                    .unwrap_or_default(),
            )
        });
        // An unknown port leads to a destination nobody answers, not to another rule.
        Some(Arc::new((name, number.unwrap_or(0))))
    }

    fn note(&mut self, ingress: &ServiceName, what: &str) {
        self.unsupported
            .entry(ingress.clone())
            .or_default()
            .push(what.to_owned());
    }

    /// Finds the destination: by exact host, then wildcard, then rules for every
    /// host; within a host an exact path beats the longest prefix.
    pub(crate) fn find(&self, host: &str, path: &str) -> Option<&Arc<Destination>> {
        let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
        let host = if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
            Cow::Owned(host.to_ascii_lowercase())
        } else {
            Cow::Borrowed(host)
        };
        let host = host.as_ref();
        let wildcard = host.find('.').map(|dot| &host[dot..]);
        [Some(host), wildcard, Some("")]
            .into_iter()
            .flatten()
            .filter_map(|host| self.hosts.get(host))
            .find_map(|rules| rules.iter().find(|rule| rule.pattern.matches(path)))
            .map(|rule| &rule.destination)
            .or(self.fallback.as_ref())
    }
}

impl Pattern {
    fn matches(&self, path: &str) -> bool {
        match self {
            Self::Exact(exact) => exact == path,
            Self::Prefix(elements) => {
                let mut own = path.split('/').filter(|element| !element.is_empty());
                elements.iter().all(|element| own.next() == Some(element))
            }
        }
    }
}

fn pattern(path: &HTTPIngressPath) -> Pattern {
    let text = path.path.as_deref().unwrap_or("/");
    if path.path_type == "Exact" {
        Pattern::Exact(text.to_owned())
    } else {
        Pattern::Prefix(
            text.split('/')
                .filter(|element| !element.is_empty())
                .map(str::to_owned)
                .collect(),
        )
    }
}

fn is_ours(ingress: &Ingress, class: &str) -> bool {
    let named = ingress
        .spec
        .as_ref()
        .and_then(|spec| spec.ingress_class_name.as_deref());
    named.is_none_or(|named| named == class)
}

pub(crate) fn name_of(ingress: &Ingress) -> ServiceName {
    (
        ingress.metadata.namespace.clone().unwrap_or_default(),
        ingress.metadata.name.clone().unwrap_or_default(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn path(path: &str, kind: &str, service: &str) -> Value {
        json!({"path": path, "pathType": kind, "backend": {"service": {"name": service, "port": {"number": 80}}}})
    }

    fn rule(host: &str, paths: &[Value]) -> Value {
        json!({"host": host, "http": {"paths": paths}})
    }

    /// The one place that asks for a destination.
    #[track_caller]
    fn check(spec: &Value, host: &str, path: &str, expected: &str) {
        let ingress = json!({"metadata": {"name": "web", "namespace": "dev"}, "spec": spec});
        let ingress = Arc::new(serde_json::from_value(ingress).unwrap());
        let routes = Routes::new(&[ingress], &Services::default(), &[], "foreshore");
        let found = routes
            .find(host, path)
            .map_or("nobody", |found| found.0.1.as_str());
        assert_eq!(found, expected, "{host}{path}");
    }

    #[test]
    fn an_exact_path_beats_the_longest_prefix() {
        let spec = json!({"rules": [rule("", &[
            path("/", "Prefix", "root"),
            path("/shop", "Prefix", "shop"),
            path("/shop/cart", "Prefix", "cart"),
            path("/shop/cart/pay", "Exact", "pay"),
        ])]});
        check(&spec, "any", "/", "root");
        check(&spec, "any", "/shopping", "root");
        check(&spec, "any", "/shop", "shop");
        check(&spec, "any", "/shop/", "shop");
        check(&spec, "any", "/shop/cart/items", "cart");
        check(&spec, "any", "/shop/cart/pay", "pay");
        check(&spec, "any", "/shop/cart/pay/", "cart");
    }

    #[test]
    fn a_named_host_beats_a_wildcard_and_that_beats_none() {
        let spec = json!({"rules": [
            rule("", &[path("/", "Prefix", "any")]),
            rule("*.example.com", &[path("/", "Prefix", "wild")]),
            rule("shop.example.com", &[path("/", "Prefix", "shop")]),
        ]});
        check(&spec, "shop.example.com", "/", "shop");
        check(&spec, "SHOP.example.com:8080", "/", "shop");
        check(&spec, "other.example.com", "/", "wild");
        check(&spec, "a.b.example.com", "/", "any");
        check(&spec, "example.com", "/", "any");
    }

    #[test]
    fn what_no_rule_covers_goes_to_the_default_backend() {
        let backend = json!({"service": {"name": "fallback", "port": {"number": 80}}});
        let spec = json!({"defaultBackend": backend, "rules": [rule("a.com", &[path("/x", "Prefix", "x")])]});
        check(&spec, "a.com", "/y", "fallback");
        check(&spec, "b.com", "/", "fallback");
        check(
            &json!({"rules": [rule("a.com", &[path("/x", "Prefix", "x")])]}),
            "a.com",
            "/y",
            "nobody",
        );
    }

    #[test]
    fn ingresses_of_another_class_are_left_alone() {
        let mut spec = json!({"rules": [rule("", &[path("/", "Prefix", "web")])]});
        check(&spec, "any", "/", "web");
        spec["ingressClassName"] = json!("nginx");
        check(&spec, "any", "/", "nobody");
        spec["ingressClassName"] = json!("foreshore");
        check(&spec, "any", "/", "web");
    }

    #[test]
    fn a_certificate_that_is_not_there_is_named() {
        let spec = json!({"tls": [{"hosts": ["a.com"], "secretName": "cert"}]});
        let ingress = json!({"metadata": {"name": "web", "namespace": "dev"}, "spec": spec});
        let ingress = Arc::new(serde_json::from_value(ingress).unwrap());
        let routes = Routes::new(&[ingress], &Services::default(), &[], "foreshore");
        let name = ("dev".to_owned(), "web".to_owned());
        assert_eq!(
            routes.unsupported[&name],
            ["spec.tls secret cert: there is no such secret of type kubernetes.io/tls"]
        );
    }
}
