//! The thread that lives inside the namespace and makes sockets there.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use rustix::io::Errno;
use rustix::thread::{LinkNameSpaceType, Pid, UnshareFlags};

use super::{GroundError, routes};

/// Requests waiting for the thread before callers wait too.
const QUEUE: usize = 64;

type Job = Box<dyn FnOnce() + Send>;

/// A handle on the thread; dropping it ends the thread.
#[derive(Debug)]
pub(super) struct Inside {
    jobs: SyncSender<Job>,
    thread: Pid,
}

impl Inside {
    /// Starts the thread in a new namespace that is ready for use.
    pub(super) fn create() -> Result<(Self, OwnedFd), GroundError> {
        Self::start(|| {
            // SAFETY: only the network namespace changes, for this thread
            // alone; descriptor tables and memory stay shared.
            unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }.map_err(|errno| {
                match errno {
                    Errno::PERM => GroundError::NotPermitted(errno.into()),
                    other => GroundError::Prepare {
                        action: "start",
                        source: other.into(),
                    },
                }
            })?;
            routes::prepare()?;
            std::fs::File::open("/proc/thread-self/ns/net")
                .map(OwnedFd::from)
                .map_err(|source| GroundError::Prepare {
                    action: "open `/proc/thread-self/ns/net`",
                    source,
                })
        })
    }

    /// Starts the thread in the namespace `namespace` refers to.
    pub(super) fn enter(namespace: BorrowedFd<'_>) -> Result<Self, GroundError> {
        let namespace = namespace
            .try_clone_to_owned()
            .map_err(GroundError::Thread)?;
        let (inside, ()) = Self::start(move || {
            rustix::thread::move_into_link_name_space(
                rustix::fd::AsFd::as_fd(&namespace),
                Some(LinkNameSpaceType::Network),
            )
            .map_err(|errno| match errno {
                Errno::PERM => GroundError::NotPermitted(errno.into()),
                other => GroundError::Prepare {
                    action: "continue",
                    source: other.into(),
                },
            })
        })?;
        Ok(inside)
    }

    /// The thread's id, by which `/proc` names its namespace.
    pub(super) fn thread_id(&self) -> Pid {
        self.thread
    }

    /// Runs `work` on the thread and waits for its result.
    pub(super) fn run<T, F>(&self, work: F) -> io::Result<T>
    where
        T: Send + 'static,
        F: FnOnce() -> io::Result<T> + Send + 'static,
    {
        let (answer, result) = sync_channel(1);
        let gone = || io::Error::other("the ground's thread is gone");
        self.jobs
            .send(Box::new(move || {
                // The caller waits for the answer; if it is gone, so is the need.
                let _unheard = answer.send(work());
            }))
            .map_err(|_| gone())?;
        result.recv().map_err(|_| gone())?
    }

    fn start<T, F>(arrive: F) -> Result<(Self, T), GroundError>
    where
        T: Send + 'static,
        F: FnOnce() -> Result<T, GroundError> + Send + 'static,
    {
        let (jobs, queue) = sync_channel::<Job>(QUEUE);
        let (answer, arrived) = sync_channel(1);
        thread::Builder::new()
            .name("ground".to_owned())
            .stack_size(256 * 1024)
            .spawn(move || {
                let outcome = arrive().map(|value| (rustix::thread::gettid(), value));
                let stays = outcome.is_ok();
                if answer.send(outcome).is_ok() && stays {
                    serve(&queue);
                }
            })
            .map_err(GroundError::Thread)?;
        let (thread, value) = arrived
            .recv()
            .map_err(|_| GroundError::Thread(io::Error::other("it ended before it started")))??;
        Ok((Self { jobs, thread }, value))
    }
}

fn serve(queue: &Receiver<Job>) {
    while let Ok(job) = queue.recv() {
        job();
    }
}
