//! Containers as plain processes, through the real shim.

use std::fs;

use super::*;
use crate::shim::{Ending, Isolation, LogLimits};

const LIMIT: Duration = Duration::from_mins(1);

/// The shim as cargo built it for the integration tests, beside this test.
fn shim() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let path = own.ancestors().nth(2).unwrap().join("foreshore-test-shim");
    assert!(
        path.exists(),
        "`cargo test -p foreshore-engine-node` builds `{}`",
        path.display()
    );
    path
}

fn script(words: &str) -> ContainerSpec {
    ContainerSpec {
        arguments: ["sh", "-c", words].map(str::to_owned).to_vec(),
        environment: vec![
            ("PATH".to_owned(), "/usr/bin:/bin".to_owned()),
            ("COLOUR".to_owned(), "green".to_owned()),
        ],
        directory: PathBuf::from("/"),
        network: None,
        isolation: Isolation::None {
            program: PathBuf::from("/bin/sh"),
            root: PathBuf::from("/"),
        },
        user: None,
        capabilities: None,
        no_new_privileges: false,
        groups: Vec::new(),
        memory_events: None,
        log: LogLimits::default(),
    }
}

struct Fixture {
    folder: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    async fn start(&self, spec: &ContainerSpec) -> Outcome {
        start(&shim(), self.folder.path(), spec).await.unwrap()
    }

    /// Runs to the end, answers how it ended and what it logged.
    async fn run(&self, spec: &ContainerSpec) -> (Ending, String) {
        let ending = match self.start(spec).await {
            Outcome::Running(running) => end_of(&running).await,
            Outcome::Ended(exit, _) => exit.ending,
            Outcome::Lost(_) => panic!("lost"),
        };
        (ending, self.log())
    }

    fn log(&self) -> String {
        let text = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        text.lines()
            .map(|line| line.split_once(' ').unwrap().1.to_owned() + "\n")
            .collect()
    }

    async fn running(&self, words: &str) -> Arc<RunningContainer> {
        match self.start(&script(words)).await {
            Outcome::Running(running) => running,
            other => panic!("{other:?}"),
        }
    }

