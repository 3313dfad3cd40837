//! Commands that change or explain what runs: what they say without a server, and to what cannot be meant.

use anyhow::Result;

use crate::bad_input::check;
use crate::stage::Stage;

#[track_caller]
#[tokio::test]
async fn without_a_server_every_one_says_how_to_get_one() -> Result<()> {
    let stage = Stage::new("changes")?;
    for arguments in [
        &["scale", "web", "-e", "dev", "--by", "-1"][..],
        &["freeze", "list"],
        &["policy", "list"],
        &["retire", "web", "-e", "dev", "--reason", "over"],
        &["describe", "service", "web"],
        &["describe", "release", "web", "-e", "dev"],
        &["history", "web", "-e", "dev"],
        &["diff", "web", "-e", "dev"],
        &["preview", "web", "-e", "dev"],
        &["explain", "release", "web", "-e", "dev"],
        &["audit"],
        &["wait", "web", "-e", "dev"],
        &[
            "release",
            "--service",
            "web",
            "-e",
            "dev,prod",
            "-b",
            "main",
        ],
        &["promote", "web", "-e", "prod", "--from-env", "dev"],
    ] {
        check(
            &stage.foreshore(arguments).await?,
            4,
            &["hint: start one with `foreshore up`"],
        );
    }
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_meant_is_refused_before_anything_is_asked() -> Result<()> {
    let stage = Stage::new("slips")?;
    for (arguments, part) in [
        (&["scale", "web", "-e", "dev"][..], "--replicas"),
        (&["scale", "web", "-e", "dev", "--min", "3"], "--max"),
        (&["scale", "web", "-e", "dev", "--floor", "3"], "--until"),
        (
            &[
                "scale", "web", "-e", "dev", "--floor", "3", "--until", "soon",
            ],
            "a time from now like 2h",
        ),
        (
            &[
                "freeze", "add", "x", "--from", "now", "--until", "later", "--reason", "r",
            ],
            "`now` is no time like",
        ),
        (
            &[
                "freeze", "add", "x", "--day", "frday", "--from", "1:00", "--until", "2:00",
                "--reason", "r",
            ],
            "'friday'",
        ),
        (
            &["policy", "apply", "soak", "-e", "prod", "--time", "soon"],
            "soon",
        ),
        (
            &["policy", "apply", "auto-release", "-e", "dev"],
            "--branch",
        ),
        (&["retire", "web", "-e", "dev"], "--reason"),
        (&["promote", "-e", "prod"], "no service is named"),
        (
            &[
                "install",
                "--image",
                "x",
                "--server-url",
                "y",
                "--environment",
                "dev",
            ],
            "--print",
        ),
        (
            &["server", "--webhook", "ftp://example.org"],
            "`ftp` is no scheme",
        ),
    ] {
        check(&stage.foreshore(arguments).await?, 2, &[part]);
    }
    Ok(())
}

#[tokio::test]
async fn an_installation_is_printed_with_what_breaks_without_each_right() -> Result<()> {
    let stage = Stage::new("install")?;
    let answer = stage
        .foreshore(&[
            "install",
            "--print",
            "--image",
            "registry.example.org/foreshore:1",
            "--server-url",
            "https://foreshore.example.org",
            "--environment",
            "prod",
        ])
        .await?;
    assert_eq!(answer.code, 0, "{}", answer.transcript());
    for part in [
        "kind: ClusterRole\n",
        "- --in-cluster",
        "# - pods/log: a failed release is told without",
    ] {
        assert!(
            answer.stdout.contains(part),
            "`{part}`: {}",
            answer.transcript()
        );
    }
    Ok(())
}
