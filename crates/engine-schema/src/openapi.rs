//! The OpenAPI v3 documents of served group-versions, without descriptions,
//! kept compressed. `/openapi/v3` lists [`documents`] with
//! `serverRelativeURL: /openapi/v3/PATH?hash=HASH`.

use std::io::Read as _;
use std::sync::LazyLock;

use flate2::read::GzDecoder;
use serde::Deserialize;

const INDEX: &str = include_str!("../data/openapi.json");
const PACKED: &[u8] = include_bytes!("../data/openapi.bin");

/// One group-version's document.
#[derive(Debug, Clone, Deserialize)]
pub struct Document {
    /// Below `/openapi/v3/`, for example `apis/apps/v1`.
    pub path: String,
    /// Changes whenever the content does.
    pub hash: String,
    offset: usize,
    length: usize,
}

static DOCUMENTS: LazyLock<Vec<Document>> =
    LazyLock::new(|| serde_json::from_str(INDEX).expect("the index was generated and is tested"));

/// All documents, ordered by path.
pub fn documents() -> &'static [Document] {
    &DOCUMENTS
}

/// The document of a path such as `apis/apps/v1`.
pub fn document(path: &str) -> Option<&'static Document> {
    documents().iter().find(|document| document.path == path)
}

impl Document {
    /// The JSON text compressed with gzip, ready for `Content-Encoding: gzip`.
    pub fn gzip(&self) -> &'static [u8] {
        &PACKED[self.offset..self.offset + self.length]
    }

    /// The JSON text.
    pub fn json(&self) -> Vec<u8> {
        let mut text = Vec::new();
        GzDecoder::new(self.gzip())
            .read_to_end(&mut text)
            .expect("the file was generated and is tested");
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn every_document_unpacks_to_an_openapi_document() {
        for document in documents() {
            let body: Value = serde_json::from_slice(&document.json()).unwrap();
            assert!(
                body["openapi"].as_str().unwrap().starts_with("3."),
                "{}",
                document.path
            );
            assert!(
                body["components"]["schemas"]
                    .as_object()
                    .is_some_and(|schemas| !schemas.is_empty()),
                "{}",
                document.path
            );
        }
    }

    #[test]
    fn served_kinds_are_described_and_reserved_ones_are_not() {
        let body: Value = serde_json::from_slice(&document("api/v1").unwrap().json()).unwrap();
        let described = |plural: &str| {
            let path = format!("/api/v1/namespaces/{{namespace}}/{plural}");
            body["paths"].get(path).is_some()
        };
        assert!(described("configmaps"));
        assert!(!described("resourcequotas"));
        assert!(document("apis/resource.k8s.io/v1").is_none());
    }
}
