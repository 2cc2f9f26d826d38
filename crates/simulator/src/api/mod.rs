//! A simulated Compliance API with a tenant behind it, for tests and for trying things out.
//!
//! [`Simulation`] is the whole of it: pure, seeded, without clock and sockets. [`Server`] puts one on a loopback port under
//! a virtual clock. What is true is known ([`Simulation::truth`]), so a test can hold it against what arrived.
//!
//! ```no_run
//! use simulator::api::{Pace, Server, Settings, Simulation};
//!
//! # async fn start() -> std::io::Result<()> {
//! let simulation = Simulation::new(Settings { seed: 7, ..Settings::default() });
//! let key = simulation.key("activities").to_owned();
//! let server = Server::start(simulation, ([127, 0, 0, 1], 0).into(), Pace::Stepped(0)).await?;
//! // Point a reader with `key` at `server.url()`, let it work, then move on:
//! server.control().advance(std::time::Duration::from_secs(3_600));
//! let truth: Vec<_> = server.control().with(|simulation, _| simulation.truth().collect());
//! # let _ = (key, truth);
//! # Ok(())
//! # }
//! ```
//!
//! Absent: any knowledge of a client. A client that relies on more than the vendor promises finds a mode here in which it
//! fails.

mod change;
mod clock;
mod control;
mod cursor;
mod damage;
mod event;
mod exchange;
mod faults;
mod filter;
mod guide;
mod judge;
mod keys;
mod library;
mod limiter;
mod listing;
mod own_read;
mod refusal;
mod routes;
mod row;
mod script;
mod server;
mod settings;
mod shape;
mod simulation;
mod store;
mod tenant;

pub use change::Change;
pub use clock::Pace;
pub use control::Control;
pub use cursor::CursorStyle;
pub use event::{Beside, Event};
pub use exchange::{Answer, Delivery, Request};
pub use faults::{Fault, FaultKind, When};
pub use guide::guide;
pub use keys::{ACTIVITIES, DELETE, Key, KeyKind, KeyState, ORG_AUDIT, ORG_DATA, USER_DATA};
pub use limiter::Limits;
pub use refusal::Dialect;
pub use row::Place;
pub use script::{Scenario, read_scenario, read_script};
pub use server::Server;
pub use settings::{Settings, Tenant};
pub use shape::Shape;
pub use simulation::{ACTIVITIES_PATH, Seen, Simulation, Truth};
pub use store::Order;

#[cfg(test)]
mod tests;
