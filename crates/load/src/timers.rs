//! Moments at which something is due, earliest first.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Due {
    /// A pause is over.
    Wake { user: u32, generation: u32 },
    /// An answer may be too late.
    Deadline { user: u32 },
}

/// Nanoseconds from the start, and what is due then.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    heap: BinaryHeap<Reverse<(u64, Due)>>,
}

impl Timers {
    pub(crate) fn set(&mut self, at: u64, due: Due) {
        self.heap.push(Reverse((at, due)));
    }

    pub(crate) fn next(&self) -> Option<u64> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    /// Takes what is due by now.
    pub(crate) fn take(&mut self, now: u64) -> Option<(u64, Due)> {
        if self.next()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse(entry)| entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_comes_in_order_and_nothing_early() {
        let mut timers = Timers::default();
        for at in [30, 10, 20] {
            timers.set(at, Due::Deadline { user: 1 });
        }
        let mut taken = Vec::new();
        while let Some((at, _)) = timers.take(20) {
            taken.push(at);
        }
        assert_eq!(taken, [10, 20]);
        assert_eq!(timers.next(), Some(30));
    }
}
