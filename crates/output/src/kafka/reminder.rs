//! When something that lasts is worth a line in the log.
//!
//! Owns the times. Must not know what lasts, nor look at a clock: moments come in.
//!
//! The subtle thing: what comes and goes lasts, too. So a pause goes on from one occasion to the next, and only what was not
//! met for the longest pause there is counts as new.

use std::time::{Duration, Instant};

use model::fault::FaultKind;

/// The first pause between two lines; it doubles up to the longest. As for parts that are down; see the pipeline's health.
const FIRST: Duration = Duration::from_secs(60);
const LONGEST: Duration = Duration::from_secs(3_600);

/// Lines about one thing.
#[derive(Debug, Default)]
pub(super) struct Reminder(Option<Told>);

#[derive(Debug)]
struct Told {
    kind: FaultKind,
    at: Instant,
    pause: Duration,
    /// Occasions since that were not told of.
    silent: u64,
}

impl Reminder {
    /// Whether a line is due about a fault of this kind, met now; and how many were met since the last line.
    pub(super) fn is_due(&mut self, kind: FaultKind, now: Instant) -> Option<u64> {
        let (pause, silent) = match &mut self.0 {
            Some(told) if told.kind == kind => {
                let since = now.saturating_duration_since(told.at);
                if since < told.pause {
                    told.silent += 1;
                    return None;
                }
                let quiet = since >= told.pause + LONGEST;
                (if quiet { FIRST } else { (told.pause * 2).min(LONGEST) }, told.silent)
            }
            _ => (FIRST, 0),
        };
        self.0 = Some(Told { kind, at: now, pause, silent: 0 });
        Some(silent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lasts_makes_ever_fewer_lines() {
        let (mut reminder, start) = (Reminder::default(), Instant::now());
        let mut lines = Vec::new();
        // Ten times a second for three hours.
        for tenth in 0..108_000_u64 {
            if let Some(silent) =
                reminder.is_due(FaultKind::Unreachable, start + Duration::from_millis(tenth * 100))
            {
                lines.push((tenth / 10, silent));
            }
        }
        assert_eq!(
            lines,
            [
                (0, 0),
                (60, 599),
                (180, 1199),
                (420, 2399),
                (900, 4799),
                (1860, 9599),
                (3780, 19199),
                (7380, 35999)
            ]
        );
    }

    #[test]
    fn another_fault_is_news_and_so_is_one_after_a_long_quiet() {
        let (mut reminder, start) = (Reminder::default(), Instant::now());
        let mut due = |kind, seconds| reminder.is_due(kind, start + Duration::from_secs(seconds)).is_some();
        assert!(due(FaultKind::Unreachable, 0) && !due(FaultKind::Unreachable, 59));
        assert!(due(FaultKind::Throttled, 59) && !due(FaultKind::Throttled, 60));
        assert!(due(FaultKind::Throttled, 119) && !due(FaultKind::Throttled, 119 + 119));
        // Not met for long: a line, and the short pause again.
        assert!(due(FaultKind::Throttled, 10_000) && !due(FaultKind::Throttled, 10_059));
        assert!(due(FaultKind::Throttled, 10_060));
    }
}
