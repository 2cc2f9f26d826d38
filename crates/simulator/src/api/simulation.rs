//! The simulated API: a request and a time in, an answer out.
//!
//! Owns what there is: tenant, keys, faults, the truth, and what was asked so far. How a request is answered stands in
//! [`super::judge`]. It does no IO and reads no clock, so thousands of seeds run in a second. The subtle thing: the tenant
//! lives on only as far as somebody asks, and is the same however it got there.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::Serialize;

use super::event::Event;
use super::faults::{Fault, FaultKind, Faults, When};
use super::keys::{self, Key, KeyKind, KeyState};
use super::limiter::Limiter;
use super::row::{Content, Place, Row};
use super::script::Scenario;
use super::settings::Settings;
use super::store::Store;
use super::tenant::{HOUR, Office};
use crate::clock::{Micros, SECOND};
use crate::random::Random;

/// The route of the feed.
pub const ACTIVITIES_PATH: &str = "/v1/compliance/activities";

/// A record as it truly is: what a test holds a sink against.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Truth {
    /// `activity_…`.
    pub id: String,
    /// `type`.
    pub activity_type: String,
    /// When it happened.
    pub occurred: Micros,
    /// What its `created_at` says.
    pub created: Micros,
    /// From when on the feed shows it.
    pub indexed: Micros,
}

/// A request as it was answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Seen {
    /// The virtual time.
    pub at: Micros,
    /// `req_…`, as in the answer's header and in the feed.
    pub request_id: String,
    /// The name of the key, if it was known.
    pub key: Option<String>,
    /// Path and query as sent.
    pub target: String,
    /// What was answered.
    pub status: u16,
    /// The wait that was asked for.
    pub retry_after: Option<i64>,
    /// How many records were in the page.
    pub rows: usize,
    /// What went wrong on purpose.
    pub fault: Option<FaultKind>,
}

/// A simulated tenant behind a simulated API; see the module's text.
#[derive(Debug, Clone)]
pub struct Simulation {
    pub(super) settings: Settings,
    pub(super) store: Store,
    pub(super) office: Office,
    /// Until when the tenant's hours are told.
    pub(super) told: Micros,
    pub(super) keys: Vec<Key>,
    pub(super) limiter: Limiter,
    /// The second budget.
    pub(super) remote: Limiter,
    pub(super) faults: Faults,
    /// When nothing was recorded.
    pub(super) gaps: Vec<(Micros, Micros)>,
    /// What was deleted for good, and since when.
    pub(super) erased: BTreeMap<String, Micros>,
    /// Numbers of own records and of those a test adds.
    pub(super) random: Random,
    pub(super) seen: Vec<Seen>,
}

