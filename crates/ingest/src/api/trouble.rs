//! What is done when a request fails: waits, smaller pages, smaller windows, other questions.
//!
//! Owns the ways around a failure. Must not know how a failure is told from a page; see `refusal` for what each means.
//!
//! The subtle thing: only what the API itself calls final is ever passed over, and then as a gap that is kept and tried again.
//! Whatever may be an outage is asked for again, for ever.

use std::time::Duration;

use model::fault::{Fault, FaultKind};

use super::budget::doubled;
use super::position::{Gap, Slice, Task, Walk};
use super::query::Order;
use super::reader::{Broke, Now, Portion, Reader};
use super::refusal::Action;
use super::rows::Page;
use super::time::Micros;

/// Pages are not made smaller than this because they do not come through.
const SMALL_PAGE: u32 = 200;

/// The shortest stretch that is halved.
const SHORTEST: Duration = Duration::from_millis(1);

/// More parts that cannot be read than this are no exceptions any more.
const MOST_GAPS: usize = 1_000;

/// How long until something is tried again that only a person can mend.
const LONG: Duration = Duration::from_secs(300);

/// The API was not reached, by what the connection says.
pub(super) fn unreachable(cause: String) -> Fault {
    let remedy = if cause.contains("certificate") {
        "see that the API can be reached from here; if something on the way ends TLS, name its authority in `ca_file`"
    } else {
        "see that the API can be reached from here"
    };
    Fault::new(FaultKind::Unreachable, cause, remedy)
}

impl Reader {
    /// There is said to be more, and no way to it.
    pub(super) fn stuck(&mut self, page: &Page, now: Now) -> Fault {
        let cause = format!(
            "{} says that there are more rows, and gives no new cursor (request {})",
            self.rules.filters.base_url, page.request_id
        );
        if self.strikes >= 1 {
            // Once more did not help: around it, by the last row's time.
            let mut walk = page.walk.clone();
            walk.tally =
                self.position.walk(&page.task).map_or_else(Default::default, |kept| kept.tally.clone());
            walk.restart();
            if let Some(kept) = self.position.walk_mut(&page.task) {
                *kept = walk;
            }
        }
        self.broke(Broke::Connection, cause, now)
    }

    /// A request broke off, or its answer was none.
    pub(super) fn broke(&mut self, broke: Broke, cause: String, now: Now) -> Fault {
        if let Some(mut page) = self.page.take() {
            self.owe(&mut page);
        }
        self.watch.failures.add(1);
        self.strikes = self.strikes.saturating_add(1);
        if broke == Broke::Size && self.strikes.is_multiple_of(2) {
            self.shrink(SMALL_PAGE);
        }
        let wait = doubled(self.strikes, &mut self.random);
        self.not_before = self.not_before.max(now.steady + wait);
        let mut fault = unreachable(cause);
        fault.retry_after = Some(wait);
        fault
    }

    fn shrink(&mut self, least: u32) {
        let smaller = (self.limit / 5).max(least.min(self.rules.page_size)).max(1);
        if smaller < self.limit {
            tracing::info!(from = self.limit, to = smaller, "asking for fewer rows in a page");
            self.limit = smaller;
        }
    }

    pub(super) fn refused(&mut self, task: &Task, action: Action, mut fault: Fault, now: Now) -> Fault {
        self.strikes = self.strikes.saturating_add(1);
        match action {
            Action::Throttled(_) => self.watch.throttled.add(1),
            _ => self.watch.failures.add(1),
        }
        let server = self.server_now(now);
        let wish = fault.retry_after.take().unwrap_or_default();
        let wait = match action {
            Action::Throttled(wish) => self.budget.refused(now.steady, wish),
            Action::Again => doubled(self.strikes, &mut self.random),
            Action::Credentials(wait) | Action::Pause(wait) => {
                if fault.kind == FaultKind::Blocked && fault.cause.contains("not enabled") {
                    self.disabled.get_or_insert(server);
                }
                wait
            }
            Action::Shrink => {
                let before = self.limit;
                self.shrink(1);
                if self.limit == before { LONG } else { Duration::ZERO }
            }
            Action::DropCursor => {
                tracing::warn!(%fault, "a cursor is void; the window is read on from the last row's time");
                self.restart(task);
                doubled(self.strikes, &mut self.random)
            }
            Action::DropOrder if self.order == Order::Asc => {
                tracing::warn!(%fault, "`order` is refused; windows are read backwards from now on");
                self.order = Order::Desc;
                for walk in &mut self.position.walks {
                    walk.restart();
                    walk.order = Order::Desc;
                }
                Duration::ZERO
            }
            Action::DropOrder => LONG,
            Action::DropType(name) => match self.drop_type(task, &name) {
                Ok(()) => {
                    tracing::error!(%fault, "this filter is left out until the next start");
                    fault.kind = FaultKind::Missing;
                    Duration::ZERO
                }
                Err(refusal) => return refusal,
            },
            Action::DropOrganization(name) => {
                let organizations = &mut self.rules.filters.organization_ids;
                if organizations.len() > 1 {
                    organizations.retain(|id| *id != name);
                    tracing::error!(%fault, "this organization is left out until the next start");
                    self.position.walks.iter_mut().for_each(Walk::restart);
                    Duration::ZERO
                } else {
                    LONG
                }
            }
            Action::Isolate => self.isolate(task, &fault, server),
        };
        let wait = wait.max(self.budget.hold(now.steady, wish));
        self.not_before = self.not_before.max(now.steady + wait);
        self.show_hold(now);
        fault.retry_after = Some(wait);
        fault
    }

