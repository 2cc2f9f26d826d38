//! A sink that stores by id, and fails in every way a server can.

use model::fault::{Fault, FaultKind};
use output::{Outcome, Rejection, Request, Sink};
use tokio::time::sleep;

use super::{Fate, Inner, Scripted, World, fault};

pub(crate) struct FakeSink(pub(crate) World);

/// Counts a write as under way, also when it is dropped in the middle.
struct UnderWay(World);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.lock().in_flight -= 1;
    }
}

impl Inner {
    fn act(&mut self, request: &Request) -> Vec<Outcome> {
        let retry = self.chaos.item_retry;
        let mut outcomes = Vec::new();
        for document in request.documents() {
            assert!(document.line.ends_with(b"\n") && document.body().starts_with(b"{"));
            let fate = self.fates.get(document.id).copied().unwrap_or(Fate::Delivered);
            let refused = document.body().ends_with(b"refuse me");
            outcomes.push(if fate == Fate::Refused || refused {
                Outcome::Rejected(Rejection {
                    reason: "document_parsing_exception".into(),
                    detail: "planted".into(),
                })
            } else if self.percent(retry) {
                let kind = if self.percent(50) { FaultKind::Throttled } else { FaultKind::Unreachable };
                Outcome::Retry(fault(kind))
            } else if self.store.contains_key(document.id) {
                Outcome::Duplicate
            } else {
                self.store.insert(document.id.to_owned(), 1);
                self.order.push(document.id.to_owned());
                Outcome::Delivered
            });
        }
        outcomes
    }
}

impl Sink for FakeSink {
    async fn write(&self, request: &Request) -> Result<Vec<Outcome>, Fault> {
        let (scripted, before, after, delay, kind) = {
            let mut inner = self.0.lock();
            inner.in_flight += 1;
            let write = (inner.now(), inner.in_flight, request.len());
            inner.writes.push(write);
            let scripted = if inner.script.is_empty() { Scripted::Write } else { inner.script.remove(0) };
            let chance = inner.chaos.request_fault;
            let kinds =
                [FaultKind::Unreachable, FaultKind::Throttled, FaultKind::Blocked, FaultKind::Forbidden];
            let kind = kinds[inner.random.usize(0..kinds.len())];
            (scripted, inner.percent(chance), inner.percent(chance), inner.delay(), kind)
        };
        let _under_way = UnderWay(self.0.clone());
        sleep(if let Scripted::Slow(time) = scripted { time } else { delay }).await;
        {
            let inner = self.0.lock();
            if before || inner.is_out(&inner.chaos.outages) {
                return Err(fault(kind));
            }
            let limit = inner.chaos.request_limit;
            if limit > 0 && request.bytes() > limit {
                return Err(fault(FaultKind::TooLarge));
            }
        }
        let answer = match scripted {
            Scripted::Fail(fault) => return Err(fault),
            Scripted::RetryAll(fault) => Ok(vec![Outcome::Retry(fault); request.len()]),
            Scripted::FailAfter(fault) => {
                self.0.lock().act(request);
                Err(fault)
            }
            Scripted::RetryHalf(fault) => {
                let mut outcomes = self.0.lock().act(request);
                let mut inner = self.0.lock();
                for (at, document) in request.documents().enumerate().filter(|(at, _)| at % 2 == 1) {
                    inner.store.remove(document.id);
                    inner.order.retain(|id| id != document.id);
                    outcomes[at] = Outcome::Retry(fault.clone());
                }
                Ok(outcomes)
            }
            Scripted::Miscount => Ok(vec![Outcome::Delivered; request.len() + 1]),
            Scripted::Write | Scripted::Slow(_) => Ok(self.0.lock().act(request)),
        };
        if !after {
            return answer;
        }
        // The answer is lost on its way.
        let delay = self.0.lock().delay();
        sleep(delay).await;
        Err(fault(kind))
    }

    fn most_in_flight(&self) -> usize {
        self.0.lock().most_in_flight
    }

    async fn close(&self) -> Result<(), Fault> {
        Ok(())
    }
}
