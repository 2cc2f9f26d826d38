//! Where the reader stands: what is kept on disk, as a whole, after each commit.
//!
//! Owns what a position is made of, and what a walk that has come to its end changes about it. Pure. Must not know requests.
//!
//! The subtle thing: progress inside a walk is kept too, but it counts for nothing until the walk has ended. The high mark
//! moves only then, so that neither a crash nor reading backwards can leave a hole behind it.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::attestation::Attestation;
use super::config::{Beginning, Rules};
use super::query::{Filters, Order};
use super::tally::Tally;
use super::time::Micros;

/// The version of what is kept.
pub(super) const VERSION: u32 = 1;

/// From how much history on the newest rows are read first, and history in the background.
const MUCH_HISTORY: Duration = Duration::from_secs(2 * 86_400);

/// Everything that is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Position {
    /// The version of this form.
    pub version: u32,
    /// What it was made under.
    pub filters: Filters,
    /// Whose rows these are, as the API says.
    pub organization: Option<String>,
    /// Nothing before this is wanted.
    pub start: Micros,
    /// Everything before this, and not before the history still to be read, was read.
    pub high: Micros,
    /// Where the next window begins: what is between this and `high` was young when it was read.
    pub reread: Micros,
    /// History that is still to be read.
    pub history: Option<Slice>,
    /// When each pass is due.
    pub passes: Vec<PassDue>,
    /// What could not be read, and is tried again.
    pub gaps: Vec<Gap>,
    /// What is being read.
    pub walks: Vec<Walk>,
    /// The number of the next attestation.
    pub sequence: u64,
    /// Attestations that may not be in their file yet.
    pub outbox: Vec<Attestation>,
}

/// A stretch of time: at or after `from`, before `to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slice {
    /// Its beginning, which belongs to it.
    pub from: Micros,
    /// Its end, which does not.
    pub to: Micros,
}

/// When a pass is due.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassDue {
    /// Which pass.
    pub name: String,
    /// When; by the server's clock.
    pub due: Micros,
}

/// A stretch that the API fails to give for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// Which.
    pub slice: Slice,
    /// Only these types.
    pub types: Option<Vec<String>>,
    /// Why.
    pub cause: String,
    /// When it was found.
    pub since: Micros,
    /// When it was tried last.
    pub tried: Micros,
}

/// What a walk is for. There is at most one walk for each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// The next closed window.
    Window,
    /// Rows that are younger than a window may be.
    Tail,
    /// A re-read.
    Pass(String),
    /// What was there before the first start.
    History,
    /// Something that could not be read.
    Gap(Slice),
}

impl Task {
    /// A word for attestations.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Window => "window",
            Self::Tail => "tail",
            Self::Pass(_) => "pass",
            Self::History => "history",
            Self::Gap(_) => "gap",
        }
    }
}

/// A way through a stretch of time, page by page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Walk {
    /// What it is for.
    pub task: Task,
    /// Only these types.
    pub types: Option<Vec<String>>,
    /// Which way it goes.
    pub order: Order,
    /// All of it.
    pub whole: Slice,
    /// What is left of it, in the order in which it is read. More than one after something failed for good.
    pub slices: VecDeque<Slice>,
    /// The last row's cursor in the first slice.
    pub cursor: Option<String>,
    /// The last row's time in the first slice.
    pub reached: Option<Micros>,
    /// When its first page came, by the server's clock as far as known.
    pub begun: Option<Micros>,
    /// Up to where rows can be expected to be there, by the server's clock.
    pub settled: Option<Micros>,
    /// What was found.
    pub tally: Tally,
}

impl Walk {
    /// A walk that has not begun.
    pub(super) fn new(
        task: Task,
        types: Option<Vec<String>>,
        order: Order,
        from: Micros,
        to: Micros,
    ) -> Self {
        let whole = Slice { from, to };
        Self {
            task,
            types,
            order,
            whole,
            slices: [whole].into(),
            cursor: None,
            reached: None,
            begun: None,
            settled: None,
            tally: Tally::default(),
        }
    }

    /// Forgets the cursor. What is left of the first slice begins with the last row's time, whose other rows may be missing.
    pub(super) fn restart(&mut self) {
        self.cursor = None;
        let Some(reached) = self.reached.take() else { return };
        let Some(slice) = self.slices.front_mut() else { return };
        match self.order {
            Order::Asc => slice.from = reached.clamp(slice.from, slice.to),
            Order::Desc => slice.to = Micros(reached.0.saturating_add(1)).clamp(slice.from, slice.to),
        }
    }

    /// From where on this walk, or the window after it, may still meet rows that were given before.
    fn rereads_from(&self, rules: &Rules) -> Micros {
        let young = self.begun.map_or(self.whole.from, |begun| begun.before(rules.lag + rules.overlap));
        let at = match self.order {
            // What is behind the last row is not met again, whatever happens to the cursor.
            Order::Asc => self.reached.or(self.slices.front().map(|slice| slice.from)),
            Order::Desc => None,
        };
        at.unwrap_or(self.whole.from).min(young).min(self.whole.to)
    }

    /// Notes the time of a row.
    pub(super) fn reach(&mut self, created: Micros) {
        if self.slices.front().is_some_and(|slice| (slice.from..slice.to).contains(&created)) {
            self.reached = Some(created);
        }
    }
}

