//! One reader, many mappers, one writer; the order of the output is the order of the input.
//!
//! Owns the threads and the channels between them. Blocks are dealt to the mappers in turn and their
//! batches collected in the same turn, so order needs no sorting and no numbers. Every channel is
//! bounded, blocks and batches are sent back to be filled again: memory is bounded, and in steady state
//! nothing is allocated.
//!
//! It cannot lock up: whatever the writer waits for belongs to the oldest block under way, and nothing that
//! block needs waits for a later one.
//!
//! The subtle thing is stopping while the reader waits for input that may never come, on a terminal or an
//! idle pipe. The reader marks when it is inside a read, and throws away what a read returns once it was
//! asked to stop; so when it is marked and every block it dealt is collected, the run is over.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::anyhow;
use ingest::file::{Block, ReadError, Records};
use mapper::Mapping;

use super::output::Output;
use super::worker::{Batch, Worker};
use crate::failure::Failure;
use crate::stop::Stop;

/// How often a waiting writer looks up.
const PATIENCE: Duration = Duration::from_millis(50);

/// How a run ended.
#[derive(Debug)]
pub(super) enum Closing {
    /// Everything was read.
    Complete,
    /// A signal ended it; what was read before is written.
    Interrupted,
    /// An input could not be read to its end; what was read before is written.
    Broken(anyhow::Error),
}

/// How large blocks and batches are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    /// Bytes of input in a block.
    pub(super) block: usize,
    /// Bytes of output from which on a batch is handed over.
    pub(super) batch: usize,
}

impl Sizes {
    /// What blocks and batches together may take, at twice the input's size in output.
    const BUDGET: usize = 8 << 20;

    /// Sizes such that all blocks and batches of `threads` mappers keep to the budget.
    pub(super) fn for_threads(threads: usize) -> Self {
        // Two blocks and two batches for each mapper, two blocks and a batch for the reader and the writer.
        let block = (Self::BUDGET / (6 * threads + 4)).clamp(32 << 10, 256 << 10);
        Self { block, batch: 3 * block }
    }
}

/// What reader and writer know of each other.
#[derive(Debug, Default)]
struct Shared {
    /// The reader is inside a read.
    reading: AtomicBool,
    /// How many blocks it dealt.
    dealt: AtomicU64,
}

/// One mapper's ends of its channels, as the writer sees them.
struct Lane {
    finished: Receiver<Batch>,
    spare: SyncSender<Batch>,
}

/// Runs until the records end, a signal comes or something breaks.
pub(super) fn run(
    records: Records,
    mapping: &Arc<Mapping>,
    threads: usize,
    sizes: Sizes,
    stop: &Stop,
    output: &mut Output,
) -> Result<Closing, Failure> {
    let inputs: Arc<[String]> = (0..records.inputs().len()).map(|input| records.name(input)).collect();
    let blocks = 2 * threads + 2;
    let (spare_blocks, returned) = sync_channel(blocks);
    for _ in 0..blocks {
        spare_blocks.send(Block::new()).map_err(Failure::failed)?;
    }
    let (mut deals, mut lanes) = (Vec::new(), Vec::new());
    for _ in 0..threads {
        let (deal, dealt) = sync_channel(1);
        let (finish, finished) = sync_channel(1);
        let (spare, spares) = sync_channel(4);
        let worker = Worker::new(mapping, Arc::clone(&inputs), sizes.batch);
        let spare_blocks = spare_blocks.clone();
        spawn("mapper", move || work(worker, &dealt, &spare_blocks, &finish, &spares))?;
        deals.push(deal);
        lanes.push(Lane { finished, spare });
    }
    drop(spare_blocks);
    let shared = Arc::new(Shared::default());
    let reader = {
        let (stop, shared) = (stop.clone(), Arc::clone(&shared));
        spawn("reader", move || read(records, &deals, &returned, &stop, &shared))?
    };
    let collected = collect(&lanes, sizes, stop, &shared, output);
    // What is left of the threads must not start anything new.
    let interrupted = stop.is_set();
    stop.set();
    let collected = collected?;
    if shared.reading.load(Ordering::SeqCst) {
        return Ok(Closing::Interrupted);
    }
    // Without a collector nobody can go on, so the reader's end is near.
    drop(lanes);
    let broken = reader.join().map_err(|_| internal())?;
    if collected != shared.dealt.load(Ordering::SeqCst) {
        return Err(internal());
    }
    Ok(match broken {
        Some(broken) => Closing::Broken(broken),
        None if interrupted => Closing::Interrupted,
        None => Closing::Complete,
    })
}

