//! Bars of the dashboard: 5,000 pods of 500 services, fifty viewers, 200 changes a second, a browser.

use anyhow::Result;

use super::figures;
use crate::{
    command::test::browser,
    tools::{self, Cache},
};

const SERVICES: &str = "500";
const REPLICAS: &str = "10";
/// Seconds in which everything changes while a tab is open, for each round that is asked for.
const SECONDS_PER_ROUND: usize = 60;

/// Measures every bar once; `rounds` is for how many minutes the tab stays open.
pub(super) fn measure(rounds: usize) -> Result<()> {
    tools::ensure_for_browser()?;
    let folder = browser::folder(&Cache::locate()?)?;
    let words = [
        SERVICES.to_owned(),
        REPLICAS.to_owned(),
        (rounds * SECONDS_PER_ROUND).to_string(),
        folder.display().to_string(),
    ];
    figures::measure("Dashboard", "pages", &words)
}
