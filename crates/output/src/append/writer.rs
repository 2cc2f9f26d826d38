//! A thread that owns an [`Appender`], so that no task waits for a disk.
//!
//! Owns the order of writes, which is the order of the calls, and the clock of rotation and syncing. A call that is given up
//! by its caller is done all the same. The queue has no bound of its own: everybody waits for an answer before asking again.

use std::sync::Mutex;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use model::fault::{Fault, FaultKind};
use tokio::sync::oneshot;

use super::Appender;

/// How soon something that is due by time alone is tried again when it failed.
const TRY_AGAIN: Duration = Duration::from_secs(1);

enum Command {
    Append(Vec<Bytes>, oneshot::Sender<Result<(), Fault>>),
    Close(oneshot::Sender<Result<(), Fault>>),
}

/// The way to the thread.
#[derive(Debug)]
pub(crate) struct Writer {
    commands: Mutex<Option<mpsc::Sender<Command>>>,
}

impl Writer {
    /// Gives the file to a thread.
    pub(crate) fn start(appender: Appender) -> Result<Self, Fault> {
        let (commands, queue) = mpsc::channel();
        let started = thread::Builder::new().name("append".into()).spawn(move || work(appender, &queue));
        started.map_err(|error| Fault::new(FaultKind::Storage, format!("no thread: {error}"), ""))?;
        Ok(Self { commands: Mutex::new(Some(commands)) })
    }

    /// Appends chunks of whole lines, all or nothing.
    pub(crate) async fn append(&self, chunks: Vec<Bytes>) -> Result<(), Fault> {
        let (done, answer) = oneshot::channel();
        let commands = self.commands.lock().map(|commands| commands.clone()).unwrap_or_default();
        let sent = commands.is_some_and(|commands| commands.send(Command::Append(chunks, done)).is_ok());
        if !sent {
            return Err(ended());
        }
        answer.await.unwrap_or_else(|_| Err(ended()))
    }

    /// Makes everything durable and lets go of the file; a second call has nothing left to do.
    pub(crate) async fn close(&self) -> Result<(), Fault> {
        let (done, answer) = oneshot::channel();
        let commands = self.commands.lock().map(|mut commands| commands.take()).unwrap_or_default();
        match commands {
            None => Ok(()),
            Some(commands) if commands.send(Command::Close(done)).is_ok() => {
                answer.await.unwrap_or_else(|_| Err(ended()))
            }
            Some(_) => Err(ended()),
        }
    }
}

fn ended() -> Fault {
    Fault::new(FaultKind::Unusable, "the file has been closed", "start again")
}

fn work(mut appender: Appender, queue: &mpsc::Receiver<Command>) {
    loop {
        let wait = match appender.tick() {
            Ok(wait) => wait,
            Err(fault) => {
                tracing::warn!(%fault, "not yet synced or rotated");
                Some(TRY_AGAIN)
            }
        };
        let command = match wait {
            None => queue.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(wait) => queue.recv_timeout(wait),
        };
        match command {
            Ok(Command::Append(chunks, done)) => drop(done.send(appender.append(&chunks))),
            Ok(Command::Close(done)) => {
                let synced = appender.sync();
                // The lock is gone before anybody hears of it.
                drop(appender);
                drop(done.send(synced));
                return;
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                if let Err(fault) = appender.sync() {
                    tracing::warn!(%fault, "not synced at the end");
                }
                return;
            }
        }
    }
}
