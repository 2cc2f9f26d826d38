//! The log: lines for people on a terminal, JSON for machines elsewhere; always on standard error.

use std::io::{self, IsTerminal};

use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Starts it. The libraries below us only complain.
pub(super) fn start(level: Level) {
    let filter = Targets::new().with_default(level.min(Level::WARN)).with_targets(
        ["anthropic_ecs", "ingest", "anthropic_ecs_ingest", "output", "pipeline", "mapper"]
            .map(|ours| (ours, level)),
    );
    let layer = tracing_subscriber::fmt::layer().with_writer(super::progress::stderr);
    let registry = tracing_subscriber::registry().with(filter);
    // It is started once, and a second start would be a fault of ours that changes nothing.
    let _ = if io::stderr().is_terminal() {
        registry.with(layer.compact().with_target(false)).try_init()
    } else {
        registry.with(layer.json().flatten_event(true)).try_init()
    };
}
