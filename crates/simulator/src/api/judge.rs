//! A request is judged: key, budgets, scope, parameters, and then what was asked.
//!
//! Owns that order, the headers, and what a request leaves behind. The subtle thing: a request leaves a record of itself in
//! the feed, as the real one does, unless nobody knows whose it was.

use super::damage::{self, Instead};
use super::exchange::{Answer, Delivery, Request};
use super::faults::{Fault, FaultKind};
use super::keys::{self, ACTIVITIES, Key};
use super::limiter::Limiter;
use super::listing::Listing;
use super::own_read::own_read;
use super::refusal::Refusal;
use super::routes::{Reply, Route, World};
use super::row::{Place, base58};
use super::shape;
use super::simulation::{ACTIVITIES_PATH, Seen, Simulation};
use crate::clock::{Micros, SECOND};

/// What all routes start with.
const ROUTES: &str = "/v1/compliance";

/// What a request came to.
struct Judged {
    answer: Answer,
    /// Whose request it was, if it is to be recorded.
    key: Option<Key>,
    rows: usize,
}

impl Simulation {
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
            let reply = world.answer(route)?;
            return Ok(match fault {
                Some(fault) => Reply { body: shape::bend_page(reply.body, fault), ..reply },
                None => reply,
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
}

/// A time as HTTP spells it.
fn http_date(at: Micros) -> String {
    let time = chrono::DateTime::from_timestamp_micros(at).unwrap_or_default();
    time.format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}
