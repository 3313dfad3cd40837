//! What every service answers: `/health`, `/metrics`, `/info`.

use std::collections::BTreeMap;
use std::path::Path;

use foreshore_scenario::{BindError, Inputs, Program, Report, bind, compile};

use crate::error::RunError;
use crate::run::{Options, run};

const TEXT: &str = include_str!("contract.scn");
/// The same with the version, for a service that was just released.
const VERSION_LINE: &str = "  assert json $.version == \"{{version}}\"\n";

/// Why the contract could not be checked.
#[derive(Debug, thiserror::Error)]
pub enum ContractError {
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error(transparent)]
    Run(#[from] RunError),
}

/// The scenario every service is held to; with `version`, `/info` must say that one.
pub fn contract(version: bool) -> Program {
    let text = if version {
        TEXT.replace("  # version\n", VERSION_LINE)
    } else {
        TEXT.to_owned()
    };
    compile("contract.scn", &text).expect("the test of this file compiles it both ways")
}

/// Holds a service to the contract; blocks until it answered.
///
/// This is what runs after a rollout: `base` is the service's address, and
/// `version` the one that was released, so that an old pod cannot pass.
pub fn check_contract(
    base: &str,
    version: Option<&str>,
    options: &Options,
) -> Result<Report, ContractError> {
    let program = contract(version.is_some());
    let profile = program
        .profiles
        .first()
        .expect("the contract has a profile");
    let mut inputs = Inputs {
        targets: BTreeMap::from([("base".to_owned(), base.to_owned())]),
        ..Inputs::default()
    };
    if let Some(version) = version {
        inputs
            .values
            .insert("version".to_owned(), version.to_owned());
    }
    let setup = bind(&program, profile, &inputs)?;
    let outcome = run(&setup, Path::new("."), options, |_| {})?;
    Ok(Report::new(&setup, outcome, None))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contract_compiles_with_and_without_a_version() {
        assert_eq!(contract(false).steps.len(), 3);
        let asserted: usize = contract(true).steps.iter().map(|it| it.asserts.len()).sum();
        let usual: usize = contract(false)
            .steps
            .iter()
            .map(|it| it.asserts.len())
            .sum();
        assert_eq!(asserted, usual + 1);
    }
}
