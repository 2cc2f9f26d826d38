//! Who makes the records: a cast with habits, hour by hour.
//!
//! Owns what happens and when it reaches the feed. Hours are told once each, in order, so that a seed
//! decides every byte however the clock is moved.

use std::sync::{Arc, LazyLock};

use model::catalog::Catalog;

use super::row::{Content, Place, Row};
use super::settings::Tenant;
use crate::cast::{Cast, CastSize};
use crate::clock::{Micros, SECOND};
use crate::random::Random;
use crate::records::RecordGenerator;
use crate::values::settle;

/// An hour.
pub(crate) const HOUR: Micros = 3_600 * SECOND;

/// The catalog, read once.
pub(crate) static CATALOG: LazyLock<Catalog> = LazyLock::new(Catalog::builtin);

/// A tenant at work.
#[derive(Debug, Clone)]
pub(crate) struct Office {
    settings: Tenant,
    generator: RecordGenerator<'static>,
    random: Random,
}

impl Office {
    pub(crate) fn new(seed: u64, settings: &Tenant) -> Self {
        let people = settings.people.max(1);
        let size = CastSize { people, machines: people / 12 + 3, addresses: people * 2 + 20 };
        let cast = Cast::new(seed, size);
        Self {
            settings: settings.clone(),
            generator: RecordGenerator::with_cast(&CATALOG, seed, cast),
            random: Random::new(seed ^ 0x686f_7572),
        }
    }

    /// `org_…` and the UUID of the organization.
    pub(crate) fn organization(&self) -> &(String, String) {
        &self.generator.cast.organization
    }

    /// What happens in the hour that begins at `from`.
    pub(crate) fn hour(&mut self, from: Micros) -> Vec<(Place, Row)> {
        let mut rows = Vec::new();
        if self.settings.people == 0 {
            return rows;
        }
        let count = self.settings.people as u64 * self.settings.hourly;
        for _ in 0..count {
            let at = from + self.random.below(HOUR as u64) as Micros;
            let at = settle(&mut self.random, at).min(from + HOUR - 1);
            rows.push(self.record("claude_chat_viewed", at));
        }
        rows
    }

    /// What a record of that type says, for a test that places it itself.
    pub(crate) fn content(&mut self, activity_type: &str, at: Micros) -> Content {
        Content::of_record(&self.generator.draft(activity_type).at(at).finish())
    }

    fn record(&mut self, activity_type: &str, at: Micros) -> (Place, Row) {
        let text = self.generator.draft(activity_type).at(at).finish();
        let place = Place { created: at, number: self.number() };
        let indexed = at + self.lag();
        (place, Row { occurred: at, indexed, content: Arc::new(Content::of_record(&text)) })
    }

    fn number(&mut self) -> u128 {
        (u128::from(self.random.bits()) << 64) | u128::from(self.random.bits())
    }

    /// How long a record takes until it is shown.
    fn lag(&mut self) -> Micros {
        let random = &mut self.random;
        if random.below(1_000) < self.settings.late_per_mille {
            // As likely to be seconds as minutes or an hour.
            let longest = 1 << random.range(1, 13);
            return random.range(1, longest.min(7_200)) as Micros * SECOND;
        }
        300_000 + random.below(7 * SECOND as u64) as Micros
    }
}
