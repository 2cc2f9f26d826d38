//! Tests of what is sent when.

use std::time::Duration;

use output::DocumentsBuilder;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn fault(kind: FaultKind) -> Fault {
    Fault::new(kind, "injected", "")
}

fn delivery(most: usize) -> Delivery {
    let packing = Packing { bytes: 1 << 20, documents: 4, linger: Duration::from_millis(100) };
    Delivery::new(packing, most, Backoff::default(), Rng::with_seed(7))
}

/// A delivery with so many documents waiting, four to a request.
fn filled(most: usize, count: usize, now: Instant) -> Delivery {
    let mut delivery = delivery(most);
    let mut builder = DocumentsBuilder::default();
    for at in 0..count {
        builder.lines.extend_from_slice(b"{}");
        builder.push(&at.to_string(), "", None);
    }
    delivery.offer(0, &Arc::new(builder.finish()), now);
    delivery
}

fn ids(shipment: &Shipment) -> Vec<usize> {
    shipment.packed.request.documents().map(|document| document.id.parse().unwrap()).collect()
}

fn all(shipment: &Shipment, outcome: Outcome) -> Result<Vec<Outcome>, Fault> {
    Ok(vec![outcome; shipment.packed.request.len()])
}

fn send_all(delivery: &mut Delivery, now: Instant) -> Vec<Shipment> {
    std::iter::from_fn(|| delivery.take(now, true)).collect()
}

#[test]
fn while_the_sink_is_away_one_request_probes_and_each_time_another() {
    let mut now = Instant::now();
    let mut delivery = filled(4, 40, now);
    let sent = send_all(&mut delivery, now);
    assert_eq!(sent.len(), 4);
    for shipment in sent {
        delivery.answered(shipment, Err(fault(FaultKind::Unreachable)), now);
    }
    let mut probed = Vec::new();
    for _ in 0..30 {
        now = delivery.due(now, true).expect("a probe is due some time");
        let probes = send_all(&mut delivery, now);
        assert_eq!(probes.len(), 1, "one at a time");
        let probe = probes.into_iter().next().unwrap();
        probed.push(ids(&probe)[0]);
        assert_eq!(delivery.due(now, true), None, "and nothing beside it");
        delivery.answered(probe, Err(fault(FaultKind::Unreachable)), now);
    }
    let wait = delivery.due(now, true).unwrap() - now;
    assert!(wait <= 5 * SECOND, "noticed within seconds: {wait:?}");
    probed.sort_unstable();
    probed.dedup();
    assert!(probed.len() > 2, "{probed:?}");
    now = delivery.due(now, true).unwrap();
    let probe = delivery.take(now, true).unwrap();
    let verdict = {
        let answer = all(&probe, Outcome::Delivered);
        delivery.answered(probe, answer, now)
    };
    assert!(verdict.progress && verdict.fault.is_none());
    assert!(send_all(&mut delivery, now).len() > 1, "the gate is open");
}

#[test]
fn what_several_requests_meet_at_once_counts_once() {
    let now = Instant::now();
    let mut delivery = filled(8, 40, now);
    for shipment in send_all(&mut delivery, now) {
        delivery.answered(shipment, Err(fault(FaultKind::Unreachable)), now);
    }
    let wait = delivery.due(now, true).unwrap() - now;
    assert!(wait <= Duration::from_millis(100), "{wait:?}");
}

#[test]
fn a_wish_to_be_left_alone_is_followed() {
    let now = Instant::now();
    let mut delivery = filled(4, 40, now);
    let mut wish = fault(FaultKind::Throttled);
    wish.retry_after = Some(30 * SECOND);
    let shipment = delivery.take(now, true).unwrap();
    delivery.answered(shipment, Err(wish), now);
    assert!(delivery.take(now + 29 * SECOND, true).is_none());
    assert!(delivery.take(now + 30 * SECOND, true).is_some());
}

