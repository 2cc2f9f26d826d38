//! The spans of reading the feed: one for each request, one for each walk.
//!
//! Owns their attributes. They say which time was read and how much came, and nothing of a row, a filter or the key. Must not
//! decide anything: it looks at the reader before and after.
//!
//! The subtle thing: a walk may take weeks and a thousand requests, so that these are not parts of its trace, but linked to
//! it. And a request begins a trace of its own, of which its batches are parts.

use model::fault::Fault;
use tracing::Span;
use tracing::field::{Empty, display};

use super::position::{Task, Walk};
use super::reader::Reader;
use super::refusal::Head;
use super::watch::Watch;
use crate::spans::number;

/// The spans that are open.
#[derive(Debug)]
pub(super) struct Spans {
    /// The request under way, or nothing.
    page: Span,
    walks: Vec<(Task, Span, Found)>,
}

/// How much was found.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Found {
    pages: u64,
    new: u64,
    duplicates: u64,
    late: u64,
}

impl Found {
    /// Until now, by all requests.
    pub(super) fn by(watch: &Watch) -> Self {
        Self {
            pages: watch.pages.get(),
            new: watch.fresh.get(),
            duplicates: watch.duplicates.get(),
            late: watch.late.get(),
        }
    }

    fn since(self, before: Self) -> Self {
        Self {
            pages: self.pages.saturating_sub(before.pages),
            new: self.new.saturating_sub(before.new),
            duplicates: self.duplicates.saturating_sub(before.duplicates),
            late: self.late.saturating_sub(before.late),
        }
    }

    fn add(&mut self, more: Self) {
        self.pages += more.pages;
        self.new += more.new;
        self.duplicates += more.duplicates;
        self.late += more.late;
    }
}

impl Default for Spans {
    fn default() -> Self {
        Self { page: Span::none(), walks: Vec::new() }
    }
}

impl Spans {
    /// A request goes out, for what the reader asked for.
    pub(super) fn sent(&mut self, reader: &Reader, (host, port): (&str, u16)) {
        let Some(walk) = reader.asked.as_ref().and_then(|task| reader.position.walk(task)) else { return };
        let slice = walk.slices.front().copied().unwrap_or(walk.whole);
        self.page = tracing::info_span!(
            parent: None,
            "GET /v1/compliance/activities",
            anthropic_ecs.page.from = %slice.from,
            anthropic_ecs.page.to = %slice.to,
            anthropic_ecs.page.request_id = Empty,
            anthropic_ecs.page.rows = Empty,
            anthropic_ecs.page.rows_late = Empty,
            anthropic_ecs.page.rows_new = Empty,
            anthropic_ecs.walk.kind = walk.task.kind(),
            error.type = Empty,
            http.request.method = "GET",
            http.response.status_code = Empty,
            otel.kind = "client",
            otel.status_code = Empty,
            otel.status_description = Empty,
            server.address = host,
            server.port = i64::from(port),
            url.template = "/v1/compliance/activities",
        );
        if !self.page.is_disabled() {
            let walk = self.walk(walk);
            self.page.follows_from(&walk);
        }
    }

    /// The span of a walk, which begins with its first request since the start of the program.
    fn walk(&mut self, walk: &Walk) -> Span {
        if let Some((_, span, _)) = self.walks.iter().find(|(task, ..)| *task == walk.task) {
            return span.clone();
        }
        let span = tracing::info_span!(
            parent: None,
            "walk",
            anthropic_ecs.walk.kind = walk.task.kind(),
            anthropic_ecs.walk.from = %walk.whole.from,
            anthropic_ecs.walk.to = %walk.whole.to,
            anthropic_ecs.walk.pages = Empty,
            anthropic_ecs.walk.rows = Empty,
            anthropic_ecs.walk.rows_late = Empty,
            anthropic_ecs.walk.rows_new = Empty,
        );
        self.walks.push((walk.task.clone(), span.clone(), Found::default()));
        span
    }

    /// Its answer begins.
    pub(super) fn head(&self, head: &Head) {
        self.page.record("http.response.status_code", i64::from(head.status));
        if let Some(id) = &head.request_id {
            self.page.record("anthropic_ecs.page.request_id", id.as_str());
        }
    }

    /// Its page came whole; `before` is what had been found until then.
    pub(super) fn came(&mut self, reader: &Reader, before: Found) {
        if self.page.is_disabled() {
            return;
        }
        let found = Found::by(&reader.watch).since(before);
        self.page.record("anthropic_ecs.page.rows", number(found.new + found.duplicates));
        self.page.record("anthropic_ecs.page.rows_late", number(found.late));
        self.page.record("anthropic_ecs.page.rows_new", number(found.new));
        if let Some((_, _, all)) =
            self.walks.iter_mut().find(|(task, ..)| reader.asked.as_ref() == Some(task))
        {
            all.add(found);
        }
        self.walks.retain(|(task, span, all)| {
            let goes_on = reader.position.walk(task).is_some();
            if !goes_on {
                span.record("anthropic_ecs.walk.pages", number(all.pages));
                span.record("anthropic_ecs.walk.rows", number(all.new + all.duplicates));
                span.record("anthropic_ecs.walk.rows_late", number(all.late));
                span.record("anthropic_ecs.walk.rows_new", number(all.new));
            }
            goes_on
        });
    }

    /// Does something as a part of the request.
    pub(super) fn within<T>(&self, doing: impl FnOnce() -> T) -> T {
        self.page.in_scope(doing)
    }

    /// It failed.
    pub(super) fn failed(&mut self, fault: &Fault) {
        self.page.record("error.type", fault.kind.name());
        self.page.record("otel.status_code", "error");
        self.page.record("otel.status_description", display(&fault.cause));
        self.over();
    }

    /// It is over.
    pub(super) fn over(&mut self) {
        self.page = Span::none();
    }
}
