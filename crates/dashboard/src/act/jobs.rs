//! What was confirmed and how far it has come; people watch it on its own page.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

use crate::board::Board;
use crate::cell::{self, Tone};
use crate::html::Html;
use crate::view::Part;

/// Jobs that are remembered; the audit trail remembers all.
const JOBS_MAX: usize = 200;
const LINES_MAX: usize = 300;

/// One step that was done or waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) at: Timestamp,
    pub(crate) tone: Tone,
    pub(crate) text: String,
}

#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) title: String,
    pub(crate) actor: String,
    pub(crate) lines: Vec<Line>,
    pub(crate) ended: Option<Tone>,
    pub(crate) undo: Option<(String, &'static str)>,
    /// Where to go on.
    pub(crate) back: String,
}

/// All jobs of this run of the server.
#[derive(Debug)]
pub(crate) struct Jobs {
    board: Arc<Board>,
    jobs: Mutex<(BTreeMap<String, Job>, VecDeque<String>)>,
}

impl Jobs {
    pub(crate) fn new(board: Arc<Board>) -> Self {
        Self {
            board,
            jobs: Mutex::default(),
        }
    }

    pub(crate) fn begin(&self, id: &str, job: Job) {
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        let (all, order) = &mut *jobs;
        all.insert(id.to_owned(), job);
        order.push_back(id.to_owned());
        while order.len() > JOBS_MAX {
            if let Some(oldest) = order.pop_front() {
                all.remove(&oldest);
            }
        }
    }

    /// Adds a line, unless it says the same as the one before.
    pub(crate) fn say(&self, id: &str, line: Line) {
        self.change(id, |job| {
            let repeated = job.lines.last().is_some_and(|last| last.text == line.text);
            if !repeated && job.lines.len() < LINES_MAX {
                job.lines.push(line);
            }
        });
    }

    pub(crate) fn end(&self, id: &str, line: Line) {
        self.change(id, |job| {
            job.ended = Some(line.tone);
            job.lines.push(line);
        });
    }

    /// Names what undoes the job once it has ended well.
    pub(crate) fn offer_undo(&self, id: &str, undo: Option<(String, &'static str)>) {
        self.change(id, |job| job.undo = undo);
    }

    fn change(&self, id: &str, change: impl FnOnce(&mut Job)) {
        if let Some(job) = self
            .jobs
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .0
            .get_mut(id)
        {
            change(job);
        }
        self.board.wake();
    }

    pub(crate) fn get(&self, id: &str) -> Option<Job> {
        self.jobs
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .0
            .get(id)
            .cloned()
    }
}

/// The page of one job.
pub(crate) fn parts(job: &Job, may_act: bool) -> Vec<Part> {
    let mut html = Html::new();
    html.raw("<p class=verdict>");
    match job.ended {
        None => cell::status(&mut html, Tone::Busy, "On its way", ""),
        Some(Tone::Good) => cell::status(&mut html, Tone::Good, "Done", ""),
        Some(Tone::Busy) => cell::status(&mut html, Tone::Busy, "Done, the work goes on", ""),
        Some(_) => cell::status(&mut html, Tone::Bad, "Failed", ""),
    }
    html.raw(" <span class=quiet>by ")
        .text(&job.actor)
        .raw("</span></p><ol class=steps>");
    for line in &job.lines {
        html.raw("<li><time class=quiet")
            .attribute("datetime", &line.at.to_string())
            .raw(">");
        html.text(&line.at.strftime("%H:%M:%S").to_string())
            .raw("</time> ");
        cell::status(&mut html, line.tone, &line.text, "");
        html.raw("</li>");
    }
    html.raw("</ol><p class=actions>");
    if let (Some(_), Some((to, words)), true) = (job.ended, &job.undo, may_act) {
        html.raw("<a class=button data-ask")
            .attribute("href", to)
            .raw(">")
            .text(words)
            .raw("</a> ");
    }
    html.link(&job.back, "Back").raw("</p>");
    vec![Part::Live("job", html)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_step_is_told_once_and_jobs_are_bounded() {
        let jobs = Jobs::new(Arc::new(Board::new(None)));
        let job = || Job {
            title: "x".into(),
            actor: "ada".into(),
            lines: vec![],
            ended: None,
            undo: None,
            back: "/".into(),
        };
        for number in 0..=JOBS_MAX {
            jobs.begin(&number.to_string(), job());
        }
        assert!(jobs.get("0").is_none());
        let line = Line {
            at: Timestamp::UNIX_EPOCH,
            tone: Tone::Busy,
            text: "1 of 2 ready".into(),
        };
        jobs.say("1", line.clone());
        jobs.say("1", line);
        assert_eq!(jobs.get("1").unwrap().lines.len(), 1);
    }
}
