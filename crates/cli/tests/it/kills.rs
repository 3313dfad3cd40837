//! Roles are killed at seeded moments of the story; it still ends right, no release lost or doubled.
//!
//! `FORESHORE_KILLS` says how many kills, `FORESHORE_SEED` repeats a run.

mod cluster;
mod ledger;
mod roles;

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use foreshore_testkit::cli::Answer;
use foreshore_testkit::seed::Seed;
use foreshore_testkit::{environment, wait};
use rand::RngExt as _;
use rand::seq::SliceRandom as _;
use serde_json::Value;

use self::ledger::{Ledger, said};
use self::roles::{Role, Roles};
use crate::stage::{PATIENCE, Stage, leftovers, text};

/// Enough to hit every role several times, and still a short test.
const KILLS: usize = 20;

/// About as long as a command takes: half of the kills fall while it runs.
const COMMAND_MILLIS: u64 = 200;
/// The other half may also fall while the cluster follows.
const MOMENT_MAX_MILLIS: u64 = 800;

/// How a command ends that had no answer, or not all of it.
const UNREACHABLE: i32 = 4;

const SERVICE_FILE: &str = "apps/api/foreshore.yaml";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_at_any_moment_lose_and_double_nothing() -> Result<()> {
    let mut seed = Seed::new();
    let mut stage = Stage::new("kills")?;
    let told = tell(&stage, &mut seed).await;
    if told.is_err() {
        stage.folder.keep();
    }
    told.with_context(|| format!("repeat with FORESHORE_SEED={}", seed.number()))
}

async fn tell(stage: &Stage, seed: &mut Seed) -> Result<()> {
    let kills = match environment::value("FORESHORE_KILLS") {
        Some(number) => number.parse().context("FORESHORE_KILLS is a number")?,
        None => KILLS,
    };
    let mut roles = Roles::start(stage.folder.path().to_owned()).await?;
    let mut story = Story::begin(stage).await?;
    let mut targets: Vec<Role> = Role::ALL.into_iter().cycle().take(kills).collect();
    targets.shuffle(seed.random());
    for target in targets {
        let deed = story.choose(seed);
        if deed == Deed::Promote {
            // Only what was healthy can be promoted.
            story.settles().await?;
        }
        let moment = moment(seed);
        let (done, struck) = tokio::join!(story.perform(deed), roles.strike(target, moment));
        let when = || format!("{deed:?}, {} killed after {moment:?}", target.name());
        struck.with_context(when)?;
        done.with_context(when)?;
    }
    story.settles().await?;
    roles.must_run()?;
    story.ends_right(&roles).await?;
    environment::say(&format!(
        "{kills} kills (seed {}), {} releases, {} commands repeated",
        seed.number(),
        story.ledger.len(),
        story.repeated
    ));
    roles.stop().await?;
    let data = stage.data();
    wait::until("nothing of the platform to be left", PATIENCE, || async {
        leftovers(&data).is_empty()
    })
    .await
}

fn moment(seed: &mut Seed) -> Duration {
    let random = seed.random();
    let latest = if random.random_bool(0.5) {
        COMMAND_MILLIS
    } else {
        MOMENT_MAX_MILLIS
    };
    Duration::from_millis(random.random_range(0..=latest))
}

/// What people and their CI do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    Push,
    Release { which: usize },
    Rollback,
    Promote,
    Lift,
}

struct Story<'a> {
    stage: &'a Stage,
    ledger: Ledger,
    /// What was pushed, the oldest first.
    artifacts: Vec<String>,
    /// Automation is held in dev.
    held: bool,
    /// Counts versions and keys.
    number: u32,
    /// Commands that were sent again because nobody had answered.
    repeated: u32,
}

