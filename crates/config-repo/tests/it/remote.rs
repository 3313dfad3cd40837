//! A writer whose repository lives elsewhere, behind smart HTTP.

use std::sync::Arc;

use foreshore_config_repo::{Answer, Writer, requests, writer};
use foreshore_git::smart_http::{Access, Authorizer, Credentials, Options, Permission, router};
use foreshore_git::{Change, Credential, Expected, RefUpdate, Remote, Repository};

use crate::fixture::{
    MAIN, by_hand, candidate, committed, messages, person, repository, submit, wish,
};

struct Anybody;

#[async_trait::async_trait]
impl Authorizer for Anybody {
    async fn authorize(&self, _: Option<Credentials>, _: Access) -> Permission {
        Permission::Granted
    }
}

async fn serve(repository: &Repository) -> Remote {
    let app = axum::Router::new().nest(
        "/config.git",
        router(repository.clone(), Options::new(Arc::new(Anybody))),
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/config.git", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    Remote::new(url, Credential::None)
}

async fn start(folder: &tempfile::TempDir, name: &str, remote: &Remote) -> Writer {
    let path = folder.path().join(name);
    let options = writer::Options {
        remote: Some(remote.clone()),
        ..writer::Options::default()
    };
    Writer::start_with(Repository::init_bare(path).unwrap(), options)
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_push_to_one_host_and_lose_nothing() {
    let (folder, host) = repository();
    let remote = serve(&host).await;
    let writers = [
        start(&folder, "a.git", &remote).await,
        start(&folder, "b.git", &remote).await,
    ];
    let mut releases = tokio::task::JoinSet::new();
    for n in 0..10_u32 {
        let writer = writers[usize::try_from(n).unwrap() % 2].clone();
        releases.spawn(async move { submit(&writer, wish("web", n, "dev")).await });
    }
    let mut sequences: Vec<u64> = releases
        .join_all()
        .await
        .into_iter()
        .map(|it| committed(it).1.sequence)
        .collect();
    sequences.sort_unstable();
    assert_eq!(sequences, (1..=10).collect::<Vec<u64>>());
    assert_eq!(messages(&host).len(), 10);
    host.check().unwrap();
    let hand = by_hand(&host, vec![Change::write("policies/README.md", "x")]);
    let (_, release) = committed(submit(&writers[0], wish("web", 11, "dev")).await);
    assert_eq!(release.sequence, 11);
    assert!(
        host.is_ancestor(&hand, &host.resolve(MAIN).unwrap().unwrap())
            .unwrap()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_made_at_one_server_is_approved_at_another() {
    let (folder, host) = repository();
    let remote = serve(&host).await;
    let writers = [
        start(&folder, "a.git", &remote).await,
        start(&folder, "b.git", &remote).await,
    ];
    let Ok(Answer::Requested { request, .. }) = submit(&writers[0], wish("web", 1, "prod")).await
    else {
        panic!()
    };
    assert_eq!(requests(&host).unwrap().len(), 1);
    let approve = foreshore_config_repo::Job::new("ok", move |world, now| {
        foreshore_release::approve(
            world,
            &request.id,
            &person("bo"),
            candidate("web", 1),
            "ok",
            now,
        )
    });
    let (_, release) = committed(writers[1].submit(approve).await);
    assert_eq!(release.approved_by.len(), 1);
    assert!(requests(&host).unwrap().is_empty());
    assert!(
        writers[0]
            .refreshed()
            .await
            .unwrap()
            .world
            .requests
            .is_empty()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rewritten_host_is_not_written_to() {
    let (folder, host) = repository();
    let first = host.resolve(MAIN).unwrap().unwrap();
    let remote = serve(&host).await;
    let writer = start(&folder, "a.git", &remote).await;
    let (commit, _) = committed(submit(&writer, wish("web", 1, "dev")).await);
    let back = RefUpdate {
        name: MAIN.to_owned(),
        new: Some(first.clone()),
        expected: Expected::At(commit.clone()),
    };
    host.update_refs(&[back]).unwrap();
    let error = submit(&writer, wish("web", 2, "dev")).await.unwrap_err();
    let mut text = String::new();
    let mut source: Option<&dyn std::error::Error> = Some(&error);
    while let Some(cause) = source {
        text = format!("{text}{cause}; ");
        source = cause.source();
    }
    assert!(text.contains("frozen"), "{text}");
    assert_eq!(host.resolve(MAIN).unwrap(), Some(first));
    assert_eq!(writer.current().commit, commit);
}
