//! One exchange with a client: git's process on one side, HTTP bodies on the other.

use std::collections::BTreeMap;
use std::io::{self, Seek as _, Write as _};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::response::Response;
use flate2::write::GzDecoder;
use futures::{Stream, StreamExt as _};
use http::{HeaderMap, StatusCode, header};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdin};
use tokio::sync::OwnedSemaphorePermit;

use super::{Credentials, Service, Shared, answer, plain, protocol};
use crate::command::{git_in, run};
use crate::durable::{sync_packs, sync_refs};
use crate::error::GitError;
use crate::lock::Turn;
use crate::object::ObjectId;
use crate::refs::{Expected, RefUpdate};

/// A client that sends nothing for this long is gone.
const SILENCE_MAX: Duration = Duration::from_mins(1);

/// Largest question of a fetch, unpacked: some hundred thousand commit ids.
const QUESTION_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// What each side is sent at a time.
const CHUNK_BYTES: usize = 64 * 1024;

pub(super) async fn advertise(
    shared: &Arc<Shared>,
    service: Service,
    protocol: Option<String>,
) -> Response {
    let Some(_permit) = permit(shared) else {
        return busy();
    };
    let path = shared.repository.path().to_owned();
    let second = protocol
        .as_deref()
        .is_some_and(|protocol| protocol.split(':').any(|part| part == "version=2"));
    let advertised = tokio::task::spawn_blocking(move || {
        let mut command = git_in(&path, SERVED);
        command.args([
            service.subcommand(),
            "--stateless-rpc",
            "--http-backend-info-refs",
            ".",
        ]);
        command.current_dir(&path);
        if let Some(protocol) = protocol {
            command.env("GIT_PROTOCOL", protocol);
        }
        run(command, service.subcommand(), None)?.success(service.subcommand())
    });
    let advertised = match advertised.await {
        Ok(Ok(advertised)) => advertised,
        Ok(Err(error)) => return failed(&error),
        Err(_) => return plain(StatusCode::INTERNAL_SERVER_ERROR, "the exchange broke off"),
    };
    let mut body = Vec::new();
    // Version 2 of the protocol, which only fetches speak, has no heading.
    if !(second && service == Service::Upload) {
        let heading = format!("# service={}\n", service.name());
        body.extend_from_slice(format!("{:04x}{heading}0000", heading.len() + 4).as_bytes());
    }
    body.extend_from_slice(&advertised);
    answer(
        &format!("application/x-{}-advertisement", service.name()),
        Body::from(body),
    )
}

/// What pushes may do; the same for everybody.
const SERVED: &[(&str, &str)] = &[
    ("receive.denyNonFastForwards", "true"),
    ("receive.denyDeleteCurrent", "true"),
    ("receive.advertisePushOptions", "false"),
    ("uploadpack.allowFilter", "true"),
    ("uploadpack.allowAnySHA1InWant", "false"),
];

pub(super) fn upload(shared: &Arc<Shared>, request: Request) -> Response {
    let Some(permit) = permit(shared) else {
        return busy();
    };
    let mut command = git_in(shared.repository.path(), SERVED);
    command
        .args(["upload-pack", "--stateless-rpc", "."])
        .current_dir(shared.repository.path());
    if let Some(protocol) = protocol(request.headers()) {
        command.env("GIT_PROTOCOL", protocol);
    }
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut command = tokio::process::Command::from(command);
    let mut child = match command.kill_on_drop(true).spawn() {
        Ok(child) => child,
        Err(cause) => {
            return failed(&GitError::Start {
                command: "upload-pack".to_owned(),
                cause,
            });
        }
    };
    let stdin = child.stdin.take().expect("stdin is piped");
    let zipped = match encoding(request.headers()) {
        Ok(zipped) => zipped,
        Err(refused) => return *refused,
    };
    let question = ask(request.into_body(), zipped, stdin);
    answer(
        "application/x-git-upload-pack-result",
        Body::from_stream(output(child, question, permit)),
    )
}

