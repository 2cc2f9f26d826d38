//! What the consumer thread, librdkafka's callbacks and the async side of the source share.
//!
//! Owns the queue of batches, its bound, and the lanes. Must not know librdkafka, so that what waits for what can be read
//! here in one place.
//!
//! Who waits: `next` for a batch or a fault ([`Notify`]); the consumer thread for room in the queue, or, when partitions
//! are taken away, for what is under way to be committed (one condition variable). Commits never wait for the thread.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use model::fault::{Fault, FaultKind};
use model::kafka::{About, Troubles};
use tokio::sync::Notify;

use super::lag::End;
use super::offsets::{Lanes, Partition};
use crate::{Batch, Lane, Mark, RawRecord};

#[derive(Debug)]
struct Queued {
    batch: Batch,
    bytes: usize,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) lanes: Lanes,
    queue: VecDeque<Queued>,
    queued_bytes: usize,
    fault: Option<Fault>,
    pub(crate) troubles: Troubles,
    /// Where partitions end, as was last heard.
    pub(crate) ends: HashMap<Partition, End>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    inner: Mutex<Inner>,
    ready: Notify,
    changed: Condvar,
    most_bytes: usize,
    /// Counts assignments and revocations, so that the thread knows when what it remembers of lanes is old.
    generation: AtomicU64,
    /// Fetching is held up, because the queue is full or no more is wanted.
    paused: AtomicBool,
    stopping: AtomicBool,
    closing: AtomicBool,
}

