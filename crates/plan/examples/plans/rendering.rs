//! Eighty services in three environments with six objects each, rendered and validated.

use std::path::Path;
use std::thread;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use foreshore_model::{Plan, ServiceFile, yaml};

use super::Bench;

const SERVICES: usize = 80;
const OBJECTS: usize = SERVICES * 3 * 6;
const CORES: usize = 2;

pub(super) fn measure(bench: &Bench) -> Result<()> {
    let plan = foreshore_plan::find("rust-service", Path::new("."))?
        .context("`rust-service` is shipped")?;
    let services: Vec<ServiceFile> = (0..SERVICES)
        .map(|number| {
            let text = format!(
                "name: service-{number}\nowner: shop\nplan: rust-service\nports: {{http: 8080}}\n\
                 ingress: {{host: s{number}.example.org}}\nenvironment: {{LOG: info, NUMBER: '{number}'}}\n\
                 variables: {{autoscale-max: 6}}\nenvironments: {{dev: {{}}, staging: {{}}, prod: {{}}}}\n"
            );
            yaml::read_strict("foreshore.yaml", &text).context("the service file can be read")
        })
        .collect::<Result<_>>()?;
    let mut rounds = Vec::new();
    for _ in 0..bench.rounds {
        let clock = Instant::now();
        let share = SERVICES.div_ceil(CORES);
        let counts = thread::scope(|scope| {
            let started: Vec<_> = services
                .chunks(share)
                .map(|services| scope.spawn(|| render(&plan, services)))
                .collect();
            let ended = started
                .into_iter()
                .map(|one| one.join().expect("rendering does not panic"));
            ended.collect::<Result<Vec<usize>>>()
        })?;
        rounds.push(clock.elapsed());
        let objects: usize = counts.iter().sum();
        ensure!(objects == OBJECTS, "{objects} objects, not {OBJECTS}");
    }
    Bench::tell(
        "render 80 services x 3 environments x 6 objects, validated, on two cores",
        &rounds,
    )?;
    let mut rounds = Vec::new();
    for _ in 0..bench.rounds {
        let clock = Instant::now();
        render(&plan, &services)?;
        rounds.push(clock.elapsed());
    }
    Bench::tell("the same, one service after the other", &rounds)
}

fn render(plan: &Plan, services: &[ServiceFile]) -> Result<usize> {
    let mut objects = 0;
    for service in services {
        let image = "registry.example.org/service@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let environments = foreshore_render::environments(plan, service, image, "main-0-0")?;
        objects += environments
            .values()
            .map(std::collections::BTreeMap::len)
            .sum::<usize>();
    }
    Ok(objects)
}
