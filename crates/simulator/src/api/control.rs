//! What can be asked of a running simulation: its clock, its faults, its truth.
//!
//! Owns the handle for tests and the routes under `/_control/` for everybody else. The routes are no part of the API; the
//! server opens them to loopback only.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use super::change::Change;
use super::clock::{Clock, Pace};
use super::event::Event;
use super::exchange::{Answer, Request};
use super::keys::KeyState;
use super::script::{read_scenario, read_script};
use super::simulation::Simulation;
use crate::clock::{Micros, Precision, SECOND, rfc3339};

/// What the routes start with.
pub(crate) const PREFIX: &str = "/_control/";

#[derive(Debug)]
struct State {
    simulation: Simulation,
    clock: Clock,
}

/// A handle on a running simulation: its clock, and itself.
#[derive(Debug, Clone)]
pub struct Control {
    state: Arc<Mutex<State>>,
}

/// `POST /_control/clock`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Move {
    /// Moves on by so many seconds.
    advance_seconds: Option<i64>,
    /// Lets it run so many times as fast as the real one; it stands when 0.
    times: Option<f64>,
}

/// `POST /_control/keys`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyChange {
    name: String,
    state: KeyState,
}

/// `POST /_control/erase`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Erasure {
    id: String,
}

/// The routes, for who has missed them.
const ROUTES: &str = "there are: GET /_control/, POST clock, GET POST DELETE faults, GET truth, GET requests, POST keys, \
                      POST activities, POST settings, POST erase, POST script";

impl Control {
    pub(crate) fn new(simulation: Simulation, pace: Pace) -> Self {
        let clock = Clock::new(simulation.start(), pace);
        Self { state: Arc::new(Mutex::new(State { simulation, clock })) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic in a test's closure must not hide what it was about behind another.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The virtual time.
    #[must_use]
    pub fn now(&self) -> Micros {
        self.lock().clock.now()
    }

    /// Moves the virtual clock on, and says what it shows then.
    pub fn advance(&self, by: Duration) -> Micros {
        let mut state = self.lock();
        state.clock.advance(Micros::try_from(by.as_micros()).unwrap_or(Micros::MAX / 4));
        state.clock.now()
    }

    /// Changes how the clock goes from now on.
    pub fn pace(&self, pace: Pace) {
        self.lock().clock.set_pace(pace);
    }

    /// Does something with the simulation at its present time, to which the tenant has lived.
    pub fn with<T>(&self, act: impl FnOnce(&mut Simulation, Micros) -> T) -> T {
        let mut state = self.lock();
        let now = state.clock.now();
        state.simulation.advance(now);
        act(&mut state.simulation, now)
    }

    /// Answers a request of the API as the server does.
    pub fn answer(&self, request: &Request) -> Answer {
        let mut state = self.lock();
        let now = state.clock.tick();
        state.simulation.answer(request, now)
    }

    /// Answers a request below `/_control/`.
    pub(crate) fn route(&self, request: &Request, body: &str) -> Answer {
        let name = request.path.strip_prefix(PREFIX).unwrap_or_default();
        let done = match (request.method.as_str(), name) {
            ("GET", "") => Ok(self.status().to_string()),
            ("POST", "clock") => read(body).map(|change| self.change_clock(&change)),
            ("GET", "faults") => {
                Ok(self.with(|simulation, _| lines(simulation.pending_faults().map(|(fault, _)| fault))))
            }
            ("POST", "faults") => read_script(body).and_then(|faults| self.order(faults)),
            ("DELETE", "faults") => {
                self.with(|simulation, _| simulation.clear_faults());
                Ok(String::new())
            }
            ("GET", "truth") => Ok(self.with(|simulation, _| lines(simulation.truth()))),
            ("GET", "requests") => Ok(self.with(|simulation, _| lines(simulation.seen()))),
            ("POST", "keys") => read(body).map(|change: KeyChange| {
                self.with(|simulation, _| simulation.set_key(&change.name, change.state));
                String::new()
            }),
            ("POST", "activities") => read(body).and_then(|event| self.add(&event)),
            ("POST", "settings") => read(body).and_then(|change: Change| {
                self.with(|simulation, _| change.apply(simulation.settings()))?;
                Ok(String::new())
            }),
            ("POST", "erase") => read(body).map(|erasure: Erasure| {
                self.with(|simulation, now| simulation.erase(&erasure.id, now));
                String::new()
            }),
            ("POST", "script") => read_scenario(body).and_then(|scenario| {
                self.with(|simulation, now| simulation.stage(&scenario, now))?;
                Ok(String::new())
            }),
            _ => Err(ROUTES.to_owned()),
        };
        match done {
            Ok(text) => Answer::new(200, "application/x-ndjson", text.into_bytes()),
            Err(message) => {
                Answer::new(400, "application/json", json!({ "error": message }).to_string().into_bytes())
            }
        }
    }

    fn status(&self) -> serde_json::Value {
        let pace = match self.lock().clock.pace() {
            Pace::Stepped(_) => 0.0,
            Pace::Times(times) => times,
        };
        self.with(|simulation, now| {
            let keys: serde_json::Map<_, _> =
                simulation.keys().iter().map(|key| (key.name.clone(), json!(key.secret))).collect();
            json!({
                "now": rfc3339(now, Precision::Micros, true),
                "times": pace,
                "records": simulation.count(),
                "requests": simulation.seen().len(),
                "pending_faults": simulation.pending_faults().count(),
                "keys": keys,
            })
        })
    }

    fn change_clock(&self, change: &Move) -> String {
        let mut state = self.lock();
        if let Some(times) = change.times {
            state.clock.set_pace(if times > 0.0 { Pace::Times(times) } else { Pace::Stepped(0) });
        }
        state.clock.advance(change.advance_seconds.unwrap_or(0).saturating_mul(SECOND));
        rfc3339(state.clock.now(), Precision::Micros, true)
    }

    fn order(&self, faults: Vec<super::faults::Fault>) -> Result<String, String> {
        let count = faults.len();
        self.with(|simulation, _| faults.into_iter().try_for_each(|fault| simulation.order(fault)))?;
        Ok(json!({ "ordered": count }).to_string())
    }

    fn add(&self, event: &Event) -> Result<String, String> {
        let ids = self.with(|simulation, now| simulation.tell(event, now))?;
        Ok(ids.iter().map(|id| format!("{id}\n")).collect())
    }
}

fn read<'b, T: Deserialize<'b>>(body: &'b str) -> Result<T, String> {
    serde_json::from_str(body).map_err(|error| error.to_string())
}

/// One JSON line each.
fn lines<T: serde::Serialize>(items: impl IntoIterator<Item = T>) -> String {
    let mut text = String::new();
    for item in items {
        text.push_str(&serde_json::to_string(&item).unwrap_or_default());
        text.push('\n');
    }
    text
}
