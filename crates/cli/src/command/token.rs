//! `foreshore token`: tokens for CI.

use clap::Subcommand;
use foreshore_model::ServiceName;
use foreshore_model::api::{RevokeAnswer, TokenAnswer, TokenRequest};

use crate::context::Context;
use crate::failure::Failure;
use crate::terminal::Outcome;
use crate::wait::path_segment;

/// Issue and revoke tokens for CI
#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Issue a token that can push the artifacts of one service, and nothing else
    ///
    /// The token is printed once; only its hash is kept.
    Issue {
        /// Name of its holder
        name: String,

        /// Service whose artifacts it may push
        #[arg(long, value_name = "SERVICE")]
        push: ServiceName,
    },
    /// Take every token of a holder back
    Revoke {
        /// Name of the holder
        name: String,
    },
}

pub(crate) async fn run(command: TokenCommand, context: &Context) -> Result<Outcome, Failure> {
    let client = context.client()?;
    match command {
        TokenCommand::Issue { name, push } => {
            let answer: TokenAnswer = client.post("/tokens", &TokenRequest { name, push }).await?;
            Outcome::answer(&answer, answer.token.clone())
        }
        TokenCommand::Revoke { name } => {
            let answer: RevokeAnswer = client
                .delete(&format!("/tokens/{}", path_segment(&name)))
                .await?;
            Outcome::answer(
                &answer,
                format!("{} tokens of {name} are no longer valid", answer.revoked),
            )
        }
    }
}
