//! Is a history of concurrent calls linearizable?
//!
//! The search of Wing and Gong, one name at a time: there must be one order of all calls, in
//! which each takes effect between its start and its answer, that explains every answer. A
//! call that was cut off by a crash may have happened until then, or not at all.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use std::str::FromStr;

/// What a name holds: the number of the call that wrote it.
pub(crate) type State = Option<u64>;

/// What a write asks of what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    Absent,
    Is(u64),
    Anything,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Read,
    Put(Wanted),
    Delete(Wanted),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Found(State),
    /// Carried out, at this revision.
    Done(u64),
    Exists,
    Missing,
    Changed,
    /// Nobody was told.
    Unknown,
}

/// One line of a history; lines stand in the order in which they happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Note {
    Begin {
        call: u64,
        name: String,
        action: Action,
    },
    End {
        call: u64,
        outcome: Outcome,
    },
}

/// A call of which at least the beginning is known.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) number: u64,
    pub(crate) name: String,
    pub(crate) action: Action,
    pub(crate) outcome: Outcome,
    start: usize,
    end: usize,
}

impl Wanted {
    fn holds(self, state: State) -> bool {
        match self {
            Self::Absent => state.is_none(),
            Self::Is(number) => state == Some(number),
            Self::Anything => true,
        }
    }
}

impl Call {
    /// What the name holds after the call took effect in `state`, if its answer fits.
    fn step(&self, state: State) -> Option<State> {
        let (wanted, after, deletes) = match self.action {
            Action::Read => return (self.outcome == Outcome::Found(state)).then_some(state),
            Action::Put(wanted) => (wanted, Some(self.number), false),
            Action::Delete(wanted) => (wanted, None, true),
        };
        let expected = match (wanted, state) {
            (Wanted::Absent, Some(_)) => Outcome::Exists,
            (Wanted::Is(_), None) => Outcome::Missing,
            (_, None) if deletes => Outcome::Missing,
            _ if !wanted.holds(state) => Outcome::Changed,
            _ => {
                return matches!(self.outcome, Outcome::Done(_) | Outcome::Unknown)
                    .then_some(after);
            }
        };
        (self.outcome == expected).then_some(state)
    }
}

/// Calls out of a history that ends with a crash; what was open then is unknown.
pub(crate) fn calls(notes: &[Note]) -> Vec<Call> {
    let mut calls: Vec<Call> = vec![];
    let mut places: HashMap<u64, usize> = HashMap::new();
    for (at, note) in notes.iter().enumerate() {
        match note {
            Note::Begin { call, name, action } => {
                places.insert(*call, calls.len());
                calls.push(Call {
                    number: *call,
                    name: name.clone(),
                    action: *action,
                    outcome: Outcome::Unknown,
                    start: at,
                    end: notes.len(),
                });
            }
            Note::End { call, outcome } => {
                let call = &mut calls[places[call]];
                call.outcome = *outcome;
                if *outcome != Outcome::Unknown {
                    call.end = at;
                }
            }
        }
    }
    calls
}

/// What a name may hold, with the open calls that have already taken effect.
type Possible = (State, BTreeSet<usize>);

/// Lets open calls take effect, in every order.
fn explore(calls: &[&Call], open: &BTreeSet<usize>, possible: &mut HashSet<Possible>) {
    let mut work: Vec<Possible> = possible.iter().cloned().collect();
    while let Some((state, done)) = work.pop() {
        for index in open.difference(&done) {
            let Some(after) = calls[*index].step(state) else {
                continue;
            };
            let mut done = done.clone();
            done.insert(*index);
            let next = (after, done);
            if possible.insert(next.clone()) {
                work.push(next);
            }
        }
    }
}

/// Looks for an order of the calls on one name that explains them.
///
/// Returns what the name may hold in the end.
fn search(calls: &[&Call], start: State) -> Result<HashSet<State>, String> {
    let mut events: Vec<(usize, bool, usize)> = vec![];
    for (index, call) in calls.iter().enumerate() {
        // A read that was not answered says nothing.
        if call.action == Action::Read && call.outcome == Outcome::Unknown {
            continue;
        }
        events.push((call.start, false, index));
        events.push((call.end, true, index));
    }
    events.sort_unstable();
    let mut open = BTreeSet::new();
    let mut possible: HashSet<Possible> = [(start, BTreeSet::new())].into();
    for (_, ends, index) in events {
        if !ends {
            open.insert(index);
            continue;
        }
        explore(calls, &open, &mut possible);
        open.remove(&index);
        let optional = calls[index].outcome == Outcome::Unknown;
        possible = possible
            .into_iter()
            .filter_map(|(state, mut done)| {
                (done.remove(&index) || optional).then_some((state, done))
            })
            .collect();
        if possible.is_empty() {
            return Err(format!("no order of the calls explains {:?}", calls[index]));
        }
    }
    Ok(possible.into_iter().map(|(state, _)| state).collect())
}

/// Checks a history that ended with a crash, and what was found after it.
pub(crate) fn check(
    notes: &[Note],
    before: &BTreeMap<String, u64>,
    after: &BTreeMap<String, u64>,
) -> Result<(), String> {
    let calls = calls(notes);
    let names = calls.iter().map(|call| &call.name);
    let names: BTreeSet<&String> = names.chain(before.keys()).chain(after.keys()).collect();
    for name in names {
        let own: Vec<&Call> = calls.iter().filter(|call| call.name == *name).collect();
        let ends = search(&own, before.get(name).copied())?;
        let found = after.get(name).copied();
        if !ends.contains(&found) {
            return Err(format!(
                "`{name}` holds {found:?} instead of one of {ends:?}"
            ));
        }
    }
    revisions(&calls)
}

