//! What is sent when: new requests, tries again, probes.
//!
//! Owns every decision between documents that wait and a sink that may be slow, throttling or away. Pure: the time is told
//! and random numbers come from a seed, so that each rule can be tried by itself. Must not know how a request is written,
//! nor positions.
//!
//! The subtle thing is the gate. A fault of a whole request says something about the sink, not about the request: so the
//! gate closes, and until anything gets through again only one request at a time is tried, a different one each time. What
//! the other requests had under way then says nothing new and does not lengthen the wait.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use fastrand::Rng;
use model::fault::{Fault, FaultKind};
use output::{Documents, Outcome, Rejection};
use tokio::time::Instant;

use crate::limit::Limit;
use crate::packer::{Packed, Packer, Packing};
use crate::retry::Backoff;

/// A request that failed this often while others passed is halved: what it fails by is then found between few documents.
const LONELY_FAILURES: u32 = 4;

/// A request on its way.
#[derive(Debug)]
pub(crate) struct Shipment {
    /// What is written.
    pub(crate) packed: Packed,
    /// How often it was tried, this time included.
    pub(crate) attempts: u32,
    not_before: Instant,
    /// Under which epochs of limit and gate it was sent.
    limit_epoch: u64,
    gate_epoch: u64,
    /// How often it failed while others passed, and how many had passed by then.
    lonely: u32,
    passed: u64,
}

/// What an answer says.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) delivered: u64,
    pub(crate) duplicates: u64,
    pub(crate) retried: u64,
    /// How many documents of which parcel are written.
    pub(crate) ended: Vec<(u64, u64)>,
    pub(crate) refused: Vec<Refused>,
    /// What stands in the way, if anything.
    pub(crate) fault: Option<Fault>,
    /// Whether anything got through.
    pub(crate) progress: bool,
}

/// A document refused for good.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) parcel: u64,
    pub(crate) document: u32,
    pub(crate) rejection: Rejection,
    pub(crate) attempts: u32,
}

/// The sink let nothing through at last.
#[derive(Debug)]
struct Gate {
    until: Instant,
    failures: u32,
}

/// Documents that wait, and requests under way.
pub(crate) struct Delivery {
    packer: Packer,
    /// To be sent next, in this order: halves of what was too large, and all tries again of a sink that keeps the order.
    front: VecDeque<Shipment>,
    /// Tries again, by the time they are due.
    waiting: BTreeMap<(Instant, u64), Shipment>,
    tickets: u64,
    in_flight: usize,
    limit: Limit,
    ordered: bool,
    gate: Option<Gate>,
    gate_epoch: u64,
    /// How many answers said that something got through.
    passed: u64,
    backoff: Backoff,
    random: Rng,
}

impl Delivery {
    pub(crate) fn new(packing: Packing, most_in_flight: usize, backoff: Backoff, random: Rng) -> Self {
        Self {
            packer: Packer::new(packing),
            front: VecDeque::new(),
            waiting: BTreeMap::new(),
            tickets: 0,
            in_flight: 0,
            limit: Limit::new(most_in_flight),
            ordered: most_in_flight <= 1,
            gate: None,
            gate_epoch: 0,
            passed: 0,
            backoff,
            random,
        }
    }

    /// Takes the documents of a parcel.
    pub(crate) fn offer(&mut self, parcel: u64, documents: &Arc<Documents>, now: Instant) {
        self.packer.push(parcel, documents, now);
    }

    /// Whether nothing waits and nothing is under way.
    pub(crate) fn is_empty(&self) -> bool {
        self.in_flight == 0 && self.front.is_empty() && self.waiting.is_empty() && self.packer.waiting() == 0
    }

    /// How many requests are under way, and how many may be.
    pub(crate) fn in_flight(&self) -> (usize, usize) {
        (self.in_flight, self.limit.now())
    }

