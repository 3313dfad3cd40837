//! Which form an answer takes, by the `Accept` header.

use crate::status::{Answer, Failure};

/// How the answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Json,
    Yaml,
}

/// What becomes of the objects before they are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum View {
    Whole,
    /// Rows and columns, in this version of `meta.k8s.io`.
    Table(String),
    /// Only metadata, in this version of `meta.k8s.io`.
    Metadata(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Form {
    pub(crate) format: Format,
    pub(crate) view: View,
}

impl Form {
    pub(crate) const JSON: Self = Self {
        format: Format::Json,
        view: View::Whole,
    };

    pub(crate) fn content_type(&self) -> &'static str {
        match self.format {
            Format::Json => "application/json",
            Format::Yaml => "application/yaml",
        }
    }
}

const ACCEPTED: &str = "application/json, application/yaml";

/// One entry of an `Accept` header.
#[derive(Debug)]
pub(crate) struct Range<'a> {
    pub(crate) media: &'a str,
    params: Vec<(&'a str, &'a str)>,
    quality: f32,
}

impl<'a> Range<'a> {
    pub(crate) fn param(&self, name: &str) -> Option<&'a str> {
        self.params
            .iter()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| *value)
    }
}

/// Reads an `Accept` header, best entry first; equal ones keep their order.
pub(crate) fn ranges(accept: &str) -> Vec<Range<'_>> {
    let mut ranges: Vec<Range<'_>> = accept
        .split(',')
        .map(|entry| {
            let mut parts = entry.split(';').map(str::trim);
            let media = parts.next().unwrap_or_default();
            let params: Vec<_> = parts
                .filter_map(|part| part.split_once('='))
                .map(|(key, value)| (key.trim(), value.trim().trim_matches('"')))
                .collect();
            let quality = params.iter().find(|(key, _)| *key == "q");
            let quality = quality
                .and_then(|(_, text)| text.parse().ok())
                .unwrap_or(1.0);
            Range {
                media,
                params,
                quality,
            }
        })
        .filter(|range| !range.media.is_empty() && range.quality > 0.0)
        .collect();
    ranges.sort_by(|a, b| b.quality.total_cmp(&a.quality));
    ranges
}

/// Chooses the form of an answer that is an object or a list of them.
pub(crate) fn choose(accept: Option<&str>) -> Answer<Form> {
    let Some(accept) = accept.filter(|text| !text.trim().is_empty()) else {
        return Ok(Form::JSON);
    };
    ranges(accept)
        .iter()
        .find_map(form)
        .ok_or_else(|| Failure::not_acceptable(ACCEPTED))
}

fn form(range: &Range<'_>) -> Option<Form> {
    let format = match range.media {
        "application/json" | "application/*" | "*/*" => Format::Json,
        "application/yaml" | "application/x-yaml" | "text/yaml" => Format::Yaml,
        _ => return None,
    };
    if range
        .param("stream")
        .is_some_and(|stream| stream != "watch")
    {
        return None;
    }
    let view = match (range.param("as"), range.param("g"), range.param("v")) {
        (None, _, _) => View::Whole,
        (Some(kind), Some("meta.k8s.io"), Some(version @ ("v1" | "v1beta1"))) => match kind {
            "Table" => View::Table(version.to_owned()),
            "PartialObjectMetadata" | "PartialObjectMetadataList" => {
                View::Metadata(version.to_owned())
            }
            _ => return None,
        },
        _ => return None,
    };
    Some(Form { format, view })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(accept: &str, expected: Option<(Format, View)>) {
        let expected = expected.map(|(format, view)| Form { format, view });
        assert_eq!(choose(Some(accept)).ok(), expected, "{accept}");
    }

    #[test]
    fn the_first_form_we_can_write_wins() {
        let table = View::Table("v1".into());
        check(
            "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
            Some((Format::Json, table)),
        );
        check(
            "application/vnd.kubernetes.protobuf,application/json",
            Some((Format::Json, View::Whole)),
        );
        check(
            "application/vnd.kubernetes.protobuf, */*",
            Some((Format::Json, View::Whole)),
        );
        check("application/vnd.kubernetes.protobuf", None);
        check(
            "application/json;q=0.1,application/yaml",
            Some((Format::Yaml, View::Whole)),
        );
        check("application/json;as=Unknown;g=x;v=v1", None);
        let metadata = View::Metadata("v1".into());
        check(
            "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,\
             application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json",
            Some((Format::Json, metadata)),
        );
        check("", Some((Format::Json, View::Whole)));
    }

    proptest! {
        #[test]
        fn no_accept_header_panics(text in "\\PC*") {
            drop(choose(Some(&text)));
        }
    }
}
