//! One program and its client, until either is gone.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use foreshore_model::chain;
use foreshore_sys::Terminal;
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::ChildStdin;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};

use crate::container::{self, Ends, Streams};
use crate::kubelet::channels::{self, STDERR, STDOUT, Said};

/// Largest message taken from a client; kubectl sends 32 KiB at once.
const MESSAGE_BYTES_MAX: usize = 1024 * 1024;
/// Output taken at once.
const CHUNK: usize = 32 * 1024;
/// Messages waiting for a slow client; the program then waits too.
const QUEUE: usize = 4;
/// How long output is waited for after the end, if somebody keeps a pipe open.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// How long the last messages may take, to a client that still listens.
const FAREWELL: Duration = Duration::from_secs(10);
/// What kubelet allows a session of exec to last without a word.
const IDLE: Duration = Duration::from_hours(4);

type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// What somebody wants to run.
#[derive(Debug)]
pub(super) struct Wish {
    pub program: Vec<String>,
    pub streams: Streams,
    pub input: bool,
    pub output: bool,
    pub error: bool,
}

pub(super) async fn run(upgrade: OnUpgrade, shim: &Path, folder: &Path, wish: Wish) {
    let upgraded = match upgrade.await {
        Ok(upgraded) => upgraded,
        Err(error) => {
            tracing::debug!(%error, "a client of exec went before it began");
            return;
        }
    };
    let config = WebSocketConfig::default()
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX));
    let socket =
        WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(config)).await;
    let (sink, mut stream) = socket.split();
    let (messages, queue) = mpsc::channel(QUEUE);
    let sending = tokio::spawn(send_all(sink, queue));
    // An empty message tells the client that it is connected.
    let greeting = channels::output(STDOUT, &[]);
    let last = if messages.send(greeting).await.is_ok() {
        attend(&mut stream, shim, folder, wish, &messages).await
    } else {
        None
    };
    if let Some(last) = last
        && tokio::time::timeout(FAREWELL, messages.send(last))
            .await
            .is_err()
    {
        tracing::debug!("a client of exec did not take the last message");
    }
    drop(messages);
    let abort = sending.abort_handle();
    // Until the client has closed too, or what it sends meanwhile would make
    // the kernel throw away what it has not read yet.
    let farewell = async {
        let sent = sending.await;
        while let Some(Ok(_)) = stream.next().await {}
        sent
    };
    if tokio::time::timeout(FAREWELL, farewell).await.is_err() {
        abort.abort();
    }
}

async fn send_all(mut sink: SplitSink<Socket, Message>, mut queue: mpsc::Receiver<Vec<u8>>) {
    while let Some(message) = queue.recv().await {
        if sink
            .send(Message::Binary(Bytes::from(message)))
            .await
            .is_err()
        {
            return;
        }
    }
    // Without the code a client takes the end for a broken connection.
    let end = CloseFrame {
        code: CloseCode::Normal,
        reason: "".into(),
    };
    if let Err(error) = sink.send(Message::Close(Some(end))).await {
        tracing::debug!(%error, "a client of exec went without a word");
    }
}

/// Runs the program; answers the last message unless the client has gone.
async fn attend(
    stream: &mut SplitStream<Socket>,
    shim: &Path,
    folder: &Path,
    wish: Wish,
    messages: &mpsc::Sender<Vec<u8>>,
) -> Option<Vec<u8>> {
    let executing = match container::begin(shim, folder, &wish.program, wish.streams) {
        Ok(executing) => executing,
        Err(error) => return Some(channels::failed(&chain(&error))),
    };
    let mut child = executing.child;
    let mut pumps = JoinSet::new();
    let input = match executing.ends {
        Ends::Pipes {
            stdin,
            stdout,
            stderr,
        } => {
            let wanted = |is_wanted: bool| is_wanted.then(|| messages.clone());
            pumps.spawn(pump(stdout, STDOUT, wanted(wish.output)));
            pumps.spawn(pump(stderr, STDERR, wanted(wish.error)));
            Input::Pipe(stdin.filter(|_| wish.input))
        }
        Ends::Terminal(terminal) => {
            pumps.spawn(pump_terminal(Arc::clone(&terminal), messages.clone()));
            Input::Terminal(terminal)
        }
    };
    let status = tokio::select! {
        status = child.wait() => status,
        () = listen(stream, input) => {
            // The program goes with whoever wanted it.
            if let Err(error) = child.kill().await {
                tracing::debug!(%error, "a program of exec cannot be killed");
            }
            return None;
        }
    };
    let drained = async { while pumps.join_next().await.is_some() {} };
    if tokio::time::timeout(LAST_WORDS, drained).await.is_err() {
        pumps.abort_all();
    }
    Some(match status {
        Ok(status) => channels::ended(status.code().unwrap_or(137)),
        Err(error) => channels::failed(&format!("the program's end is not known: {error}")),
    })
}

/// Where what the client types goes.
enum Input {
    Pipe(Option<ChildStdin>),
    Terminal(Arc<Terminal>),
}

/// Listens until the client is gone.
async fn listen(stream: &mut SplitStream<Socket>, mut input: Input) {
    while let Ok(Some(Ok(message))) = tokio::time::timeout(IDLE, stream.next()).await {
        let bytes = match message {
            Message::Binary(bytes) => bytes,
            Message::Close(_) => return,
            _ => continue,
        };
        let outcome = match channels::read(&bytes) {
            Said::Input(bytes) => input.take(bytes).await,
            Said::EndOfInput => {
                input.end();
                Ok(())
            }
            Said::Size { columns, rows } => input.resize(columns, rows),
            Said::Nothing => Ok(()),
        };
        if let Err(error) = outcome {
            // The program has closed its input; it may have more to say.
            tracing::debug!(%error, "a program of exec takes no input");
            input.end();
        }
    }
}

impl Input {
    async fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Pipe(Some(stdin)) => {
                stdin.write_all(bytes).await?;
                stdin.flush().await
            }
            Self::Pipe(None) => Ok(()),
            Self::Terminal(terminal) => terminal.write_all(bytes).await,
        }
    }

    fn end(&mut self) {
        if let Self::Pipe(stdin) = self {
            *stdin = None;
        }
    }

    fn resize(&self, columns: u16, rows: u16) -> io::Result<()> {
        match self {
            Self::Pipe(_) => Ok(()),
            Self::Terminal(terminal) => terminal.resize(columns, rows),
        }
    }
}

/// Moves output to the client, or nowhere if it is not wanted.
async fn pump(
    mut from: impl tokio::io::AsyncRead + Unpin,
    channel: u8,
    to: Option<mpsc::Sender<Vec<u8>>>,
) {
    let mut chunk = vec![0; CHUNK];
    // An output that cannot be read has nothing more to say either.
    while let Ok(length @ 1..) = from.read(&mut chunk).await {
        if let Some(to) = &to
            && to
                .send(channels::output(channel, &chunk[..length]))
                .await
                .is_err()
        {
            return;
        }
    }
}

async fn pump_terminal(from: Arc<Terminal>, to: mpsc::Sender<Vec<u8>>) {
    let mut chunk = vec![0; CHUNK];
    while let Ok(length @ 1..) = from.read(&mut chunk).await {
        let message = channels::output(STDOUT, &chunk[..length]);
        if to.send(message).await.is_err() {
            return;
        }
    }
}