#[test]
fn only_what_was_not_taken_is_sent_again_and_alone() {
    let now = Instant::now();
    let mut delivery = filled(4, 4, now);
    let shipment = delivery.take(now, true).unwrap();
    let answer = vec![
        Outcome::Delivered,
        Outcome::Retry(fault(FaultKind::Throttled)),
        Outcome::Duplicate,
        Outcome::Rejected(Rejection { reason: "parsing".into(), detail: "no".into() }),
    ];
    let verdict = delivery.answered(shipment, Ok(answer), now);
    assert_eq!((verdict.delivered, verdict.duplicates, verdict.retried), (1, 1, 1));
    assert_eq!(verdict.ended, [(0, 2)]);
    assert_eq!((verdict.refused.len(), verdict.refused[0].document), (1, 3));
    assert_eq!(delivery.in_flight(), (0, 2), "the limit is halved");
    let again = delivery.take(now + SECOND, true).unwrap();
    assert_eq!((ids(&again), again.attempts), (vec![1], 2));
    let verdict = {
        let answer = all(&again, Outcome::Delivered);
        delivery.answered(again, answer, now)
    };
    assert_eq!((verdict.delivered, delivery.is_empty()), (1, true));
}

#[test]
fn what_is_too_large_is_halved_down_to_the_document_that_is() {
    let now = Instant::now();
    let mut delivery = filled(4, 4, now);
    let (mut written, mut refused) = (Vec::new(), Vec::new());
    while let Some(shipment) = delivery.take(now, true) {
        let ids = ids(&shipment);
        let answer = if ids.contains(&2) {
            Err(fault(FaultKind::TooLarge))
        } else {
            all(&shipment, Outcome::Delivered)
        };
        let verdict = delivery.answered(shipment, answer, now);
        if verdict.delivered > 0 {
            written.extend(ids);
        }
        refused
            .extend(verdict.refused.into_iter().map(|refused| (refused.document, refused.rejection.reason)));
    }
    assert_eq!((written, refused), (vec![0, 1, 3], vec![(2, "too_large".to_owned())]));
    assert!(delivery.is_empty());
}

#[test]
fn a_request_that_fails_while_others_pass_is_halved() {
    let mut now = Instant::now();
    let mut delivery = filled(4, 8_000, now);
    let mut smallest = usize::MAX;
    for _ in 0..1_500 {
        let Some(due) = delivery.due(now, true) else { break };
        now = due.max(now + Duration::from_millis(100));
        let Some(shipment) = delivery.take(now, true) else { continue };
        let ids = ids(&shipment);
        let answer = if ids.contains(&2) {
            smallest = smallest.min(ids.len());
            Err(fault(FaultKind::Unreachable))
        } else {
            all(&shipment, Outcome::Delivered)
        };
        delivery.answered(shipment, answer, now);
    }
    assert_eq!(smallest, 1, "the one that no answer comes to is alone");
    assert!(!delivery.is_empty(), "and is not given up");
}

#[test]
fn a_sink_with_one_request_at_a_time_gets_everything_in_order() {
    let mut now = Instant::now();
    let mut delivery = filled(1, 400, now);
    let mut random = Rng::with_seed(3);
    let mut written = Vec::new();
    while !delivery.is_empty() {
        now = delivery.due(now, true).unwrap().max(now);
        let shipment = delivery.take(now, true).unwrap();
        assert!(delivery.take(now, true).is_none());
        let ids = ids(&shipment);
        let answer = match random.u32(0..4) {
            0 => Err(fault(FaultKind::Storage)),
            1 if ids.len() > 1 => Err(fault(FaultKind::TooLarge)),
            _ => all(&shipment, Outcome::Delivered),
        };
        if answer.is_ok() {
            written.extend(ids);
        }
        delivery.answered(shipment, answer, now);
    }
    assert_eq!(written, (0..400).collect::<Vec<_>>());
}

#[test]
fn an_answer_of_the_wrong_length_settles_nothing() {
    let now = Instant::now();
    let mut delivery = filled(4, 4, now);
    let shipment = delivery.take(now, true).unwrap();
    let verdict = delivery.answered(shipment, Ok(vec![Outcome::Delivered; 5]), now);
    assert!(verdict.fault.is_some_and(|fault| fault.kind.is_final()));
    assert!(verdict.ended.is_empty() && !delivery.is_empty());
}

#[test]
fn documents_wait_for_company_only_so_long() {
    let now = Instant::now();
    let mut delivery = filled(4, 6, now);
    assert_eq!(ids(&delivery.take(now, false).unwrap()).len(), 4);
    assert!(delivery.take(now, false).is_none());
    assert_eq!(delivery.due(now, false), Some(now + Duration::from_millis(100)));
    assert_eq!(ids(&delivery.take(now + Duration::from_millis(100), false).unwrap()), [4, 5]);
}