fn spawn<T: Send + 'static>(
    name: &str,
    run: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, Failure> {
    thread::Builder::new().name(name.to_owned()).spawn(run).map_err(Failure::failed)
}

/// A thread ended that should not have.
fn internal() -> Failure {
    Failure::Failed(anyhow!(
        "a thread of this program died; what is written is incomplete. This is a fault: please report it"
    ))
}

/// The reader: fills blocks and deals them to the mappers in turn.
fn read(
    mut records: Records,
    deals: &[SyncSender<Block>],
    returned: &Receiver<Block>,
    stop: &Stop,
    shared: &Shared,
) -> Option<anyhow::Error> {
    for deal in deals.iter().cycle() {
        let mut block = returned.recv().ok()?;
        shared.reading.store(true, Ordering::SeqCst);
        let read = if stop.is_set() { Ok(false) } else { records.next_block(&mut block) };
        shared.reading.store(false, Ordering::SeqCst);
        if stop.is_set() {
            return None;
        }
        match read {
            Ok(true) => {
                shared.dealt.fetch_add(1, Ordering::SeqCst);
                deal.send(block).ok()?;
            }
            Ok(false) => return None,
            Err(error) => return Some(broken(&error)),
        }
    }
    None
}

/// The message about an input that could not be read to its end.
fn broken(error: &ReadError) -> anyhow::Error {
    anyhow!("{error}; every record before that is written, inputs after it are not read")
}

/// A mapper: blocks in, batches out.
fn work(
    mut worker: Worker,
    dealt: &Receiver<Block>,
    spare_blocks: &SyncSender<Block>,
    finish: &SyncSender<Batch>,
    spares: &Receiver<Batch>,
) {
    let usual = worker.batch_bytes();
    let empty = || spares.try_recv().unwrap_or_else(|_| Batch::new(usual));
    while let Ok(block) = dealt.recv() {
        let mut ship = |batch| finish.send(batch).ok().map(|()| empty());
        let Some(mut batch) = worker.map(&block, empty(), &mut ship) else { return };
        // There is room for every block there is; and if the reader has gone, none is needed.
        let _ = spare_blocks.send(block);
        batch.last = true;
        if finish.send(batch).is_err() {
            return;
        }
    }
}

/// The writer: collects batches in turn. Returns how many blocks are complete.
fn collect(
    lanes: &[Lane],
    sizes: Sizes,
    stop: &Stop,
    shared: &Shared,
    output: &mut Output,
) -> Result<u64, Failure> {
    let mut collected = 0;
    for lane in lanes.iter().cycle() {
        loop {
            let mut batch = match lane.finished.recv_timeout(PATIENCE) {
                Ok(batch) => batch,
                Err(RecvTimeoutError::Disconnected) => return Ok(collected),
                Err(RecvTimeoutError::Timeout) => {
                    output.idle();
                    let idle = stop.is_set()
                        && shared.reading.load(Ordering::SeqCst)
                        && collected == shared.dealt.load(Ordering::SeqCst);
                    if idle {
                        return Ok(collected);
                    }
                    continue;
                }
            };
            output.take(&batch)?;
            let last = batch.last;
            batch.clear(sizes.batch);
            // A full channel means that there are batches enough.
            let _ = lane.spare.try_send(batch);
            if last {
                break;
            }
        }
        collected += 1;
    }
    Ok(collected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_and_batches_keep_to_the_budget() {
        for threads in 1..=8 {
            let Sizes { block, .. } = Sizes::for_threads(threads);
            let all = (2 * threads + 2) * block + (2 * threads + 1) * 2 * block;
            assert!(block >= 32 << 10 && all <= Sizes::BUDGET + (1 << 20), "{threads}: {all}");
        }
    }
}
