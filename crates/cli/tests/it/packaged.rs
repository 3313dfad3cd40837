//! The program under the name of a kubectl plugin, and in an image that it made of itself.

use anyhow::{Context as _, Result, ensure};
use foreshore_testkit::cli::Shell;
use foreshore_testkit::{TempDir, environment, wait};

use crate::stage::{PATIENCE, Stage, expect};

const ANY_PORTS: [&str; 6] = ["--port", "0", "--ingress-port", "0", "--api-port", "0"];

#[tokio::test]
async fn kubectl_finds_it_as_a_plugin() -> Result<()> {
    let folder = TempDir::new("plugin")?;
    std::os::unix::fs::symlink(environment::foreshore()?, folder.join("kubectl-foreshore"))?;
    let path = environment::value("PATH").context("PATH is not set")?;
    let own = folder.path().to_str().context("a plain name")?;
    let shell = Shell::of(environment::oracle("kubectl")?, folder.path())?
        .env("PATH", &format!("{own}:{path}"));
    let answer = expect(0, shell.raw(["foreshore", "--version"]).await?)?;
    ensure!(answer.stdout.starts_with("foreshore "), "{answer:?}");
    let list = expect(0, shell.raw(["foreshore", "demo", "list"]).await?)?;
    ensure!(list.stdout.contains("CrashLoopBackOff"), "{list:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_runs_in_a_pod_from_the_image_that_it_made_of_itself() -> Result<()> {
    let mut stage = Stage::new("own-image")?;
    let up = stage.up(&ANY_PORTS).await?;
    let image = expect(0, stage.foreshore(&["own-image"]).await?)?.stdout;
    let again = expect(0, stage.foreshore(&["own-image"]).await?)?.stdout;
    ensure!(image == again, "the same program is the same image");
    let kubeconfig = up["kubeconfig"].as_str().context("it has one")?;
    let kubectl = Shell::of(environment::oracle("kubectl")?, stage.folder.path())?
        .env("KUBECONFIG", kubeconfig);
    let run = [
        "run",
        "own",
        "--image",
        image.trim(),
        "--restart=Never",
        "--",
        "--version",
    ];
    expect(0, kubectl.raw(run).await?)?;
    wait::until(
        "the program's version in the log of its pod",
        PATIENCE,
        || async {
            let log = kubectl.raw(["logs", "own"]).await;
            log.is_ok_and(|log| log.stdout.starts_with("foreshore "))
        },
    )
    .await?;
    expect(0, stage.foreshore(&["down"]).await?).map(|_| ())
}
