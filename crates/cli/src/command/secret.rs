//! `foreshore secret`: values that only the agent of a cluster can open.

use std::io::{self, IsTerminal as _, Read as _};
use std::path::PathBuf;

use clap::{Args, Subcommand};
use foreshore_model::api::{SealedSecrets, SecretChange, SecretRequest};
use foreshore_model::{EnvironmentName, ExitCode, SecretName, ServiceName, nearest};
use foreshore_secret::{Key, Recipient, VALUE_BYTES_MAX};
use foreshore_server::credentials;
use secrecy::SecretString;

use super::service_arg;
use crate::client::Client;
use crate::context::Context;
use crate::failure::Failure;
use crate::terminal::{Outcome, table};

/// Letters and digits of a value that is drawn; 32 of them are 190 bits.
const DRAWN_LENGTH: usize = 32;

/// Store, list and replace the secrets of a service
///
/// A value is sealed on this machine, with age, for the agents of the
/// environment; git and the server only ever see it sealed.
#[derive(Debug, Subcommand)]
pub(crate) enum SecretCommand {
    /// Store a value, read from standard input or a file
    Set(SetArgs),
    /// List which secrets have a value
    List {
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Replace a value that is there; pods that use it start anew
    Rotate(RotateArgs),
    /// Remove a value
    Remove {
        /// Variable that holds the value in the process
        name: SecretName,

        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Print the public key of the agent that works from this data directory
    Recipient,
}

/// Whose secret it is.
#[derive(Debug, Args)]
pub(crate) struct PlaceArgs {
    /// Service; without it the one whose foreshore.yaml is in this directory
    #[arg(short, long, value_name = "NAME")]
    service: Option<ServiceName>,

    /// Environment
    #[arg(short, long, env = "FORESHORE_ENVIRONMENT", value_name = "NAME")]
    env: EnvironmentName,
}

#[derive(Debug, Args)]
pub(crate) struct SetArgs {
    /// Variable that holds the value in the process
    name: SecretName,

    #[command(flatten)]
    place: PlaceArgs,

    #[command(flatten)]
    value: ValueArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RotateArgs {
    /// Variable that holds the value in the process
    name: SecretName,

    #[command(flatten)]
    place: PlaceArgs,

    #[command(flatten)]
    value: ValueArgs,

    /// Draw a random value
    #[arg(long, conflicts_with = "from_file")]
    generate: bool,
}

/// Where the value comes from; never from the command line, which everybody on the machine can read.
#[derive(Debug, Args)]
pub(crate) struct ValueArgs {
    /// File to read the value from, instead of standard input
    #[arg(long, value_name = "FILE")]
    from_file: Option<PathBuf>,

    /// Why, for the audit trail
    #[arg(short, long, default_value = "", value_name = "TEXT")]
    reason: String,
}

impl PlaceArgs {
    fn resolve(self) -> Result<Place, Failure> {
        Ok(Place {
            service: service_arg::named_or_here(self.service)?,
            environment: self.env,
        })
    }
}

/// One service in one environment.
struct Place {
    service: ServiceName,
    environment: EnvironmentName,
}

impl Place {
    fn path(&self) -> String {
        format!("/secrets/{}/{}", self.environment, self.service)
    }

    async fn sealed(&self, client: &Client) -> Result<SealedSecrets, Failure> {
        client.get(&self.path()).await
    }
}

pub(crate) async fn run(command: SecretCommand, context: &Context) -> Result<Outcome, Failure> {
    match command {
        SecretCommand::Set(args) => {
            let place = args.place.resolve()?;
            let client = context.client()?;
            let known = place.sealed(&client).await?;
            let value = args.value.read()?;
            store(
                &client,
                &place,
                &args.name,
                &value,
                (&known, args.value.reason),
            )
            .await
        }
        SecretCommand::Rotate(args) => rotate(args, context).await,
        SecretCommand::List { place } => {
            let place = place.resolve()?;
            let sealed = place.sealed(&context.client()?).await?;
            let rows = sealed.names.iter().map(|name| vec![name.clone()]);
            let text = if sealed.names.is_empty() {
                format!(
                    "{} has no sealed secrets in {}",
                    place.service, place.environment
                )
            } else {
                table(&["SECRET"], rows)
            };
            Outcome::answer(&sealed, text)
        }
        SecretCommand::Remove { name, place } => {
            let place = place.resolve()?;
            let path = format!("{}/{name}", place.path());
            let change: SecretChange = context.client()?.delete(&path).await?;
            Outcome::answer(&change, change.subject.clone())
        }
        SecretCommand::Recipient => {
            let path = credentials::directory(&context.data()?).join("agent.agekey");
            let key = Key::load(&path).map_err(|error| {
                Failure::from_error(ExitCode::NotFound, &error)
                    .hint("the agent makes its key when it first starts")
            })?;
            let recipient = key.recipient().to_string();
            Outcome::answer(&recipient, recipient.clone())
        }
    }
}

async fn rotate(args: RotateArgs, context: &Context) -> Result<Outcome, Failure> {
    let place = args.place.resolve()?;
    let client = context.client()?;
    let known = place.sealed(&client).await?;
    if !known.names.iter().any(|name| name == args.name.as_str()) {
        let near = nearest(args.name.as_str(), known.names.iter().map(String::as_str));
        let near = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
        return Err(Failure::new(
            ExitCode::NotFound,
            format!(
                "{} has no secret `{}` in {}{near}",
                place.service, args.name, place.environment
            ),
        )
        .hint("`foreshore secret set` stores a new one"));
    }
    let value = if args.generate {
        draw()?
    } else {
        args.value.read()?
    };
    store(
        &client,
        &place,
        &args.name,
        &value,
        (&known, args.value.reason),
    )
    .await
}

async fn store(
    client: &Client,
    place: &Place,
    name: &SecretName,
    value: &SecretString,
    (known, reason): (&SealedSecrets, String),
) -> Result<Outcome, Failure> {
    let recipients: Vec<Recipient> = known
        .recipients
        .iter()
        .map(|text| text.parse())
        .collect::<Result<_, _>>()
        .map_err(|error| Failure::from_error(ExitCode::Usage, &error))?;
    if recipients.is_empty() {
        return Err(Failure::usage(format!(
            "environment `{}` names no `recipients`, so nobody could open the value",
            place.environment
        ))
        .hint(format!(
            "add the agent's public key (`foreshore secret recipient` where it runs) to environments/{}/environment.yaml of the config repository",
            place.environment
        )));
    }
    let sealed = foreshore_secret::seal(value, &recipients)
        .map_err(|error| Failure::from_error(ExitCode::Usage, &error))?;
    let path = format!("{}/{name}", place.path());
    let change: SecretChange = client.put(&path, &SecretRequest { sealed, reason }).await?;
    Outcome::answer(&change, change.subject.clone())
}

impl ValueArgs {
    fn read(&self) -> Result<SecretString, Failure> {
        let mut value = String::new();
        let limit = VALUE_BYTES_MAX as u64 + 2;
        let read = match &self.from_file {
            Some(path) => std::fs::File::open(path)
                .and_then(|file| file.take(limit).read_to_string(&mut value))
                .map_err(|error| format!("cannot read `{}`: {error}", path.display())),
            None if io::stdin().is_terminal() => {
                return Err(Failure::usage(
                    "the value comes from standard input or a file, so that nobody sees it",
                )
                .hint("foreshore secret set NAME -e ENV < FILE")
                .hint("read -rs V; printf %s \"$V\" | foreshore secret set NAME -e ENV"));
            }
            None => io::stdin()
                .lock()
                .take(limit)
                .read_to_string(&mut value)
                .map_err(|error| format!("cannot read the value: {error}")),
        };
        read.map_err(Failure::usage)?;
        // Editors and `echo` end a file with a line break that nobody means.
        if let Some(shorter) = value.strip_suffix('\n') {
            let length = shorter.strip_suffix('\r').unwrap_or(shorter).len();
            value.truncate(length);
        }
        if value.is_empty() {
            return Err(Failure::usage("the value is empty")
                .hint("`foreshore secret remove` takes a value away"));
        }
        Ok(value.into())
    }
}

/// Draws letters and digits, each equally likely.
fn draw() -> Result<SecretString, Failure> {
    const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let failed = |error: io::Error| {
        Failure::new(
            ExitCode::Failed,
            format!("the system gives no random numbers: {error}"),
        )
    };
    let mut source = std::fs::File::open("/dev/urandom").map_err(failed)?;
    let mut value = String::with_capacity(DRAWN_LENGTH);
    while value.len() < DRAWN_LENGTH {
        let mut byte = [0];
        source.read_exact(&mut byte).map_err(failed)?;
        // 248 is the largest multiple of 62 in a byte.
        if byte[0] < 248 {
            value.push(char::from(LETTERS[usize::from(byte[0]) % LETTERS.len()]));
        }
    }
    Ok(value.into())
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn a_drawn_value_is_long_and_never_the_same() {
        let (first, second) = (draw().unwrap(), draw().unwrap());
        assert_eq!(first.expose_secret().len(), DRAWN_LENGTH);
        assert_ne!(first.expose_secret(), second.expose_secret());
    }

    #[test]
    fn the_line_break_at_the_end_of_a_file_is_not_part_of_the_value() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("value");
        for (text, expected) in [
            ("a\n", "a"),
            ("a\r\n", "a"),
            ("a\nb", "a\nb"),
            (" a ", " a "),
        ] {
            std::fs::write(&path, text).unwrap();
            let args = ValueArgs {
                from_file: Some(path.clone()),
                reason: String::new(),
            };
            assert_eq!(args.read().unwrap().expose_secret(), expected);
        }
        std::fs::write(&path, "\n").unwrap();
        let args = ValueArgs {
            from_file: Some(path),
            reason: String::new(),
        };
        assert!(args.read().is_err());
    }
}