    async fn logged(&self, words: &str) {
        let deadline = tokio::time::Instant::now() + LIMIT;
        while !self.log().contains(words) {
            assert!(
                tokio::time::Instant::now() < deadline,
                "no `{words}` in `{}`",
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

async fn end_of(running: &RunningContainer) -> Ending {
    let exit = tokio::time::timeout(LIMIT, running.ended())
        .await
        .expect("it ends in time");
    exit.unwrap().expect("the shim left word").ending
}

/// A killed process may take a moment, for it has memory to give back.
async fn until_dead(pid: u32) {
    let deadline = tokio::time::Instant::now() + LIMIT;
    while is_alive(pid) {
        assert!(
            tokio::time::Instant::now() < deadline,
            "process {pid} lives on"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn is_alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ")
        .is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

#[tokio::test]
async fn output_and_exit_code_of_a_container_are_kept() {
    let fixture = Fixture::new();
    let (ending, log) = fixture
        .run(&script("echo out; echo err >&2; echo $COLOUR; exit 7"))
        .await;
    assert_eq!(ending, Ending::Exited { code: 7 });
    let mut lines: Vec<_> = log.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["stderr F err", "stdout F green", "stdout F out"]);
}

#[tokio::test]
async fn a_container_that_dies_of_a_signal_says_so() {
    let (ending, _) = Fixture::new().run(&script("kill -SEGV $$")).await;
    assert_eq!(ending, Ending::Signalled { signal: 11 });
}

#[tokio::test]
async fn a_program_that_is_not_there_is_named() {
    let mut spec = script("");
    spec.isolation = Isolation::None {
        program: PathBuf::from("/no/such/program"),
        root: PathBuf::from("/"),
    };
    let (ending, _) = Fixture::new().run(&spec).await;
    let Ending::NotStarted { message } = ending else {
        panic!("{ending:?}")
    };
    assert!(
        message.contains("`sh`") && message.contains("No such file"),
        "{message}"
    );
}

#[tokio::test]
async fn a_directory_that_is_not_there_is_named() {
    let mut spec = script("true");
    spec.directory = PathBuf::from("/no/such/place");
    let (ending, _) = Fixture::new().run(&spec).await;
    let Ending::NotStarted { message } = ending else {
        panic!("{ending:?}")
    };
    assert!(message.contains("start in `/no/such/place`"), "{message}");
}

#[tokio::test]
async fn a_container_that_is_asked_to_end_may_end_as_it_likes() {
    let fixture = Fixture::new();
    let running = fixture
        .running("trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.01; done")
        .await;
    fixture.logged("up").await;
    running.terminate().unwrap();
    assert_eq!(end_of(&running).await, Ending::Exited { code: 3 });
    assert!(fixture.log().contains("bye"));
}

#[tokio::test]
async fn a_container_that_ignores_being_asked_is_killed_with_all_it_started() {
    let fixture = Fixture::new();
    let running = fixture
        .running("trap '' TERM; setsid sleep 1000 & echo child $!; while :; do sleep 0.01; done")
        .await;
    fixture.logged("child").await;
    let child: u32 = fixture
        .log()
        .trim()
        .rsplit(' ')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    running.terminate().unwrap();
    assert!(is_alive(running.state.container.pid));
    running.kill().unwrap();
    assert_eq!(end_of(&running).await, Ending::Signalled { signal: 9 });
    assert!(
        !is_alive(child),
        "the grandchild had a session of its own and lives on"
    );
}

#[tokio::test]
async fn a_container_is_found_again_by_a_node_that_did_not_start_it() {
    let fixture = Fixture::new();
    let first = fixture
        .running("read wait < /dev/zero & echo up; while :; do sleep 0.01; done")
        .await;
    let Outcome::Running(second) = find(fixture.folder.path()).await.unwrap() else {
        panic!("not found")
    };
    assert_eq!(first.state, second.state);
    second.kill().unwrap();
    assert_eq!(end_of(&second).await, Ending::Signalled { signal: 9 });
    assert!(matches!(
        find(fixture.folder.path()).await.unwrap(),
        Outcome::Ended(..)
    ));
    end_of(&first).await;
}

#[tokio::test]
async fn a_container_dies_with_its_shim_and_is_then_lost() {
    let fixture = Fixture::new();
    let running = fixture
        .running("echo up; while :; do sleep 0.01; done")
        .await;
    running.shim.signal(Signal::KILL).unwrap();
    assert_eq!(
        tokio::time::timeout(LIMIT, running.ended())
            .await
            .unwrap()
            .unwrap(),
        None
    );
    let found = find(fixture.folder.path()).await.unwrap();
    assert!(
        matches!(found, Outcome::Lost(Some(state)) if state == running.state),
        "{found:?}"
    );
    until_dead(running.state.container.pid).await;
}

#[tokio::test]
async fn a_folder_in_which_nothing_was_started_is_lost() {
    let fixture = Fixture::new();
    assert!(matches!(
        find(fixture.folder.path()).await.unwrap(),
        Outcome::Lost(None)
    ));
    assert!(matches!(
        find(&fixture.folder.path().join("nowhere")).await.unwrap(),
        Outcome::Lost(None)
    ));
}

#[tokio::test]
async fn the_shim_outlives_signals_to_the_group_of_whoever_started_it() {
    let fixture = Fixture::new();
    let running = fixture
        .running("echo up; while :; do sleep 0.01; done")
        .await;
    let stat = fs::read_to_string(format!("/proc/{}/stat", running.state.shim.pid)).unwrap();
    let group = stat
        .rsplit_once(") ")
        .unwrap()
        .1
        .split(' ')
        .nth(2)
        .unwrap()
        .to_owned();
    assert_eq!(group, running.state.shim.pid.to_string());
    running.kill().unwrap();
    end_of(&running).await;
}

#[tokio::test]
async fn a_line_without_end_costs_little_memory() {
    let fixture = Fixture::new();
    let mut spec = script("head -c 60000000 /dev/zero | tr '\\0' x; cat /proc/$PPID/status >&2");
    spec.log = LogLimits {
        file_bytes_max: 1_000_000,
        files_max: 2,
    };
    let (ending, log) = fixture.run(&spec).await;
    assert_eq!(ending, Ending::Exited { code: 0 });
    let peak = log
        .lines()
        .find_map(|line| line.strip_prefix("stderr F VmHWM:"))
        .expect("status is in the log");
    let kib: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(kib < 16 * 1024, "the shim took {kib} KiB");
    let kept: u64 = ["log", "log.1"]
        .iter()
        .map(|name| {
            fs::metadata(fixture.folder.path().join(name))
                .unwrap()
                .len()
        })
        .sum();
    assert!(kept <= 2_200_000, "{kept}");
}

#[tokio::test]
async fn a_program_runs_beside_a_container_with_its_environment() {
    let fixture = Fixture::new();
    let running = fixture
        .running("echo up; while :; do sleep 0.01; done")
        .await;
    let run = async |words: &str, limit| {
        let program = ["sh", "-c", words].map(str::to_owned);
        running.execute(&shim(), &program, limit).await.unwrap()
    };
    let seen = run("echo $COLOUR; exit 4", LIMIT).await;
    assert_eq!(
        seen,
        Executed::Ended {
            code: 4,
            output: "green\n".to_owned()
        }
    );
    assert_eq!(
        run("sleep 1000", Duration::from_millis(50)).await,
        Executed::TimedOut
    );
    let missing = running
        .execute(&shim(), &["no-such-program".to_owned()], LIMIT)
        .await
        .unwrap();
    assert!(
        matches!(missing, Executed::Ended { code: 127, .. }),
        "{missing:?}"
    );
    running.kill().unwrap();
    end_of(&running).await;
}

#[tokio::test]
async fn a_shim_that_cannot_be_started_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let error = start(Path::new("/no/such/shim"), folder.path(), &script("true"))
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot start the pod shim `/no/such/shim`"
    );
}
