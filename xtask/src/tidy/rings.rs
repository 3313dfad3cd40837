//! Dependencies point inwards: words < decisions < adapters < services < face.

use std::{collections::BTreeMap, process::Command};

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::{repository, shell};

/// From the inside out.
const RINGS: [&str; 5] = ["words", "decisions", "adapters", "services", "face"];

/// What only tests and the people who build Foreshore use.
const TESTS: &str = "tests";

/// Samples: a user's services, which know nothing of the platform's insides.
const APPS: &str = "apps";

/// Adapters that other adapters may stand on.
const BASE_ADAPTERS: [&str; 4] = ["git", "image", "sys", "cluster"];

/// Services that bring up other services.
const HOSTS: [&str; 1] = ["server"];

/// The engine's adapters, each may stand on those before it.
const ENGINE_ADAPTERS: [&str; 2] = ["engine-store", "engine-api"];

#[derive(Debug)]
struct Package {
    name: String,
    ring: Option<String>,
    /// Our own packages it is built with, tests aside.
    uses: Vec<String>,
}

/// Reads the packages of the workspace; those git does not know are skipped.
fn packages() -> Result<Vec<Package>> {
    let mut cargo = shell::cargo();
    cargo.args([
        "metadata",
        "--format-version",
        "1",
        "--no-deps",
        "--offline",
    ]);
    let metadata: Value = serde_json::from_str(&shell::answer(&mut cargo)?)
        .context("cargo's metadata is not JSON")?;
    let listed = metadata["packages"]
        .as_array()
        .context("metadata has packages")?;
    let mut packages = Vec::new();
    for package in listed {
        let manifest = package["manifest_path"]
            .as_str()
            .context("a package has a manifest")?;
        if is_tracked(manifest)? {
            packages.push(read(package)?);
        }
    }
    Ok(packages)
}

fn is_tracked(path: &str) -> Result<bool> {
    let mut git = Command::new("git");
    git.current_dir(repository::root())
        .args(["ls-files", "--", path]);
    Ok(!shell::answer(&mut git)?.is_empty())
}

fn read(package: &Value) -> Result<Package> {
    let name = package["name"].as_str().context("a package has a name")?;
    let dependencies = package["dependencies"]
        .as_array()
        .context("a package has dependencies")?;
    let uses = dependencies
        .iter()
        .filter(|dependency| dependency["path"].is_string() && dependency["kind"] != "dev")
        .filter_map(|dependency| dependency["name"].as_str())
        .map(short)
        .collect();
    Ok(Package {
        name: short(name),
        ring: package["metadata"]["foreshore"]["ring"]
            .as_str()
            .map(str::to_owned),
        uses,
    })
}

fn short(name: &str) -> String {
    name.strip_prefix("foreshore-").unwrap_or(name).to_owned()
}

fn offences(packages: &[Package]) -> Vec<String> {
    let mut offences = Vec::new();
    let rings: BTreeMap<&str, &str> = packages
        .iter()
        .filter_map(|package| Some((package.name.as_str(), package.ring.as_deref()?)))
        .collect();
    for Package { name, ring, uses } in packages {
        let Some(ring) = ring.as_deref() else {
            offences.push(format!(
                "{name}: state its ring in `[package.metadata.foreshore]`"
            ));
            continue;
        };
        if ring == TESTS {
            continue;
        }
        if ring == APPS {
            offences.extend(
                uses.iter()
                    .map(|used| format!("{name} -> {used}: a sample stands alone")),
            );
            continue;
        }
        let Some(own) = position(ring) else {
            offences.push(format!("{name}: there is no ring `{ring}`"));
            continue;
        };
        for used in uses {
            let Some(other) = rings.get(used.as_str()) else {
                continue;
            };
            match position(other) {
                None => offences.push(format!(
                    "{name} -> {used}: only tests may use it (`dev-dependencies`)"
                )),
                Some(other) if other > own => {
                    offences.push(format!(
                        "{name} -> {used}: points outwards, from {ring} to {}",
                        RINGS[other]
                    ));
                }
                Some(other) if other == own && !sideways_allowed(ring, name, used) => {
                    offences.push(format!("{name} -> {used}: points sideways between {ring}"));
                }
                Some(_) => {}
            }
        }
    }
    offences
}

fn position(ring: &str) -> Option<usize> {
    RINGS.iter().position(|known| *known == ring)
}

fn sideways_allowed(ring: &str, name: &str, used: &str) -> bool {
    match ring {
        "adapters" => {
            let engine = |name| ENGINE_ADAPTERS.iter().position(|known| *known == name);
            BASE_ADAPTERS.contains(&used)
                || matches!((engine(name), engine(used)), (Some(own), Some(other)) if other < own)
        }
        "services" => HOSTS.contains(&name),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_point_inwards() {
        super::super::none(&offences(&packages().unwrap()));
    }

    /// Each package is `NAME RING: USED USED`.
    #[track_caller]
    fn check(packages: &[&str], expected: &[&str]) {
        let read = |line: &&str| {
            let (head, uses) = line.split_once(':').unwrap();
            let (name, ring) = head.split_once(' ').unwrap_or((head, ""));
            Package {
                name: name.to_owned(),
                ring: Some(ring.to_owned()).filter(|ring| !ring.is_empty()),
                uses: uses.split_whitespace().map(str::to_owned).collect(),
            }
        };
        let packages: Vec<Package> = packages.iter().map(read).collect();
        let found = offences(&packages);
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(
                found.contains(expected),
                "`{found}` does not say `{expected}`"
            );
        }
    }

    #[test]
    fn a_decision_may_use_words_but_no_adapter() {
        check(
            &[
                "model words:",
                "git adapters:",
                "release decisions: model git",
            ],
            &["release -> git: points outwards"],
        );
    }

    #[test]
    fn adapters_stand_on_base_adapters_only() {
        check(
            &[
                "git adapters:",
                "plan adapters: git",
                "action adapters: plan",
            ],
            &["action -> plan: points sideways"],
        );
    }

    #[test]
    fn inside_the_engine_the_api_stands_on_the_store() {
        check(
            &[
                "engine-store adapters:",
                "engine-api adapters: engine-store",
            ],
            &[],
        );
        check(
            &["engine-api adapters:", "engine-store adapters: engine-api"],
            &["points sideways"],
        );
    }

    #[test]
    fn only_the_server_brings_up_other_services() {
        check(
            &["agent services: server", "server services: agent"],
            &["agent -> server: points sideways"],
        );
    }

    #[test]
    fn what_ships_does_not_use_what_tests() {
        check(
            &["testkit tests: git", "git adapters: testkit"],
            &["git -> testkit: only tests"],
        );
    }

    #[test]
    fn a_sample_uses_nothing_of_ours() {
        check(
            &["model words:", "web apps: model"],
            &["web -> model: a sample stands alone"],
        );
    }

    #[test]
    fn a_package_must_know_its_ring() {
        check(
            &["git:", "plan utilities:"],
            &["git: state its ring", "plan: there is no ring `utilities`"],
        );
    }

    #[test]
    fn dependencies_of_tests_alone_are_not_read() {
        let package = serde_json::json!({
            "name": "foreshore-git",
            "metadata": {"foreshore": {"ring": "adapters"}},
            "dependencies": [
                {"name": "foreshore-testkit", "path": "/r/crates/testkit", "kind": "dev"},
                {"name": "foreshore-model", "path": "/r/crates/model", "kind": null},
                {"name": "serde", "kind": null},
            ],
        });
        assert_eq!(read(&package).unwrap().uses, ["model"]);
    }
}
