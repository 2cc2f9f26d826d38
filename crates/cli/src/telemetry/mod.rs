//! What a running stage tells about itself: metrics, readiness, a status page; and a collector, if one is named.
//!
//! Owns the listener and everything behind it. Must not be able to stop, slow down or change the run: it reads numbers that
//! others count, and if it fails, it fails alone. Only what is wrong at the start is said to whoever starts the stage.
//!
//! The way of a request: `listener` bounds it, `routes` knows what it asks for, and `exposition` (metrics), `readiness` or
//! `overview` (the page) make the answer of `facts`. What metrics there are stands in `table`. `otlp` sends traces and metrics
//! elsewhere; without `[telemetry.otlp]` it does nothing.

mod exposition;
mod facts;
mod history;
mod listener;
mod otlp;
pub(crate) mod overview;
mod readiness;
mod routes;
mod samples;
mod table;

#[cfg(test)]
mod reference;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;

use mapper::Mapping;
use model::fault::Fault;
use pipeline::{Status, Stop};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use crate::config::{Config, Listen};

use facts::Facts;
pub(crate) use listener::Listener;
pub(crate) use otlp::{Export, probe};
use routes::Routes;

/// The telemetry of a stage; it ends when this is dropped.
pub(crate) struct Telemetry {
    facts: Arc<Facts>,
    _tasks: JoinSet<()>,
}

impl Telemetry {
    /// Begins to listen, and to export, if the configuration says so.
    ///
    /// # Errors
    ///
    /// The address that was asked for cannot be had. If none was asked for and the usual one is taken, by another stage
    /// probably, that is only said in the log.
    pub(crate) async fn start(
        config: &Config,
        status: Arc<Status>,
        mapping: Arc<Mapping>,
        stop: Stop,
        export: &mut Export,
    ) -> Result<Self, Fault> {
        let facts = Arc::new(Facts::new(config, status, mapping, stop));
        let mut tasks = JoinSet::new();
        let listener = match config.telemetry.listen() {
            Listen::Off => None,
            Listen::At(address) => Some(Listener::bind(address).await?),
            Listen::Usual(address) => match Listener::bind(address).await {
                Ok(listener) => Some(listener),
                Err(fault) => {
                    let (cause, remedy) = (fault.cause, fault.remedy);
                    tracing::warn!(cause, remedy, "there are no metrics of this stage");
                    None
                }
            },
        };
        if let Some(listener) = listener {
            say_where(listener.address());
            serve(listener, &facts, &mut tasks);
        }
        export.begin(&facts);
        Ok(Self { facts, _tasks: tasks })
    }

    /// What is shown, so that it can be told of the source.
    pub(crate) fn facts(&self) -> &Facts {
        &self.facts
    }
}

fn say_where(address: SocketAddr) {
    tracing::info!(%address, "metrics, readiness and the status page are served here");
    if !address.ip().is_loopback() {
        tracing::warn!(%address, "whoever reaches this address sees the state of the stage; nobody is asked who they are");
    }
}

/// Answers at the listener from now on.
fn serve(listener: Listener, facts: &Arc<Facts>, tasks: &mut JoinSet<()>) {
    facts.status.glance.want();
    let noting = Arc::clone(facts);
    tasks.spawn(async move {
        let mut ticks = interval(history::STEP);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            noting.history.note(&noting);
        }
    });
    let routes = Routes::new(Arc::clone(facts), listener.address().ip().is_loopback());
    tasks.spawn(listener.serve(Arc::new(routes)));
}
