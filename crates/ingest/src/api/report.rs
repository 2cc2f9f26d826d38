//! What the reader tells its [`Watch`](super::Watch): the one place where numbers are derived from where it stands.
//!
//! Owns when which number changes. Must not decide anything, nor change the position.
//!
//! The subtle thing: how much time is read, and how much is left, are both counted with the pages of a walk that has not
//! ended, so that a bar moves within a day of a million rows.

use std::time::Duration;

use super::position::{Position, Task, Walk};
use super::query::Order;
use super::reader::{Now, Reader};
use super::schedule::Plan;
use super::tally::Tally;
use super::time::Micros;
use super::watch::Doing;

impl Reader {
    /// Says where everything stands, with what was decided upon.
    pub(super) fn show(&self, plan: &Plan, gate: Duration, now: Now) {
        let (watch, position) = (&self.watch, &self.position);
        let server = self.server_now(now);
        let waits = gate > now.steady;
        watch.does(match plan {
            Plan::End => Doing::Done,
            Plan::Wait(_) => Doing::Resting,
            Plan::Go(_) | Plan::Begin(_) if !waits => Doing::Reading,
            Plan::Go(_) | Plan::Begin(_) if self.budget.is_held(now.steady) => Doing::Held,
            Plan::Go(_) | Plan::Begin(_) if self.not_before > now.steady => Doing::Recovering,
            Plan::Go(_) | Plan::Begin(_) => Doing::Saving,
        });
        watch.behind.set(server.since(position.high).as_secs());
        watch.high.set(Some(position.high));
        watch.open.set(position.walks.len() as u64);
        watch.attestations.set(position.sequence);
        watch.budget_left.set(self.budget.left(now.steady));
        watch.budget_limit.set(self.budget.limit());
        let history = position.history.map_or(Duration::ZERO, |left| left.to.since(left.from));
        watch.history_days.set(history.as_secs().div_ceil(86_400));
        let top = server.before(self.rules.lag);
        let top = self.rules.until.map_or(top, |until| top.min(until));
        let (read, left) = extent(position, top);
        watch.read_seconds.set(read.as_secs());
        watch.left_seconds.set(left.as_secs());
        self.show_gaps();
    }

    /// Says how many parts cannot be read.
    pub(super) fn show_gaps(&self) {
        self.watch.gaps.set(self.position.gaps.len() as u64);
    }

    /// Says until when the API wants to be left alone, when that has changed.
    pub(super) fn show_hold(&self, now: Now) {
        self.watch.held_until.set(self.budget.held(now.steady).map(|wait| now.wall.after(wait)));
    }

    /// Counts a page that came whole. `late` is how late its late rows are, in seconds.
    pub(super) fn count(&self, before: &Tally, after: &Tally, late: &[u64]) {
        let watch = &self.watch;
        watch.pages.add(1);
        watch.records.add(after.records - before.records);
        watch.duplicates.add(after.duplicates - before.duplicates);
        watch.fresh.add(after.new - before.new);
        watch.late.add(after.late - before.late);
        late.iter().for_each(|seconds| watch.lateness.add(*seconds));
        let most = Duration::from_secs(late.iter().copied().max().unwrap_or(0));
        let horizon = self.rules.passes.iter().map(|pass| pass.depth).max().unwrap_or(self.rules.overlap);
        if most > horizon / 2 {
            tracing::warn!(
                rows = late.len(),
                seconds = most.as_secs(),
                "rows came later than half of what is read again; let `reconcile` reach farther back"
            );
        }
    }

    /// Counts a walk that has ended.
    pub(super) fn count_walk(&self, task: &Task) {
        match task {
            Task::Window => self.watch.windows.add(1),
            Task::Pass(_) => self.watch.passes.add(1),
            Task::Tail | Task::History | Task::Gap(_) => {}
        }
        self.show_gaps();
    }
}

/// How much time was read since the beginning, and how much is left until `top`.
fn extent(position: &Position, top: Micros) -> (Duration, Duration) {
    let history = position.history.map_or(Duration::ZERO, |left| left.to.since(left.from));
    let whole = position.high.since(position.start);
    let ahead = top.since(position.high);
    let open = position.walks.iter().filter(|walk| matches!(walk.task, Task::Window | Task::History));
    let partly: Duration = open.map(|walk| reached(walk, position)).sum();
    let left = (history + ahead).saturating_sub(partly);
    (whole.saturating_sub(history) + partly, left)
}

/// How much of what was not read before its walk is through with.
fn reached(walk: &Walk, position: &Position) -> Duration {
    let Some(at) = walk.reached else { return Duration::ZERO };
    let begin = if walk.task == Task::Window { position.high } else { walk.whole.from };
    match walk.order {
        Order::Asc => at.min(walk.whole.to).since(begin),
        Order::Desc => walk.whole.to.since(at.max(begin)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::position::Slice;
    use super::super::tests::config;
    use super::*;

    #[test]
    fn what_is_read_and_what_is_left_make_up_the_whole() {
        let day = 86_400_000_000_i64;
        let rules = config(serde_json::json!({"since": "2026-01-01", "until": "2026-01-11"}))
            .validate()
            .unwrap()
            .rules;
        let start = Micros::parse("2026-01-01T00:00:00Z").unwrap();
        let mut position = Position::first(&rules, Micros(start.0 + 100 * day));
        let top = Micros(start.0 + 10 * day);
        let days = |position: &Position| {
            let (read, left) = extent(position, top);
            (read.as_secs_f64() / 86_400.0, left.as_secs_f64() / 86_400.0)
        };
        assert_eq!(days(&position), (0.0, 10.0));
        position.high = Micros(start.0 + 4 * day);
        let mut walk =
            Walk::new(Task::Window, None, Order::Asc, Micros(position.high.0 - 1), Micros(start.0 + 5 * day));
        walk.reached = Some(Micros(start.0 + 4 * day + day / 2));
        position.walks.push(walk);
        assert_eq!(days(&position), (4.5, 5.5));
        position.walks[0].order = Order::Desc;
        position.walks[0].reached = Some(Micros(start.0 + 4 * day + day / 4));
        assert_eq!(days(&position), (4.75, 5.25));
        position.walks.clear();
        position.high = Micros(start.0 + 9 * day);
        position.history = Some(Slice { from: Micros(start.0 + 2 * day), to: Micros(start.0 + 8 * day) });
        assert_eq!(days(&position), (3.0, 7.0));
    }
}
