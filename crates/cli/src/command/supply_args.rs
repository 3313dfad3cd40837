//! What every command that runs an agent is told about where artifacts come from.

use clap::Args;
use foreshore_artifact::PublicKey;
use foreshore_server::roles::SupplyChoice;

/// Registry of artifacts and whom to believe.
#[derive(Debug, Args)]
pub(crate) struct SupplyArgs {
    /// Registry that artifacts and their images are taken from, `host[:port]`; where the server answers, if not given
    #[arg(long, value_name = "HOST")]
    registry: Option<String>,

    /// Public key that must have signed an artifact, `ed25519:…` (can be repeated); if not given, the first that the server names, kept from then on
    #[arg(long = "trusted-key", value_name = "KEY")]
    trusted_keys: Vec<PublicKey>,
}

impl SupplyArgs {
    /// The same as words of a command line.
    pub(crate) fn words(&self) -> Vec<String> {
        let registry = self.registry.iter();
        let registry = registry.flat_map(|host| ["--registry".to_owned(), host.clone()]);
        let keys = self.trusted_keys.iter();
        let keys = keys.flat_map(|key| ["--trusted-key".to_owned(), key.to_string()]);
        registry.chain(keys).collect()
    }
}

impl From<SupplyArgs> for SupplyChoice {
    fn from(args: SupplyArgs) -> Self {
        Self {
            registry: args.registry,
            trusted_keys: args.trusted_keys,
        }
    }
}