impl<'a> Story<'a> {
    /// Builds the service once and releases its first version.
    async fn begin(stage: &'a Stage) -> Result<Self> {
        stage.check_out()?;
        stage.edit(
            "plans/rust-service/templates/deployment.yaml",
            "spec:\n  progressDeadlineSeconds",
            &format!(
                "spec:\n  replicas: {}\n  progressDeadlineSeconds",
                cluster::REPLICAS
            ),
        )?;
        for (old, new) in [
            ("plan: rust-service", "plan: ../../plans/rust-service"),
            (
                "state: /state",
                "state: /state\ningress:\n  host: api.dev.localhost",
            ),
            (
                "prod: {}",
                "prod:\n    ingress:\n      host: api.prod.localhost",
            ),
            ("environment:\n", "environment:\n  VERSION: \"0\"\n"),
        ] {
            stage.edit(SERVICE_FILE, old, new)?;
        }
        let mut story = Self {
            stage,
            ledger: Ledger::default(),
            artifacts: Vec::new(),
            held: false,
            number: 0,
            repeated: 0,
        };
        story.push().await?;
        story.settles().await?;
        story.reuse_the_program()?;
        Ok(story)
    }

    /// From now on versions differ in their settings alone, so nothing is compiled again.
    fn reuse_the_program(&self) -> Result<()> {
        let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
        let built = environment::cache()?.join(format!("build/cargo/{target}/release/api"));
        let kept = self.stage.folder.join("api");
        std::fs::copy(built, &kept)?;
        let name = "{{ variables.package or service.name }}";
        let output = format!("\"{{{{ host.cache }}}}/cargo/{{{{ host.target }}}}/release/{name}\"");
        let plan = "plans/rust-service/plan.yaml";
        self.stage
            .edit(plan, &output, &kept.display().to_string())?;
        self.stage
            .edit(plan, "      - cargo\n      - build\n", "      - \"true\"\n")
    }

    fn choose(&self, seed: &mut Seed) -> Deed {
        let random = seed.random();
        match random.random_range(0..10) {
            0..4 => Deed::Push,
            4..6 => Deed::Release {
                which: random.random_range(0..self.artifacts.len()),
            },
            6..8 => Deed::Promote,
            _ if self.held => Deed::Lift,
            _ => Deed::Rollback,
        }
    }

    async fn perform(&mut self, deed: Deed) -> Result<()> {
        match deed {
            Deed::Push => self.push().await,
            Deed::Release { which } => {
                let artifact = self.artifacts[which].clone();
                let arguments = ["release", "api", "-e", "dev", "--artifact", &artifact];
                self.ask(&arguments).await
            }
            Deed::Rollback => self.rollback().await,
            Deed::Promote => self.promote().await,
            Deed::Lift => {
                let answer = self
                    .answered(&["hold", "api", "-e", "dev", "--lift"])
                    .await?;
                self.held = false;
                expect(&answer, 0)
            }
        }
    }

    fn next(&mut self) -> u32 {
        self.number += 1;
        self.number
    }

    /// A new version arrives, and automation releases it unless it is held.
    async fn push(&mut self) -> Result<()> {
        let number = self.next();
        let file = self.stage.checkout().join(SERVICE_FILE);
        let before = std::fs::read_to_string(file)?;
        let before = before
            .lines()
            .find(|line| line.starts_with("  VERSION:"))
            .context("the service file names a version")?;
        let after = format!("  VERSION: \"{number}\"");
        self.stage.edit(SERVICE_FILE, before, &after)?;
        self.stage.commit(&format!("version {number}"))?;
        let answer = self
            .answered(&["run", "build", "-C", "checkout/apps/api", "-o", "json"])
            .await?;
        expect(&answer, 0)?;
        let built = said(&answer)?;
        self.artifacts.push(text(&built, "/id")?);
        let withheld = built["withheld"].as_array().map_or(0, Vec::len);
        if self.held {
            ensure!(withheld == 1, "automation is held: {built}");
            return Ok(());
        }
        let hex = text(&built, "/digest")?.replace("sha256:", "");
        let key = format!("arrival/dev/api/{hex}");
        let release = built.pointer("/released/0");
        let release = release.with_context(|| format!("nothing was released: {built}"))?;
        self.ledger.note_release(release, &key)
    }