impl Shared {
    pub(crate) fn new(most_bytes: usize, about: About) -> Self {
        let troubles = Troubles::new(about);
        let inner = Inner {
            lanes: Lanes::default(),
            queue: VecDeque::new(),
            queued_bytes: 0,
            fault: None,
            troubles,
            ends: HashMap::new(),
        };
        Self {
            inner: Mutex::new(inner),
            ready: Notify::new(),
            changed: Condvar::new(),
            most_bytes,
            generation: AtomicU64::new(0),
            paused: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            closing: AtomicBool::new(false),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing in here panics half way; what a panic elsewhere left behind is whole.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the next batch. Dropping the future loses nothing: a batch leaves the queue when it is given.
    pub(crate) async fn next(&self) -> Result<Batch, Fault> {
        loop {
            let ready = self.ready.notified();
            {
                let mut inner = self.lock();
                while let Some(Queued { batch, bytes }) = inner.queue.pop_front() {
                    inner.queued_bytes -= bytes;
                    self.changed.notify_all();
                    if inner.lanes.hand_out(batch.mark) {
                        return Ok(batch);
                    }
                }
                if let Some(fault) = inner.fault.take() {
                    return Err(fault);
                }
            }
            ready.await;
        }
    }

    /// The next batch of a lane: everything before `offset`. Dropped when the lane is no longer ours.
    pub(crate) fn push(&self, lane: Lane, offset: i64, records: Vec<RawRecord>, bytes: usize) {
        let mut inner = self.lock();
        if self.is_stopping() {
            return;
        }
        let Some(mark) = inner.lanes.seal(lane, offset) else { return };
        inner.queued_bytes += bytes;
        inner.queue.push_back(Queued { batch: Batch::new(mark, records), bytes });
        drop(inner);
        self.ready.notify_one();
    }

    /// Whether there is room in the queue, or comes to be within `patience`.
    pub(crate) fn room(&self, patience: Duration) -> bool {
        let full = |inner: &mut Inner| inner.queued_bytes >= self.most_bytes && !self.is_closing();
        let inner = self.lock();
        let waited = self.changed.wait_timeout_while(inner, patience, full);
        let (inner, _) = waited.unwrap_or_else(PoisonError::into_inner);
        inner.queued_bytes < self.most_bytes
    }

    /// A message came: whatever was wrong with the connection is over.
    pub(crate) fn flowing(&self) {
        let mut inner = self.lock();
        if inner.fault.as_ref().is_some_and(|fault| fault.kind == FaultKind::Unreachable) {
            inner.fault = None;
        }
        inner.troubles.clear();
    }

    /// The client reported an error.
    pub(crate) fn trouble(&self, code: i32, words: &str) {
        let mut inner = self.lock();
        let Some(fault) = inner.troubles.note(code, words) else { return };
        drop(inner);
        self.fail(fault);
    }

    /// The client said where partitions end.
    pub(crate) fn statistics(&self, ends: HashMap<Partition, End>) {
        self.lock().ends = ends;
    }

    /// `next` is to give this fault, when the queue is empty. A final one stays.
    pub(crate) fn fail(&self, fault: Fault) {
        let mut inner = self.lock();
        if !inner.fault.as_ref().is_some_and(|fault| fault.kind.is_final()) {
            inner.fault = Some(fault);
        }
        drop(inner);
        self.ready.notify_one();
    }

    /// These partitions are ours from now on.
    pub(crate) fn assigned(&self, partitions: impl IntoIterator<Item = Partition>) {
        let mut inner = self.lock();
        for partition in partitions {
            inner.lanes.assign(partition);
        }
        self.generation.fetch_add(1, Ordering::Relaxed);
    }

    /// These partitions are to be given away: nothing more is handed out of them, and what was is waited for. Then they
    /// are forgotten. Gives how many batches had not been committed by then.
    pub(crate) fn give_away(&self, partitions: &[Partition], patience: Duration) -> u64 {
        let mut inner = self.lock();
        for partition in partitions {
            inner.lanes.leave(partition);
        }
        let leaving: Vec<Lane> = partitions.iter().filter_map(|one| inner.lanes.lane(one)).collect();
        let Inner { queue, queued_bytes, .. } = &mut *inner;
        queue.retain(|queued| {
            let stays = !leaving.contains(&queued.batch.mark.lane);
            *queued_bytes -= if stays { 0 } else { queued.bytes };
            stays
        });
        let deadline = Instant::now() + patience;
        while !self.is_closing() && partitions.iter().any(|one| inner.lanes.under_way(one)) {
            let Some(left) = deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
            else {
                break;
            };
            inner = self.changed.wait_timeout(inner, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        self.generation.fetch_add(1, Ordering::Relaxed);
        partitions.iter().map(|one| inner.lanes.forget(one)).sum()
    }

    /// The broker, or a transaction, has these positions.
    pub(crate) fn committed(&self, marks: impl IntoIterator<Item = Mark>) {
        let mut inner = self.lock();
        for mark in marks {
            inner.lanes.committed(mark);
        }
        drop(inner);
        self.changed.notify_all();
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Relaxed)
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.paused.load(Ordering::Relaxed)
    }

    pub(crate) fn set_paused(&self, paused: bool) {
        self.paused.store(paused, Ordering::Relaxed);
    }

    /// No more batches are wanted; what waits in the queue is dropped, it was never handed out.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        let mut inner = self.lock();
        inner.queue.clear();
        inner.queued_bytes = 0;
        drop(inner);
        self.changed.notify_all();
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// The thread is to end; nothing is waited for any more.
    pub(crate) fn close(&self) {
        // Under the lock, so that a waiting thread cannot look before and sleep after.
        let inner = self.lock();
        self.closing.store(true, Ordering::Relaxed);
        drop(inner);
        self.changed.notify_all();
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::thread;

    fn partition(number: i32) -> Partition {
        Partition { topic: "raw".into(), number }
    }

    fn shared() -> Arc<Shared> {
        let shared = Arc::new(Shared::new(100, About::default()));
        shared.assigned([partition(0), partition(1)]);
        shared
    }

    fn lane(shared: &Shared, number: i32) -> Lane {
        shared.lock().lanes.lane(&partition(number)).unwrap()
    }

    fn soon<T>(future: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async { tokio::time::timeout(Duration::from_secs(20), future).await.unwrap() })
    }

    #[test]
    fn there_is_room_until_the_bound_and_again_when_batches_are_taken() {
        let shared = shared();
        shared.push(lane(&shared, 0), 1, Vec::new(), 99);
        assert!(shared.room(Duration::ZERO));
        shared.push(lane(&shared, 1), 1, Vec::new(), 1);
        assert!(!shared.room(Duration::ZERO));
        let other = Arc::clone(&shared);
        let waiting = thread::spawn(move || other.room(Duration::from_secs(20)));
        assert!(soon(shared.next()).is_ok());
        assert!(waiting.join().unwrap());
    }

    #[test]
    fn giving_away_waits_for_what_was_handed_out_and_for_nothing_else() {
        let shared = shared();
        let lane = lane(&shared, 0);
        shared.push(lane, 5, Vec::new(), 50);
        shared.push(lane, 9, Vec::new(), 50);
        let batch = soon(shared.next()).unwrap();
        let other = Arc::clone(&shared);
        let giving = thread::spawn(move || other.give_away(&[partition(0)], Duration::from_secs(60)));
        // Until the lane is leaving, the batch that still waits can be had.
        while shared.lock().lanes.seal(lane, 10).is_some() {
            thread::yield_now();
        }
        assert!(!giving.is_finished(), "given away with a batch under way");
        assert!(shared.room(Duration::ZERO), "what waits in the queue is dropped");
        let positions = shared.lock().lanes.positions(&[batch.mark]);
        assert_eq!(positions.first().map(|position| position.offset), Some(5));
        shared.committed([batch.mark]);
        assert_eq!(giving.join().unwrap(), 0);
        assert!(shared.lock().lanes.lane(&partition(0)).is_none());
        assert!(shared.lock().lanes.lane(&partition(1)).is_some());
    }

    #[test]
    fn giving_away_is_bounded_and_says_what_is_left() {
        let shared = shared();
        shared.push(lane(&shared, 0), 5, Vec::new(), 1);
        soon(shared.next()).unwrap();
        assert_eq!(shared.give_away(&[partition(0)], Duration::ZERO), 1);
        shared.push(lane(&shared, 1), 5, Vec::new(), 1);
        soon(shared.next()).unwrap();
        shared.close();
        assert_eq!(
            shared.give_away(&[partition(1)], Duration::from_secs(600)),
            1,
            "closing waits for nothing"
        );
    }

    #[test]
    fn faults_come_after_batches_and_a_final_one_stays() {
        let shared = shared();
        shared.trouble(-187, "all down");
        shared.push(lane(&shared, 0), 5, Vec::new(), 1);
        assert!(soon(shared.next()).is_ok());
        assert_eq!(soon(shared.next()).unwrap_err().kind, FaultKind::Unreachable);
        shared.trouble(-187, "all down");
        shared.flowing();
        shared.trouble(82, "fenced");
        shared.trouble(-187, "all down");
        assert_eq!(soon(shared.next()).unwrap_err().kind, FaultKind::Taken);
    }

    #[test]
    fn a_dropped_next_loses_nothing() {
        let shared = shared();
        soon(async {
            for offset in 1..50 {
                let mut waiting = Box::pin(shared.next());
                let polled =
                    std::future::poll_fn(|context| std::task::Poll::Ready(waiting.as_mut().poll(context)));
                assert!(polled.await.is_pending());
                shared.push(lane(&shared, 0), offset, Vec::new(), 1);
                drop(waiting);
                assert_eq!(shared.next().await.unwrap().mark.batch, offset as u64 - 1);
            }
        });
    }
}
