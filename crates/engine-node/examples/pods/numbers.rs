//! Figures: where they are read, and how they are told.

use std::fs;
use std::net::IpAddr;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::json;

/// Tells one figure with all its rounds.
#[expect(clippy::print_stdout, reason = "the figures are the answer")]
pub(crate) fn tell(name: &str, unit: &str, rounds: &[f64]) {
    println!(
        "{}",
        json!({ "name": name, "unit": unit, "rounds": rounds })
    );
}

/// The value below which this part of all values lies.
pub(crate) fn percentile(values: &mut [f64], part: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index into a list of measurements"
    )]
    let index = ((values.len() as f64 * part) as usize).min(values.len().saturating_sub(1));
    values.get(index).copied().unwrap_or(f64::NAN)
}

/// A count as a figure.
pub(crate) fn count(value: usize) -> f64 {
    u32::try_from(value).map_or(f64::INFINITY, f64::from)
}

/// A line of a process' `status` or `smaps_rollup`, such as `Pss:`, in MiB.
pub(crate) fn memory_mib(pid: u32, file: &str, line: &str) -> Result<f64> {
    let path = format!("/proc/{pid}/{file}");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read `{path}`"))?;
    let found = text.lines().find_map(|one| one.strip_prefix(line));
    let kilobytes = found.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<f64>().ok());
    let kilobytes = kilobytes.with_context(|| format!("`{path}` has no `{line}`"))?;
    Ok(kilobytes / 1024.0)
}

/// Processor time of a process and of the children it has now, in seconds.
pub(crate) fn processor_seconds(pid: u32) -> Result<f64> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let children = children.unwrap_or_default();
    let mut all = own_processor_seconds(pid)?;
    for child in children.split_whitespace() {
        all += own_processor_seconds(child.parse()?)?;
    }
    Ok(all)
}

fn own_processor_seconds(pid: u32) -> Result<f64> {
    let path = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read `{path}`"))?;
    let (_, after_name) = text.rsplit_once(')').context("a stat has a name")?;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks = |index: usize| -> Result<f64> {
        let field = fields.get(index).context("a stat has times")?;
        Ok(field.parse()?)
    };
    // Linux counts a hundred ticks a second for everybody.
    Ok((ticks(11)? + ticks(12)?) / 100.0)
}

/// The address the node gave this pod.
#[expect(
    clippy::disallowed_methods,
    reason = "a container is told by its environment"
)]
pub(crate) fn own_address() -> Result<IpAddr> {
    let address = std::env::var("POD_IP").context("the node sets `POD_IP`")?;
    address.parse().context("`POD_IP` is an address")
}

/// The libraries a program was linked to, with the paths it looks for them.
pub(crate) fn libraries(program: &Path) -> Result<Vec<String>> {
    let listed = std::process::Command::new("ldd").arg(program).output()?;
    let text = String::from_utf8(listed.stdout)?;
    let paths = text.split_whitespace().filter(|word| word.starts_with('/'));
    let there = paths.filter(|path| Path::new(path).exists());
    Ok(there.map(str::to_owned).collect())
}
