//! Mapper threads.
//!
//! Owns the threads, and the order: parcels come out in the order in which their batches went in. Must not know what a
//! parcel is for.
//!
//! Batches are dealt in turn and no more than two for each thread are under way, so that no queue here can grow. One channel
//! message each way for a batch of some hundred records is all that the threads cost.

use std::collections::BTreeMap;
use std::sync::{Arc, mpsc as blocking};
use std::thread;

use ingest::Batch;
use mapper::Mapping;
use model::fault::{Fault, FaultKind};
use tokio::sync::mpsc;

use crate::mapping::{DecodeOptions, Decoder, Parcel};

/// Batches that are being mapped.
pub(crate) struct Workers {
    threads: Threads,
    /// What is done before its turn.
    early: BTreeMap<u64, Parcel>,
    submitted: u64,
    handed_out: u64,
}

enum Threads {
    /// Batches are mapped where they are submitted. For tests that a seed is to repeat.
    None(Box<Decoder>),
    Some {
        inputs: Vec<blocking::SyncSender<(u64, Batch)>>,
        finished: mpsc::Receiver<Option<(u64, Parcel)>>,
    },
}

/// Says so when a thread ends before its time.
struct Alarm(mpsc::Sender<Option<(u64, Parcel)>>);

impl Drop for Alarm {
    fn drop(&mut self) {
        if thread::panicking() {
            // There is room: the batch that is lost has left its place.
            let _ = self.0.try_send(None);
        }
    }
}

impl Workers {
    /// Starts the threads; they end when this is dropped. With 0, batches are mapped where they are submitted.
    ///
    /// # Errors
    ///
    /// When the system gives no thread.
    pub(crate) fn start(
        mapping: &Arc<Mapping>,
        options: DecodeOptions,
        threads: usize,
    ) -> Result<Self, Fault> {
        let (sender, finished) = mpsc::channel((2 * threads).max(1));
        let start = |number: usize| {
            let (input, batches) = blocking::sync_channel::<(u64, Batch)>(2);
            let mut decoder = Decoder::new(mapping, options);
            let alarm = Alarm(sender.clone());
            let work = move || {
                for (turn, batch) in batches {
                    let parcel = decoder.decode(batch);
                    if alarm.0.blocking_send(Some((turn, parcel))).is_err() {
                        return;
                    }
                }
            };
            let spawned = thread::Builder::new().name(format!("mapper-{number}")).spawn(work);
            spawned.map(|_| input).map_err(|error| {
                let cause = format!("no thread can be started for the mapper: {error}");
                Fault::new(FaultKind::Unusable, cause, "allow the process more threads or memory")
            })
        };
        let threads = match threads {
            0 => Threads::None(Box::new(Decoder::new(mapping, options))),
            _ => Threads::Some { inputs: (0..threads).map(start).collect::<Result<_, _>>()?, finished },
        };
        Ok(Self { threads, early: BTreeMap::new(), submitted: 0, handed_out: 0 })
    }

    /// Whether [`Workers::submit`] may be called.
    pub(crate) fn has_room(&self) -> bool {
        let most = match &self.threads {
            Threads::None(_) => 1,
            Threads::Some { inputs, .. } => 2 * inputs.len() as u64,
        };
        self.submitted - self.handed_out < most
    }

    /// Whether nothing is under way.
    pub(crate) fn is_empty(&self) -> bool {
        self.submitted == self.handed_out
    }

    /// Gives a batch to the next thread. There must be room.
    ///
    /// # Errors
    ///
    /// When the thread is gone.
    pub(crate) fn submit(&mut self, batch: Batch) -> Result<(), Fault> {
        let turn = self.submitted;
        match &mut self.threads {
            Threads::None(decoder) => {
                self.early.insert(turn, decoder.decode(batch));
            }
            Threads::Some { inputs, .. } => {
                let input = inputs.get(turn as usize % inputs.len().max(1));
                let sent = input.is_some_and(|input| input.try_send((turn, batch)).is_ok());
                if !sent {
                    return Err(gone());
                }
            }
        }
        self.submitted += 1;
        Ok(())
    }

    /// Waits for the next parcel, in the order of the batches. Dropping the future loses nothing.
    ///
    /// # Errors
    ///
    /// When a thread is gone.
    pub(crate) async fn next(&mut self) -> Result<Parcel, Fault> {
        loop {
            if let Some(parcel) = self.early.remove(&self.handed_out) {
                self.handed_out += 1;
                return Ok(parcel);
            }
            match &mut self.threads {
                Threads::None(_) => std::future::pending::<()>().await,
                Threads::Some { finished, .. } => {
                    let (turn, parcel) = finished.recv().await.flatten().ok_or_else(gone)?;
                    self.early.insert(turn, parcel);
                }
            }
        }
    }
}

fn gone() -> Fault {
    Fault::new(
        FaultKind::Unusable,
        "a mapper thread ended, which is a fault of the program",
        "start again and report it",
    )
}
