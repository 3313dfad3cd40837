//! The `foreshore` program.

mod arguments;
mod backup;
mod build;
mod client;
mod command;
mod context;
mod demo;
mod doctor;
mod failure;
mod logging;
mod measure;
mod project;
mod reference;
mod shuttle_name;
mod terminal;
mod wait;

use std::process::ExitCode;

use clap::Parser as _;

use crate::arguments::Arguments;
use crate::context::Context;
use crate::terminal::Terminal;

fn main() -> ExitCode {
    // A shim has no threads and no runtime, so it is told apart before anything else.
    if std::env::args_os()
        .nth(1)
        .is_some_and(|argument| argument == "pod-shim")
    {
        let arguments: Vec<_> = std::env::args_os().skip(2).collect();
        foreshore_engine_node::pod_shim_main(&arguments);
    }
    let arguments = Arguments::parse_from(words());
    logging::start(&arguments.global);
    let terminal = Terminal::new(&arguments.global);
    // One provider for every TLS connection of the process; a second install would only repeat it.
    if rustls::crypto::ring::default_provider()
        .install_default()
        .is_err()
    {
        tracing::debug!("tls provider was installed before");
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            let failure = failure::Failure::new(
                foreshore_model::ExitCode::Failed,
                format!("cannot start the runtime: {error}"),
            );
            return terminal.fail(&failure);
        }
    };
    let context = Context::new(&arguments.global, terminal);
    match runtime.block_on(command::run(arguments.command, &context)) {
        Ok(outcome) => context.terminal.finish(outcome),
        Err(failure) => context.terminal.fail(&failure),
    }
}

/// What was typed; called `shuttle`, in the words of that program.
fn words() -> Vec<std::ffi::OsString> {
    let words: Vec<std::ffi::OsString> = std::env::args_os().collect();
    let called = words
        .first()
        .map(std::path::Path::new)
        .and_then(std::path::Path::file_name);
    if called.is_none_or(|name| name != "shuttle") {
        return words;
    }
    let texts: Option<Vec<String>> = words
        .iter()
        .map(|word| word.to_str().map(str::to_owned))
        .collect();
    let translated = texts
        .ok_or_else(|| "an argument is no UTF-8 text".to_owned())
        .and_then(|texts| shuttle_name::translate(&texts));
    match translated {
        Ok(words) => words.into_iter().map(Into::into).collect(),
        Err(what) => clap::Command::new("shuttle")
            .error(clap::error::ErrorKind::InvalidValue, what)
            .exit(),
    }
}