/// Revisions are given once, and rise with time: a call that began after another was answered
/// has the higher one.
fn revisions(calls: &[Call]) -> Result<(), String> {
    let mut done: Vec<(&Call, u64)> = calls
        .iter()
        .filter_map(|call| match call.outcome {
            Outcome::Done(revision) => Some((call, revision)),
            _ => None,
        })
        .collect();
    done.sort_by_key(|(_, revision)| *revision);
    let mut latest_start = 0;
    let mut last = None;
    for (call, revision) in done {
        if last == Some(revision) {
            return Err(format!("revision {revision} was given twice"));
        }
        if call.end < latest_start {
            return Err(format!("{call:?} was answered before an earlier one began"));
        }
        latest_start = latest_start.max(call.start);
        last = Some(revision);
    }
    Ok(())
}

impl fmt::Display for Wanted {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => formatter.write_str("absent"),
            Self::Is(number) => write!(formatter, "{number}"),
            Self::Anything => formatter.write_str("anything"),
        }
    }
}

impl FromStr for Wanted {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "absent" => Ok(Self::Absent),
            "anything" => Ok(Self::Anything),
            number => number.parse().map(Self::Is).map_err(drop),
        }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Begin { call, name, action } => match action {
                Action::Read => write!(formatter, "begin {call} {name} read"),
                Action::Put(wanted) => write!(formatter, "begin {call} {name} put {wanted}"),
                Action::Delete(wanted) => write!(formatter, "begin {call} {name} delete {wanted}"),
            },
            Self::End { call, outcome } => match outcome {
                Outcome::Found(None) => write!(formatter, "end {call} nothing"),
                Outcome::Found(Some(found)) => write!(formatter, "end {call} found {found}"),
                Outcome::Done(revision) => write!(formatter, "end {call} done {revision}"),
                Outcome::Exists => write!(formatter, "end {call} exists"),
                Outcome::Missing => write!(formatter, "end {call} missing"),
                Outcome::Changed => write!(formatter, "end {call} changed"),
                Outcome::Unknown => write!(formatter, "end {call} unknown"),
            },
        }
    }
}

impl FromStr for Note {
    type Err = ();

    fn from_str(line: &str) -> Result<Self, ()> {
        let words: Vec<&str> = line.split(' ').collect();
        let number = |text: &str| text.parse::<u64>().map_err(drop);
        match words[..] {
            ["begin", call, name, ref action @ ..] => Ok(Self::Begin {
                call: number(call)?,
                name: name.to_owned(),
                action: match *action {
                    ["read"] => Action::Read,
                    ["put", wanted] => Action::Put(wanted.parse()?),
                    ["delete", wanted] => Action::Delete(wanted.parse()?),
                    _ => return Err(()),
                },
            }),
            ["end", call, ref outcome @ ..] => Ok(Self::End {
                call: number(call)?,
                outcome: match *outcome {
                    ["nothing"] => Outcome::Found(None),
                    ["found", found] => Outcome::Found(Some(number(found)?)),
                    ["done", revision] => Outcome::Done(number(revision)?),
                    ["exists"] => Outcome::Exists,
                    ["missing"] => Outcome::Missing,
                    ["changed"] => Outcome::Changed,
                    ["unknown"] => Outcome::Unknown,
                    _ => return Err(()),
                },
            }),
            _ => Err(()),
        }
    }
}

/// A history in its written form, what is there before and after, and whether that can be.
#[track_caller]
fn judge(history: &str, after: Option<u64>, fine: bool) {
    let notes: Vec<Note> = history
        .split(", ")
        .map(|line| line.parse().expect("a note"))
        .collect();
    let written: Vec<String> = notes.iter().map(Note::to_string).collect();
    assert_eq!(written.join(", "), history);
    let after = after.map(|number| ("a".to_owned(), number));
    let judged = check(&notes, &BTreeMap::new(), &after.into_iter().collect());
    assert_eq!(judged.is_ok(), fine, "{judged:?}");
}

#[test]
fn the_checker_accepts_what_one_order_explains() {
    judge("begin 1 a put absent, end 1 done 5", Some(1), true);
    judge(
        "begin 1 a put absent, begin 2 a put absent, end 2 exists, end 1 done 5",
        Some(1),
        true,
    );
    judge(
        "begin 1 a put absent, begin 2 a read, end 2 nothing, begin 3 a read, end 3 found 1, \
         end 1 done 5",
        Some(1),
        true,
    );
    // Cut off: it happened, or it did not.
    judge("begin 1 a put absent", Some(1), true);
    judge("begin 1 a put absent", None, true);
}

#[test]
fn the_checker_finds_lost_and_doubled_writes_and_stale_reads() {
    judge("begin 1 a put absent, end 1 done 5", None, false);
    judge(
        "begin 1 a put absent, end 1 done 5, begin 2 a read, end 2 nothing",
        Some(1),
        false,
    );
    judge(
        "begin 1 a put absent, begin 2 a put absent, end 1 done 5, end 2 done 6",
        Some(2),
        false,
    );
    judge(
        "begin 1 a put absent, end 1 done 5, begin 2 a put 1, begin 3 a put 1, end 2 done 6, \
         end 3 done 7",
        Some(3),
        false,
    );
    judge(
        "begin 1 a put anything, begin 2 a read, end 2 found 1, begin 3 a read, end 3 nothing",
        None,
        false,
    );
    // Revisions that fall while time passes.
    judge(
        "begin 1 a put anything, end 1 done 6, begin 2 a put anything, end 2 done 5",
        Some(2),
        false,
    );
}