impl Position {
    /// The first position of all, at `now` by the server's clock as far as known.
    pub(super) fn first(rules: &Rules, now: Micros) -> Self {
        let start = match rules.beginning {
            Beginning::Lookback(lookback) => now.before(lookback),
            Beginning::Since(since) => since,
        };
        let young = now.before(rules.lag + rules.overlap);
        let much = rules.until.is_none() && start < now.before(MUCH_HISTORY);
        let high = if much { young } else { start };
        Self {
            version: VERSION,
            filters: rules.filters.clone(),
            organization: None,
            start,
            high,
            reread: high,
            history: much.then_some(Slice { from: start, to: high }),
            passes: Vec::new(),
            gaps: Vec::new(),
            walks: Vec::new(),
            sequence: 0,
            outbox: Vec::new(),
        }
        .under(rules, now)
    }

    /// Takes over the passes that are configured now. One that is new is due when its time has passed.
    pub(super) fn under(mut self, rules: &Rules, now: Micros) -> Self {
        self.passes.retain(|pass| rules.passes.iter().any(|rule| rule.name == pass.name));
        for rule in &rules.passes {
            if !self.passes.iter().any(|pass| pass.name == rule.name) {
                self.passes.push(PassDue { name: rule.name.clone(), due: now.after(rule.every) });
            }
        }
        let passes = &self.passes;
        self.walks.retain(|walk| match &walk.task {
            Task::Pass(name) => passes.iter().any(|pass| pass.name == *name),
            _ => true,
        });
        self
    }

    /// The walk for a task.
    pub(super) fn walk(&self, task: &Task) -> Option<&Walk> {
        self.walks.iter().find(|walk| walk.task == *task)
    }

    /// The walk for a task, to change it.
    pub(super) fn walk_mut(&mut self, task: &Task) -> Option<&mut Walk> {
        self.walks.iter_mut().find(|walk| walk.task == *task)
    }

    /// A walk has come to its end: what it was for is done.
    pub(super) fn close(&mut self, task: &Task, rules: &Rules, now: Micros) -> Option<Walk> {
        let at = self.walks.iter().position(|walk| walk.task == *task)?;
        let walk = self.walks.remove(at);
        let begun = walk.begun.unwrap_or(now);
        match task {
            Task::Window => {
                self.high =
                    self.high.max(walk.settled.map_or(walk.whole.to, |settled| settled.min(walk.whole.to)));
                self.reread = self.high.min(begun.before(rules.lag + rules.overlap)).max(self.start);
            }
            Task::Tail => {}
            Task::Pass(name) => {
                let every = rules
                    .passes
                    .iter()
                    .find(|rule| rule.name == *name)
                    .map_or(Duration::ZERO, |rule| rule.every);
                if let Some(pass) = self.passes.iter_mut().find(|pass| pass.name == *name) {
                    pass.due = begun.after(every);
                }
            }
            Task::History => {
                let left = self.history.map(|history| Slice { from: walk.whole.to, ..history });
                self.history = left.filter(|history| history.from < history.to);
            }
            Task::Gap(slice) => self.gaps.retain(|gap| gap.slice != *slice),
        }
        Some(walk)
    }

    /// Where a pass begins when it runs next. It goes by when it was due, not by when it runs: after a long stop it reaches
    /// back as far as if there had been none.
    pub(super) fn pass_from(&self, due: Micros, depth: Duration) -> Micros {
        // What is not read yet cannot be read again.
        let least = self.history.map_or(self.start, |history| history.to);
        due.before(depth).max(least)
    }

    /// No row that is older than this will be read again, except in gaps and history: their ids need not be kept. So the ids
    /// of a backfill are not kept either, but for those of its young end.
    pub(super) fn forget_before(&self, rules: &Rules) -> Micros {
        let passes = self.passes.iter().filter_map(|pass| {
            let rule = rules.passes.iter().find(|rule| rule.name == pass.name)?;
            Some(pass.due.before(rule.depth))
        });
        let walks = self.walks.iter().filter_map(|walk| match walk.task {
            Task::Window => Some(walk.rereads_from(rules)),
            Task::Tail | Task::Pass(_) => Some(walk.whole.from),
            Task::History | Task::Gap(_) => None,
        });
        let next = self.walk(&Task::Window).is_none().then_some(self.reread);
        passes.chain(walks).chain(next).min().unwrap_or(self.reread)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::config;
    use super::*;

    #[test]
    fn ids_are_kept_of_what_may_be_met_again_and_of_nothing_else() {
        let minute = |minute: i64| Micros(1_790_000_000_000_000 + minute * 60_000_000);
        let rules = |reconcile| {
            config(serde_json::json!({"since": "2026-01-01", "reconcile": reconcile}))
                .validate()
                .unwrap()
                .rules
        };
        let without = rules(serde_json::json!([]));
        let mut position = Position::first(&without, minute(0));
        (position.reread, position.high) = (minute(1_000), minute(1_010));
        assert_eq!(position.forget_before(&without), minute(1_000));
        // An old window: the overlap before it while that is being read, then only what is ahead.
        let walk = Walk::new(Task::Window, None, Order::Asc, minute(1_000), minute(2_000));
        position.walks.push(walk);
        assert_eq!(position.forget_before(&without), minute(1_000));
        position.walks[0].begun = Some(minute(9_000));
        position.walks[0].reached = Some(minute(1_500));
        assert_eq!(position.forget_before(&without), minute(1_500));
        // A young one: what the next one reads again is kept.
        position.walks[0].begun = Some(minute(1_505));
        assert_eq!(position.forget_before(&without), minute(1_505).before(without.lag + without.overlap));
        // Backwards, its beginning is read last.
        position.walks[0].order = Order::Desc;
        assert_eq!(position.forget_before(&without), minute(1_000));
        // Whatever a pass will read again is kept.
        let with = rules(serde_json::json!([{"every": "1h", "depth": "6h"}]));
        position = position.under(&with, minute(1_000));
        assert_eq!(position.forget_before(&with), minute(1_060 - 360));
    }
}
