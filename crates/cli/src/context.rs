//! What a command needs to know about where it runs.

use std::fs;
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy as _;
use foreshore_model::ExitCode;
use foreshore_server::credentials::{self, Credential};

use crate::arguments::Global;
use crate::client::Client;
use crate::failure::Failure;
use crate::terminal::Terminal;

/// The surroundings of one command.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) terminal: Terminal,
    data: Option<PathBuf>,
    server: Option<String>,
    token: Option<String>,
    identity: String,
}

impl Context {
    pub(crate) fn new(global: &Global, terminal: Terminal) -> Self {
        Self {
            terminal,
            data: global.data.clone(),
            server: global.server.clone(),
            token: global.token.clone(),
            identity: global.identity.clone(),
        }
    }

    /// Whether the caller said which server to speak to.
    pub(crate) fn names_a_server(&self) -> bool {
        self.server.is_some()
    }

    /// Returns the directory that holds the platform's state.
    pub(crate) fn data(&self) -> Result<PathBuf, Failure> {
        if let Some(data) = &self.data {
            return std::path::absolute(data).map_err(|error| {
                Failure::usage(format!(
                    "`{}` is not a directory name: {error}",
                    data.display()
                ))
            });
        }
        let base = etcetera::choose_base_strategy().map_err(|error| {
            Failure::usage(format!("cannot find the home directory: {error}"))
                .hint("give --data DIR")
        })?;
        let state = base.state_dir().unwrap_or_else(|| base.data_dir());
        Ok(state.join("foreshore"))
    }

    /// Returns a client that acts as the chosen identity.
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        let credential = self.credential()?;
        Client::new(&credential.server, &credential.token)
    }

    pub(crate) fn credential(&self) -> Result<Credential, Failure> {
        if let (Some(server), Some(token)) = (&self.server, &self.token) {
            return Ok(Credential {
                server: server.clone(),
                token: token.clone(),
            });
        }
        let mut credential = read_credential(&self.data()?, &self.identity)?;
        if let Some(server) = &self.server {
            credential.server.clone_from(server);
        }
        if let Some(token) = &self.token {
            credential.token.clone_from(token);
        }
        Ok(credential)
    }
}

fn read_credential(data: &Path, identity: &str) -> Result<Credential, Failure> {
    let directory = credentials::directory(data);
    let path = directory.join(format!("{identity}.json"));
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(no_credential(&directory, identity));
        }
        Err(error) => {
            return Err(Failure::usage(format!(
                "cannot read `{}`: {error}",
                path.display()
            )));
        }
    };
    serde_json::from_str(&text).map_err(|error| {
        Failure::usage(format!(
            "`{}:{}:{}` is not a credential: {error}",
            path.display(),
            error.line(),
            error.column()
        ))
        .hint("start the platform again with `foreshore up`, which writes it anew")
    })
}

fn no_credential(directory: &Path, identity: &str) -> Failure {
    let known: Vec<String> = fs::read_dir(directory)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some(entry.path().file_stem()?.to_str()?.to_owned()))
        .collect();
    if known.is_empty() {
        return Failure::new(
            ExitCode::Unreachable,
            format!(
                "no platform runs from `{}`",
                directory.parent().unwrap_or(directory).display()
            ),
        )
        .hint("start one with `foreshore up`, or set FORESHORE_SERVER and FORESHORE_TOKEN");
    }
    let failure = Failure::new(
        ExitCode::NotFound,
        format!("there is no local identity `{identity}`"),
    );
    match foreshore_model::nearest(identity, known.iter().map(String::as_str)) {
        Some(near) => failure.hint(format!("did you mean `--as {near}`?")),
        None => failure.hint(format!("known are: {}", known.join(", "))),
    }
}
