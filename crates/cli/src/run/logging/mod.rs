//! The log: lines for people on a terminal, ECS objects for machines elsewhere; always on standard error.
//!
//! Owns what is written, and in which of the two forms. Must not know what happened: an event brings its message and fields.
//!
//! The subtle thing: parts of many lines come from servers and files, so that nothing of them is ever written as it is. A
//! line is one line, and no character in it moves a cursor, starts a colour or turns the direction of writing.

mod ecs;
mod line;
mod text;

use std::env;
use std::io::{self, IsTerminal, Write};

use chrono::Utc;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Registry;
use tracing_subscriber::filter::{FilterExt, LevelFilter, Targets, filter_fn};
use tracing_subscriber::layer::{Context, Filter, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{LogFormat, TelemetryConfig};
use line::Line;

/// What our events and spans come from. The libraries below us are others.
const OURS: [&str; 9] = [
    "anthropic_ecs",
    "anthropic_ecs_ingest",
    "anthropic_ecs_mapper",
    "anthropic_ecs_output",
    "anthropic_ecs_pipeline",
    "ingest",
    "mapper",
    "output",
    "pipeline",
];

/// Whether something comes from our own crates, by its target.
pub(crate) fn is_ours(target: &str) -> bool {
    let name = target.split("::").next().unwrap_or_default();
    OURS.contains(&name)
}

/// Starts it; a level that was given on the command line goes before that of the configuration. The libraries below us only
/// complain. Spans are for `spans`, if anybody wants them; they are in no line.
pub(super) fn start(
    config: &TelemetryConfig,
    given: Option<Level>,
    spans: Option<impl Layer<Registry> + Send + Sync>,
) {
    let terminal = io::stderr().is_terminal();
    let format = match config.log_format {
        LogFormat::Auto if terminal => Format::Text { colour: has_colours() },
        LogFormat::Text => Format::Text { colour: terminal && has_colours() },
        LogFormat::Auto | LogFormat::Json => Format::Ecs,
    };
    let lines = Lines { format, out: super::progress::stderr };
    let lines = lines.with_filter(events(given.unwrap_or_else(|| config.log_level.into()))).boxed();
    let layers: Vec<_> = [lines].into_iter().chain(spans.map(Layer::boxed)).collect();
    // It is started once, and a second start would be a fault of ours that changes nothing.
    let _ = tracing_subscriber::registry().with(layers).try_init();
}

/// What becomes a line. Spans do not: where nobody else wants them, they are never made.
fn events<S>(level: Level) -> impl Filter<S> {
    let targets =
        Targets::new().with_default(level.min(Level::WARN)).with_targets(OURS.map(|ours| (ours, level)));
    filter_fn(move |metadata: &Metadata<'_>| metadata.is_event() && *metadata.level() <= level)
        .with_max_level_hint(LevelFilter::from_level(level))
        .and(targets)
}

/// Whether a terminal is said to take colours; see no-color.org.
fn has_colours() -> bool {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
    set("NO_COLOR").is_none() && set("TERM").is_none_or(|terminal| terminal != "dumb")
}

/// One of the two forms.
#[derive(Debug, Clone, Copy)]
enum Format {
    Text { colour: bool },
    Ecs,
}

/// Writes a line for each event.
struct Lines<W> {
    format: Format,
    /// Where to.
    out: fn() -> W,
}

impl<S: Subscriber, W: Write + 'static> Layer<S> for Lines<W> {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let line = Line::new(event, Utc::now());
        let mut written = match self.format {
            Format::Text { colour } => text::write(&line, colour),
            Format::Ecs => ecs::write(&line),
        };
        written.push('\n');
        // One write, so that lines of several threads stay whole. If standard error is closed, nobody wants to know.
        let _ = (self.out)().write_all(written.as_bytes());
    }
}

#[cfg(test)]
mod tests;
