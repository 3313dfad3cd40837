//! From nothing, and from 10,000 stored objects, to an API that says it is ready.

use std::{fs, time::Instant};

use anyhow::{Context as _, Result};

use super::{Bench, Ground, posts, section, sections, wrk};
use crate::terminal;

/// `ConfigMaps` that are there at a warm start.
const STORED: u32 = 10_000;

/// Starts in an empty folder; the grounds take turns.
pub(super) fn empty(bench: &Bench, rounds: usize) -> Result<()> {
    let (mut ours, mut peers) = (vec![], vec![]);
    for round in 1..=rounds {
        for (kind, measured) in [("engine", &mut ours), ("real", &mut peers)] {
            let started = Instant::now();
            let ground = Ground::launch(bench, kind, &["--api-only"])?;
            let seconds = started.elapsed().as_secs_f64();
            drop(ground);
            terminal::note(&format!(
                "round {round}, {kind}: ready after {seconds:.2} s"
            ));
            measured.push(seconds);
        }
    }
    sections("empty folder to ready", "seconds", &ours, &peers)
}

/// Starts on a folder that holds many objects.
pub(super) fn filled(bench: &Bench, rounds: usize) -> Result<()> {
    let folder = bench.folder.join("filled");
    fs::create_dir_all(&folder).context("cannot make a folder")?;
    let data = folder.display().to_string();
    let arguments = ["--api-only", "--data", data.as_str()];
    fill(bench, &Ground::launch(bench, "engine", &arguments)?)?;
    let mut measured = vec![];
    for round in 1..=rounds {
        let started = Instant::now();
        let ground = Ground::launch(bench, "engine", &arguments)?;
        let seconds = started.elapsed().as_secs_f64();
        terminal::note(&format!(
            "round {round}: ready after {seconds:.2} s with {} ConfigMaps",
            ground.count("configmaps")?
        ));
        measured.push(seconds);
    }
    section(
        "Engine: 10,000 stored objects to ready",
        "seconds",
        &measured,
    )
}

fn fill(bench: &Bench, ground: &Ground) -> Result<()> {
    ground.grant()?;
    let token = ground.token()?;
    let body = r#"{"metadata":{"name":"NAME"},"data":{"a":"b"}}"#;
    let path = "/api/v1/namespaces/default/configmaps";
    for part in 0_u32.. {
        let counted = ground.count("configmaps")?;
        if counted >= STORED {
            break;
        }
        let text = posts(path, &token, body, &format!("f{part}"));
        let script = bench.script("fill.lua", &text)?.display().to_string();
        wrk(ground, "", &["-t1", "-c64", "-d1s", "-s", &script])?;
    }
    Ok(())
}
