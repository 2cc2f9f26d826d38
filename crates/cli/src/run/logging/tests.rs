//! What is written of events, in both forms.

use std::cell::RefCell;

use serde_json::json;

use super::*;
use crate::terminal::acts;

thread_local! {
    static WRITTEN: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Keeps what is written on this thread.
struct Kept;

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        WRITTEN.with_borrow_mut(|written| written.extend_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What is written while something is done.
fn written(format: Format, doing: impl FnOnce()) -> String {
    WRITTEN.with_borrow_mut(Vec::clear);
    let subscriber = tracing_subscriber::registry().with(Lines { format, out: || Kept });
    tracing::subscriber::with_default(subscriber, doing);
    WRITTEN.with_borrow(|written| String::from_utf8(written.clone()).unwrap())
}

/// As a server could send it: colours, a second line, a line backwards, an older way to control a terminal.
const HOSTILE: &str = "no\x1b[31m route\r\n{\"message\":\"all is well\"}\u{202e}\u{9b}2J\u{2028}\u{7f}\"\\";

fn down() {
    tracing::warn!(
        part = "sink",
        kind = "unreachable",
        failures = 3_u64,
        lost = false,
        cause = HOSTILE,
        remedy = "start it",
        "down; trying on"
    );
}

#[test]
fn a_line_for_people_is_one_line_and_shows_what_would_act() {
    let line = written(Format::Text { colour: false }, down);
    assert_eq!(line.matches('\n').count(), 1);
    assert!(!line.trim_end().chars().any(acts), "{line:?}");
    let (time, rest) = line.split_at(24);
    assert!(time.ends_with('Z') && time.starts_with("20"), "{line}");
    assert_eq!(
        rest,
        concat!(
            " WARN  down; trying on  part=sink  kind=unreachable  failures=3  lost=false",
            "  cause=\"no\\u{1b}[31m route\\r\\n{\\\"message\\\":\\\"all is well\\\"}\\u{202e}\\u{9b}2J\\u{2028}\\u{7f}\\\"\\\\\"",
            "  remedy=\"start it\"\n"
        )
    );
}

#[test]
fn only_the_level_has_a_colour() {
    let line = written(Format::Text { colour: true }, down);
    assert_eq!(line.matches('\x1b').count(), 2, "{line:?}");
    assert!(line.contains(" \x1b[33mWARN \x1b[0m down; trying on  part=sink"), "{line:?}");
}

#[test]
fn a_line_for_machines_is_one_ecs_object() {
    let line = written(Format::Ecs, down);
    assert!(!line.trim_end_matches('\n').chars().any(acts), "{line:?}");
    assert!(line.starts_with("{\"@timestamp\":\"20") && line.ends_with("}\n"), "{line}");
    let object: serde_json::Value = serde_json::from_str(&line).unwrap();
    let said = [
        ("log.level", json!("warn")),
        ("message", json!("down; trying on")),
        ("ecs.version", json!(mapper::ECS_VERSION)),
        ("service.name", json!("anthropic-ecs")),
        ("service.version", json!(env!("CARGO_PKG_VERSION"))),
        ("event.dataset", json!("anthropic_ecs.log")),
        ("error", json!({ "message": HOSTILE, "type": "unreachable" })),
        ("anthropic_ecs", json!({ "part": "sink", "failures": 3, "lost": false, "remedy": "start it" })),
    ];
    for (name, value) in said {
        assert_eq!(object[name], value, "{name}");
    }
    assert!(object["log.logger"].as_str().unwrap().starts_with("anthropic_ecs"));
}

#[test]
fn what_came_with_a_colon_and_what_without_is_the_same() {
    let line = written(Format::Ecs, || {
        let fault = model::fault::Fault::new(model::fault::FaultKind::Storage, "disk full", "make room");
        tracing::error!(%fault, number = 7_i64, share = 0.5, debug = ?Some(1), "not saved: {}", "twice");
    });
    let object: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(object["message"], "not saved: twice");
    assert_eq!(object["error"], json!({ "message": "disk full; make room" }));
    assert_eq!(object["anthropic_ecs"], json!({ "number": 7, "share": 0.5, "debug": "Some(1)" }));
}

#[test]
fn a_text_of_any_length_makes_a_line_that_has_an_end() {
    let long = "é".repeat(1 << 20);
    for format in [Format::Text { colour: false }, Format::Ecs] {
        let line = written(format, || tracing::info!(long, "{long}"));
        assert!(line.len() < 40 << 10, "{}", line.len());
        assert!(line.contains("é…"));
    }
}

/// Nobody takes spans: they are not made, and what happens within one is told as anything else.
#[test]
fn spans_are_in_no_line_and_are_not_even_made() {
    WRITTEN.with_borrow_mut(Vec::clear);
    let lines =
        Lines { format: Format::Text { colour: false }, out: || Kept }.with_filter(events(Level::INFO));
    tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), || {
        let span = tracing::info_span!("batch", records = 7);
        assert!(span.is_disabled());
        span.in_scope(|| tracing::info!(kept = true, "within"));
        assert!(tracing::error_span!("batch").is_disabled());
        tracing::debug!("too fine");
        tracing::info!(target: "hyper::client", "a library is busy");
        tracing::warn!(target: "hyper::client", "a library complains");
        tracing::info!(target: "pipeline::engine", "ours");
    });
    let written = WRITTEN.with_borrow(|written| String::from_utf8(written.clone()).unwrap());
    let lines: Vec<&str> = written.lines().filter_map(|line| line.get(25..)).collect();
    assert_eq!(lines, ["INFO  within  kept=true", "WARN  a library complains", "INFO  ours"], "{written}");
}

/// Where somebody takes spans, the lines are the same, whatever level they are written from.
#[test]
fn spans_change_no_line() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Counts spans.
    struct Taken(Arc<AtomicUsize>);
    impl<S: Subscriber> Layer<S> for Taken {
        fn on_new_span(&self, _: &tracing::span::Attributes<'_>, _: &tracing::span::Id, _: Context<'_, S>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    WRITTEN.with_borrow_mut(Vec::clear);
    let taken = Arc::new(AtomicUsize::new(0));
    let lines =
        Lines { format: Format::Text { colour: false }, out: || Kept }.with_filter(events(Level::ERROR));
    let spans = Taken(Arc::clone(&taken)).with_filter(filter_fn(|metadata| metadata.is_span()));
    let layers = vec![lines.boxed(), spans.boxed()];
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layers), || {
        let span = tracing::info_span!("batch");
        span.in_scope(|| tracing::info!("too fine"));
        span.in_scope(|| tracing::error!("within"));
    });
    let written = WRITTEN.with_borrow(|written| String::from_utf8(written.clone()).unwrap());
    assert_eq!(written.lines().count(), 1, "{written}");
    assert!(written.ends_with(" ERROR within\n"), "{written}");
    assert_eq!(taken.load(Ordering::SeqCst), 1);
}
