//! A wall clock that is set while a load runs: nothing that is measured may notice.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result};
use foreshore_testkit::cli::Shell;
use foreshore_testkit::{TempDir, environment};
use serde_json::Value;

/// Of Debian's package `faketime`: gives a program another wall clock, which follows a file.
fn faketime() -> Option<PathBuf> {
    fs::read_dir("/usr/lib")
        .ok()?
        .flatten()
        .map(|folder| folder.path().join("faketime/libfaketime.so.1"))
        .find(|path| path.is_file())
}

/// Answers every read with a page; its callers send each request in one piece.
///
/// With the fiftieth request the clock goes two hours back, with the hundredth five hours ahead.
fn pages(clock: PathBuf) -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://127.0.0.1:{}", listener.local_addr()?.port());
    let answered = Arc::new(AtomicUsize::new(0));
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let (answered, clock) = (Arc::clone(&answered), clock.clone());
            std::thread::spawn(move || {
                let mut buffer = [0; 4096];
                while stream.read(&mut buffer).is_ok_and(|read| read > 0) {
                    let step = match answered.fetch_add(1, Ordering::SeqCst) {
                        50 => Some("-2h\n"),
                        100 => Some("+3h\n"),
                        _ => None,
                    };
                    if let Some(step) = step {
                        fs::write(&clock, step).expect("the clock's file can be written");
                    }
                    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
                    if stream.write_all(answer).is_err() {
                        return;
                    }
                }
            });
        }
    });
    Ok(url)
}

#[tokio::test]
async fn a_clock_that_is_set_back_and_forth_changes_no_figure() -> Result<()> {
    let Some(library) = faketime() else {
        environment::not_run(
            "a_clock_that_is_set_back_and_forth_changes_no_figure",
            "Debian's `faketime` is not installed",
        );
        return Ok(());
    };
    let folder = TempDir::new("clock-steps")?;
    let clock = folder.path().join("clock");
    fs::write(&clock, "+0\n")?;
    fs::write(
        folder.path().join("steady.scn"),
        "scenario \"steady\"\ntarget base = env URL\nstep a GET {{base}}/\nprofile p arrivals 100/s for 2s drain 60s max-in-flight 200 gate lateness.p99 < 1h starved <= 100% p99 < 1h\n",
    )?;
    let target = format!("base={}", pages(clock.clone())?);
    let program = environment::foreshore()?;
    let script = format!(
        "export FAKETIME_TIMESTAMP_FILE={clock} FAKETIME_NO_CACHE=1 FAKETIME_DONT_FAKE_MONOTONIC=1\n\
         date +%s > before\n\
         LD_PRELOAD={library} {program} load steady.scn --profile p --target {target} --report out || exit $?\n\
         LD_PRELOAD={library} date +%s > after",
        clock = clock.display(),
        library = library.display(),
        program = program.display(),
    );
    let answer = Shell::of("/bin/sh".into(), folder.path())?
        .raw(["-c", &script])
        .await?;
    assert_eq!(answer.code, 0, "{}", answer.transcript());
    let report: Value =
        serde_json::from_str(&fs::read_to_string(folder.path().join("out/report.json"))?)?;
    assert_eq!(report["verdict"], "pass", "{report}");
    assert_eq!(report["all"]["requests"], 200, "{report}");
    // The clock was really another one by then.
    let moment = |name: &str| -> Result<u64> {
        Ok(fs::read_to_string(folder.path().join(name))?
            .trim()
            .parse()?)
    };
    assert!(moment("after")? > moment("before")? + 3 * 3600 - 60);
    let hour = 3600.0;
    for figure in [
        &report["elapsedSeconds"],
        &report["all"]["latencySeconds"]["max"],
        &report["all"]["latencySeconds"]["p99"],
    ] {
        let seconds = figure.as_f64().context("a figure is a number")?;
        assert!((0.0..hour).contains(&seconds), "{report}");
    }
    Ok(())
}