/// Streams git's output; a failure of git breaks the stream off, so the client cannot take it as complete.
fn output(
    mut child: Child,
    question: impl Future<Output = io::Result<()>> + Send + 'static,
    permit: OwnedSemaphorePermit,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    let (sender, receiver) = tokio::sync::mpsc::channel(4);
    tokio::spawn(async move {
        let _permit = permit;
        let mut stdout = child.stdout.take().expect("stdout is piped");
        let answering = async {
            loop {
                let mut chunk = Vec::with_capacity(CHUNK_BYTES);
                if stdout.read_buf(&mut chunk).await? == 0 {
                    let status = child.wait().await?;
                    return if status.success() {
                        Ok(())
                    } else {
                        Err(io::Error::other("git broke off"))
                    };
                }
                let sent =
                    tokio::time::timeout(SILENCE_MAX, sender.send(Ok(Bytes::from(chunk)))).await;
                if !matches!(sent, Ok(Ok(()))) {
                    return Err(io::Error::other("the client is gone"));
                }
            }
        };
        if let Err(error) = tokio::try_join!(question, answering) {
            tracing::debug!(error = &error as &dyn std::error::Error, "fetch broke off");
            // The client may be gone as well.
            let _gone = sender.send(Err(error)).await;
        }
    });
    futures::stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|chunk| (chunk, receiver))
    })
}

/// Hands the body to git.
async fn ask(body: Body, zipped: bool, mut stdin: ChildStdin) -> io::Result<()> {
    let mut unpacker = Unpacker::new(zipped, QUESTION_BYTES_MAX);
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = next(&mut chunks).await? {
        write(&mut stdin, &unpacker.feed(&chunk)?).await?;
    }
    write(&mut stdin, &unpacker.finish()?).await
}

