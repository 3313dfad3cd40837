//! The port of whoever signs what arrives.

use foreshore_image::Descriptor;

/// A manifest that the registry itself puts beside one that arrives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Testimony {
    /// The contents that the manifest needs.
    pub blobs: Vec<Vec<u8>>,
    /// An OCI image manifest whose `subject` is what arrived.
    pub manifest: Vec<u8>,
}

/// Signs what arrives, in the same moment: nobody ever sees it without.
pub trait Witness: std::fmt::Debug + Send + Sync + 'static {
    /// `artifactType` of testimonies; nobody else may push such.
    fn artifact_type(&self) -> &str;

    /// Returns what is put beside `arrived`; none for what needs no witness.
    fn testify(&self, repository: &str, arrived: &Descriptor) -> Option<Testimony>;
}
