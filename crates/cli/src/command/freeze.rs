//! `foreshore freeze`: times without releases.

use clap::{Args, Subcommand, ValueEnum};
use foreshore_model::api::{ChangeAnswer, FreezeRequest, FreezeRow};
use foreshore_model::freeze::{Day, Effect, Window};
use foreshore_model::{EnvironmentName, FreezeName, ServiceName};
use jiff::civil::{DateTime, Time};

use crate::context::Context;
use crate::failure::Failure;
use crate::terminal::{Outcome, table};
use crate::wait::path_segment;

/// Set, list and lift times without releases
#[derive(Debug, Subcommand)]
pub(crate) enum FreezeCommand {
    Add(AddArgs),
    List,
    Lift(LiftArgs),
}

/// Set or replace a freeze
///
/// Once: --from 2026-12-23T17:00 --until 2027-01-04T08:00. Every week:
/// --day friday --from 16:00 --until 08:00, which goes over midnight.
#[derive(Debug, Args)]
pub(crate) struct AddArgs {
    /// Name of the freeze
    name: FreezeName,

    /// Environment it is for (can be repeated); without it, all
    #[arg(short, long, value_name = "NAME", value_delimiter = ',')]
    env: Vec<EnvironmentName>,

    /// Service it is for (can be repeated); without it, all
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    service: Vec<ServiceName>,

    /// Begin, by the clock of the time zone
    #[arg(long, value_name = "TIME")]
    from: String,

    /// End, by the clock of the time zone
    #[arg(long, value_name = "TIME")]
    until: String,

    /// Day on which it begins every week (can be repeated)
    #[arg(long, value_name = "DAY", value_delimiter = ',')]
    day: Vec<DayArg>,

    /// Time zone of the clock, like Europe/Copenhagen
    #[arg(long, default_value = "UTC", value_name = "ZONE")]
    time_zone: String,

    /// Release only while the window is open, instead of only while it is closed
    #[arg(long)]
    allow: bool,

    /// Why, for the audit trail
    #[arg(short, long, value_name = "TEXT")]
    reason: String,
}

/// Take a freeze away
#[derive(Debug, Args)]
pub(crate) struct LiftArgs {
    /// Name of the freeze
    name: FreezeName,

    /// Why, for the audit trail
    #[arg(short, long, default_value = "", value_name = "TEXT")]
    reason: String,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum DayArg {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

impl DayArg {
    fn day(self) -> Day {
        match self {
            Self::Monday => Day::Monday,
            Self::Tuesday => Day::Tuesday,
            Self::Wednesday => Day::Wednesday,
            Self::Thursday => Day::Thursday,
            Self::Friday => Day::Friday,
            Self::Saturday => Day::Saturday,
            Self::Sunday => Day::Sunday,
        }
    }
}

fn window(args: &AddArgs) -> Result<Window, Failure> {
    fn read<T: std::str::FromStr>(text: &str, example: &str) -> Result<T, Failure> {
        text.parse().map_err(|_| {
            Failure::usage(format!("`{text}` is no time like `{example}`"))
                .hint("every week: --day friday --from 16:00; once: --from 2026-12-23T17:00")
        })
    }
    if args.day.is_empty() {
        return Ok(Window::Once {
            from: read::<DateTime>(&args.from, "2026-12-23T17:00")?,
            until: read::<DateTime>(&args.until, "2027-01-04T08:00")?,
        });
    }
    Ok(Window::Weekly {
        days: args.day.iter().map(|day| day.day()).collect(),
        from: read::<Time>(&args.from, "16:00")?,
        until: read::<Time>(&args.until, "08:00")?,
    })
}

pub(crate) async fn run(command: FreezeCommand, context: &Context) -> Result<Outcome, Failure> {
    match command {
        FreezeCommand::Add(args) => {
            let request = FreezeRequest {
                effect: if args.allow {
                    Effect::Allow
                } else {
                    Effect::Deny
                },
                window: window(&args)?,
                environments: args.env,
                services: args.service,
                time_zone: args.time_zone,
                reason: args.reason,
            };
            let path = format!("/freezes/{}", args.name);
            let answer: ChangeAnswer = context.client()?.put(&path, &request).await?;
            Outcome::answer(&answer, answer.subject.clone())
        }
        FreezeCommand::List => {
            let rows: Vec<FreezeRow> = context.client()?.get("/freezes").await?;
            Outcome::answer(&rows, text(&rows))
        }
        FreezeCommand::Lift(args) => {
            let path = format!(
                "/freezes/{}?reason={}",
                args.name,
                path_segment(&args.reason)
            );
            let answer: ChangeAnswer = context.client()?.delete(&path).await?;
            Outcome::answer(&answer, answer.subject.clone())
        }
    }
}

fn text(rows: &[FreezeRow]) -> String {
    if rows.is_empty() {
        return "no freeze is set".to_owned();
    }
    table(
        &["NAME", "NOW", "FOR", "WINDOW", "TIME ZONE", "BY", "REASON"],
        rows.iter().map(|row| {
            let freeze = &row.freeze;
            let now = match (freeze.effect, row.open) {
                (Effect::Deny, true) => "frozen",
                (Effect::Deny, false) => "free",
                (Effect::Allow, true) => "allowed",
                (Effect::Allow, false) => "closed",
            };
            let environments = freeze.environments.iter().map(ToString::to_string);
            let services = freeze.services.iter().map(ToString::to_string);
            let about: Vec<String> = environments.chain(services).collect();
            vec![
                row.name.to_string(),
                now.to_owned(),
                if about.is_empty() {
                    "everything".to_owned()
                } else {
                    about.join(", ")
                },
                freeze.window.to_string(),
                freeze.time_zone.clone(),
                freeze.changed.actor.name.clone(),
                freeze.changed.reason.clone(),
            ]
        }),
    )
}
