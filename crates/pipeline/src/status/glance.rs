//! What the records of the last hour were about: which activities, from which countries.
//!
//! Owns a few counts by name for each of the last minutes. It is for looking at, not for reckoning: of a large batch only
//! some documents are looked at and stand for the others, so that looking costs the run next to nothing. Nothing is counted
//! until somebody wants to see it.

use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use memchr::memmem::Finder;
use output::Documents;
use tokio::time::Instant;

use super::numbers::{OTHER_NAMES, lock};

/// How many documents of a batch are looked at.
const SAMPLE: usize = 128;

/// How many names of a kind are told apart in each stretch of time.
const MOST_NAMES: usize = 128;

/// An hour, in stretches of so many seconds.
const STRETCH: u64 = 300;
const STRETCHES: u64 = 12;

/// What stands before a country in a document. A text in which this stands has its quotes escaped.
const COUNTRY: &[u8] = br#""country_iso_code":""#;

/// What the records of the last hour were about.
#[derive(Debug)]
pub struct Glance {
    wanted: AtomicBool,
    began: Instant,
    stretches: Mutex<VecDeque<Stretch>>,
}

/// Counts by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LastHour {
    /// Documents by activity type.
    pub actions: HashMap<String, u64>,
    /// Documents by the country of their address, where one is known.
    pub countries: HashMap<String, u64>,
}

#[derive(Debug, Default)]
struct Stretch {
    number: u64,
    counts: LastHour,
}

impl Default for Glance {
    fn default() -> Self {
        Self { wanted: AtomicBool::new(false), began: Instant::now(), stretches: Mutex::default() }
    }
}

impl Glance {
    /// Begins to count.
    pub fn want(&self) {
        self.wanted.store(true, Ordering::Relaxed);
    }

    fn number(&self) -> u64 {
        self.began.elapsed().as_secs() / STRETCH
    }

    /// Takes in the documents of a batch.
    pub(super) fn note(&self, documents: &Documents) {
        if documents.is_empty() || !self.wanted.load(Ordering::Relaxed) {
            return;
        }
        let step = documents.len().div_ceil(SAMPLE);
        let country = Finder::new(COUNTRY);
        let number = self.number();
        let mut stretches = lock(&self.stretches);
        if stretches.back().is_none_or(|last| last.number != number) {
            stretches.push_back(Stretch { number, ..Stretch::default() });
            forget(&mut stretches, number);
        }
        let Some(Stretch { counts, .. }) = stretches.back_mut() else { return };
        for at in (0..documents.len()).step_by(step) {
            let Some(document) = documents.get(at) else { continue };
            let stands_for = step.min(documents.len() - at) as u64;
            if !document.action.is_empty() {
                add(&mut counts.actions, document.action, stands_for);
            }
            let code = country.find(document.line).and_then(|found| {
                let start = found + COUNTRY.len();
                let code = document.line.get(start..start + 2)?;
                let closed = document.line.get(start + 2) == Some(&b'"');
                std::str::from_utf8(code).ok().filter(|_| closed && code.iter().all(u8::is_ascii_uppercase))
            });
            if let Some(code) = code {
                add(&mut counts.countries, code, stands_for);
            }
        }
    }

    /// The counts of the last hour; of up to five minutes more, since whole stretches are forgotten.
    #[must_use]
    pub fn last_hour(&self) -> LastHour {
        let mut stretches = lock(&self.stretches);
        forget(&mut stretches, self.number());
        let mut all = LastHour::default();
        for Stretch { counts, .. } in stretches.iter() {
            for (name, count) in &counts.actions {
                *all.actions.entry(name.clone()).or_default() += count;
            }
            for (name, count) in &counts.countries {
                *all.countries.entry(name.clone()).or_default() += count;
            }
        }
        all
    }
}

/// Drops what is older than an hour.
fn forget(stretches: &mut VecDeque<Stretch>, now: u64) {
    while stretches.front().is_some_and(|first| first.number + STRETCHES < now) {
        stretches.pop_front();
    }
}

fn add(counts: &mut HashMap<String, u64>, name: &str, number: u64) {
    if let Some(count) = counts.get_mut(name) {
        *count += number;
    } else if counts.len() < MOST_NAMES {
        counts.insert(name.to_owned(), number);
    } else {
        *counts.entry(OTHER_NAMES.to_owned()).or_default() += number;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use output::DocumentsBuilder;

    use super::*;

    fn documents(all: impl IntoIterator<Item = (String, &'static str)>) -> Documents {
        let mut builder = DocumentsBuilder::default();
        for (action, body) in all {
            builder.lines.extend_from_slice(body.as_bytes());
            builder.push("id", &action, None);
        }
        builder.finish()
    }

    #[tokio::test(start_paused = true)]
    async fn an_hour_is_seen_and_then_forgotten() {
        let glance = Glance::default();
        let one = || documents([("a".to_owned(), r#"{"source":{"geo":{"country_iso_code":"DE"}}}"#)]);
        glance.note(&one());
        assert_eq!(glance.last_hour(), LastHour::default(), "nobody wanted it");
        glance.want();
        glance.note(&one());
        tokio::time::advance(Duration::from_secs(3_000)).await;
        glance.note(&one());
        assert_eq!(glance.last_hour().countries, [("DE".to_owned(), 2)].into());
        tokio::time::advance(Duration::from_secs(1_000)).await;
        assert_eq!(glance.last_hour().actions, [("a".to_owned(), 1)].into());
        tokio::time::advance(Duration::from_secs(4_000)).await;
        assert_eq!(glance.last_hour(), LastHour::default());
    }

    #[test]
    fn large_batches_are_sampled_and_the_sum_is_right() {
        let glance = Glance::default();
        glance.want();
        glance.note(&documents((0..1_000).map(|at| (format!("action {}", at % 2), "{}"))));
        let found = glance.last_hour();
        assert_eq!(found.actions.values().sum::<u64>(), 1_000);
        assert!(found.countries.is_empty());
    }

    #[test]
    fn names_are_bounded_and_a_text_is_no_country() {
        let glance = Glance::default();
        glance.want();
        for at in 0..500 {
            let bodies = [r#"{"t":"\"country_iso_code\":\"FR\""}"#, r#"{"country_iso_code":"long"}"#];
            glance.note(&documents(bodies.map(|body| (format!("action {at}"), body))));
        }
        let found = glance.last_hour();
        assert_eq!((found.actions.len(), found.countries.len()), (MOST_NAMES + 1, 0));
        assert_eq!(found.actions.values().sum::<u64>(), 1_000);
    }
}
