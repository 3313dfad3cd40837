//! What a request asks for, read from its method, path and query. Knows the shape of
//! Kubernetes paths, not which resources exist.

use crate::status::Failure;

/// Longest path plus query that is looked at.
const TARGET_MAX: usize = 16 << 10;

/// The query, decoded, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    pub(crate) fn parse(text: &str) -> Self {
        Self(
            url::form_urlencoded::parse(text.as_bytes())
                .into_owned()
                .collect(),
        )
    }

    /// The first value of a parameter; an empty one counts as absent.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(key, _)| key == name);
        found
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// A switch, as Go reads it: `1`, `t`, `true`; absent means no.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, Failure> {
        match self.get(name) {
            None | Some("0" | "f" | "F" | "false" | "FALSE" | "False") => Ok(false),
            Some("1" | "t" | "T" | "true" | "TRUE" | "True") => Ok(true),
            Some(other) => {
                let message = format!("invalid value {other:?} of query parameter {name:?}");
                Err(Failure::bad_request(message))
            }
        }
    }

    pub(crate) fn number<N: std::str::FromStr>(&self, name: &str) -> Result<Option<N>, Failure> {
        let Some(text) = self.get(name) else {
            return Ok(None);
        };
        text.parse().map(Some).map_err(|_| {
            let message = format!("invalid value {text:?} of query parameter {name:?}");
            Failure::bad_request(message)
        })
    }
}

/// A path that names a resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ResourcePath {
    /// Empty for the core group.
    pub(crate) group: String,
    pub(crate) version: String,
    /// Empty when the path names none.
    pub(crate) namespace: String,
    pub(crate) resource: String,
    /// Empty for the collection.
    pub(crate) name: String,
    pub(crate) subresource: String,
    /// What follows the subresource, as in `…/proxy/a/b`.
    pub(crate) rest: Vec<String>,
    /// The old form `/api/v1/watch/…`.
    pub(crate) watch_prefix: bool,
}

/// What the path is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Resource(ResourcePath),
    /// Everything else: discovery, health, version.
    Other(String),
}

/// Reads the path of a request.
pub(crate) fn parse_path(path: &str, query: Option<&str>) -> Result<Target, Failure> {
    if path.len() + query.map_or(0, str::len) > TARGET_MAX {
        return Err(Failure::bad_request(
            "the request's path and query are too long",
        ));
    }
    let segments: Vec<String> = path
        .split('/')
        .filter(|segment| !segment.is_empty())
        .map(decode)
        .collect::<Result<_, _>>()?;
    let other = || Ok(Target::Other(format!("/{}", segments.join("/"))));
    let (group, version, rest) = match &segments[..] {
        [api, version, rest @ ..] if api == "api" => ("", version, rest),
        [apis, group, version, rest @ ..] if apis == "apis" => (group.as_str(), version, rest),
        _ => return other(),
    };
    if rest.is_empty() {
        return other();
    }
    let mut found = ResourcePath {
        group: group.to_owned(),
        version: version.clone(),
        ..ResourcePath::default()
    };
    let rest = match rest {
        [watch, rest @ ..] if watch == "watch" && !rest.is_empty() => {
            found.watch_prefix = true;
            rest
        }
        rest => rest,
    };
    let rest = match rest {
        // `namespaces/x`, its status and finalize belong to the namespace itself.
        [namespaces, namespace] if namespaces == "namespaces" => {
            found.namespace.clone_from(namespace);
            rest
        }
        [namespaces, namespace, sub]
            if namespaces == "namespaces" && matches!(sub.as_str(), "status" | "finalize") =>
        {
            found.namespace.clone_from(namespace);
            rest
        }
        [namespaces, namespace, rest @ ..] if namespaces == "namespaces" && !rest.is_empty() => {
            found.namespace.clone_from(namespace);
            rest
        }
        rest => rest,
    };
    let mut parts = rest.iter().cloned();
    found.resource = parts.next().unwrap_or_default();
    found.name = parts.next().unwrap_or_default();
    found.subresource = parts.next().unwrap_or_default();
    found.rest = parts.collect();
    Ok(Target::Resource(found))
}

