//! Stories told with kubectl. They are recorded on the real API server, with
//! `FORESHORE_RECORD=1 cargo test -p foreshore-testkit --test it
//! transcripts::on_the_real_one`, and replayed on the engine.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use foreshore_testkit::{
    Cluster, TempDir,
    cluster::{Kind, Options},
    environment,
    transcript::{Normal, Step, Transcript, shell},
    wait,
};

const LIMIT: Duration = Duration::from_mins(1);

/// Lines of a story, a command, words of the engine's answer, and the reason.
const DIFFERENCES: &str = include_str!("../../transcripts/differences.txt");

/// Hundreds of runs of kubectl take minutes on a busy machine, so they are
/// only made when asked for; a run that does not says so.
fn is_asked_for() -> bool {
    let asked = ["FORESHORE_TRANSCRIPTS", "FORESHORE_RECORD"];
    let asked = asked.iter().any(|name| environment::value(name).is_some());
    if !asked {
        environment::not_run("the kubectl transcripts", "set FORESHORE_TRANSCRIPTS=1");
    }
    asked
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("transcripts")
}

/// Names of the stories, in the order they are told.
fn stories() -> Vec<String> {
    let entries = fs::read_dir(folder()).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let stories = paths.filter(|path| path.extension().is_some_and(|found| found == "story"));
    let mut names: Vec<String> = stories
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

/// A copy of the cluster's kubeconfig whose namespace is the story's own.
async fn own_namespace(cluster: &Cluster, story: &str, folder: &Path) -> PathBuf {
    let run = async |arguments: &[&str]| {
        let output = cluster.kubectl(arguments).await.unwrap();
        output.status.success()
    };
    assert!(run(&["create", "namespace", story]).await);
    // Both are put into a namespace a moment after it was made.
    for given in ["serviceaccount/default", "configmap/kube-root-ca.crt"] {
        wait::until(given, LIMIT, || async {
            run(&["--namespace", story, "get", given]).await
        })
        .await
        .unwrap();
    }
    let mut config = kube::config::Kubeconfig::read_from(cluster.kubeconfig()).unwrap();
    let context = config.contexts[0].context.as_mut().unwrap();
    context.namespace = Some(story.to_owned());
    let path = folder.join("kubeconfig");
    fs::write(&path, serde_json::to_vec(&config).unwrap()).unwrap();
    path
}

async fn tell(cluster: &Cluster, story: &str, recorded: &Transcript) -> anyhow::Result<Transcript> {
    let work = TempDir::new("transcript").unwrap();
    for entry in fs::read_dir(folder().join("files")).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, work.join(path.file_name().unwrap())).unwrap();
    }
    let kubeconfig = own_namespace(cluster, story, work.path()).await;
    let shell = shell(work.path(), &kubeconfig).unwrap();
    recorded.play(&shell, &mut Normal::new()).await
}

/// Tells every story and returns what was answered otherwise than recorded.
async fn differing(kind: Kind) -> Vec<String> {
    let record = environment::value("FORESHORE_RECORD").is_some() && kind == Kind::Real;
    let options = Options {
        simulated_nodes: 1,
        ..Options::default()
    };
    let cluster = Cluster::start(kind, options).await.unwrap();
    let mut differing = Vec::new();
    for story in stories() {
        let path = folder().join(format!("{story}.story"));
        let recorded = Transcript::read(&fs::read_to_string(&path).unwrap()).unwrap();
        let played = match tell(&cluster, &story, &recorded).await {
            Ok(played) => played,
            Err(error) => {
                differing.push(format!("{story}: {error:#}"));
                continue;
            }
        };
        if record {
            fs::write(path, played.write()).unwrap();
            continue;
        }
        for (recorded, played) in recorded.steps.iter().zip(&played.steps) {
            let (Step::Shown { command, output }, Step::Shown { output: said, .. }) =
                (recorded, played)
            else {
                continue;
            };
            let listed = kind == Kind::Engine && is_listed(&story, command, said);
            if output != said && !listed {
                differing.push(format!(
                    "{story}: $ {command}\n--- recorded\n{output}--- now\n{said}"
                ));
            }
        }
    }
    differing
}

fn is_listed(story: &str, command: &str, said: &str) -> bool {
    let lines = DIFFERENCES.lines().filter(|line| !line.starts_with('#'));
    let entries = lines.map(|line| line.split(" ! ").collect::<Vec<_>>());
    entries.into_iter().any(|entry| {
        matches!(entry[..], [of, listed, words, _reason]
            if of == story && listed == command && said.contains(words))
    })
}

#[test]
fn every_listed_difference_is_of_a_step_that_is_there() {
    for line in DIFFERENCES.lines().filter(|line| !line.starts_with('#')) {
        let parts: Vec<&str> = line.split(" ! ").collect();
        let [story, command, _words, _reason] = parts[..] else {
            panic!("`{line}` has not four parts")
        };
        let text = fs::read_to_string(folder().join(format!("{story}.story"))).unwrap();
        assert!(text.contains(&format!("$ {command}\n")), "{line}");
    }
}

#[tokio::test]
async fn on_the_real_one() {
    if !is_asked_for() {
        return;
    }
    let differing = differing(Kind::Real).await;
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

#[tokio::test]
async fn on_the_engine() {
    if !is_asked_for() {
        return;
    }
    let differing = differing(Kind::Engine).await;
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}
