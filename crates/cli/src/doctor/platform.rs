//! The state in the data directory, the platform that runs from it, and its ports.

use std::io;
use std::path::Path;

use foreshore_server::platform::{self, PortError, Ports, Record, RecordError, WantedPorts};

use super::Finding;

const CHECK: &str = "platform";

pub(super) fn examine(data: &Path) -> Vec<Finding> {
    let mut findings = vec![judge_directory(data, &std::fs::metadata(data))];
    let record = Record::read(data);
    let running = match &record {
        Ok(Some(record)) => record.process().map(|process| process.is_some()),
        _ => Ok(false),
    };
    let runs = matches!(running, Ok(true));
    findings.push(judge_record(data, &record, &running));
    findings.extend(match Ports::choose(data, WantedPorts::default()) {
        Ok(ports) => [
            ("server", ports.server, "--port"),
            ("ingress", ports.ingress, "--ingress-port"),
            ("API server", ports.api, "--api-port"),
        ]
        .into_iter()
        .map(|(purpose, port, option)| {
            judge_port(purpose, port, option, runs, platform::listen(purpose, port))
        })
        .collect(),
        Err(error) => vec![Finding::broken(
            "ports",
            crate::failure::chain(&error),
            format!(
                "remove `{}`; the next `foreshore up` chooses ports anew",
                data.join("ports.json").display()
            ),
        )],
    });
    findings
}

fn judge_directory(data: &Path, found: &io::Result<std::fs::Metadata>) -> Finding {
    let path = data.display();
    match found {
        Ok(found) if found.is_dir() && !found.permissions().readonly() => {
            Finding::fine("data", format!("`{path}`"))
        }
        Ok(found) if found.is_dir() => Finding::broken(
            "data",
            format!("`{path}` cannot be written"),
            "give it to yourself, or choose another with `--data DIR`",
        ),
        Ok(_) => Finding::broken(
            "data",
            format!("`{path}` is not a directory"),
            "choose another with `--data DIR`",
        ),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Finding::fine("data", format!("`{path}` is not there yet"))
        }
        Err(error) => Finding::broken(
            "data",
            format!("cannot look at `{path}`: {error}"),
            "choose another with `--data DIR`",
        ),
    }
}

fn judge_record(
    data: &Path,
    record: &Result<Option<Record>, RecordError>,
    running: &Result<bool, RecordError>,
) -> Finding {
    let own = env!("CARGO_PKG_VERSION");
    match (record, running) {
        (Err(error), _) => Finding::broken(
            CHECK,
            crate::failure::chain(error),
            format!(
                "`foreshore down`, or remove `{}`: it only says what runs",
                data.join("platform.json").display()
            ),
        ),
        (_, Err(error)) => Finding::broken(
            CHECK,
            crate::failure::chain(error),
            "run the doctor as the user who started the platform",
        ),
        (Ok(None), _) => Finding::fine(CHECK, "none runs from here"),
        (Ok(Some(_)), Ok(false)) => Finding::notice(
            CHECK,
            "one ended without being stopped",
            "`foreshore up` continues where it was; `foreshore down` removes what it left behind",
        ),
        (Ok(Some(record)), Ok(true)) if record.version != own => Finding::notice(
            CHECK,
            format!(
                "version {} runs at {}, this program is {own}",
                record.version, record.url
            ),
            "`foreshore down && foreshore up` takes the new version; the state stays",
        ),
        (Ok(Some(record)), Ok(true)) => Finding::fine(
            CHECK,
            format!("runs at {} on {}", record.url, record.ground),
        ),
    }
}

fn judge_port<T>(
    purpose: &str,
    port: u16,
    option: &str,
    runs: bool,
    tried: Result<T, PortError>,
) -> Finding {
    let check = format!("port of the {purpose}");
    match tried {
        Ok(_) => Finding::fine(&check, format!("{port} is free")),
        Err(PortError::Taken { .. }) if runs => {
            Finding::fine(&check, format!("{port} is held by the running platform"))
        }
        Err(error) => Finding::broken(
            &check,
            crate::failure::chain(&error),
            format!(
                "`foreshore up {option} 0` takes any free one; `ss -ltnp` shows who holds {port}"
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    fn record(version: &str) -> Record {
        Record {
            version: version.into(),
            pid: 1,
            start_time: 1,
            url: "http://127.0.0.1:7070".into(),
            ingress: None,
            kubeconfig: None,
            ground: "the embedded engine".into(),
        }
    }

    #[test]
    fn a_platform_that_was_killed_or_is_of_another_version_is_noticed() {
        let judge = |record, running| judge_record(Path::new("/data"), &Ok(record), &Ok(running));
        assert_eq!(judge(None, false).state, State::Fine);
        let own = record(env!("CARGO_PKG_VERSION"));
        assert_eq!(judge(Some(own.clone()), true).state, State::Fine);
        let killed = judge(Some(own), false);
        assert_eq!(killed.state, State::Notice);
        assert!(killed.mend.unwrap().contains("foreshore down"));
        let old = judge(Some(record("0.0.1")), true);
        assert_eq!(old.state, State::Notice);
        assert!(old.found.contains("0.0.1"), "{old:?}");
    }

    #[test]
    fn a_taken_port_is_broken_unless_our_own_platform_holds_it() {
        let (_held, address) = platform::listen("server", 0).unwrap();
        let tried = || platform::listen("server", address.port());
        let taken = judge_port("server", address.port(), "--port", false, tried());
        assert_eq!(taken.state, State::Broken);
        assert!(taken.mend.unwrap().contains("--port 0"));
        let own = judge_port("server", address.port(), "--port", true, tried());
        assert_eq!(own.state, State::Fine);
    }

    #[test]
    fn damaged_state_is_named_with_its_file() {
        let data = tempfile::tempdir().unwrap();
        for file in ["platform.json", "ports.json"] {
            std::fs::write(data.path().join(file), "{").unwrap();
        }
        let broken: Vec<_> = examine(data.path())
            .into_iter()
            .filter(|finding| finding.state == State::Broken)
            .collect();
        assert_eq!(broken.len(), 2, "{broken:?}");
        assert!(broken[0].found.contains("platform.json"));
        assert!(broken[1].mend.as_ref().unwrap().contains("ports.json"));
    }
}