fn decode(segment: &str) -> Result<String, Failure> {
    let malformed = || Failure::bad_request("the request's path is not well-formed");
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (digits, after) = rest.split_at_checked(2).ok_or_else(malformed)?;
        let mut byte = [0];
        hex::decode_to_slice(digits, &mut byte).map_err(|_| malformed())?;
        bytes.push(byte[0]);
        rest = after;
    }
    let text = String::from_utf8(bytes).map_err(|_| malformed())?;
    if text.contains('\0') || text == "." || text == ".." {
        return Err(malformed());
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(path: &str, expected: [&str; 6]) {
        let Ok(Target::Resource(found)) = parse_path(path, None) else {
            panic!("{path} names no resource");
        };
        let parts = [
            &found.group,
            &found.version,
            &found.namespace,
            &found.resource,
            &found.name,
            &found.subresource,
        ];
        assert_eq!(parts.map(String::as_str), expected);
    }

    #[test]
    fn paths_name_group_version_namespace_resource_name_and_subresource() {
        check("/api/v1/pods", ["", "v1", "", "pods", "", ""]);
        check("/api/v1/namespaces", ["", "v1", "", "namespaces", "", ""]);
        check(
            "/api/v1/namespaces/a",
            ["", "v1", "a", "namespaces", "a", ""],
        );
        check(
            "/api/v1/namespaces/a/status",
            ["", "v1", "a", "namespaces", "a", "status"],
        );
        check(
            "/api/v1/namespaces/a/finalize",
            ["", "v1", "a", "namespaces", "a", "finalize"],
        );
        check("/api/v1/namespaces/a/pods", ["", "v1", "a", "pods", "", ""]);
        check(
            "/api/v1/namespaces/a/pods/b/log",
            ["", "v1", "a", "pods", "b", "log"],
        );
        check(
            "/apis/apps/v1/namespaces/a/deployments/b/scale/",
            ["apps", "v1", "a", "deployments", "b", "scale"],
        );
        check(
            "/apis/x.io/v1/clusterthings/b%2Fc",
            ["x.io", "v1", "", "clusterthings", "b/c", ""],
        );
        check(
            "/api/v1/watch/namespaces/a/pods",
            ["", "v1", "a", "pods", "", ""],
        );
    }

    #[test]
    fn discovery_and_health_are_no_resources() {
        for path in [
            "/",
            "/api",
            "/api/v1",
            "/apis",
            "/apis/apps",
            "/apis/apps/v1",
            "/healthz",
        ] {
            assert!(
                matches!(parse_path(path, None), Ok(Target::Other(_))),
                "{path}"
            );
        }
    }

    #[test]
    fn broken_escapes_are_refused() {
        for path in [
            "/api/v1/pods/%",
            "/api/v1/pods/%zz",
            "/api/v1/pods/%ff",
            "/api/v1/../pods",
        ] {
            assert!(parse_path(path, None).is_err(), "{path}");
        }
    }

    #[test]
    fn flags_are_read_as_the_real_server_reads_them() {
        let query = Query::parse("watch=1&limit=&allow=maybe&command=a&command=b");
        assert_eq!(query.flag("watch"), Ok(true));
        assert_eq!(query.flag("absent"), Ok(false));
        assert!(query.flag("allow").is_err());
        assert_eq!(query.number::<u32>("limit"), Ok(None));
        assert_eq!(query.all("command").collect::<Vec<_>>(), ["a", "b"]);
    }

    proptest! {
        #[test]
        fn no_path_or_query_panics(path in "\\PC*", query in "\\PC*") {
            drop(parse_path(&path, Some(&query)));
            let query = Query::parse(&query);
            drop(query.flag("watch"));
            drop(query.number::<u64>("limit"));
        }
    }
}