/// Git closes its input when it has heard enough, which is no failure.
async fn write(stdin: &mut ChildStdin, bytes: &[u8]) -> io::Result<()> {
    match stdin.write_all(bytes).await {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

async fn next(chunks: &mut axum::body::BodyDataStream) -> io::Result<Option<Bytes>> {
    match tokio::time::timeout(SILENCE_MAX, chunks.next()).await {
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
        Ok(None) => Ok(None),
        Ok(Some(chunk)) => chunk.map(Some).map_err(io::Error::other),
    }
}

pub(super) async fn receive(shared: &Arc<Shared>, request: Request) -> Response {
    let Some(_permit) = permit(shared) else {
        return busy();
    };
    let protocol = protocol(request.headers());
    let credentials = Credentials::from_headers(request.headers());
    let zipped = match encoding(request.headers()) {
        Ok(zipped) => zipped,
        Err(refused) => return *refused,
    };
    let spooled = match spool(request.into_body(), zipped, shared.options.push_bytes_max).await {
        Ok(spooled) => spooled,
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
            return plain(
                StatusCode::PAYLOAD_TOO_LARGE,
                "the push is larger than this server takes",
            );
        }
        Err(error) if error.kind() == io::ErrorKind::StorageFull => {
            return plain(
                StatusCode::INSUFFICIENT_STORAGE,
                "the server's disk is full",
            );
        }
        Err(error) => {
            return plain(
                StatusCode::BAD_REQUEST,
                &format!("the push cannot be read: {error}"),
            );
        }
    };
    let carried_out = {
        let shared = shared.clone();
        tokio::task::spawn_blocking(move || {
            let (report, moved) = carry_out(&shared, spooled, protocol)?;
            if let Some(pushed) = shared.options.pushed.as_ref().filter(|_| !moved.is_empty()) {
                pushed(credentials.as_ref(), &moved);
            }
            Ok(report)
        })
    };
    match carried_out.await {
        Ok(Ok(report)) => answer("application/x-git-receive-pack-result", Body::from(report)),
        Ok(Err(error)) => failed(&error),
        Err(_) => plain(StatusCode::INTERNAL_SERVER_ERROR, "the push broke off"),
    }
}

async fn spool(body: Body, zipped: bool, limit: u64) -> io::Result<std::fs::File> {
    let mut file = tempfile::tempfile()?;
    let mut unpacker = Unpacker::new(zipped, limit);
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = next(&mut chunks).await? {
        file.write_all(&unpacker.feed(&chunk)?)?;
    }
    file.write_all(&unpacker.finish()?)?;
    file.rewind()?;
    Ok(file)
}

/// Runs the push alone, and returns git's report and what moved when all of it is on the disk.
fn carry_out(
    shared: &Shared,
    push: std::fs::File,
    protocol: Option<String>,
) -> Result<(Vec<u8>, Vec<RefUpdate>), GitError> {
    const COMMAND: &str = "receive-pack";
    let path = shared.repository.path();
    let turn = Turn::take(path)?;
    let before = shared.repository.refs("refs")?;
    let mut command = git_in(path, SERVED);
    command
        .args([COMMAND, "--stateless-rpc", "."])
        .current_dir(path);
    if let Some(protocol) = protocol {
        command.env("GIT_PROTOCOL", protocol);
    }
    let answer = crate::command::run_with_file(command, COMMAND, push)?;
    // The report is only worth something once the disk has it.
    sync_packs(path)?;
    let refs = shared.repository.refs("refs")?;
    sync_refs(path, refs.iter().map(|(name, _)| name.as_str()))?;
    drop(turn);
    if let Some(after_push) = &shared.options.after_push {
        after_push();
    }
    // Git fails when it refuses a reference too; the report tells the client which, and why.
    if answer.stdout.is_empty() && !answer.status.success() {
        return Err(answer.into_error(COMMAND));
    }
    Ok((answer.stdout, moved(before, refs)))
}

/// What differs between two lists of references.
fn moved(before: Vec<(String, ObjectId)>, after: Vec<(String, ObjectId)>) -> Vec<RefUpdate> {
    let mut before: BTreeMap<String, ObjectId> = before.into_iter().collect();
    let mut moved = Vec::new();
    for (name, new) in after {
        let old = before.remove(&name);
        if old.as_ref() != Some(&new) {
            moved.push(RefUpdate {
                name,
                new: Some(new),
                expected: Expected::of(old.as_ref()),
            });
        }
    }
    let gone = before.into_iter().map(|(name, old)| RefUpdate {
        name,
        new: None,
        expected: Expected::At(old),
    });
    moved.extend(gone);
    moved
}

/// Undoes the body's gzip, and ends what grows beyond a limit.
struct Unpacker {
    gzip: Option<GzDecoder<Vec<u8>>>,
    left: u64,
}

impl Unpacker {
    fn new(zipped: bool, limit: u64) -> Self {
        Self {
            gzip: zipped.then(|| GzDecoder::new(Vec::new())),
            left: limit,
        }
    }

    fn feed(&mut self, chunk: &[u8]) -> io::Result<Vec<u8>> {
        let Some(gzip) = &mut self.gzip else {
            return self.count(chunk.to_vec());
        };
        let mut unpacked = Vec::new();
        // In pieces, so that a bomb is noticed long before it is unpacked.
        for piece in chunk.chunks(4096) {
            gzip.write_all(piece)?;
            gzip.flush()?;
            unpacked.append(gzip.get_mut());
            if unpacked.len() as u64 > self.left {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
        }
        self.count(unpacked)
    }

    fn finish(&mut self) -> io::Result<Vec<u8>> {
        match self.gzip.take() {
            None => Ok(Vec::new()),
            Some(gzip) => self.count(gzip.finish()?),
        }
    }

    fn count(&mut self, bytes: Vec<u8>) -> io::Result<Vec<u8>> {
        self.left = self
            .left
            .checked_sub(bytes.len() as u64)
            .ok_or(io::ErrorKind::FileTooLarge)?;
        Ok(bytes)
    }
}

fn encoding(headers: &HeaderMap) -> Result<bool, Box<Response>> {
    match headers
        .get(header::CONTENT_ENCODING)
        .map(header::HeaderValue::as_bytes)
    {
        None | Some(b"identity") => Ok(false),
        Some(b"gzip" | b"x-gzip") => Ok(true),
        Some(_) => Err(Box::new(plain(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "only gzip is understood as content encoding",
        ))),
    }
}

fn permit(shared: &Shared) -> Option<OwnedSemaphorePermit> {
    shared.slots.clone().try_acquire_owned().ok()
}

fn busy() -> Response {
    let mut response = plain(
        StatusCode::SERVICE_UNAVAILABLE,
        "too many exchanges at once; try again",
    );
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
    response
}

fn failed(error: &GitError) -> Response {
    tracing::error!(
        error = error as &dyn std::error::Error,
        "git exchange failed"
    );
    plain(
        StatusCode::INTERNAL_SERVER_ERROR,
        "the repository cannot be served; the server's log has the reason",
    )
}
