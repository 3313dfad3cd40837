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
use futures::{StreamExt as _, stream};

const LIMIT: Duration = Duration::from_mins(1);

/// Lines of a story, a command, words of the engine's answer, and the reason.
const DIFFERENCES: &str = include_str!("../../transcripts/differences.txt");

/// Stories told at the same time.
const TOGETHER: usize = 3;

/// A story that takes the node away from the others' pods.
const ALONE: &str = "node";

/// The recordings are of the real one; telling them there again is for whoever changes them.
fn is_asked_for() -> bool {
    let asked = ["FORESHORE_TRANSCRIPTS", "FORESHORE_RECORD"];
    let asked = asked.iter().any(|name| environment::value(name).is_some());
    if !asked {
        environment::not_run(
            "the kubectl transcripts on the real API server",
            "set FORESHORE_TRANSCRIPTS=1",
        );
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

/// Tells a story and returns what was answered otherwise than recorded.
async fn differing(cluster: &Cluster, kind: Kind, story: String) -> Vec<String> {
    let path = folder().join(format!("{story}.story"));
    let recorded = Transcript::read(&fs::read_to_string(&path).unwrap()).unwrap();
    let played = match tell(cluster, &story, &recorded).await {
        Ok(played) => played,
        Err(error) => return vec![format!("{story}: {error:#}")],
    };
    if environment::value("FORESHORE_RECORD").is_some() && kind == Kind::Real {
        fs::write(path, played.write()).unwrap();
        return vec![];
    }
    let mut differing = Vec::new();
    for (recorded, played) in recorded.steps.iter().zip(&played.steps) {
        let (Step::Shown { command, output }, Step::Shown { output: said, .. }) =
            (recorded, played)
        else {
            continue;
        };
        let listed = (kind == Kind::Engine)
            .then(|| listed(&story, command))
            .flatten();
        match listed {
            Some(_) if output == said => differing.push(format!(
                "{story}: $ {command}\nanswers as recorded now; take it off the list"
            )),
            Some(words) if said.contains(words) => {}
            _ if output == said => {}
            _ => differing.push(format!(
                "{story}: $ {command}\n--- recorded\n{output}--- now\n{said}"
            )),
        }
    }
    differing
}

/// Tells all stories and returns what was answered otherwise than recorded.
async fn all_differing(kind: Kind) -> String {
    let options = Options {
        simulated_nodes: 1,
        ..Options::default()
    };
    let cluster = Cluster::start(kind, options).await.unwrap();
    let (alone, together): (Vec<_>, Vec<_>) =
        stories().into_iter().partition(|story| story == ALONE);
    let mut found: Vec<Vec<String>> = stream::iter(together)
        .map(|story| differing(&cluster, kind, story))
        .buffered(TOGETHER)
        .collect()
        .await;
    for story in alone {
        found.push(differing(&cluster, kind, story).await);
    }
    found.concat().join("\n")
}

/// Words of the engine's own answer to a command, if it is known to differ.
fn listed(story: &str, command: &str) -> Option<&'static str> {
    let lines = DIFFERENCES.lines().filter(|line| !line.starts_with('#'));
    let mut entries = lines.map(|line| line.split(" ! ").collect::<Vec<_>>());
    entries.find_map(|entry| match entry[..] {
        [of, listed, words, _reason] if of == story && listed == command => Some(words),
        _ => None,
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
    let differing = all_differing(Kind::Real).await;
    assert!(differing.is_empty(), "{differing}");
}

#[tokio::test]
async fn on_the_engine() {
    let differing = all_differing(Kind::Engine).await;
    assert!(differing.is_empty(), "{differing}");
}
