//! `docs/reference/cli.md`, written from the same definitions that parse the command line.

use std::fmt::Write as _;

use clap::{Arg, Command, CommandFactory as _};

use crate::arguments::Arguments;

const HEAD: &str = "\
# Command line

Written by `foreshore reference`; a test compares it. Every command has the options at the end of this page; its exit
codes are those of the [README](../../README.md).
";

/// The whole page.
pub(crate) fn page() -> String {
    let mut program = Arguments::command();
    program.build();
    let mut text = HEAD.to_owned();
    for command in visible(&program) {
        describe(&mut text, "foreshore", command);
    }
    text.push_str("\n## Options of every command\n\n");
    let shared = program.get_arguments().filter(|arg| arg.is_global_set());
    options(&mut text, shared);
    text
}

fn visible(command: &Command) -> impl Iterator<Item = &Command> {
    let commands = command.get_subcommands();
    commands.filter(|command| !command.is_hide_set() && command.get_name() != "help")
}

fn describe(text: &mut String, above: &str, command: &Command) {
    let name = format!("{above} {}", command.get_name());
    push(text, &format!("\n## {name}\n\n"));
    let about = command.get_long_about().or_else(|| command.get_about());
    if let Some(about) = about {
        push(text, &format!("{about}\n\n"));
    }
    if command.has_subcommands() {
        for below in visible(command) {
            let about = below.get_about().map(ToString::to_string);
            let about = about.unwrap_or_default();
            push(text, &format!("- `{name} {}` {about}\n", below.get_name()));
        }
        for below in visible(command) {
            describe(text, &name, below);
        }
        return;
    }
    let words: Vec<String> = command
        .get_positionals()
        .filter(|arg| !arg.is_hide_set())
        .map(|arg| {
            let word = arg.to_string();
            if arg.is_required_set() {
                word.trim_matches(['[', ']']).to_owned()
            } else {
                word
            }
        })
        .collect();
    let usage = [name.as_str(), "[OPTIONS]", &words.join(" ")].join(" ");
    push(text, &format!("`{}`\n\n", usage.trim_end()));
    let own = command.get_arguments().filter(|arg| !arg.is_global_set());
    options(text, own);
}

fn options<'a>(text: &mut String, arguments: impl Iterator<Item = &'a Arg>) {
    for argument in arguments {
        let id = argument.get_id().as_str();
        if argument.is_hide_set() || matches!(id, "help" | "version") {
            continue;
        }
        push(
            text,
            &format!("- `{}` {}\n", spelled(argument), said(argument)),
        );
    }
}

fn spelled(argument: &Arg) -> String {
    let mut words: Vec<String> = Vec::new();
    words.extend(argument.get_short().map(|short| format!("-{short}")));
    words.extend(argument.get_long().map(|long| format!("--{long}")));
    if words.is_empty() {
        return argument.to_string();
    }
    let mut text = words.join(", ");
    if argument.get_action().takes_values() {
        let names = argument.get_value_names().unwrap_or_default();
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        write!(text, " <{}>", names.join("> <")).expect("writing to a string cannot fail");
    }
    text
}

/// Help, with default, variable and choices behind it.
fn said(argument: &Arg) -> String {
    let mut text = argument
        .get_help()
        .map(ToString::to_string)
        .unwrap_or_default();
    let mut more = Vec::new();
    if argument.get_action().takes_values() {
        let choices: Vec<String> = argument
            .get_possible_values()
            .iter()
            .filter(|value| !value.is_hide_set())
            .map(|value| format!("`{}`", value.get_name()))
            .collect();
        if !choices.is_empty() {
            more.push(format!("one of {}", choices.join(", ")));
        }
        let defaults: Vec<String> = argument
            .get_default_values()
            .iter()
            .filter(|value| !value.is_empty())
            .map(|value| format!("`{}`", value.to_string_lossy()))
            .collect();
        if !defaults.is_empty() {
            more.push(format!("default {}", defaults.join(", ")));
        }
    }
    if let Some(variable) = argument.get_env() {
        more.push(format!("variable `{}`", variable.to_string_lossy()));
    }
    if !more.is_empty() {
        write!(text, " ({})", more.join("; ")).expect("writing to a string cannot fail");
    }
    text
}

fn push(text: &mut String, more: &str) {
    text.push_str(more);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_page_is_that_of_the_program() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/cli.md");
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            committed == page(),
            "docs/reference/cli.md is not that of the program; write it anew: `foreshore reference > docs/reference/cli.md`"
        );
    }

    #[test]
    fn options_are_told_with_their_default_and_variable() {
        let page = page();
        for part in [
            "## foreshore up\n",
            "## foreshore demo break\n",
            "- `--detach` ",
            "variable `FORESHORE_ENVIRONMENT`",
            "default `dev`",
        ] {
            assert!(page.contains(part), "{part}");
        }
        assert!(!page.contains("serve-files"));
    }
}
