//! `foreshore user`: who may log in at the pages of the server on this machine.

use std::io::{self, IsTerminal as _, Read as _};

use clap::{Args, Subcommand};
use foreshore_model::{ExitCode, clock, nearest};
use foreshore_server::login::{NewUser, Password, Role, User, UserError, Users};
use serde_json::json;

use crate::context::Context;
use crate::failure::Failure;
use crate::terminal::{Outcome, table};

/// A password of anybody is shorter.
const INPUT_BYTES_MAX: u64 = 4096;

/// Make and change the users of the server that runs from this data directory
///
/// Users are kept on the server's machine; what is changed counts at once.
/// Of a password only an Argon2id hash is kept.
#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// Make a user
    ///
    /// Draws a password and prints it once, unless one is given on standard input.
    Add(AddArgs),
    /// List the users
    List,
    /// Set a new password, which ends every session of the user
    Password {
        /// Login name
        name: String,

        #[command(flatten)]
        password: PasswordArgs,
    },
    /// Give a user another role, which ends every session of the user
    Role {
        /// Login name
        name: String,

        /// What the user may do: viewer, operator, approver, admin
        role: String,
    },
    /// End every session of a user
    Logout {
        /// Login name
        name: String,
    },
    /// Remove a user, which ends every session of the user
    Remove {
        /// Login name
        name: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct AddArgs {
    /// Login name; it stands in the audit trail, in commits and in the clusters' own audit
    name: String,

    /// What the user may do: viewer, operator, approver, admin
    #[arg(long, default_value = "viewer", value_name = "ROLE")]
    role: String,

    /// Address that commits carry
    #[arg(long, value_name = "ADDRESS")]
    email: Option<String>,

    #[command(flatten)]
    password: PasswordArgs,
}

/// Where the password comes from; never from the command line, which everybody on the machine can read.
#[derive(Debug, Args)]
pub(crate) struct PasswordArgs {
    /// Read the password from standard input, instead of drawing one
    #[arg(long)]
    password_stdin: bool,
}

impl PasswordArgs {
    /// Returns the password, and the text to show if it was drawn.
    fn resolve(&self, name: &str) -> Result<(Password, Option<String>), Failure> {
        if !self.password_stdin {
            let drawn = Password::draw().map_err(|error| failed(&error.into(), &[]))?;
            let text = drawn.reveal().to_owned();
            return Ok((drawn, Some(text)));
        }
        if io::stdin().is_terminal() {
            return Err(Failure::usage(
                "a password that is typed here would be seen on the screen",
            )
            .hint("pipe it in, or leave `--password-stdin` out to have one drawn"));
        }
        let mut text = String::new();
        io::stdin()
            .take(INPUT_BYTES_MAX)
            .read_to_string(&mut text)
            .map_err(|error| Failure::usage(format!("cannot read the password: {error}")))?;
        let text = text.strip_suffix('\n').unwrap_or(&text);
        let text = text.strip_suffix('\r').unwrap_or(text);
        let password = Password::chosen(text, name).map_err(|error| failed(&error.into(), &[]))?;
        Ok((password, None))
    }
}

pub(crate) async fn run(command: UserCommand, context: &Context) -> Result<Outcome, Failure> {
    let data = context.data()?;
    let terminal = context.terminal.clone();
    // The database is small and on this machine, but it waits for the disk.
    let worked = tokio::task::spawn_blocking(move || {
        let users = Users::open(&data).map_err(|error| failed(&error, &[]))?;
        act(&users, command)
    });
    let (outcome, said) = worked
        .await
        .map_err(|error| Failure::from_error(ExitCode::Bug, &error))??;
    for line in said {
        terminal.say(&line);
    }
    Ok(outcome)
}

type Acted = Result<(Outcome, Vec<String>), Failure>;

fn act(users: &Users, command: UserCommand) -> Acted {
    let known = users.list().map_err(|error| failed(&error, &[]))?;
    let failed = |error: UserError| failed(&error, &known);
    match command {
        UserCommand::Add(args) => {
            let user = NewUser {
                role: args.role.parse().map_err(failed)?,
                name: args.name,
                email: args.email,
            };
            let (password, shown) = args.password.resolve(&user.name)?;
            let made = users.add(&user, &password, clock::now()).map_err(failed)?;
            let said = format!("{} is a user, as {}", made.name, made.role);
            answer(&made.name, shown, said)
        }
        UserCommand::List => {
            let value: Vec<_> = known.iter().map(value).collect();
            let text = if known.is_empty() {
                "there is no user yet\n".to_owned()
            } else {
                table(
                    &["NAME", "ROLE", "ADDRESS", "PASSWORD SINCE"],
                    known.iter().map(row),
                )
            };
            Ok((Outcome::answer(&value, text)?, Vec::new()))
        }
        UserCommand::Password { name, password } => {
            if !known.iter().any(|user| user.name == name) {
                return Err(failed(UserError::Missing(name)));
            }
            let (password, shown) = password.resolve(&name)?;
            users
                .set_password(&name, &password, clock::now())
                .map_err(failed)?;
            let said = format!("{name} has a new password; every session has ended");
            answer(&name, shown, said)
        }
        UserCommand::Role { name, role } => {
            let role: Role = role.parse().map_err(failed)?;
            users.set_role(&name, role).map_err(failed)?;
            let said = format!("{name} is {role} now; every session has ended");
            Ok((Outcome::done(), vec![said]))
        }
        UserCommand::Logout { name } => {
            if !known.iter().any(|user| user.name == name) {
                return Err(failed(UserError::Missing(name)));
            }
            let ended = users.end_sessions(&name).map_err(failed)?;
            let said = format!("{ended} sessions of {name} have ended");
            Ok((Outcome::done(), vec![said]))
        }
        UserCommand::Remove { name } => {
            users.remove(&name).map_err(failed)?;
            let said = format!("{name} is no user any more; every session has ended");
            Ok((Outcome::done(), vec![said]))
        }
    }
}

/// A drawn password is the answer: it is shown once.
fn answer(name: &str, shown: Option<String>, said: String) -> Acted {
    let outcome = match shown {
        Some(password) => Outcome::answer(
            &json!({"name": name, "password": password}),
            format!("{password}\n"),
        )?,
        None => Outcome::done(),
    };
    Ok((outcome, vec![said]))
}

fn value(user: &User) -> serde_json::Value {
    json!({
        "name": user.name, "role": user.role.as_str(), "email": user.email,
        "since": user.since.to_string(),
    })
}

fn row(user: &User) -> Vec<String> {
    vec![
        user.name.clone(),
        user.role.to_string(),
        user.email.clone(),
        user.since.strftime("%Y-%m-%d %H:%M UTC").to_string(),
    ]
}

fn failed(error: &UserError, known: &[User]) -> Failure {
    let code = match error {
        UserError::Taken(_) | UserError::Reserved(_) => ExitCode::Conflict,
        UserError::Missing(_) => ExitCode::NotFound,
        UserError::Name(_) | UserError::Email(_) | UserError::Role(_) | UserError::Password(_) => {
            ExitCode::Usage
        }
        _ => ExitCode::Failed,
    };
    let failure = Failure::from_error(code, error);
    match error {
        UserError::Missing(name) => {
            let names = known.iter().map(|user| user.name.as_str());
            match nearest(name, names) {
                Some(near) => failure.hint(format!("did you mean `{near}`?")),
                None => failure.hint("`foreshore user list` shows those there are"),
            }
        }
        UserError::Taken(name) => failure.hint(format!(
            "`foreshore user password {name}` sets a new password"
        )),
        UserError::Reserved(_) => failure.hint("choose another name"),
        _ => failure,
    }
}
