//! The commands, one file each.

mod agent;
mod approve;
mod artifact;
mod audit;
mod backup;
mod bootstrap;
mod build_args;
mod builds;
mod check;
mod completions;
mod demo;
mod describe;
mod doctor;
mod down;
mod engine;
mod explain;
mod freeze;
mod get;
mod hold;
mod init;
mod install;
mod jailed;
mod load;
mod new;
mod node;
mod plan;
mod policy;
mod promote;
mod reference;
mod release;
mod request;
mod retire;
mod roles;
mod rollback;
mod run;
mod samples;
mod scale;
mod secret;
mod serve_files;
mod server;
mod service_arg;
mod status;
mod supply_args;
mod template;
mod token;
mod up;
mod user;
mod wait_for;

use clap::Subcommand;

use crate::context::Context;
use crate::failure::Failure;
use crate::terminal::Outcome;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Up(up::UpArgs),
    Down(down::DownArgs),
    Init(init::InitArgs),
    New(new::NewArgs),
    Run(run::RunArgs),
    Plan(plan::PlanArgs),
    Get(get::GetArgs),
    Has(get::HasArgs),
    Ls(template::LsArgs),
    Template(template::TemplateArgs),
    Prepare(template::PrepareArgs),
    Docs(template::DocsArgs),
    #[command(subcommand)]
    Secret(secret::SecretCommand),
    #[command(subcommand)]
    Artifact(artifact::ArtifactCommand),
    Builds(builds::BuildsArgs),
    Release(release::ReleaseArgs),
    Promote(promote::PromoteArgs),
    Approve(approve::ApproveArgs),
    Rollback(rollback::RollbackArgs),
    Retire(retire::RetireArgs),
    Confirm(retire::ConfirmArgs),
    Scale(scale::ScaleArgs),
    Hold(hold::HoldArgs),
    #[command(subcommand)]
    Freeze(freeze::FreezeCommand),
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
    Status(status::StatusArgs),
    Check(check::CheckArgs),
    Load(load::LoadArgs),
    Wait(wait_for::WaitArgs),
    #[command(subcommand)]
    Describe(describe::DescribeCommand),
    History(describe::HistoryArgs),
    Diff(explain::DiffArgs),
    Preview(explain::PreviewArgs),
    #[command(subcommand)]
    Explain(explain::ExplainCommand),
    Audit(audit::AuditArgs),
    Bootstrap(bootstrap::BootstrapArgs),
    Install(install::InstallArgs),
    #[command(subcommand)]
    Token(token::TokenCommand),
    #[command(subcommand)]
    User(user::UserCommand),
    #[command(subcommand)]
    Engine(engine::EngineCommand),
    Node(node::NodeArgs),
    Server(server::ServerArgs),
    Agent(agent::AgentArgs),
    Doctor(doctor::DoctorArgs),
    #[command(subcommand)]
    Demo(demo::DemoCommand),
    Backup(backup::BackupArgs),
    Restore(backup::RestoreArgs),
    OwnImage(reference::OwnImageArgs),
    Reference(reference::ReferenceArgs),
    Completions(completions::CompletionsArgs),
    #[command(hide = true)]
    ServeFiles(serve_files::ServeFilesArgs),
    #[command(hide = true)]
    Jailed(jailed::JailedArgs),
}

pub(crate) async fn run(command: Command, context: &Context) -> Result<Outcome, Failure> {
    match command {
        Command::Up(args) => up::run(args, context).await,
        Command::Down(args) => down::run(&args, context).await,
        Command::Init(args) => init::run(&args, context).await,
        Command::New(args) => new::run(&args, context),
        Command::Run(args) => run::run(args, context).await,
        Command::Plan(args) => plan::run(args, context).await,
        Command::Get(args) => get::run(&args, context),
        Command::Has(args) => get::has(&args, context).await,
        Command::Ls(args) => template::ls(&args, context).await,
        Command::Template(args) => template::run(&args, context).await,
        Command::Prepare(args) => template::prepare(&args).await,
        Command::Docs(args) => template::docs(&args).await,
        Command::Secret(command) => secret::run(command, context).await,
        Command::Artifact(command) => artifact::run(command, context).await,
        Command::Builds(args) => builds::run(args, context).await,
        Command::Release(args) => release::run(args, context).await,
        Command::Promote(args) => promote::run(args, context).await,
        Command::Approve(args) => approve::run(args, context).await,
        Command::Rollback(args) => rollback::run(args, context).await,
        Command::Retire(args) => retire::run(args, context).await,
        Command::Confirm(args) => retire::confirm(args, context).await,
        Command::Scale(args) => scale::run(args, context).await,
        Command::Hold(args) => hold::run(args, context).await,
        Command::Freeze(command) => freeze::run(command, context).await,
        Command::Policy(command) => policy::run(command, context).await,
        Command::Wait(args) => wait_for::run(args, context).await,
        Command::Describe(command) => describe::run(command, context).await,
        Command::History(args) => describe::history(args, context).await,
        Command::Diff(args) => explain::diff(args, context).await,
        Command::Preview(args) => explain::preview(args, context).await,
        Command::Explain(command) => explain::run(command, context).await,
        Command::Audit(args) => audit::run(args, context).await,
        Command::Bootstrap(args) => bootstrap::run(args, context).await,
        Command::Install(args) => install::run(args, context),
        Command::Status(args) => status::run(args, context).await,
        Command::Check(args) => check::run(args, context).await,
        Command::Load(args) => load::run(args, context).await,
        Command::Token(command) => token::run(command, context).await,
        Command::User(command) => user::run(command, context).await,
        Command::Engine(command) => engine::run(command, context).await,
        Command::Node(args) => node::run(args, context).await,
        Command::Server(args) => server::run(args, context).await,
        Command::Agent(args) => agent::run(args, context).await,
        Command::Doctor(args) => doctor::run(&args, context).await,
        Command::Demo(command) => demo::run(command, context).await,
        Command::Backup(args) => backup::run(args, context).await,
        Command::Restore(args) => backup::restore(args, context).await,
        Command::OwnImage(args) => reference::own_image(&args, context).await,
        Command::Reference(args) => reference::run(&args),
        Command::Completions(args) => completions::run(&args),
        Command::ServeFiles(args) => serve_files::run(args, context).await,
        Command::Jailed(args) => jailed::run(&args, context),
    }
}
