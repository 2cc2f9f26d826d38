//! The simulated API: a request and a time in, an answer out.
//!
//! Owns the order in which a request is judged: key, budget, scope, parameters, and then what was asked. It does no IO
//! and reads no clock, so thousands of seeds run in a second. The subtle thing: a request leaves a record of itself in the
//! feed, as the real one does.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::Serialize;

use super::damage::{self, Instead};
use super::event::Event;
use super::exchange::{Answer, Delivery, Request};
use super::faults::{Fault, FaultKind, Faults, When};
use super::keys::{self, ACTIVITIES, Key, KeyKind, KeyState};
use super::limiter::Limiter;
use super::listing::Listing;
use super::own_read::own_read;
use super::refusal::Refusal;
use super::routes::{Reply, Route, World};
use super::row::{Content, Place, Row, base58};
use super::script::Scenario;
use super::settings::Settings;
use super::shape;
use super::store::Store;
use super::tenant::{HOUR, Office};
use crate::clock::{Micros, SECOND};
use crate::random::Random;

/// The route of the feed.
pub const ACTIVITIES_PATH: &str = "/v1/compliance/activities";
/// What all routes start with.
const ROUTES: &str = "/v1/compliance";

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

/// What a request came to.
struct Judged {
    answer: Answer,
    /// Whose request it was, if it is to be recorded.
    key: Option<Key>,
    rows: usize,
}

/// A simulated tenant behind a simulated API; see the module's text.
#[derive(Debug, Clone)]
pub struct Simulation {
    settings: Settings,
    store: Store,
    office: Office,
    /// Until when the tenant's hours are told.
    told: Micros,
    keys: Vec<Key>,
    limiter: Limiter,
    /// The second budget.
    remote: Limiter,
    faults: Faults,
    /// When nothing was recorded.
    gaps: Vec<(Micros, Micros)>,
    /// What was deleted for good, and since when.
    erased: BTreeMap<String, Micros>,
    /// Numbers of own records and of those a test adds.
    random: Random,
    seen: Vec<Seen>,
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
        self.store.iter().map(|(place, row)| Truth {
            id: place.id(),
            activity_type: row.content.activity_type.clone(),
            occurred: row.occurred,
            created: place.created,
            indexed: row.indexed,
        })
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

    /// Answers a request at a time that is not before that of the request before.
    pub fn answer(&mut self, request: &Request, now: Micros) -> Answer {
        self.advance(now);
        let request_id = format!("req_01{}", base58(self.number()));
        let fault = self.faults.due(request, now);
        let route = request.path.strip_prefix(ROUTES).and_then(|path| Route::of(&request.method, path));
        if route.is_some() {
            self.store.open_library();
        }
        let judged = self.judge(request, route.as_ref(), now, &request_id, fault.as_ref());
        let Judged { mut answer, key, rows } = judged;
        if let (200, Some(Route::Erase(_, id))) = (answer.status, &route) {
            self.erase(id, now);
        }
        self.add_headers(request, now, &request_id, &mut answer);
        if let Some(fault) = &fault {
            damage::bend_headers(fault, &mut answer);
            let shared = !route.as_ref().is_some_and(Route::is_remote) && self.settings.limits.headers;
            if let (FaultKind::RateLimited, Some(seconds), true) = (fault.kind, fault.retry_after, shared) {
                for (name, value) in Limiter::spent(now + seconds * SECOND) {
                    answer.set(name, value);
                }
            }
            if let (FaultKind::Skewed, Some(date)) = (fault.kind, self.settings.date) {
                answer.set("date", http_date(now + date + fault.seconds.unwrap_or(3_600) * SECOND));
            }
            damage::damage(fault, request, &mut answer);
        }
        let recorded = request.path.starts_with(ROUTES) && !self.is_off(now);
        if let (Some(key), Some(delay), true) = (&key, self.settings.own_reads, recorded) {
            let row = own_read(request, key, (&request_id, answer.status), now, delay);
            let place = Place { created: now, number: self.number() };
            self.store.insert(place, row);
        }
        // Whose request it was is known also where it was lost on the way.
        let sender = self.keys.iter().find(|key| Some(key.secret.as_str()) == request.secret());
        self.seen.push(Seen {
            at: now,
            request_id,
            key: sender.map(|key| key.name.clone()),
            target: request.target(),
            status: answer.status,
            retry_after: answer.find("retry-after").and_then(|seconds| seconds.parse().ok()),
            rows,
            fault: fault.map(|fault| fault.kind),
        });
        answer
    }

