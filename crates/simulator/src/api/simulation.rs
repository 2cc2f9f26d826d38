//! The simulated API: a request and a time in, an answer out.
//!
//! Owns the order in which a request is judged: key, budget, scope, parameters, and then what was asked. It does no IO
//! and reads no clock, so thousands of seeds run in a second. The subtle thing: a request leaves a record of itself in the
//! feed, as the real one does.

use std::io::Write as _;
use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::cursor::{Cursors, Read};
use super::exchange::{Answer, Request};
use super::filter::Parameters;
use super::keys::{self, ACTIVITIES, Key, KeyState};
use super::limiter::Limiter;
use super::refusal::{Dialect, Refusal};
use super::row::{Content, Place, Row, base58};
use super::settings::Settings;
use super::store::{Order, Query, Side, Store};
use super::tenant::{CATALOG, HOUR, Office};
use crate::clock::{Micros, instant};
use crate::json;
use crate::random::Random;

/// The route of the feed.
pub const ACTIVITIES_PATH: &str = "/v1/compliance/activities";

/// A record as it truly is: what a test holds a sink against.
#[derive(Debug, Clone, PartialEq, Eq)]
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
#[derive(Debug, Clone, PartialEq, Eq)]
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
            let quiet = self.settings.tenant.quiet_from;
            let rows = self.office.hour(self.told);
            self.store
                .extend(rows.into_iter().filter(|(_, row)| quiet.is_none_or(|quiet| row.occurred < quiet)));
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

    /// Answers a request at a time that is not before that of the request before.
    pub fn answer(&mut self, request: &Request, now: Micros) -> Answer {
        self.advance(now);
        let request_id = format!("req_01{}", base58(self.number()));
        let (mut answer, key, rows) = self.judge(request, now, &request_id);
        answer.set("request-id", request_id.clone());
        self.finish(request, now, &mut answer);
        if let Some(key) = &key {
            self.record_own_read(request, now, key, &request_id, answer.status);
        }
        let target = match request.query.as_str() {
            "" => request.path.clone(),
            query => format!("{}?{query}", request.path),
        };
        self.seen.push(Seen {
            at: now,
            request_id,
            key: key.map(|key| key.name),
            target,
            status: answer.status,
            retry_after: answer.find("retry-after").and_then(|seconds| seconds.parse().ok()),
            rows,
        });
        answer
    }

    fn judge(&mut self, request: &Request, now: Micros, request_id: &str) -> (Answer, Option<Key>, usize) {
        let dialect = self.settings.dialect;
        let refused = |refusal: &Refusal| {
            Answer::new(refusal.status, "application/json", refusal.body(dialect, request_id))
        };
        let key = match keys::authenticate(&self.keys, request.secret(), dialect) {
            Ok(key) => key.clone(),
            Err(refusal) => return (refused(&refusal), None, 0),
        };
        if let Err(seconds) = self.limiter.take(&self.settings.limits, now, 1) {
            let refusal = Refusal::new(429, "rate_limit_error", "Number of requests has exceeded the limit");
            let mut answer = refused(&refusal);
            answer.set("retry-after", seconds.to_string());
            return (answer, Some(key), 0);
        }
        let answered = match (request.method.as_str(), request.path.as_str()) {
            ("GET", ACTIVITIES_PATH) => {
                keys::authorize(&key, ACTIVITIES, dialect).and_then(|()| self.activities(request, &key, now))
            }
            _ => Err(Refusal::not_found()),
        };
        match answered {
            Ok((body, rows)) => (Answer::new(200, "application/json", body), Some(key), rows),
            Err(refusal) => (refused(&refusal), Some(key), 0),
        }
    }

    /// A page of the feed.
    fn activities(&self, request: &Request, key: &Key, now: Micros) -> Result<(Vec<u8>, usize), Refusal> {
        let pairs = request.pairs();
        if !self.settings.knows_order && pairs.iter().any(|(name, _)| name == "order") {
            return Err(Refusal::unknown_parameter("order", &[]));
        }
        let parameters = Parameters::read(&pairs, &CATALOG, self.settings.dialect == Dialect::October)?;
        let Parameters { filter, order, limit, after, before } = parameters;
        self.reaches(key, &filter.organizations)?;
        let cursor = match (after, before) {
            (Some(text), _) => Some((Side::After, self.place(&text, order, &filter, now, "after_id")?)),
            (_, Some(text)) => Some((Side::Before, self.place(&text, order, &filter, now, "before_id")?)),
            _ => None,
        };
        let query = Query { filter, order, cursor, limit };
        let page = self.store.page(&query, now);
        let redacted = self.redacts(now);
        let mut body = Vec::with_capacity(page.rows.len() * 640 + 400);
        body.extend_from_slice(b"{\"data\":[");
        for (index, (place, row)) in page.rows.iter().enumerate() {
            if index > 0 {
                body.push(b',');
            }
            row.write(*place, redacted, &mut body);
        }
        let cursors = self.cursors();
        let end = |edge: Option<&(Place, &Row)>| match edge {
            Some((place, _)) => format!("\"{}\"", cursors.write(*place, order, &query.filter, now)),
            None => "null".to_owned(),
        };
        let tail = format!(
            "],\"has_more\":{},\"first_id\":{},\"last_id\":{}}}",
            page.has_more,
            end(page.rows.first()),
            end(page.rows.last())
        );
        body.extend_from_slice(tail.as_bytes());
        Ok((body, page.rows.len()))
    }

    /// Whether the key reads every organization asked for.
    fn reaches(&self, key: &Key, asked: &std::collections::BTreeSet<String>) -> Result<(), Refusal> {
        let (id, uuid) = self.organization();
        let known = |name: &String| {
            (name == id || name == uuid) && (key.organizations.is_empty() || key.organizations.contains(name))
        };
        match asked.iter().find(|name| !known(name)) {
            Some(name) => Err(Refusal::new(
                403,
                "permission_error",
                format!("Organization {name} is outside this API key's scope"),
            )),
            None => Ok(()),
        }
    }

    fn place(
        &self,
        text: &str,
        order: Order,
        filter: &super::filter::Filter,
        now: Micros,
        parameter: &str,
    ) -> Result<Place, Refusal> {
        let refused = || Refusal::cursor(parameter);
        match self.cursors().read(text, order, filter).ok_or_else(refused)? {
            Read::Place { place, made } => {
                let age = made.map_or(0, |made| now - made);
                let expired = self.settings.cursor_lifetime.is_some_and(|lifetime| age > lifetime);
                if expired { Err(refused()) } else { Ok(place) }
            }
            Read::Id(number) => self.store.find(number).ok_or_else(refused),
        }
    }

    fn cursors(&self) -> Cursors {
        let Settings { seed, cursors: style, strict_cursors: strict, .. } = self.settings;
        Cursors { seed, style, strict }
    }

    /// Whether names are gone from records by now.
    fn redacts(&self, now: Micros) -> bool {
        let usual = match self.settings.dialect {
            Dialect::August => Micros::MAX,
            Dialect::October => instant((2026, 9, 24), 0, 0, 0),
        };
        now >= self.settings.redacted_from.unwrap_or(usual)
    }

    /// Headers and compression.
    fn finish(&mut self, request: &Request, now: Micros, answer: &mut Answer) {
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
        } else if answer.status < 500 && answer.status != 429 {
            answer.set("x-should-retry", "false");
        }
        let accepts = request.find("accept-encoding").is_some_and(|accepted| accepted.contains("gzip"));
        if self.settings.gzip && accepts && answer.body.len() > 512 {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            // Writing to memory cannot fail; if it did, the plain body is as good.
            if let Ok(packed) = encoder.write_all(&answer.body).and_then(|()| encoder.finish()) {
                answer.body = packed.into();
                answer.set("content-encoding", "gzip");
            }
        }
    }

    /// The record that a request leaves behind.
    fn record_own_read(&mut self, request: &Request, now: Micros, key: &Key, request_id: &str, status: u16) {
        let Some(delay) = self.settings.own_reads else { return };
        let mut actor = String::from("{");
        let agent = request.find("user-agent").unwrap_or("unknown");
        let key_id = format!("apikey_{}", key.tail);
        for (name, value) in [
            ("type", "api_actor"),
            ("api_key_id", key_id.as_str()),
            ("ip_address", "192.0.2.25"),
            ("user_agent", agent),
        ] {
            json::key(&mut actor, name);
            json::string(&mut actor, value);
        }
        actor.push('}');
        let mut rest = String::from(",\"organization_id\":null,\"organization_uuid\":null");
        let url = format!("https://api.anthropic.com{}?{}", request.path, request.query);
        json::key(&mut rest, "type");
        json::string(&mut rest, "compliance_api_accessed");
        json::key(&mut rest, "actor");
        rest.push_str(&actor);
        for (name, value) in [
            ("request_id", request_id),
            ("request_method", request.method.as_str()),
            ("url", url.trim_end_matches('?')),
        ] {
            json::key(&mut rest, name);
            json::string(&mut rest, value);
        }
        rest.push_str(&format!(",\"status_code\":{status},\"request_body\":null}}"));
        let content = Arc::new(Content {
            activity_type: "compliance_api_accessed".to_owned(),
            user_id: None,
            organization: None,
            rest,
            redacted: None,
        });
        let place = Place { created: now, number: self.number() };
        self.store.insert(place, Row { occurred: now, indexed: now + delay, content });
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
