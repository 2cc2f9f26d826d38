//! What a simulation is made from.
//!
//! Plain values with usual ones; nothing here acts.

use super::cursor::CursorStyle;
use super::limiter::Limits;
use super::refusal::Dialect;
use crate::clock::{Micros, SECOND, instant};

/// Which tenant is simulated, and how the API before it behaves.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Decides every byte that is left open.
    pub seed: u64,
    /// Which edition of the API.
    pub dialect: Dialect,
    /// When the virtual clock starts.
    pub start: Micros,
    /// Who makes the records.
    pub tenant: Tenant,
    /// What cursors look like.
    pub cursors: CursorStyle,
    /// Whether a cursor under another order or other filters is refused; otherwise the difference is ignored.
    pub strict_cursors: bool,
    /// Cursors older than this are refused; never when nothing.
    pub cursor_lifetime: Option<Micros>,
    /// How much later the record of a request itself is shown; no such records when nothing.
    pub own_reads: Option<Micros>,
    /// The budget of requests.
    pub limits: Limits,
    /// Whether bodies are compressed for those who accept it.
    pub gzip: bool,
    /// Whether answers have a `date`, and how far it is from the virtual clock.
    pub date: Option<Micros>,
    /// Whether `order` is a parameter of the feed.
    pub knows_order: bool,
    /// From when on names are missing in records, retroactively; the dialect's own date when nothing.
    pub redacted_from: Option<Micros>,
    /// How much later than the feed's own times chats, files, projects and groups show what happened.
    pub content_lag: Micros,
    /// For how long transcripts of local sessions are kept; six years when nothing.
    pub transcript_retention: Option<Micros>,
    /// Whether the tenant has local sessions at all; otherwise their routes are 404, the list too.
    pub local_sessions: bool,
    /// How long a walk through a transcript may take from its first page on.
    pub walk_lifetime: Micros,
    /// The most bytes of messages in a page of a transcript; a page has one message at least.
    pub page_bytes: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            seed: 1,
            dialect: Dialect::August,
            start: instant((2026, 10, 6), 12, 0, 0),
            tenant: Tenant::default(),
            cursors: CursorStyle::Opaque,
            strict_cursors: true,
            cursor_lifetime: None,
            own_reads: Some(SECOND),
            limits: Limits::default(),
            gzip: true,
            date: Some(0),
            knows_order: true,
            redacted_from: None,
            content_lag: 0,
            transcript_retention: None,
            local_sessions: true,
            walk_lifetime: 24 * 3_600 * SECOND,
            page_bytes: 1 << 20,
        }
    }
}

/// How large a tenant is and how its records reach the feed.
#[derive(Debug, Clone)]
pub struct Tenant {
    /// People with an account; with none, nothing happens but what a test adds.
    pub people: usize,
    /// Organizations besides the one all this happens in, which share its directory and its budget.
    pub linked: usize,
    /// How much each does in an hour at work.
    pub hourly: u64,
    /// For how long before the clock's start things are recorded.
    pub history: Micros,
    /// From when on nothing happens any more; for ever when nothing.
    pub quiet_from: Option<Micros>,
    /// How many of a thousand records are late: indexed one second to two hours after the others.
    pub late_per_mille: u64,
    /// How many of a hundred records share their time with the one before.
    pub tied_percent: u64,
    /// How many of a thousand records have something no client expects: an unknown type or actor, a huge string, an odd number.
    pub odd_per_mille: u64,
    /// Whether there are attacks among the everyday.
    pub stories: bool,
    /// After how many records what they say repeats, under new ids and times; never when 0. Bounds the memory of years.
    pub pool: usize,
}

impl Default for Tenant {
    fn default() -> Self {
        Self {
            people: 40,
            linked: 0,
            hourly: 12,
            history: 24 * 3_600 * SECOND,
            quiet_from: None,
            late_per_mille: 5,
            tied_percent: 8,
            odd_per_mille: 0,
            stories: true,
            pool: 0,
        }
    }
}

impl Tenant {
    /// A tenant in which nothing happens.
    #[must_use]
    pub fn empty() -> Self {
        Self { people: 0, stories: false, ..Self::default() }
    }
}
