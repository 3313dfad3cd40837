//! Local users, and a server that opens no door which nobody guards.

use anyhow::{Result, ensure};
use foreshore_testkit::cli::Answer;

use crate::stage::Stage;

/// Fails unless a command ended with this code and said these words.
fn said(answer: &Answer, code: i32, words: &[&str]) -> Result<()> {
    let text = format!("{}{}", answer.stdout, answer.stderr);
    ensure!(answer.code == code, "{}", answer.transcript());
    for word in words {
        ensure!(
            text.contains(word),
            "`{word}` is not in {}",
            answer.transcript()
        );
    }
    Ok(())
}

#[tokio::test]
async fn users_are_made_changed_and_removed_beside_the_server() -> Result<()> {
    let stage = Stage::new("users")?;
    let run = async |arguments: &[&str]| stage.foreshore(arguments).await;
    said(&run(&["user", "list"]).await?, 0, &["there is no user yet"])?;
    let drawn = run(&["user", "add", "ada", "--role", "operator"]).await?;
    said(&drawn, 0, &["ada is a user, as operator"])?;
    ensure!(drawn.stdout.trim().len() == 24, "{}", drawn.transcript());
    said(
        &run(&["user", "list", "-o", "json"]).await?,
        0,
        &["\"ada\"", "\"operator\"", "ada@foreshore.local"],
    )?;
    said(
        &run(&["user", "add", "ada"]).await?,
        5,
        &["there is a user `ada` already"],
    )?;
    said(
        &run(&["user", "add", "owner"]).await?,
        5,
        &["one of the platform's own names"],
    )?;
    said(
        &run(&["user", "add", "Grace"]).await?,
        2,
        &["cannot be a user's name"],
    )?;
    said(
        &run(&["user", "add", "grace", "--role", "root"]).await?,
        2,
        &["viewer, operator, approver and admin"],
    )?;
    said(
        &run(&["user", "add", "grace", "--email", "nonsense"]).await?,
        2,
        &["no address that commits can carry"],
    )?;
    said(
        &run(&["user", "add", "grace", "--password-stdin"]).await?,
        2,
        &["at least 12 characters"],
    )?;
    said(
        &run(&["user", "role", "adda", "admin"]).await?,
        6,
        &["did you mean `ada`?"],
    )?;
    said(
        &run(&["user", "role", "ada", "admin"]).await?,
        0,
        &["ada is admin now"],
    )?;
    let fresh = run(&["user", "password", "ada"]).await?;
    said(&fresh, 0, &["every session has ended"])?;
    ensure!(fresh.stdout != drawn.stdout, "{}", fresh.transcript());
    said(
        &run(&["user", "logout", "ada"]).await?,
        0,
        &["0 sessions of ada have ended"],
    )?;
    said(
        &run(&["user", "remove", "ada"]).await?,
        0,
        &["no user any more"],
    )?;
    said(
        &run(&["user", "remove", "ada"]).await?,
        6,
        &["`foreshore user list`"],
    )
}

#[tokio::test]
async fn a_server_that_others_could_reach_without_login_and_tls_does_not_start() -> Result<()> {
    let stage = Stage::new("doors")?;
    let run = async |more: &[&str]| {
        let arguments = [&["server", "--listen", "127.0.0.1:0"][..], more].concat();
        stage.foreshore(&arguments).await
    };
    let open = ["server", "--listen", "0.0.0.0:0"];
    let words = [
        "neither login nor TLS",
        "--public ADDRESS --certificate FILE --key FILE",
        "foreshore user add",
    ];
    said(&stage.foreshore(&open).await?, 2, &words)?;
    said(
        &run(&["--public", "0.0.0.0:0"]).await?,
        2,
        &["--certificate"],
    )?;
    let files = ["--certificate", "none.crt", "--key", "none.key"];
    let public = [&["--public", "0.0.0.0:0"][..], &files].concat();
    said(
        &run(&public).await?,
        2,
        &["there is no user yet", "foreshore user add NAME"],
    )?;
    said(&run(&["--login"]).await?, 2, &["there is no user yet"])?;
    said(&stage.foreshore(&["user", "add", "ada"]).await?, 0, &[])?;
    said(&run(&public).await?, 2, &["none.crt"])?;
    said(&run(&["--cluster", "dc1"]).await?, 2, &["SITE=KUBECONFIG"])?;
    said(
        &run(&["--cluster", "dc1=none.yaml"]).await?,
        2,
        &["none.yaml"],
    )
}
