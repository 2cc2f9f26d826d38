//! Modes by name: what a script or the control route may set.
//!
//! Owns the names; what a mode does stands at the settings themselves. What is not named stays as it is.

use serde::{Deserialize, Serialize};

use super::cursor::CursorStyle;
use super::faults::When;
use super::refusal::Dialect;
use super::settings::Settings;
use crate::clock::{Micros, SECOND};

/// What cursors look like, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Style {
    Opaque,
    RawIds,
    Long,
}

/// Settings that can be changed at any time, all optional. Times are seconds; where "never" or "none" is possible, a
/// negative number means it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Change {
    /// `2026-08` or `2026-10`.
    dialect: Option<String>,
    /// `opaque`, `raw_ids` or `long`, of 4 KiB.
    cursors: Option<Style>,
    /// Whether a cursor of another question is refused.
    strict_cursors: Option<bool>,
    /// How old a cursor may be.
    cursor_lifetime: Option<i64>,
    /// How much later the record of a request is shown.
    own_reads: Option<i64>,
    /// Requests a window; 0 for no limit.
    requests: Option<u64>,
    /// The window.
    window: Option<i64>,
    /// Whether the budget is a token bucket.
    bucket: Option<bool>,
    /// Whether answers tell of the budget.
    rate_headers: Option<bool>,
    /// How far `retry-after` goes beyond the reset.
    retry_margin: Option<i64>,
    /// What another consumer takes of each window.
    other_requests: Option<u64>,
    /// The second budget, of remote sessions.
    remote_requests: Option<u64>,
    /// Whether bodies are compressed.
    gzip: Option<bool>,
    /// Whether answers have a `date`.
    date: Option<bool>,
    /// How far it is off.
    date_skew: Option<i64>,
    /// Whether the feed knows `order`.
    order: Option<bool>,
    /// From when on names are missing in records.
    redacted_from: Option<When>,
    /// From when on nothing happens any more. The hour that has begun is made already; a time far off lets later hours be as usual.
    quiet_from: Option<When>,
    /// How far chats, files, projects and groups are behind the feed.
    content_lag: Option<i64>,
    /// How long transcripts of local sessions are kept.
    transcript_retention: Option<i64>,
    /// Whether there are local sessions.
    local_sessions: Option<bool>,
    /// How long a walk through a transcript may take.
    walk_lifetime: Option<i64>,
    /// The most bytes in a page of a transcript.
    page_bytes: Option<usize>,
}

impl Change {
    /// Changes what is named.
    ///
    /// # Errors
    ///
    /// Which value means nothing; nothing is changed then.
    pub fn apply(&self, settings: &mut Settings) -> Result<(), String> {
        let seconds = |value: i64| value.saturating_mul(SECOND);
        let maybe = |value: i64| (value >= 0).then(|| seconds(value));
        let mut new = settings.clone();
        let time = |name: &str, when: &Option<When>| match when {
            None => Ok(None),
            Some(when) => match when.micros(settings.start) {
                Some(time) => Ok(Some(Some(time))),
                None => Err(format!("`{name}` is no time: {when:?}")),
            },
        };
        let dialect = self.dialect.as_deref().map(str::parse::<Dialect>).transpose()?;
        let style = self.cursors.map(|style| match style {
            Style::Opaque => CursorStyle::Opaque,
            Style::RawIds => CursorStyle::RawIds,
            Style::Long => CursorStyle::Long(4_096),
        });
        set(&mut new.dialect, dialect);
        set(&mut new.cursors, style);
        set(&mut new.strict_cursors, self.strict_cursors);
        set(&mut new.cursor_lifetime, self.cursor_lifetime.map(maybe));
        set(&mut new.own_reads, self.own_reads.map(maybe));
        set(&mut new.limits.requests, self.requests);
        set(&mut new.limits.window, self.window.map(|window| seconds(window.max(1))));
        set(&mut new.limits.bucket, self.bucket);
        set(&mut new.limits.headers, self.rate_headers);
        set(&mut new.limits.margin_seconds, self.retry_margin);
        set(&mut new.limits.others, self.other_requests);
        set(&mut new.limits.remote, self.remote_requests);
        set(&mut new.gzip, self.gzip);
        set(&mut new.date, self.date.map(|shown| shown.then_some(0)));
        set(&mut new.date, self.date_skew.map(|skew| Some(seconds(skew))));
        set(&mut new.knows_order, self.order);
        set(&mut new.redacted_from, time("redacted_from", &self.redacted_from)?);
        set(&mut new.tenant.quiet_from, time("quiet_from", &self.quiet_from)?);
        set(&mut new.content_lag, self.content_lag.map(|lag| seconds(lag.max(0))));
        set(&mut new.transcript_retention, self.transcript_retention.map(maybe));
        set(&mut new.local_sessions, self.local_sessions);
        set(
            &mut new.walk_lifetime,
            self.walk_lifetime.map(|lifetime| maybe(lifetime).unwrap_or(Micros::MAX)),
        );
        set(&mut new.page_bytes, self.page_bytes);
        *settings = new;
        Ok(())
    }
}

fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{Simulation, Tenant};

    fn changed(text: &str) -> Result<Settings, String> {
        let mut settings = Settings::default();
        let change: Change = toml::from_str(text).map_err(|error| error.to_string())?;
        change.apply(&mut settings).map(|()| settings)
    }

    #[test]
    fn what_is_named_changes_and_nothing_else() {
        let all = changed(
            "dialect = \"2026-10\"\ncursors = \"long\"\nstrict_cursors = false\ncursor_lifetime = 60\nown_reads = -1\n\
             requests = 9\nwindow = 30\nbucket = true\nrate_headers = false\nretry_margin = 2\nother_requests = 3\n\
             remote_requests = 4\ngzip = false\ndate_skew = -90\norder = false\nredacted_from = 10\nquiet_from = 20\ncontent_lag = 5\n\
             transcript_retention = 86400\nlocal_sessions = false\nwalk_lifetime = 7\npage_bytes = 8",
        )
        .unwrap();
        assert_eq!((all.dialect, all.cursors), (Dialect::October, CursorStyle::Long(4_096)));
        assert_eq!((all.cursor_lifetime, all.own_reads), (Some(60 * SECOND), None));
        let limits = &all.limits;
        assert_eq!((limits.requests, limits.window, limits.others, limits.remote), (9, 30 * SECOND, 3, 4));
        assert!(limits.bucket && !limits.headers && limits.margin_seconds == 2);
        assert_eq!((all.date, all.redacted_from), (Some(-90 * SECOND), Some(all.start + 10 * SECOND)));
        assert_eq!(all.tenant.quiet_from, Some(all.start + 20 * SECOND));
        assert_eq!((all.content_lag, all.transcript_retention), (5 * SECOND, Some(86_400 * SECOND)));
        assert_eq!((all.walk_lifetime, all.page_bytes), (7 * SECOND, 8));
        assert!(!all.strict_cursors && !all.gzip && !all.knows_order && !all.local_sessions);
        assert_eq!(changed("date = false").unwrap().date, None);
        assert_eq!(format!("{:?}", changed("").unwrap()), format!("{:?}", Settings::default()));
    }

    #[test]
    fn what_means_nothing_is_refused() {
        for text in [
            "dialect = \"2026-09\"",
            "cursors = \"round\"",
            "redacted_from = \"noon\"",
            "quiet_from = \"noon\"",
            "cursor = 1",
        ] {
            assert!(changed(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_silence_can_be_ordered() {
        let tenant = Tenant { people: 6, ..Tenant::default() };
        let mut simulation = Simulation::new(Settings { tenant, ..Settings::default() });
        let start = simulation.start();
        let change: Change = toml::from_str("quiet_from = 7200").unwrap();
        change.apply(simulation.settings()).unwrap();
        simulation.advance(start + 48 * 3_600 * SECOND);
        let last = simulation.truth().map(|row| row.occurred).max().unwrap();
        let silence = start + 7_200 * SECOND;
        assert!((start..silence).contains(&last), "the last is {last}, the silence begins at {silence}");
    }
}