    /// Sends a request for a release until somebody answers, always with the same key.
    async fn ask(&mut self, arguments: &[&str]) -> Result<()> {
        let (answer, key) = self.request(arguments).await?;
        expect(&answer, 0)?;
        self.ledger.note(&said(&answer)?, &key)
    }

    async fn request(&mut self, arguments: &[&str]) -> Result<(Answer, String)> {
        let key = format!("deed-{}", self.next());
        let more = ["--idempotency-key", &key, "-o", "json"];
        let answer = self.answered_again(&[arguments, &more].concat()).await?;
        Ok((answer, key))
    }

    /// As if the first answer had been lost: the same command once more is answered the same.
    async fn answered_again(&mut self, arguments: &[&str]) -> Result<Answer> {
        let first = self.answered(arguments).await?;
        if first.stdout.is_empty() {
            // Refused: nothing was carried out, so there is nothing to repeat.
            return Ok(first);
        }
        let again = self.answered(arguments).await?;
        ensure!(
            (first.code, &first.stdout) == (again.code, &again.stdout),
            "first: {}\nagain: {}",
            first.transcript(),
            again.transcript()
        );
        Ok(first)
    }

    async fn rollback(&mut self) -> Result<()> {
        let arguments = ["rollback", "api", "-e", "dev", "--reason", "it is slow"];
        let repeated = self.repeated;
        let (answer, key) = self.request(&arguments).await?;
        let refused = answer.code == 6 && answer.stderr.contains("was ever healthy");
        if refused && repeated == self.repeated {
            return Ok(());
        }
        expect(&answer, 0)?;
        self.held = true;
        self.ledger.note(&said(&answer)?, &key)
    }

    /// Production takes what runs in dev, after somebody else has agreed.
    async fn promote(&mut self) -> Result<()> {
        let arguments = ["promote", "api", "-e", "prod", "--reason", "it is good"];
        let (answer, key) = self.request(&arguments).await?;
        if answer.code == 3 && answer.stderr.contains("was never healthy") {
            return Ok(());
        }
        if answer.code == 0 {
            return self.ledger.note(&said(&answer)?, &key);
        }
        expect(&answer, 3)?;
        let request = text(&said(&answer)?, "/request/id")?;
        let arguments = ["--as", "reviewer", "approve", &request, "-o", "json"];
        let answer = self.answered_again(&arguments).await?;
        if answer.code == 3 && answer.stderr.contains("was never healthy") {
            // The server died before it had written down what the agent reported, and refuses until it is told again.
            return Ok(());
        }
        expect(&answer, 0)?;
        let key = format!("approve/{request}/reviewer");
        self.ledger.note(&said(&answer)?, &key)
    }

    /// Repeats a command until the server has answered it.
    async fn answered(&mut self, arguments: &[&str]) -> Result<Answer> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = self.stage.foreshore(arguments).await?;
            if answer.code != UNREACHABLE {
                return Ok(answer);
            }
            ensure!(Instant::now() < deadline, "{}", answer.transcript());
            self.repeated += 1;
        }
    }

    /// Waits until every release is healthy.
    async fn settles(&mut self) -> Result<()> {
        let answer = self
            .answered(&["status", "--wait", "--timeout", "1m"])
            .await?;
        expect(&answer, 0)
    }

    /// Repository, cluster and what users see agree with what was acknowledged.
    async fn ends_right(&self, roles: &Roles) -> Result<()> {
        let repository = self.stage.data().join("server/config.git");
        self.ledger.is_what_the_repository_tells(&repository)?;
        for environment in ["dev", "prod"] {
            let Some(artifact) = self.ledger.current(environment) else {
                continue;
            };
            cluster::comes_to_run(&roles.kubeconfig(), environment, artifact).await?;
            let host = format!("api.{environment}.localhost");
            let answer = crate::stage::page(&format!("{}/info", roles.ingress()), &host).await?;
            let answer: Value = serde_json::from_str(&answer)?;
            ensure!(answer["version"] == artifact, "{host} answers {answer}");
        }
        Ok(())
    }
}

fn expect(answer: &Answer, code: i32) -> Result<()> {
    ensure!(answer.code == code, "{}", answer.transcript());
    Ok(())
}
