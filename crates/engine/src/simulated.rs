//! Virtual nodes of an engine: their pods become ready without running.

use std::path::Path;

use foreshore_engine_node::{Node, Options, RuntimeKind};
use foreshore_image::Store as Images;
use foreshore_sys::Ground;
use kube::Client;

use crate::error::EngineError;

/// Third number of the first node's addresses: real nodes of the same machine
/// count from below.
const FIRST_INDEX: u8 = 100;

/// Prepares `count` nodes named `simulated-…`; their logs can be read where there is a ground.
pub(crate) fn nodes(
    client: Client,
    folder: &Path,
    ground: Option<Ground>,
    count: u8,
) -> Result<Node, EngineError> {
    let root = folder.join("simulated");
    // They never pull an image; the store stays empty.
    let images =
        Images::open(&root.join("images")).map_err(|error| EngineError::Images(Box::new(error)))?;
    let mut options = Options::new(
        client,
        "simulated",
        RuntimeKind::Simulated,
        ground.unwrap_or_else(Ground::current),
        root,
        std::path::PathBuf::new(),
        images,
    );
    options.simulated_nodes = count;
    options.node_index = FIRST_INDEX;
    Node::new(options).map_err(EngineError::Simulated)
}
