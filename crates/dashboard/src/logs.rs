//! Logs of a service's pods, merged by time; the newest lines, and those that follow.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures::{AsyncBufRead, AsyncReadExt as _, Stream, StreamExt as _};
use http::Request;
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::html::Html;
use crate::listing::{Facts, contains};
use crate::page::pods;
use crate::query::Query;
use crate::site::Site;

/// Containers whose logs are read at once.
const SOURCES_MAX: usize = 20;
const LINES: usize = 200;
const LINES_MAX: usize = 2_000;
/// A line is cut here; a program that writes megabytes without an end of line does not fill memory.
const LINE_BYTES_MAX: usize = 8 * 1024;
const READ_LIMIT: Duration = Duration::from_secs(10);
const TAIL_BYTES_MAX: usize = 1024 * 1024;
/// Lines sent to one page in a second; the rest are counted and told.
const LINES_PER_SECOND: usize = 200;
/// Lines between the readers and the page; when it is full, readers wait and the cluster keeps the rest.
const QUEUE: usize = 1_000;

/// One container whose log is read.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    site: Arc<Site>,
    namespace: String,
    pod: String,
    container: String,
}

/// One line, with the moment it was written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Line {
    pub(crate) at: String,
    pub(crate) pod: String,
    pub(crate) text: String,
}

/// What to read.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    words: Vec<String>,
    previous: bool,
    lines: usize,
}

impl Wanted {
    pub(crate) fn of(query: &Query) -> Self {
        let lines = query.get("lines").and_then(|lines| lines.parse().ok());
        Self {
            words: query.words(),
            previous: query.get("previous").is_some(),
            lines: lines.unwrap_or(LINES).clamp(1, LINES_MAX),
        }
    }

    fn takes(&self, line: &str) -> bool {
        self.words.iter().all(|word| contains(line, word))
    }
}

/// Returns the containers that a page asks for, and how many were left out.
pub(crate) fn sources(query: &Query, facts: &Facts) -> (Vec<Source>, usize) {
    let asked = ["service", "pod", "namespace", "environment"]
        .iter()
        .any(|key| query.get(key).is_some());
    if !asked {
        return (Vec::new(), 0);
    }
    let fits = |key: &str, value: &str| query.get(key).is_none_or(|wanted| wanted == value);
    let mut sources = Vec::new();
    for item in pods::gather(facts) {
        let pod = &item.pod;
        let own = fits("site", &item.site)
            && fits("namespace", &pod.namespace)
            && fits("pod", &pod.name)
            && fits("service", item.service.as_deref().unwrap_or_default())
            && fits(
                "environment",
                item.environment.as_deref().unwrap_or_default(),
            );
        if !own {
            continue;
        }
        let Some(site) = facts
            .sites
            .iter()
            .find(|site| site.name.as_str() == &*item.site)
        else {
            continue;
        };
        for container in pod
            .containers
            .iter()
            .filter(|container| fits("container", &container.name))
        {
            sources.push(Source {
                site: site.clone(),
                namespace: pod.namespace.clone(),
                pod: pod.name.clone(),
                container: container.name.clone(),
            });
        }
    }
    let more = sources.len().saturating_sub(SOURCES_MAX);
    sources.truncate(SOURCES_MAX);
    (sources, more)
}

fn path(source: &Source, tail: usize, follow: bool, previous: bool) -> String {
    let container: String =
        url::form_urlencoded::byte_serialize(source.container.as_bytes()).collect();
    let limit = if follow {
        String::new()
    } else {
        format!("&limitBytes={TAIL_BYTES_MAX}")
    };
    format!(
        "/api/v1/namespaces/{}/pods/{}/log?container={container}&timestamps=true&tailLines={tail}&follow={follow}&previous={previous}{limit}",
        source.namespace, source.pod
    )
}

/// Reads the newest lines of all sources, oldest first, and what could not be read.
pub(crate) async fn tail(sources: &[Source], wanted: &Wanted) -> (Vec<Line>, Vec<String>) {
    let reads = sources.iter().map(|source| async move {
        let request =
            Request::get(path(source, wanted.lines, false, wanted.previous)).body(Vec::new());
        let request = request.map_err(|error| error.to_string())?;
        let read = tokio::time::timeout(READ_LIMIT, source.site.client.request_text(request)).await;
        let text = read
            .map_err(|_| "no answer in time".to_owned())?
            .map_err(|error| error.to_string())?;
        let lines = text
            .lines()
            .filter_map(|line| parse(&source.pod, line))
            .filter(|line| wanted.takes(&line.text));
        Ok::<Vec<Line>, String>(lines.collect())
    });
    let mut lines = Vec::new();
    let mut problems = Vec::new();
    for (read, source) in futures::future::join_all(reads)
        .await
        .into_iter()
        .zip(sources)
    {
        match read {
            Ok(read) => lines.extend(read),
            Err(why) => problems.push(format!("{} {}: {why}", source.pod, source.container)),
        }
    }
    lines.sort();
    let first = lines.len().saturating_sub(wanted.lines);
    (lines.split_off(first), problems)
}