    /// When the next request may be sent; `None` while that depends on an answer, or there is nothing. With `flush`,
    /// documents do not wait for company.
    pub(crate) fn due(&self, now: Instant, flush: bool) -> Option<Instant> {
        if self.in_flight >= self.limit.now() || (self.gate.is_some() && self.in_flight > 0) {
            return None;
        }
        let opens = self.gate.as_ref().map_or(now, |gate| gate.until);
        let front = self.front.front().map(|shipment| shipment.not_before);
        let soonest = if self.ordered && front.is_some() {
            front
        } else {
            let again = self.waiting.first_key_value().map(|((at, _), _)| *at);
            let new = if flush { (self.packer.waiting() > 0).then_some(now) } else { self.packer.due(now) };
            [front, again, new].into_iter().flatten().min()
        };
        soonest.map(|at| at.max(opens))
    }

    /// The next request, if one may be sent now.
    pub(crate) fn take(&mut self, now: Instant, flush: bool) -> Option<Shipment> {
        self.due(now, flush).filter(|due| *due <= now)?;
        let mut shipment = self.choose(now, flush)?;
        shipment.attempts = shipment.attempts.saturating_add(1);
        shipment.limit_epoch = self.limit.epoch();
        shipment.gate_epoch = self.gate_epoch;
        self.in_flight += 1;
        Some(shipment)
    }

    fn choose(&mut self, now: Instant, flush: bool) -> Option<Shipment> {
        if self.front.front().is_some_and(|shipment| shipment.not_before <= now) {
            return self.front.pop_front();
        }
        if self.waiting.first_key_value().is_some_and(|((at, _), _)| *at <= now) {
            return self.waiting.pop_first().map(|(_, shipment)| shipment);
        }
        self.packer.pop(now, flush).map(|packed| Shipment::new(packed, now))
    }

    /// Takes the answer to a request, and says what it means.
    pub(crate) fn answered(
        &mut self,
        shipment: Shipment,
        answer: Result<Vec<Outcome>, Fault>,
        now: Instant,
    ) -> Verdict {
        self.in_flight = self.in_flight.saturating_sub(1);
        let count = shipment.packed.request.len();
        match answer {
            Ok(outcomes) if outcomes.len() == count => self.sorted(shipment, outcomes, now),
            Ok(outcomes) => {
                let cause = format!("the sink gave {} answers for {count} documents", outcomes.len());
                let fault =
                    Fault::new(FaultKind::Unusable, cause, "this is a fault of the program; report it");
                self.failed(shipment, fault, now)
            }
            Err(fault) if fault.kind == FaultKind::TooLarge && count > 1 => {
                self.halve(shipment, now);
                Verdict::default()
            }
            Err(fault) if fault.kind == FaultKind::TooLarge => {
                let rejection = Rejection { reason: fault.kind.name().to_owned(), detail: fault.cause };
                self.sorted(shipment, vec![Outcome::Rejected(rejection)], now)
            }
            Err(fault) => self.failed(shipment, fault, now),
        }
    }