    fn judge(
        &mut self,
        request: &Request,
        route: Option<&Route>,
        now: Micros,
        request_id: &str,
        fault: Option<&Fault>,
    ) -> Judged {
        let dialect = self.settings.dialect;
        let refused = |refusal: &Refusal, key: Option<Key>| Judged {
            answer: Answer::new(refusal.status, "application/json", refusal.body(dialect, request_id)),
            key,
            rows: 0,
        };
        let instead = fault.and_then(|fault| damage::instead(fault, request, dialect));
        if let Some(Instead::Unseen(answer)) = instead {
            return Judged { answer, key: None, rows: 0 };
        }
        let key = match (keys::authenticate(&self.keys, request.secret(), dialect), &instead) {
            (Err(refusal), _) => return refused(&refusal, None),
            (_, Some(Instead::Unauthenticated(refusal))) => return refused(refusal, None),
            (Ok(key), _) => key.clone(),
        };
        if fault.is_some_and(|fault| fault.kind == FaultKind::Starved) {
            self.limiter.exhaust(&self.settings.limits, now);
        }
        if let Err(seconds) = self.spend(route, now) {
            let refusal = Refusal::new(429, "rate_limit_error", "Number of requests has exceeded the limit");
            let mut judged = refused(&refusal, Some(key));
            judged.answer.set("retry-after", seconds.to_string());
            return judged;
        }
        if let Some(Instead::Refused(refusal)) = &instead {
            return refused(refusal, Some(key));
        }
        match self.serve(request, route, &key, now, fault) {
            Ok(reply) => {
                let mut answer = Answer::new(200, "application/json", reply.body);
                reply.headers.into_iter().for_each(|(name, value)| answer.set(name, value));
                if reply.streamed {
                    answer.delivery = Delivery::Chunked;
                }
                Judged { answer, key: Some(key), rows: reply.rows }
            }
            Err(refusal) => refused(&refusal, Some(key)),
        }
    }

    /// Draws on the budgets.
    ///
    /// # Errors
    ///
    /// The seconds to wait; of the second budget always the same, and never enough.
    fn spend(&mut self, route: Option<&Route>, now: Micros) -> Result<(), i64> {
        let limits = &self.settings.limits;
        self.limiter.take(limits, now, 1)?;
        if route.is_some_and(Route::is_remote) {
            return self.remote.take(&limits.second(), now, 1).map_err(|_| 1);
        }
        Ok(())
    }

    fn serve(
        &self,
        request: &Request,
        route: Option<&Route>,
        key: &Key,
        now: Micros,
        fault: Option<&Fault>,
    ) -> Result<Reply, Refusal> {
        let feed = request.path == ACTIVITIES_PATH && request.method == "GET";
        let scope = match route {
            Some(route) => route.scope(),
            None if feed => ACTIVITIES,
            None => return Err(Refusal::not_found()),
        };
        let Self { settings, store, office, keys, erased, .. } = self;
        keys::authorize(key, scope, settings.dialect)?;
        if self.is_off(now) {
            return Err(Refusal::invalid("Compliance API is not enabled for this organization"));
        }
        let pairs = request.pairs();
        if let Some((route, library)) = route.zip(store.library()) {
            let world = World { settings, library, office, keys, key, erased, pairs: &pairs, now, fault };
            return world.answer(route).map(|reply| match fault {
                Some(fault) if fault.kind == FaultKind::Shape => {
                    Reply { body: shape::bend_page(&reply.body, fault.shape), ..reply }
                }
                _ => reply,
            });
        }
        let (id, uuid) = office.organization();
        let listing = Listing { settings, store, organization: (id, uuid), now, fault };
        listing.answer(&pairs, key).map(|(body, rows)| Reply::of(body, rows))
    }

    /// Headers and compression.
    fn add_headers(&self, request: &Request, now: Micros, request_id: &str, answer: &mut Answer) {
        answer.set("request-id", request_id);
        if self.settings.limits.headers && answer.status != 401 {
            for (name, value) in self.limiter.headers(&self.settings.limits, now) {
                answer.set(name, value);
            }
        }
        if let Some(skew) = self.settings.date {
            answer.set("date", http_date(now + skew));
        }
        if answer.status < 300 {
            answer.set("anthropic-organization-id", self.office.organization().1.clone());
        } else if answer.status < 500 {
            answer.set("x-should-retry", (answer.status == 429).to_string());
        }
        if self.settings.gzip {
            damage::compress(request, answer, 512);
        }
    }

    /// Whether the Compliance API is switched off.
    fn is_off(&self, now: Micros) -> bool {
        self.gaps.iter().any(|(from, until)| (*from..*until).contains(&now))
    }

    fn number(&mut self) -> u128 {
        (u128::from(self.random.bits()) << 64) | u128::from(self.random.bits())
    }
}

/// A time as HTTP spells it.
fn http_date(at: Micros) -> String {
    let time = chrono::DateTime::from_timestamp_micros(at).unwrap_or_default();
    time.format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}