impl Simulation {
    /// A simulation; the same settings and the same requests at the same times give the same bytes.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let office = Office::new(settings.seed, &settings.tenant);
        let first = settings.start - settings.tenant.history;
        let mut simulation = Self {
            store: Store::default(),
            office,
            told: first.div_euclid(HOUR) * HOUR,
            keys: keys::standard(settings.seed),
            limiter: Limiter::default(),
            remote: Limiter::default(),
            faults: Faults::default(),
            gaps: Vec::new(),
            erased: BTreeMap::new(),
            random: Random::new(settings.seed ^ 0x6f77_6e72),
            seen: Vec::new(),
            settings,
        };
        simulation.advance(simulation.settings.start);
        simulation
    }

    /// When the virtual clock starts.
    #[must_use]
    pub fn start(&self) -> Micros {
        self.settings.start
    }

    /// What it was made from, to be changed while it runs. What the tenant is has been decided already.
    pub fn settings(&mut self) -> &mut Settings {
        &mut self.settings
    }

    /// The secret of a key by its name: `full`, `activities`, `audit`, `admin`, `revoked` and so on; empty when there is none.
    #[must_use]
    pub fn key(&self, name: &str) -> &str {
        self.keys.iter().find(|key| key.name == name).map_or("", |key| &key.secret)
    }

    /// All keys.
    #[must_use]
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// Makes a key, for some organizations or (when none are named) all, and says its secret.
    pub fn add_key(&mut self, name: &str, kind: KeyKind, scopes: &[&str], organizations: &[&str]) -> String {
        let mut key = keys::made(&mut self.random, name, kind, scopes, KeyState::Active);
        key.organizations = organizations.iter().map(|&id| id.to_owned()).collect();
        let secret = key.secret.clone();
        self.keys.push(key);
        secret
    }

    /// Ends a key or brings it back.
    pub fn set_key(&mut self, name: &str, state: KeyState) {
        for key in self.keys.iter_mut().filter(|key| key.name == name) {
            key.state = state;
        }
    }

    /// `org_…` and the UUID of the organization whose records these are.
    #[must_use]
    pub fn organization(&self) -> (&str, &str) {
        let (id, uuid) = self.office.organization();
        (id, uuid)
    }

    /// Lets the tenant live until `now`.
    pub fn advance(&mut self, now: Micros) {
        while self.told <= now {
            let rows = self.office.hour(self.told);
            let Self { settings, gaps, store, .. } = self;
            let recorded = |at: Micros| {
                settings.tenant.quiet_from.is_none_or(|quiet| at < quiet)
                    && !gaps.iter().any(|(from, until)| (*from..*until).contains(&at))
            };
            store.extend(rows.into_iter().filter(|(_, row)| recorded(row.occurred)));
            self.told += HOUR;
        }
    }

    /// Adds a record of that type, whose content is left to chance, and says its id.
    pub fn add(&mut self, activity_type: &str, created: Micros, indexed: Micros) -> String {
        let number = self.number();
        self.add_at(activity_type, Place { created, number }, indexed)
    }

    /// Adds a record at an exact place, for ties with a known order.
    pub fn add_at(&mut self, activity_type: &str, place: Place, indexed: Micros) -> String {
        let content = Arc::new(self.office.content(activity_type, place.created));
        self.store.insert(place, Row { occurred: place.created, indexed, content });
        place.id()
    }

    /// Adds a record whose text after `id` and `created_at` is this, from the comma on: any text, damaged ones too.
    pub fn add_raw(&mut self, rest: &str, place: Place, indexed: Micros) -> String {
        let content = Arc::new(Content::of_rest(rest));
        self.store.insert(place, Row { occurred: place.created, indexed, content });
        place.id()
    }

    /// Adds what an event says, as of `now`, and says the ids.
    ///
    /// # Errors
    ///
    /// Which of its times or ids cannot be understood.
    pub fn tell(&mut self, event: &Event, now: Micros) -> Result<Vec<String>, String> {
        let times = event.times(self.settings.start, now)?;
        let tie = event.tied_with.as_deref().map(|id| {
            let place = super::row::number_of(id).and_then(|number| self.store.find(number));
            place.ok_or_else(|| format!("`tied_with` is no activity that there is: {id}"))
        });
        let tie = tie.transpose()?;
        let mut ids = Vec::new();
        for nth in 1..=event.count {
            let number = match tie {
                Some(place) => event.beside(place.number, nth as u128).ok_or("no id is left on that side")?,
                None => self.number(),
            };
            let place = Place { created: tie.map_or(times.created, |place| place.created), number };
            let content = match &event.raw {
                Some(raw) => Content::of_rest(raw),
                None => self.office.event(&event.activity_type, place.created, &event.fields),
            };
            let occurred = if tie.is_some() { place.created } else { times.occurred };
            self.store.insert(place, Row { occurred, indexed: times.indexed, content: Arc::new(content) });
            ids.push(place.id());
        }
        Ok(ids)
    }

    /// Takes over all that a script says.
    ///
    /// # Errors
    ///
    /// The first thing in it that cannot be understood; what stands before it holds.
    pub fn stage(&mut self, scenario: &Scenario, now: Micros) -> Result<(), String> {
        scenario.settings.apply(&mut self.settings)?;
        for fault in &scenario.faults {
            self.order(fault.clone())?;
        }
        scenario.activities.iter().try_for_each(|event| self.tell(event, now).map(drop))
    }

    /// Deletes a chat, a file, a project or a session for good, from a time on, as a user or a key with that scope does.
    pub fn erase(&mut self, id: &str, since: Micros) {
        self.erased.entry(id.to_owned()).or_insert(since);
    }

    /// Every record there is, in the order of the feed, also those not shown yet (`indexed` says when).
    pub fn truth(&self) -> impl Iterator<Item = Truth> + '_ {
        self.store.iter().map(|(place, row)| truth(place, row))
    }

    /// Takes the records out that were made before a time, in the order of the feed, as if the vendor's retention had deleted
    /// them: for who runs for days, and holds the truth against a sink piece by piece.
    pub fn take_before(&mut self, time: Micros) -> Vec<Truth> {
        let rows = self.store.take_before(Place { created: time, number: 0 });
        rows.into_iter().map(|(place, row)| truth(place, &row)).collect()
    }

    /// Takes the requests so far, oldest first. What is asked about requests later knows only those after them.
    pub fn take_seen(&mut self) -> Vec<Seen> {
        std::mem::take(&mut self.seen)
    }

    /// How many records there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.store.len()
    }

    /// Every request so far, oldest first.
    #[must_use]
    pub fn seen(&self) -> &[Seen] {
        &self.seen
    }

    /// Orders a fault.
    ///
    /// # Errors
    ///
    /// Which of its times cannot be read.
    pub fn order(&mut self, fault: Fault) -> Result<(), String> {
        let start = self.settings.start;
        let bound = |when: &Option<When>| when.as_ref().and_then(|when| when.micros(start));
        if !self.faults.add(fault.clone(), start) {
            let Fault { kind, from, until, .. } = fault;
            return Err(format!(
                "{kind:?} from {from:?} until {until:?}: a time is neither seconds after the start nor RFC 3339"
            ));
        }
        if let (FaultKind::NotEnabled, Some((from, until))) =
            (fault.kind, bound(&fault.from).zip(bound(&fault.until)))
        {
            self.gap(from, until);
        }
        Ok(())
    }

    /// Forgets every fault ordered.
    pub fn clear_faults(&mut self) {
        self.faults.clear();
    }

    /// The faults that may still act, with how often they did.
    pub fn pending_faults(&self) -> impl Iterator<Item = (&Fault, u64)> {
        self.faults.pending()
    }

    /// Records nothing of what happens between two times, but that recording was switched off and on.
    pub fn gap(&mut self, from: Micros, until: Micros) {
        self.gaps.push((from, until));
        self.store.retain(|_, row| !(from..until).contains(&row.occurred));
        for (at, on) in [(from, "false"), (until, "true")] {
            let place = Place { created: at, number: self.number() };
            let content = Arc::new(self.office.switched(at, on));
            self.store.insert(place, Row { occurred: at, indexed: at + SECOND, content });
        }
    }

    /// Requests that came before the wait was over that an earlier answer to the same key had asked for.
    pub fn broken_waits(&self) -> impl Iterator<Item = &Seen> {
        let mut until = HashMap::new();
        self.seen.iter().filter(move |seen| {
            let early = until.get(&seen.key).is_some_and(|until| seen.at < *until);
            if let Some(seconds) = seen.retry_after {
                until.insert(seen.key.clone(), seen.at + seconds * SECOND);
            }
            early
        })
    }

    /// The most requests that were counted against the budget within any span of that length.
    #[must_use]
    pub fn busiest(&self, span: Micros) -> usize {
        let counted: Vec<_> =
            self.seen.iter().filter(|seen| seen.key.is_some() && seen.status != 401).collect();
        let within = |from: usize| {
            let until = counted.get(from).map_or(0, |seen| seen.at.saturating_add(span));
            counted.partition_point(|seen| seen.at < until) - from
        };
        (0..counted.len()).map(within).max().unwrap_or(0)
    }

    /// A number for an id.
    pub(super) fn number(&mut self) -> u128 {
        (u128::from(self.random.bits()) << 64) | u128::from(self.random.bits())
    }
}

/// A record as it truly is.
fn truth(place: Place, row: &Row) -> Truth {
    Truth {
        id: place.id(),
        activity_type: row.content.activity_type.clone(),
        occurred: row.occurred,
        created: place.created,
        indexed: row.indexed,
    }
}