/// Splits the moment from the text, as the Kubernetes API writes them.
fn parse(pod: &str, line: &str) -> Option<Line> {
    if line.is_empty() {
        return None;
    }
    let (at, text) = line.split_once(' ').unwrap_or((line, ""));
    let is_moment = at.len() >= 20 && at.as_bytes().get(4) == Some(&b'-') && at.contains('T');
    let (at, text) = if is_moment { (at, text) } else { ("", line) };
    let mut end = text.len().min(LINE_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    Some(Line {
        at: at.to_owned(),
        pod: pod.to_owned(),
        text: text[..end].to_owned(),
    })
}

pub(crate) fn write_line(html: &mut Html, line: &Line) {
    let level = level(&line.text);
    html.raw("<li")
        .attribute("class", level)
        .raw("><time>")
        .text(line.at.get(11..19).unwrap_or(&line.at));
    html.raw("</time> <b>")
        .text(&line.pod)
        .raw("</b> <span>")
        .long_text(&line.text, LINE_BYTES_MAX)
        .raw("</span></li>");
}

/// Guesses how bad a line is from its first words.
fn level(text: &str) -> &'static str {
    let start: String = text.chars().take(120).collect::<String>().to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| start.contains(word));
    if has(&["error", "fatal", "panic", "\"level\":\"err"]) {
        "bad"
    } else if has(&["warn"]) {
        "busy"
    } else {
        ""
    }
}

/// Streams new lines of all sources until the reader leaves.
pub(crate) fn follow(
    sources: Vec<Source>,
    wanted: &Wanted,
    permit: OwnedSemaphorePermit,
    shutdown: CancellationToken,
) -> Response {
    let (sender, receiver) = mpsc::channel(QUEUE);
    let mut tasks = JoinSet::new();
    for source in sources {
        tasks.spawn(read(source, wanted.clone(), sender.clone()));
    }
    let stream = batches(receiver, tasks, permit, shutdown);
    Sse::new(stream)
        .keep_alive(
            KeepAlive::new()
                .interval(Duration::from_secs(10))
                .event(Event::default().event("beat").data("1")),
        )
        .into_response()
}

async fn read(source: Source, wanted: Wanted, sender: mpsc::Sender<Line>) {
    let Ok(request) = Request::get(path(&source, 0, true, false)).body(Vec::new()) else {
        return;
    };
    let stream = match source.site.client.request_stream(request).await {
        Ok(stream) => stream,
        Err(error) => {
            let text = format!("the log cannot be followed: {error}");
            // A reader who left does not want to know.
            drop(
                sender
                    .send(Line {
                        at: String::new(),
                        pod: source.pod,
                        text,
                    })
                    .await,
            );
            return;
        }
    };
    let mut stream = std::pin::pin!(stream);
    while let Some(line) = next_line(&mut stream).await {
        if let Some(line) = parse(&source.pod, &line).filter(|line| wanted.takes(&line.text))
            && sender.send(line).await.is_err()
        {
            return;
        }
    }
}

/// Reads one line, cut where it is too long.
async fn next_line(stream: &mut (impl AsyncBufRead + Unpin)) -> Option<String> {
    let mut line = Vec::new();
    let mut chunk = [0_u8; 1];
    loop {
        // Buffered below, so single bytes cost little.
        match stream.read(&mut chunk).await {
            Ok(0) | Err(_) if line.is_empty() => return None,
            Ok(0) | Err(_) => break,
            Ok(_) if chunk[0] == b'\n' => break,
            Ok(_) if line.len() < LINE_BYTES_MAX => line.push(chunk[0]),
            Ok(_) => {}
        }
    }
    Some(String::from_utf8_lossy(&line).into_owned())
}

fn batches(
    receiver: mpsc::Receiver<Line>,
    tasks: JoinSet<()>,
    permit: OwnedSemaphorePermit,
    shutdown: CancellationToken,
) -> impl Stream<Item = Result<Event, Infallible>> {
    let state = (receiver, tasks, permit, shutdown);
    futures::stream::unfold(
        state,
        |(mut receiver, tasks, permit, shutdown)| async move {
            let mut lines = Vec::new();
            tokio::select! {
                count = receiver.recv_many(&mut lines, QUEUE) => if count == 0 {
                    // All logs have ended; the page keeps the stream so that it does not ask again and again.
                    shutdown.cancelled().await;
                    return None;
                },
                () = shutdown.cancelled() => return None,
            }
            let skipped = lines.len().saturating_sub(LINES_PER_SECOND / 4);
            let mut html = Html::new();
            for line in lines.iter().skip(skipped) {
                write_line(&mut html, line);
            }
            let event = Event::default()
                .event("lines")
                .data(json!({"html": html.as_str(), "skipped": skipped}).to_string());
            tokio::time::sleep(Duration::from_millis(250)).await;
            Some((Ok(event), (receiver, tasks, permit, shutdown)))
        },
    )
    .boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_split_from_its_moment() {
        let line = parse("web-1", "2026-01-01T10:20:30.123456789Z hello there").unwrap();
        assert_eq!(
            (line.at.as_str(), line.text.as_str()),
            ("2026-01-01T10:20:30.123456789Z", "hello there")
        );
        assert_eq!(
            parse("web-1", "no moment here").unwrap().text,
            "no moment here"
        );
        assert_eq!(parse("web-1", ""), None);
    }

    #[test]
    fn hostile_and_endless_lines_are_shown_harmlessly() {
        let long = format!(
            "2026-01-01T10:20:30.1Z \u{1b}[31m<script>x</script>{}",
            "ä".repeat(100_000)
        );
        let line = parse("web-1", &long).unwrap();
        let mut html = Html::new();
        write_line(&mut html, &line);
        assert!(html.as_str().len() < 20_000);
        assert!(!html.as_str().contains("<script>") && !html.as_str().contains('\u{1b}'));
    }

    #[tokio::test]
    async fn a_line_without_an_end_is_cut() {
        let mut text = vec![b'x'; 3 * LINE_BYTES_MAX];
        text.extend(b"\nnext\n");
        let mut reader = futures::io::Cursor::new(text);
        assert_eq!(next_line(&mut reader).await.unwrap().len(), LINE_BYTES_MAX);
        assert_eq!(next_line(&mut reader).await.as_deref(), Some("next"));
        assert_eq!(next_line(&mut reader).await, None);
    }
}