    /// Sorts the documents of a request by what became of each.
    fn sorted(&mut self, shipment: Shipment, outcomes: Vec<Outcome>, now: Instant) -> Verdict {
        let mut verdict = Verdict::default();
        let mut again = Packed::default();
        let mut outcomes = outcomes.into_iter();
        let parts = shipment.packed.request.parts().iter().zip(&shipment.packed.parcels);
        for ((documents, which), parcel) in parts {
            let mut retry = Vec::new();
            let mut written = 0;
            for (document, outcome) in which.iter().zip(&mut outcomes) {
                match outcome {
                    Outcome::Delivered => written += 1,
                    Outcome::Duplicate => {
                        written += 1;
                        verdict.duplicates += 1;
                    }
                    Outcome::Retry(fault) => {
                        retry.push(*document);
                        // Of many, one that ends the run must not be overlooked; then the one that slows us down.
                        let rank =
                            |fault: &Fault| (fault.kind.is_final(), fault.kind == FaultKind::Throttled);
                        if verdict.fault.as_ref().is_none_or(|known| rank(&fault) > rank(known)) {
                            verdict.fault = Some(fault);
                        }
                    }
                    Outcome::Rejected(rejection) => verdict.refused.push(Refused {
                        parcel: *parcel,
                        document: *document,
                        rejection,
                        attempts: shipment.attempts,
                    }),
                }
            }
            verdict.delivered += written;
            if written > 0 {
                verdict.ended.push((*parcel, written));
            }
            again.add(*parcel, documents, retry);
        }
        verdict.delivered -= verdict.duplicates;
        verdict.retried = again.request.len() as u64;
        verdict.progress = verdict.retried < shipment.packed.request.len() as u64;
        match &verdict.fault {
            Some(fault) if verdict.progress => {
                self.open_gate();
                if fault.kind == FaultKind::Throttled {
                    self.limit.throttled(shipment.limit_epoch);
                }
                let fault = fault.clone();
                self.again(Shipment { packed: again, ..shipment }, &fault, now);
            }
            Some(fault) => {
                // Nothing got through: that is no different from a fault of the whole request.
                let fault = fault.clone();
                return self.failed(shipment, fault, now);
            }
            None => {
                self.open_gate();
                self.limit.succeeded();
            }
        }
        verdict
    }

    fn open_gate(&mut self) {
        self.gate = None;
        self.passed += 1;
    }

    /// The whole request is to be tried again.
    fn failed(&mut self, mut shipment: Shipment, fault: Fault, now: Instant) -> Verdict {
        let retried = shipment.packed.request.len() as u64;
        if fault.kind == FaultKind::Throttled {
            self.limit.throttled(shipment.limit_epoch);
        }
        let failures = self.gate.as_ref().map_or(0, |gate| gate.failures);
        if self.gate.is_none() || shipment.gate_epoch == self.gate_epoch {
            self.gate_epoch += 1;
            let failures = failures.saturating_add(1);
            let until = now + self.backoff.delay(failures, &fault, &mut self.random);
            self.gate = Some(Gate { until, failures });
        }
        if self.passed > shipment.passed {
            shipment.lonely += 1;
        }
        shipment.passed = self.passed;
        if shipment.lonely >= LONELY_FAILURES && retried > 1 {
            self.halve(shipment, now);
        } else {
            self.again(shipment, &fault, now);
        }
        Verdict { retried, fault: Some(fault), ..Verdict::default() }
    }

    /// Puts a request back.
    fn again(&mut self, mut shipment: Shipment, fault: &Fault, now: Instant) {
        if shipment.attempts >= 16 && shipment.attempts.is_power_of_two() {
            let (documents, attempts) = (shipment.packed.request.len(), shipment.attempts);
            tracing::warn!(documents, attempts, %fault, "documents are refused again and again, and tried on");
        }
        shipment.not_before = now + self.backoff.delay(shipment.attempts, fault, &mut self.random);
        if self.ordered {
            self.front.push_front(shipment);
        } else {
            self.tickets += 1;
            self.waiting.insert((shipment.not_before, self.tickets), shipment);
        }
    }

    /// Sends the halves of a request instead, at once.
    fn halve(&mut self, shipment: Shipment, now: Instant) {
        let attempts = shipment.attempts;
        let (first, second) = shipment.packed.halves();
        for packed in [second, first] {
            if !packed.request.is_empty() {
                let passed = self.passed;
                self.front.push_front(Shipment { attempts, passed, ..Shipment::new(packed, now) });
            }
        }
    }
}

impl Shipment {
    fn new(packed: Packed, now: Instant) -> Self {
        Self {
            packed,
            attempts: 0,
            not_before: now,
            limit_epoch: 0,
            gate_epoch: 0,
            lonely: 0,
            passed: u64::MAX,
        }
    }
}

#[cfg(test)]
#[path = "delivery_tests.rs"]
mod tests;