    fn restart(&mut self, task: &Task) {
        if let Some(walk) = self.position.walk_mut(task) {
            walk.restart();
        }
    }

    fn drop_type(&mut self, task: &Task, name: &str) -> Result<(), Fault> {
        if let Some(walk) = self.position.walk_mut(task)
            && let Some(types) = &mut walk.types
        {
            types.retain(|kept| kept != name);
            if types.is_empty() {
                // Rather all types than none.
                walk.types = None;
            }
            let left = walk.types.clone();
            walk.restart();
            if let Task::Pass(pass) = task {
                self.rules
                    .passes
                    .iter_mut()
                    .filter(|rule| rule.name == *pass)
                    .for_each(|rule| rule.types.clone_from(&left));
            }
            return Ok(());
        }
        let filters = &mut self.rules.filters;
        if filters.activity_types.len() == 1 {
            return Err(Fault::new(
                FaultKind::Unusable,
                format!("the API does not know `{name}`, the only one of `activity_types`"),
                "correct it, or leave `activity_types` out",
            ));
        }
        filters.activity_types.retain(|kept| kept != name);
        filters.exclude_activity_types.retain(|kept| kept != name);
        self.position.walks.iter_mut().for_each(Walk::restart);
        Ok(())
    }

    /// A page fails for good: halves what is left of its slice, or leaves the slice out as a gap when it is short.
    fn isolate(&mut self, task: &Task, fault: &Fault, server: Micros) -> Duration {
        let gaps = self.position.gaps.len();
        let Some(walk) = self.position.walk_mut(task) else { return Duration::ZERO };
        walk.restart();
        let Some(slice) = walk.slices.pop_front() else { return Duration::ZERO };
        let width = slice.to.since(slice.from);
        if width > SHORTEST {
            let middle = slice.from.after(width / 2);
            let (early, late) = (Slice { to: middle, ..slice }, Slice { from: middle, ..slice });
            let (first, second) = if walk.order == Order::Asc { (early, late) } else { (late, early) };
            walk.slices.push_front(second);
            walk.slices.push_front(first);
            return Duration::ZERO;
        }
        let own = match task {
            Task::Gap(own) if *own == walk.whole => true,
            _ if gaps >= MOST_GAPS => {
                walk.slices.push_front(slice);
                return LONG;
            }
            _ => false,
        };
        walk.tally.gaps += 1;
        let (types, ended) = (walk.types.clone(), walk.slices.is_empty());
        if own && let Some(gap) = self.position.gaps.iter_mut().find(|gap| Task::Gap(gap.slice) == *task) {
            gap.tried = server;
            self.position.walks.retain(|walk| walk.task != *task);
            self.owed = Some(Portion { position: Some(self.snapshot()), ..Portion::default() });
            return Duration::ZERO;
        }
        tracing::error!(from = %slice.from, to = %slice.to, %fault, "rows of this time cannot be read; it is passed over, and tried again until it can be");
        let cause = fault.cause.clone();
        self.position.gaps.push(Gap { slice, types, cause, since: server, tried: server });
        self.show_gaps();
        if ended {
            self.close(task, Now { wall: server, steady: Duration::ZERO });
        }
        self.owed = Some(Portion { position: Some(self.snapshot()), ..Portion::default() });
        Duration::ZERO
    }
}
