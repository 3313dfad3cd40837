//! Facts from the files of languages and builds.

use std::fs;
use std::io;
use std::path::Path;

use foreshore_model::plan::Action;
use foreshore_model::{shuttle, yaml};
use serde::Deserialize;
use serde_json::Value;

use super::ProposeError;
use super::facts::Facts;

#[derive(Debug, Deserialize)]
struct CargoFile {
    package: Option<CargoPackage>,
}

#[derive(Debug, Deserialize)]
struct CargoPackage {
    name: String,
}

/// Reads a text file; none if it is not there.
pub(super) fn text(path: &Path) -> Result<Option<String>, ProposeError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(ProposeError::Read {
            path: path.to_owned(),
            cause,
        }),
    }
}

pub(super) fn read(directory: &Path, facts: &mut Facts) -> Result<(), ProposeError> {
    cargo(directory, facts)?;
    let docker = text(&directory.join("Dockerfile"))?;
    package_json(directory, facts, docker.is_some())?;
    if let Some(text) = text(&directory.join("go.mod"))? {
        let module = text
            .lines()
            .find_map(|line| line.trim().strip_prefix("module "));
        if let Some(module) = module {
            facts.name(module.trim(), "go.mod module");
        }
        facts.plan("container", "go.mod is there; the Dockerfile builds it");
    }
    if let Some(text) = docker {
        facts.plan("container", "Dockerfile is there");
        for (index, port) in exposed(&text).enumerate() {
            if index == 0 {
                facts.port("http", port, "Dockerfile EXPOSE");
            } else {
                facts.port(&format!("port-{port}"), port, "Dockerfile EXPOSE");
            }
        }
    }
    shuttle_file(directory, facts)?;
    if directory.join("index.html").is_file() {
        facts.plan("static-site", "index.html is there");
        let here = (Value::from("."), "index.html is there".to_owned());
        if facts
            .plan
            .as_ref()
            .is_some_and(|(plan, _)| *plan == "static-site")
        {
            facts.variables.insert("directory".to_owned(), here);
        }
    }
    makefile(directory, facts)
}

fn cargo(directory: &Path, facts: &mut Facts) -> Result<(), ProposeError> {
    let path = directory.join("Cargo.toml");
    let Some(text) = text(&path)? else {
        return Ok(());
    };
    let file: CargoFile = toml::from_str(&text).map_err(|cause| ProposeError::Cargo {
        path: path.clone(),
        cause: Box::new(cause),
    })?;
    let package = file.package.ok_or(ProposeError::NoPackage { path })?;
    facts.name(&package.name, "Cargo.toml [package] name");
    facts.package = Some(package.name);
    facts.plan("rust-service", "Cargo.toml is there");
    Ok(())
}

fn package_json(directory: &Path, facts: &mut Facts, docker: bool) -> Result<(), ProposeError> {
    let path = directory.join("package.json");
    let Some(text) = text(&path)? else {
        return Ok(());
    };
    let file: Value =
        serde_json::from_str(&text).map_err(|cause| ProposeError::Json { path, cause })?;
    if let Some(name) = file["name"].as_str() {
        facts.name(name, "package.json name");
    }
    let server = file["scripts"]["start"].is_string();
    if docker || server {
        facts.plan(
            "container",
            "package.json is there; the Dockerfile builds it",
        );
    } else if file["scripts"]["build"].is_string() {
        facts.plan(
            "static-site",
            "package.json has a script `build` and none to start a server",
        );
    }
    for script in ["build", "test", "lint"] {
        if file["scripts"][script].is_string()
            && facts
                .plan
                .as_ref()
                .is_some_and(|(plan, _)| *plan != "rust-service")
        {
            let words = ["npm", "run", script];
            action(facts, script, &words, "package.json scripts");
        }
    }
    Ok(())
}

fn action(facts: &mut Facts, name: &str, words: &[&str], origin: &str) {
    let output = (name == "build"
        && facts
            .plan
            .as_ref()
            .is_some_and(|(plan, _)| *plan == "static-site"))
    .then(|| "dist".to_owned());
    let action = Action {
        description: format!("{} (from {origin})", words.join(" ")),
        command: words.iter().map(|word| (*word).to_owned()).collect(),
        output,
        ..Action::default()
    };
    facts
        .actions
        .entry(name.to_owned())
        .or_insert_with(|| (action, format!("{origin}.{name}")));
}

fn exposed(text: &str) -> impl Iterator<Item = u16> {
    text.lines().filter_map(|line| {
        let (word, rest) = line.trim().split_once(char::is_whitespace)?;
        let port = rest.trim().split(['/', ' ']).next()?;
        if word.eq_ignore_ascii_case("EXPOSE") {
            port.parse().ok()
        } else {
            None
        }
    })
}

fn shuttle_file(directory: &Path, facts: &mut Facts) -> Result<(), ProposeError> {
    let path = directory.join(shuttle::FILE_NAME);
    let Some(text) = text(&path)? else {
        return Ok(());
    };
    let file: shuttle::ProjectFile = yaml::read_legacy(&path.display().to_string(), &text)?;
    for key in ["service", "name"] {
        if let Some(name) = file.vars.get(key).and_then(Value::as_str) {
            facts.name(name, "shuttle.yaml vars");
        }
    }
    facts.plan(
        "container",
        "shuttle.yaml is there; its plan stays shuttle's",
    );
    if !file.plan.0.is_empty() {
        facts.notes.push((
            "(not written)".to_owned(),
            file.plan.0,
            "shuttle.yaml plan; `foreshore run` keeps running its scripts while there is no foreshore.yaml".to_owned(),
        ));
    }
    Ok(())
}

/// Takes over targets that people know by these names, where the plan has none of its own.
fn makefile(directory: &Path, facts: &mut Facts) -> Result<(), ProposeError> {
    let Some(text) = text(&directory.join("Makefile"))? else {
        return Ok(());
    };
    let rust = facts
        .plan
        .as_ref()
        .is_some_and(|(plan, _)| *plan == "rust-service");
    for target in ["test", "lint"] {
        let there = text.lines().any(|line| {
            line.strip_prefix(target)
                .is_some_and(|rest| rest.trim_start().starts_with(':'))
        });
        if there && !rust {
            action(facts, target, &["make", target], "Makefile");
        }
    }
    Ok(())
}
