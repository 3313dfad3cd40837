//! Why a template did not render, with its place.

/// What is wrong with a template, or went wrong while it was carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{template}:{line}: {what}")]
pub struct TemplateError {
    pub template: String,
    pub line: usize,
    pub what: String,
}
