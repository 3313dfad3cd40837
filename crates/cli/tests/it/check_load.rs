//! `check` and `load` from outside: exit codes, words, reports, and what bad input meets.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;

use anyhow::Result;
use foreshore_testkit::cli::{Answer, Shell};
use foreshore_testkit::{TempDir, environment};

/// Answers every request on every connection: `/health`, `/metrics`, `/info`, 404 for `/missing`, else `{"ok":true}`.
fn server() -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://127.0.0.1:{}", listener.local_addr()?.port());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || serve(stream));
        }
    });
    Ok(url)
}

/// Ends when the other side does.
fn serve(stream: TcpStream) {
    let mut reader = BufReader::new(stream);
    loop {
        let (mut path, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).map_or(true, |read| read == 0) {
                return;
            }
            if path.is_empty() {
                line.split(' ')
                    .nth(1)
                    .unwrap_or_default()
                    .clone_into(&mut path);
            }
            if let Some(value) = line.strip_prefix("Content-Length: ") {
                length = value.trim().parse().unwrap_or(0);
            }
            if line.trim().is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        if reader.read_exact(&mut body).is_err() {
            return;
        }
        let (status, body) = match path.as_str() {
            "/missing" => ("404 Not Found", "no"),
            "/metrics" => ("200 OK", "up 1\n"),
            "/info" => ("200 OK", "{\"version\":\"1.2.3\"}"),
            _ => ("200 OK", "{\"ok\":true}"),
        };
        let answer = format!(
            "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        if reader.get_mut().write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

struct Desk {
    folder: TempDir,
}

impl Desk {
    fn new() -> Result<Self> {
        Ok(Self {
            folder: TempDir::new("check-load")?,
        })
    }

    fn file(&self, name: &str, text: &str) -> Result<()> {
        Ok(std::fs::write(self.folder.path().join(name), text)?)
    }

    async fn foreshore(&self, arguments: &[&str]) -> Result<Answer> {
        Shell::new(self.folder.path())?.raw(arguments).await
    }

    fn exists(&self, name: &str) -> bool {
        Path::new(self.folder.path()).join(name).is_file()
    }
}

#[track_caller]
fn said(answer: &Answer, code: i32, parts: &[&str]) {
    assert_eq!(answer.code, code, "{}", answer.transcript());
    let all = answer.transcript();
    for part in parts {
        assert!(all.contains(part), "`{part}` was not said: {all}");
    }
}

const SHOP: &str = "scenario \"shop\"\ntarget base = env TARGET_URL\nstep home GET {{base}}/\n  assert json $.ok == true\nstep order POST {{base}}/order {\"n\":1}\nprofile all iterations 2\nprofile broken iterations 1 gate p99(home) < 0s\nprofile burst arrivals 50/s for 200ms drain 60s max-in-flight 100 gate lateness.p99 < 1h starved <= 100% p99 < 1h\nprofile late arrivals 50/s for 200ms drain 60s max-in-flight 100 gate lateness.max < 0s starved <= 100%\nprofile slow arrivals 50/s for 200ms drain 60s max-in-flight 100 gate lateness.p99 < 1h starved <= 100% p99 < 0s\n";

#[tokio::test]
async fn a_check_says_how_each_step_went_and_ends_with_its_verdict() -> Result<()> {
    let desk = Desk::new()?;
    let url = server()?;
    let target = format!("base={url}");
    desk.file("shop.scn", SHOP)?;
    let smoke = desk
        .foreshore(&["check", "shop.scn", "--target", &target])
        .await?;
    said(
        &smoke,
        0,
        &[
            "ok    home  200",
            "left out  order: POST may change something",
            "verdict: pass",
        ],
    );
    let all = desk
        .foreshore(&[
            "check",
            "shop.scn",
            "--target",
            &target,
            "--profile",
            "all",
            "-o",
            "json",
        ])
        .await?;
    let report: serde_json::Value = serde_json::from_str(&all.stdout)?;
    assert_eq!(
        (all.code, &report["verdict"], &report["completed"]),
        (0, &"pass".into(), &2.into())
    );
    let broken = desk
        .foreshore(&[
            "check",
            "shop.scn",
            "--target",
            &target,
            "--profile",
            "broken",
        ])
        .await?;
    said(
        &broken,
        1,
        &[
            "gate p99(home) < 0s: BREACHED",
            "warning: `p99(home) < 0s` does not hold",
            "verdict: fail",
        ],
    );
    desk.file(
        "bad.scn",
        "scenario \"bad\"\ntarget base = env TARGET_URL\nstep gone GET {{base}}/missing\n",
    )?;
    let failed = desk
        .foreshore(&["check", "bad.scn", "--target", &target])
        .await?;
    said(
        &failed,
        1,
        &[
            "FAIL  gone",
            "status 404 was not expected: no",
            "again: curl -i 'http://127.0.0.1:",
        ],
    );
    let nobody = desk
        .foreshore(&["check", "shop.scn", "--target", "base=http://127.0.0.1:1"])
        .await?;
    said(
        &nobody,
        4,
        &["cannot connect to `127.0.0.1:1`", "verdict: unreachable"],
    );
    Ok(())
}

#[tokio::test]
async fn a_load_passes_fails_or_proves_nothing_and_writes_its_report() -> Result<()> {
    let desk = Desk::new()?;
    let url = server()?;
    let target = format!("base={url}");
    desk.file("shop.scn", SHOP)?;
    let run = |profile: &'static str, report: &'static str| {
        let (desk, target) = (&desk, &target);
        async move {
            desk.foreshore(&[
                "load",
                "shop.scn",
                "--profile",
                profile,
                "--target",
                target,
                "--report",
                report,
            ])
            .await
        }
    };
    said(
        &run("burst", "out").await?,
        0,
        &[
            "delivered 10 of 10 planned",
            "verdict: pass",
            "report: out/report.html",
        ],
    );
    for name in ["report.html", "report.json", "junit.xml", "metrics.prom"] {
        assert!(desk.exists(&format!("out/{name}")), "{name} is missing");
    }
    said(
        &run("slow", "slow").await?,
        1,
        &["gate p99 < 0s: BREACHED", "verdict: fail"],
    );
    said(
        &run("late", "late").await?,
        7,
        &["the generator limited the run", "verdict: invalid"],
    );
    assert!(desk.exists("late/report.html"));
    let again = [
        "load",
        "shop.scn",
        "--profile",
        "burst",
        "--target",
        &target,
        "--baseline",
        "out/report.json",
    ];
    said(&desk.foreshore(&again).await?, 0, &["verdict: pass"]);
    Ok(())
}

/// Nobody listens there.
const AT: &str = "base=http://127.0.0.1:1";

/// Arguments, exit code, and parts of what is said.
type Mistake = (&'static [&'static str], i32, &'static [&'static str]);

const MISTAKES: &[Mistake] = &[
    (
        &["check"],
        2,
        &["cannot read `foreshore.yaml`", "foreshore check FILE"],
    ),
    (&["check", "none.scn"], 2, &["cannot read `none.scn`"]),
    (
        &["check", "typo.scn"],
        2,
        &[
            "typo.scn:3:14: there is no `bsae`",
            "3 | step a GET {{bsae}}/",
            "^^^^",
            "did you mean `base`?",
        ],
    ),
    (
        &["check", "data.scn"],
        2,
        &[
            "cannot read `./users.csv`",
            "data `users` of data.scn names it",
        ],
    ),
    (
        &["check", "shop.scn"],
        2,
        &[
            "target `base` has no value",
            "set the environment variable TARGET_URL, or give it with `--target base=URL`",
        ],
    ),
    (
        &["check", "shop.scn", "--target", "bsae=http://h"],
        2,
        &["no target `bsae`", "did you mean `base`?"],
    ),
    (
        &["check", "shop.scn", "--target", "base"],
        2,
        &["`base` is not NAME=VALUE"],
    ),
    (
        &["check", "shop.scn", "--target", "base=ftp://h"],
        2,
        &["`ftp://h` is not an address"],
    ),
    (
        &["check", "shop.scn", "--set", "x=1", "--target", AT],
        2,
        &["no value `x`", "it declares no value"],
    ),
    (
        &["check", "shop.scn", "--profile", "al"],
        2,
        &["no profile `al`", "did you mean `all`?"],
    ),
    (
        &["check", "shop.scn", "--profile", "burst", "--target", AT],
        2,
        &[
            "profile `burst` of shop.scn is a load",
            "foreshore load shop.scn --profile burst",
        ],
    ),
    (&["load", "shop.scn"], 2, &["--profile"]),
    (
        &[
            "load",
            "shop.scn",
            "--profile",
            "burst",
            "--production-window",
            "now",
        ],
        2,
        &["is not a stretch of time"],
    ),
    (
        &[
            "load",
            "shop.scn",
            "--profile",
            "burst",
            "--target",
            AT,
            "--baseline",
            "shop.scn",
        ],
        2,
        &["`shop.scn` is no baseline: it is not JSON"],
    ),
    (
        &[
            "load",
            "shop.scn",
            "--profile",
            "burst",
            "--target",
            AT,
            "--report",
            "shop.scn",
        ],
        2,
        &["cannot write `shop.scn`"],
    ),
    (
        &[
            "check",
            "shop.scn",
            "--target",
            "base=http://nowhere.invalid",
        ],
        4,
        &["cannot find the host `nowhere.invalid`"],
    ),
];

#[tokio::test]
async fn mistakes_are_told_with_their_place_before_anything_is_sent() -> Result<()> {
    let desk = Desk::new()?;
    desk.file("shop.scn", SHOP)?;
    desk.file(
        "typo.scn",
        "scenario \"t\"\ntarget base = env URL\nstep a GET {{bsae}}/\n",
    )?;
    desk.file("data.scn", "scenario \"t\"\ndata users = csv \"users.csv\"\nstep a GET http://127.0.0.1:1/{{users.email}}\n")?;
    for (arguments, code, parts) in MISTAKES {
        said(&desk.foreshore(arguments).await?, *code, parts);
    }
    Ok(())
}

#[tokio::test]
async fn checks_of_the_service_are_the_default_and_explain_sends_nothing() -> Result<()> {
    let desk = Desk::new()?;
    let url = server()?;
    desk.file(
        "smoke.scn",
        &format!("scenario \"s\"\nstep home GET {url}/\n"),
    )?;
    desk.file(
        "foreshore.yaml",
        "name: web\nowner: a\nplan: rust-service\nchecks: [smoke.scn]\nenvironments: {dev: {}}\n",
    )?;
    said(
        &desk.foreshore(&["check"]).await?,
        0,
        &["ok    home  200", "verdict: pass"],
    );
    desk.file(
        "nowhere.scn",
        "scenario \"n\"\nstep a GET http://nowhere.invalid/\n",
    )?;
    said(
        &desk
            .foreshore(&["check", "nowhere.scn", "--explain"])
            .await?,
        0,
        &[
            "a: GET http://nowhere.invalid/",
            "profile  smoke",
            "1 users, 1 passes each",
        ],
    );
    Ok(())
}

#[tokio::test]
async fn the_contract_is_checked_with_the_version_that_was_released() -> Result<()> {
    let desk = Desk::new()?;
    let target = format!("base={}", server()?);
    let contract = [
        "check",
        "--contract",
        "--target",
        &target,
        "--expect-version",
    ];
    said(
        &desk
            .foreshore(&[&contract[..], &["1.2.3"]].concat())
            .await?,
        0,
        &["ok    info  200"],
    );
    said(
        &desk
            .foreshore(&[&contract[..], &["1.2.4"]].concat())
            .await?,
        1,
        &["it is \"1.2.3\""],
    );
    Ok(())
}

#[tokio::test]
async fn production_and_limits_are_fences_before_the_start() -> Result<()> {
    let desk = Desk::new()?;
    desk.file(
        "prod.scn",
        "scenario \"p\"\nproduction \"127.0.0.1\"\nstep a GET http://127.0.0.1:1/\nprofile load arrivals 1/s for 1s\nprofile many users 500 for 1s\n",
    )?;
    let refused = desk
        .foreshore(&["load", "prod.scn", "--profile", "load"])
        .await?;
    said(
        &refused,
        3,
        &[
            "`127.0.0.1` is production; load on it needs an agreed time",
            "--production-window FROM..TO",
        ],
    );
    let late = [
        "load",
        "prod.scn",
        "--profile",
        "load",
        "--production-window",
        "2020-01-01T00:00:00Z..2020-01-02T00:00:00Z",
    ];
    said(
        &desk.foreshore(&late).await?,
        3,
        &["the agreed time ended at 2020-01-02T00:00:00Z"],
    );
    let program = environment::foreshore()?;
    let limited = format!(
        "ulimit -n 100 && exec '{}' load prod.scn --profile many --production-window 2020-01-01T00:00:00Z..2120-01-01T00:00:00Z",
        program.display()
    );
    let answer = Shell::of("/bin/sh".into(), desk.folder.path())?
        .raw(["-c", &limited])
        .await?;
    said(
        &answer,
        2,
        &[
            "the run may need 564 open files, and this process may open 100",
            "ulimit -n 564",
        ],
    );
    Ok(())
}

#[tokio::test]
async fn an_interrupted_load_still_writes_its_report() -> Result<()> {
    let desk = Desk::new()?;
    let target = format!("base={}", server()?);
    desk.file("long.scn", "scenario \"long\"\ntarget base = env URL\nstep a GET {{base}}/\nthink 20ms\nprofile p users 2 for 8h\n")?;
    let program = environment::foreshore()?;
    // The signal comes after the first line of progress, so requests were sent.
    let script = format!(
        "'{}' load long.scn --profile p --target {target} --report out 2> err & pid=$!; until grep -q requests err; do sleep 0.1; done; kill -INT $pid; wait $pid",
        program.display()
    );
    // A shell without job control starts its children deaf to SIGINT; `-m` gives them their ears.
    let answer = Shell::of("/bin/sh".into(), desk.folder.path())?
        .raw(["-mc", &script])
        .await?;
    said(&answer, 130, &["verdict: interrupted"]);
    let report: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(
        desk.folder.path().join("out/report.json"),
    )?)?;
    assert_eq!(report["verdict"], "interrupted");
    assert!(
        report["all"]["requests"]
            .as_u64()
            .is_some_and(|count| count > 0)
    );
    Ok(())
}
