//! The commands, one file each.

mod agent;
mod approve;
mod artifact;
mod completions;
mod down;
mod engine;
mod hold;
mod init;
mod node;
mod promote;
mod release;
mod request;
mod roles;
mod rollback;
mod run;
mod samples;
mod server;
mod status;
mod token;
mod up;

use clap::Subcommand;

use crate::context::Context;
use crate::failure::Failure;
use crate::terminal::Outcome;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Up(up::UpArgs),
    Down(down::DownArgs),
    Init(init::InitArgs),
    Run(run::RunArgs),
    #[command(subcommand)]
    Artifact(artifact::ArtifactCommand),
    Release(release::ReleaseArgs),
    Promote(promote::PromoteArgs),
    Approve(approve::ApproveArgs),
    Rollback(rollback::RollbackArgs),
    Hold(hold::HoldArgs),
    Status(status::StatusArgs),
    #[command(subcommand)]
    Token(token::TokenCommand),
    #[command(subcommand)]
    Engine(engine::EngineCommand),
    Node(node::NodeArgs),
    Server(server::ServerArgs),
    Agent(agent::AgentArgs),
    Completions(completions::CompletionsArgs),
}

pub(crate) async fn run(command: Command, context: &Context) -> Result<Outcome, Failure> {
    match command {
        Command::Up(args) => up::run(args, context).await,
        Command::Down(args) => down::run(&args, context).await,
        Command::Init(args) => init::run(&args, context).await,
        Command::Run(args) => run::run(args, context).await,
        Command::Artifact(command) => artifact::run(command, context).await,
        Command::Release(args) => release::run(args, context).await,
        Command::Promote(args) => promote::run(args, context).await,
        Command::Approve(args) => approve::run(args, context).await,
        Command::Rollback(args) => rollback::run(args, context).await,
        Command::Hold(args) => hold::run(args, context).await,
        Command::Status(args) => status::run(args, context).await,
        Command::Token(command) => token::run(command, context).await,
        Command::Engine(command) => engine::run(command, context).await,
        Command::Node(args) => node::run(args, context).await,
        Command::Server(args) => server::run(args, context).await,
        Command::Agent(args) => agent::run(args, context).await,
        Command::Completions(args) => completions::run(&args),
    }
}
