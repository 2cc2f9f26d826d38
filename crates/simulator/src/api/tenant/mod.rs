//! Who makes the records: a cast with habits, told hour by hour.
//!
//! Owns when things happen and when they reach the feed; what people do is [`habits`]'s, what attackers do is [`stories`]'s
//! business. Hours are told once each, in order, so that a seed decides every byte however the clock is moved.

mod habits;
mod oddities;
mod stories;
mod things;

use std::sync::{Arc, LazyLock};

use model::catalog::Catalog;
use serde_json::{Map, Value};

use self::habits::Habit;
use self::things::Things;
use super::row::{Content, Place, Row};
use super::settings::Tenant;
use crate::cast::{Cast, CastSize, Person};
use crate::clock::{Micros, SECOND};
use crate::draft::Draft;
use crate::random::Random;
use crate::records::RecordGenerator;
use crate::values::settle;

/// A minute and an hour.
pub(crate) const MINUTE: Micros = 60 * SECOND;
pub(crate) const HOUR: Micros = 60 * MINUTE;

/// For how long somebody who was removed stays away.
pub(crate) const AWAY: Micros = 3 * 24 * HOUR;

/// The catalog, read once.
pub(crate) static CATALOG: LazyLock<Catalog> = LazyLock::new(Catalog::builtin);

/// A tenant at work.
#[derive(Debug, Clone)]
pub(crate) struct Office {
    settings: Tenant,
    generator: RecordGenerator<'static>,
    random: Random,
    habits: Vec<Habit>,
    /// Until when each of them is away, having been removed.
    away: Vec<Micros>,
    /// What each of them works with, so that what is made is looked at again.
    things: Vec<Things>,
    /// What has been said before, to be said again.
    pool: Vec<Arc<Content>>,
    /// What was told of the hour under way.
    told: Vec<(Place, Row)>,
    /// When the record told last was made.
    last: Micros,
}

impl Office {
    pub(crate) fn new(seed: u64, settings: &Tenant) -> Self {
        let people = settings.people.max(1);
        let size = CastSize { people, machines: people / 12 + 3, addresses: people * 2 + 20 };
        let mut random = Random::new(seed ^ 0x686f_7572);
        let habits = (0..settings.people).map(|_| Habit::new(&mut random)).collect();
        let things = (0..settings.people).map(|person| Things::new(seed, person)).collect();
        Self {
            settings: settings.clone(),
            generator: RecordGenerator::with_cast(&CATALOG, seed, Cast::new(seed, size)),
            random,
            away: vec![Micros::MIN; settings.people],
            habits,
            things,
            pool: Vec::new(),
            told: Vec::new(),
            last: 0,
        }
    }

    /// `org_…` and the UUID of the organization.
    pub(crate) fn organization(&self) -> &(String, String) {
        &self.generator.cast.organization
    }

    /// Everybody with an account.
    pub(crate) fn people(&self) -> &[Person] {
        if self.settings.people == 0 { &[] } else { self.generator.cast.people() }
    }

    /// What happens in the hour that begins at `from`.
    pub(crate) fn hour(&mut self, from: Micros) -> Vec<(Place, Row)> {
        if self.settings.people > 0 {
            self.work(from);
            self.machines(from);
            if self.settings.stories {
                self.story(from);
            }
        }
        std::mem::take(&mut self.told)
    }

    /// What a record of that type says, for a test that places it itself.
    pub(crate) fn content(&mut self, activity_type: &str, at: Micros) -> Content {
        Content::of_record(&self.generator.draft(activity_type).at(at).finish())
    }

    /// The same with some fields given.
    pub(crate) fn event(&mut self, activity_type: &str, at: Micros, fields: &Map<String, Value>) -> Content {
        let draft = self.generator.draft(activity_type).at(at);
        let draft = fields.iter().fold(draft, |draft, (name, value)| match name.as_str() {
            "actor" => draft.actor_json(&value.to_string()),
            _ => draft.set_json(name, &value.to_string()),
        });
        Content::of_record(&draft.finish())
    }

    /// That recording is switched off or on.
    pub(crate) fn switched(&mut self, at: Micros, on: &str) -> Content {
        let draft = self.generator.draft("org_compliance_api_settings_updated").at(at);
        let draft = draft.actor_kind("user_actor").set_json("compliance_api_enabled", on);
        Content::of_record(&draft.set_json("compliance_api_logging_enabled", on).finish())
    }

    /// Tells a record: of a type, at a time, with what `fix` decides about it.
    fn tell<F>(&mut self, at: Micros, activity_type: &str, fix: F)
    where
        F: for<'g> FnOnce(Draft<'g, 'static>) -> Draft<'g, 'static>,
    {
        let lag = self.lag();
        self.tell_late(at, activity_type, lag, fix);
    }

    /// The same, with the time until the feed shows it.
    fn tell_late<F>(&mut self, at: Micros, activity_type: &str, lag: Micros, fix: F)
    where
        F: for<'g> FnOnce(Draft<'g, 'static>) -> Draft<'g, 'static>,
    {
        let tied = self.random.below(100) < self.settings.tied_percent && (self.last - at).abs() < MINUTE;
        let created = if tied { self.last } else { settle(&mut self.random, at) };
        self.last = created;
        let number = (u128::from(self.random.bits()) << 64) | u128::from(self.random.bits());
        let content = if self.settings.pool > 0 && self.pool.len() >= self.settings.pool {
            self.pool[self.random.index(self.pool.len())].clone()
        } else {
            let mut text = fix(self.generator.draft(activity_type).at(created)).finish();
            if self.random.below(1_000) < self.settings.odd_per_mille {
                text = oddities::bend(&mut self.random, &text);
            }
            let content = Arc::new(Content::of_record(&text));
            if self.settings.pool > 0 {
                self.pool.push(content.clone());
            }
            content
        };
        let row = Row { occurred: at.min(created), indexed: created + lag, content };
        self.told.push((Place { created, number }, row));
    }

    /// How long a record takes until the feed shows it.
    fn lag(&mut self) -> Micros {
        let random = &mut self.random;
        if random.below(1_000) < self.settings.late_per_mille {
            // Seconds are as likely as minutes or an hour.
            let longest = (1 << random.range(1, 13)).min(7_200);
            return random.range(1, longest) as Micros * SECOND;
        }
        300_000 + random.below(7 * SECOND as u64) as Micros
    }

    /// Some time of the hour that begins at `from`.
    fn some_time(&mut self, from: Micros) -> Micros {
        from + self.random.below(HOUR as u64) as Micros
    }
}
