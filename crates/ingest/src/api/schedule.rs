//! What is read next: pure, from the position and the time.
//!
//! Owns the order among windows, re-reads, history, gaps and the tail, and their timers. Must not know pages or requests.
//!
//! The subtle thing: nothing here looks at whether rows came. Each request makes a row itself, so "got rows, ask again" would
//! never end; and two such readers would keep each other busy.

use std::time::Duration;

use super::config::Rules;
use super::position::{Position, Task, Walk};
use super::query::Order;
use super::time::Micros;

/// The longest window. Long enough that its last page, which is rarely full, costs little; short enough that an attestation
/// says something. A crash in the middle costs less than that: how far its pages are delivered is kept.
const LONGEST: Duration = Duration::from_secs(7 * 86_400);

/// When windows are so far behind, there is no tail.
const FAR: Duration = Duration::from_secs(86_400);

/// How often something that failed for good is tried again.
const GAP_EVERY: Duration = Duration::from_secs(600);

/// How many pages others may have after a window, however long the windows are.
const TURN: u32 = 4;

/// What to do next.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Plan {
    /// The next page of a walk that is there.
    Go(Task),
    /// The first page of a new walk.
    Begin(Box<Walk>),
    /// Nothing for so long.
    Wait(Duration),
    /// Everything is read that was asked for.
    End,
}

/// Timers, by a clock that never goes back.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timers {
    poll: Duration,
    tail: Duration,
    /// Pages that others may have before the next window.
    turn: u32,
}

impl Timers {
    /// Everything is due.
    pub(super) fn new(steady: Duration) -> Self {
        Self { poll: steady, tail: steady, turn: 0 }
    }

    /// A walk begins.
    pub(super) fn began(&mut self, task: &Task, rules: &Rules, steady: Duration) {
        match task {
            Task::Window => self.poll = steady + rules.poll_interval,
            Task::Tail => self.tail = steady + rules.tail.unwrap_or_default(),
            Task::Pass(_) | Task::History | Task::Gap(_) => {}
        }
    }

    /// A page came.
    pub(super) fn page(&mut self, task: &Task, ended: bool) {
        self.turn = match task {
            Task::Window if ended => TURN,
            Task::Window | Task::Tail => self.turn,
            Task::Pass(_) | Task::History | Task::Gap(_) => self.turn.saturating_sub(1),
        };
    }
}

/// Decides. `now` is by the server's clock as far as it is known, `steady` by one that never goes back.
pub(super) fn plan(
    position: &Position,
    rules: &Rules,
    timers: &Timers,
    order: Order,
    now: Micros,
    steady: Duration,
) -> Plan {
    let settled = now.before(rules.lag);
    let top = rules.until.map_or(settled, |until| settled.min(until));
    let window = || {
        if position.walk(&Task::Window).is_some() {
            return Some(Plan::Go(Task::Window));
        }
        let behind = top.since(position.high) > 2 * rules.poll_interval;
        // The end is not waited for once it can be read; until then it is no reason to ask more often.
        let last = rules.until.is_some_and(|until| settled >= until);
        let due = (behind || last || timers.poll <= steady) && top > position.high;
        due.then(|| {
            let to = top.min(position.high.after(LONGEST));
            Plan::Begin(Box::new(Walk::new(Task::Window, None, order, position.reread, to)))
        })
    };
    let others = || {
        tail(position, rules, timers, order, now, steady)
            .or_else(|| gap(position, order, now))
            .or_else(|| pass(position, rules, order, now))
            .or_else(|| history(position, order))
    };
    let chosen = if timers.turn > 0 { others().or_else(window) } else { window().or_else(others) };
    if let Some(plan) = chosen {
        return plan;
    }
    if rules.until.is_some_and(|until| position.high >= until) && position.gaps.is_empty() {
        return Plan::End;
    }
    Plan::Wait(wait(position, rules, timers, now, steady))
}

fn tail(
    position: &Position,
    rules: &Rules,
    timers: &Timers,
    order: Order,
    now: Micros,
    steady: Duration,
) -> Option<Plan> {
    rules.tail?;
    if position.walk(&Task::Tail).is_some() {
        return Some(Plan::Go(Task::Tail));
    }
    // While windows are far behind, the tail would be as long as they are.
    let near = now.since(position.high) < FAR && position.high < now;
    (near && timers.tail <= steady)
        .then(|| Plan::Begin(Box::new(Walk::new(Task::Tail, None, order, position.high, now))))
}

fn gap(position: &Position, order: Order, now: Micros) -> Option<Plan> {
    position.gaps.iter().find_map(|gap| {
        let task = Task::Gap(gap.slice);
        if position.walk(&task).is_some() {
            return Some(Plan::Go(task));
        }
        (gap.tried.after(GAP_EVERY) <= now).then(|| {
            Plan::Begin(Box::new(Walk::new(task, gap.types.clone(), order, gap.slice.from, gap.slice.to)))
        })
    })
}

fn pass(position: &Position, rules: &Rules, order: Order, now: Micros) -> Option<Plan> {
    for rule in &rules.passes {
        let task = Task::Pass(rule.name.clone());
        if position.walk(&task).is_some() {
            return Some(Plan::Go(task));
        }
        let Some(due) = position.passes.iter().find(|pass| pass.name == rule.name) else { continue };
        let from = position.pass_from(due.due.min(now), rule.depth);
        // What is due as late as this was set by a clock that was wrong.
        let is_due = due.due <= now || due.due > now.after(2 * rule.every);
        if is_due && from < position.high {
            let walk = Walk::new(task, rule.types.clone(), order, from, position.high);
            return Some(Plan::Begin(Box::new(walk)));
        }
    }
    None
}

fn history(position: &Position, order: Order) -> Option<Plan> {
    if position.walk(&Task::History).is_some() {
        return Some(Plan::Go(Task::History));
    }
    let history = position.history?;
    let to = history.to.min(history.from.after(LONGEST));
    Some(Plan::Begin(Box::new(Walk::new(Task::History, None, order, history.from, to))))
}

/// Until the first timer that may give something to do.
fn wait(position: &Position, rules: &Rules, timers: &Timers, now: Micros, steady: Duration) -> Duration {
    let until = |due: Micros| due.since(now);
    let passes = position.passes.iter().map(|pass| until(pass.due));
    let gaps = position.gaps.iter().map(|gap| until(gap.tried.after(GAP_EVERY)));
    let tail = rules.tail.map(|_| timers.tail.saturating_sub(steady));
    let poll = timers.poll.saturating_sub(steady);
    let first = passes.chain(gaps).chain(tail).filter(|wait| !wait.is_zero()).min();
    let poll = if poll.is_zero() { rules.poll_interval.min(Duration::from_secs(1)) } else { poll };
    first.map_or(poll, |first| first.min(poll)).max(Duration::from_millis(1))
}
