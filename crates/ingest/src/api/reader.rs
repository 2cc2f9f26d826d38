//! The reader without its wires: which request goes out next, and what an answer changes. Pure but for looking up ids.
//!
//! Owns the position as it will be when all that was given is delivered, the budget, and what is done about failures. Must
//! not know sockets or files; whoever drives it sends what [`Reader::step`] asks for, and tells what came.
//!
//! The subtle thing: there are two positions. The one here runs ahead; what is kept on disk is the snapshot that travelled
//! with the last batch that has ended. A crash falls back to that one, and reads again what was given and not delivered.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use model::fault::{Fault, FaultKind};

use super::attestation::Attestation;
use super::budget::{Budget, Rate};
use super::canary::Canary;
use super::config::Rules;
use super::page::{NoPage, Pages};
use super::position::{Position, Task, VERSION, Walk};
use super::query::{Order, Question};
use super::refusal::{Head, classify};
use super::rows::{Page, detach, look};
use super::schedule::{Plan, Timers, plan};
use super::seen::{Key, Seen};
use super::time::Micros;
use super::watch::Watch;
use crate::source::RawRecord;

/// Records longer than this are cut, and end as dead letters.
const MOST_RECORD: u64 = 16 << 20;

/// How many bytes of records are given at once, about.
const PORTION: usize = 1 << 20;

/// How often a page is asked for again because rows in it look damaged, each time in another way.
const MOST_DOUBTS: u32 = 3;

/// By how much our clock must be ahead of the server's for a beginning that was reckoned by it to be reckoned anew. The
/// server's header knows only seconds.
const FAST_CLOCK: Duration = Duration::from_secs(5);

/// What is kept of the body of a refusal.
const MOST_REFUSAL: usize = 64 * 1024;

/// The time, by two clocks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now {
    /// What this machine takes for the time. It may be wrong, and may be set.
    pub(super) wall: Micros,
    /// Since any fixed moment; never goes back.
    pub(super) steady: Duration,
}

/// What is to be done next.
#[derive(Debug)]
pub(super) enum Step {
    /// Send this query.
    Send(String),
    /// Give this out.
    Give(Portion),
    /// Do nothing until then.
    Wait(Duration),
    /// All is read.
    End,
}

/// Records to be given out, and what may be kept when they have ended.
#[derive(Debug, Default)]
pub(super) struct Portion {
    pub(super) records: Vec<RawRecord>,
    pub(super) seen: Vec<Seen>,
    /// None within a page.
    pub(super) position: Option<Box<Position>>,
}

/// How a request broke off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Broke {
    /// Before there was an answer.
    Connection,
    /// It took too long, or ended in the middle: fewer rows may pass.
    Size,
}

/// Tells whether a record was delivered.
pub(super) trait Known {
    /// Looks it up.
    fn has(&mut self, key: Key) -> Result<bool, Fault>;
}

/// The reader.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) rules: Rules,
    pub(super) position: Position,
    pub(super) timers: Timers,
    pub(super) budget: Budget,
    pub(super) random: Rng,
    pub(super) order: Order,
    pub(super) limit: u32,
    /// Failures of the same page in a row.
    pub(super) strikes: u32,
    pub(super) not_before: Duration,
    /// The `date` of the last answer, and when it came.
    pub(super) server: Option<(Micros, Duration)>,
    /// Given out, and not known to be delivered.
    pub(super) given: HashSet<Key>,
    /// Given out of the page that is being tried.
    pub(super) attempted: HashSet<Key>,
    /// Rows of it that looked damaged.
    pub(super) doubted: HashSet<Key>,
    pub(super) page: Option<Page>,
    pub(super) asked: Option<Task>,
    pub(super) owed: Option<Portion>,
    pub(super) canary: Canary,
    pub(super) disabled: Option<Micros>,
    pub(super) watch: Arc<Watch>,
    /// Where to begin was reckoned from our own clock, and no answer has said yet what the time is.
    guessed: bool,
}

impl Reader {
    /// Goes on from a kept position, or begins.
    ///
    /// # Errors
    ///
    /// The position was made under other filters, or by another version.
    pub(super) fn new(
        rules: Rules,
        kept: Option<Position>,
        now: Now,
        mut random: Rng,
    ) -> Result<Self, Fault> {
        let guessed = kept.is_none();
        let position = match kept {
            None => Position::first(&rules, now.wall),
            Some(kept) => {
                fits(&kept, &rules)?;
                kept.under(&rules, now.wall)
            }
        };
        Ok(Self {
            timers: Timers::new(now.steady),
            budget: Budget::new(rules.budget_share, now.steady, random.fork()),
            random,
            order: Order::Asc,
            limit: rules.page_size,
            strikes: 0,
            not_before: now.steady,
            server: None,
            given: HashSet::new(),
            attempted: HashSet::new(),
            doubted: HashSet::new(),
            page: None,
            asked: None,
            owed: None,
            canary: Canary::default(),
            disabled: None,
            watch: Arc::default(),
            guessed,
            rules,
            position,
        })
    }

    /// Its counters.
    pub(super) fn watch(&self) -> Arc<Watch> {
        Arc::clone(&self.watch)
    }

    /// The time at the server: never later than our own clock says, nor than the server's last answer allows.
    pub(super) fn server_now(&self, now: Now) -> Micros {
        let by_server = self.server.map(|(date, at)| date.after(now.steady.saturating_sub(at)));
        by_server.map_or(now.wall, |time| time.min(now.wall))
    }

    /// What to do next. To be asked when no request is under way.
    pub(super) fn step(&mut self, now: Now) -> Step {
        if let Some(portion) = self.owed.take() {
            return Step::Give(portion);
        }
        let server = self.server_now(now);
        let plan = plan(&self.position, &self.rules, &self.timers, self.order, server, now.steady);
        let gate = self.not_before.max(self.budget.next(now.steady));
        self.show(&plan, gate, now);
        let task = match plan {
            Plan::End => return Step::End,
            Plan::Wait(wait) => return Step::Wait(now.steady + wait),
            Plan::Go(_) | Plan::Begin(_) if gate > now.steady => return Step::Wait(gate),
            Plan::Go(task) => task,
            Plan::Begin(walk) => {
                let task = walk.task.clone();
                self.timers.began(&task, &self.rules, now.steady);
                self.limit = self.rules.page_size;
                self.strikes = 0;
                self.position.walks.push(*walk);
                task
            }
        };
        if self.asked.as_ref() != Some(&task) {
            // What was given in an attempt at another page counts there.
            self.attempted.clear();
            self.doubted.clear();
            self.strikes = 0;
        }
        let Some(query) = self.query(&task, true) else { return Step::End };
        self.budget.spend(now.steady);
        self.watch.requests.add(1);
        self.asked = Some(task);
        Step::Send(query)
    }

    fn query(&self, task: &Task, page: bool) -> Option<String> {
        let walk = self.position.walk(task)?;
        let slice = walk.slices.front().copied().unwrap_or(walk.whole);
        let question = Question {
            filters: &self.rules.filters,
            types: walk.types.as_deref(),
            order: walk.order,
            from: if page { slice.from } else { walk.whole.from },
            to: if page { slice.to } else { walk.whole.to },
            cursor: walk.cursor.as_deref().filter(|_| page),
            limit: if page { self.limit } else { self.rules.page_size },
        };
        Some(question.text())
    }

    /// An answer begins.
    ///
    /// # Errors
    ///
    /// It is somebody else's feed.
    pub(super) fn head(&mut self, head: Head, now: Now) -> Result<(), Fault> {
        if let Some(date) = head.date {
            self.server = Some((date, now.steady));
        }
        let server = self.server_now(now);
        let reset = head.reset.map(|reset| reset.since(server));
        self.budget.answered(now.steady, Rate { limit: head.limit, remaining: head.remaining, reset });
        self.watch.set_server_left(head.remaining);
        self.show_hold(now);
        if let Some(id) = &head.request_id {
            self.canary.asked(id, server);
        }
        let Some(task) = self.asked.clone() else { return Ok(()) };
        if head.status == 200 {
            if std::mem::take(&mut self.guessed) && now.wall.since(server) > FAST_CLOCK {
                self.begin_anew(server, now);
                return Ok(());
            }
            self.check_organization(&head)?;
            let lag = self.rules.lag;
            if let Some(walk) = self.position.walk_mut(&task) {
                walk.begun.get_or_insert(server);
                if let Some(date) = head.date {
                    walk.settled.get_or_insert(date.before(lag));
                }
            }
        }
        let Some(walk) = self.position.walk(&task).cloned() else { return Ok(()) };
        let mut tally = walk.tally.clone();
        let request_id = head.request_id.clone().unwrap_or_default();
        tally.request(&request_id);
        self.page = Some(Page {
            task,
            limit: self.limit,
            pages: Pages::new(MOST_RECORD),
            refusal: Vec::new(),
            tally,
            walk,
            request_id: request_id.into(),
            items: 0,
            records: Vec::new(),
            seen: Vec::new(),
            bytes: 0,
            doubtful: 0,
            late: Vec::new(),
            head,
        });
        Ok(())
    }

    /// Our own clock is ahead, and where to begin was reckoned by it: rows before that would never be read. The answer under
    /// way is to a question that should not have been asked; it is passed over.
    fn begin_anew(&mut self, server: Micros, now: Now) {
        tracing::warn!(ours = %now.wall, server = %server, "the clock of this machine is ahead of the API's; reading begins by the API's");
        self.position = Position::first(&self.rules, server);
        self.timers = Timers::new(now.steady);
        self.asked = None;
    }

    fn check_organization(&mut self, head: &Head) -> Result<(), Fault> {
        match (&self.position.organization, &head.organization) {
            (Some(known), Some(now)) if known != now && are_alike(known, now) => Err(Fault::new(
                FaultKind::Unusable,
                format!("the key belongs to organization {now}, and the kept position to {known}"),
                "use a key of that organization, or give this one a state.path of its own",
            )),
            (None, Some(now)) => {
                self.position.organization = Some(now.clone());
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// A piece of the answer's body. Gives out records when there are enough of them.
    ///
    /// # Errors
    ///
    /// The ids of delivered records cannot be read; the request is to be made again.
    pub(super) fn piece(
        &mut self,
        piece: &Bytes,
        known: &mut dyn Known,
        now: Now,
    ) -> Result<Option<Portion>, Fault> {
        let server = self.server_now(now);
        let Some(page) = &mut self.page else { return Ok(None) };
        if page.head.status != 200 {
            let room = MOST_REFUSAL.saturating_sub(page.refusal.len());
            page.refusal.extend_from_slice(piece.get(..room.min(piece.len())).unwrap_or_default());
            return Ok(None);
        }
        let mut items = Vec::new();
        page.pages.feed(piece, &mut |item| items.push(item));
        let before = page.records.len();
        for item in items {
            let seen = look(&item);
            if seen.is_none() && self.strikes < MOST_DOUBTS {
                let key = Key::of_bytes(&item.bytes);
                if !self.given.contains(&key) && !known.has(key)? && self.doubted.insert(key) {
                    page.doubtful += 1;
                    continue;
                }
            }
            let look = seen.unwrap_or_default();
            let row = page.row(&item, &look, server);
            if look.kind.as_deref() == Some("org_compliance_api_settings_updated") {
                tracing::warn!(request = %page.request_id, "the settings of the Compliance API were changed; see that recording is still on");
            }
            if let (Some("compliance_api_accessed"), Some(request)) =
                (look.kind.as_deref(), look.request_id.as_deref())
                && let Some(took) = self.canary.saw(request, server)
            {
                self.watch.canary.set(took.as_secs());
            }
            drop(look);
            if row.repeats {
                // It was given by a page of this walk; what remembers that may not reach back so far.
                continue;
            }
            let key = row.seen.key;
            let known_before = if self.attempted.contains(&key) {
                false
            } else {
                self.given.contains(&key) || known.has(key)?
            };
            if known_before {
                page.tally.duplicates += 1;
                continue;
            }
            if let Some(created) = row.created.filter(|created| is_late(&page.task, *created, &self.position))
            {
                let lateness = server.since(created);
                page.tally.late += 1;
                page.tally.lateness = page.tally.lateness.max(lateness.as_secs());
                page.late.push(lateness.as_secs());
            }
            if page.fresh(item, &row, &mut self.attempted) {
                self.given.insert(key);
            }
        }
        detach(page.records.get_mut(before..).unwrap_or_default(), piece.len());
        if page.bytes < PORTION {
            return Ok(None);
        }
        page.bytes = 0;
        let (records, seen) = (std::mem::take(&mut page.records), std::mem::take(&mut page.seen));
        Ok(Some(Portion { records, seen, position: None }))
    }

    /// The answer is over.
    ///
    /// # Errors
    ///
    /// What was refused, or is wrong with it. The position has not moved, or around what cannot be read.
    pub(super) fn end(&mut self, now: Now) -> Result<Portion, Fault> {
        let Some(mut page) = self.page.take() else { return Ok(Portion::default()) };
        if page.head.status != 200 {
            let cursor = page.walk.cursor.is_some();
            let (action, fault) = classify(&page.head, &page.refusal, &self.rules, cursor);
            return Err(self.refused(&page.task, action, fault, now));
        }
        let frame = match std::mem::replace(&mut page.pages, Pages::new(0)).finish() {
            Ok(frame) => frame,
            Err(wrong) => {
                self.owe(&mut page);
                let broke = if wrong == NoPage::Cut { Broke::Size } else { Broke::Connection };
                let cause = format!("{}: {wrong} (request {})", self.rules.filters.base_url, page.request_id);
                return Err(self.broke(broke, cause, now));
            }
        };
        let full = page.items >= page.limit;
        if frame.has_more.is_none() && full {
            tracing::warn!(request = %page.request_id, "a full page does not say whether there is more; asking");
        }
        if page.doubtful > 0 {
            self.owe(&mut page);
            let words = "records that cannot be decoded; asking for the page again before they are taken for what they are";
            let cause = format!(
                "{}: {} {words} (request {})",
                self.rules.filters.base_url, page.doubtful, page.request_id
            );
            return Err(self.broke(Broke::Connection, cause, now));
        }
        let more = frame.has_more.unwrap_or(full);
        if more && (frame.last_id.is_none() || frame.last_id == page.walk.cursor) {
            self.owe(&mut page);
            return Err(self.stuck(&page, now));
        }
        self.budget.worked();
        self.strikes = 0;
        self.attempted.clear();
        self.doubted.clear();
        let mut walk = page.walk;
        page.tally.pages += 1;
        // An empty page has no cursors, and takes none away.
        if page.tally.first_cursor.is_none() {
            page.tally.first_cursor = frame.first_id;
        }
        page.tally.last_cursor = frame.last_id.clone().or(page.tally.last_cursor.take());
        self.count(&walk.tally, &page.tally, &page.late);
        walk.tally = page.tally;
        if more {
            walk.cursor = frame.last_id;
        } else {
            walk.slices.pop_front();
            (walk.cursor, walk.reached) = (None, None);
        }
        let (task, ended) = (walk.task.clone(), walk.slices.is_empty());
        if let Some(kept) = self.position.walk_mut(&task) {
            *kept = walk;
        }
        self.timers.page(&task, ended);
        self.recorded_again(now);
        if ended {
            self.close(&task, now);
        }
        Ok(Portion { records: page.records, seen: page.seen, position: Some(self.snapshot()) })
    }

    /// The position, to be kept when all that was given until now has ended.
    pub(super) fn snapshot(&mut self) -> Box<Position> {
        let snapshot = Box::new(self.position.clone());
        // What travels with this batch need not travel with the next.
        self.position.outbox.clear();
        snapshot
    }

    /// Records of a page that failed were noted as given, so they have to be given.
    pub(super) fn owe(&mut self, page: &mut Page) {
        let (records, seen) = (std::mem::take(&mut page.records), std::mem::take(&mut page.seen));
        if !records.is_empty() {
            self.owed = Some(Portion { records, seen, position: None });
        }
    }

    pub(super) fn close(&mut self, task: &Task, now: Now) {
        let server = self.server_now(now);
        let query = self.query(task, false).unwrap_or_default();
        let Some(walk) = self.position.close(task, &self.rules, server) else { return };
        if *task == Task::Window
            && self.rules.hides_nothing()
            && let Some(missing) = self.canary.overdue(self.position.high, server)
        {
            self.watch.canary.set(missing.as_secs());
            if self.canary.alarms() {
                tracing::warn!(
                    "rows about our own requests do not come: the feed is behind, or is not recorded"
                );
            }
        }
        if *task != Task::Tail {
            self.attest(Attestation::new(self.position.sequence, server, &walk, query));
        }
        self.count_walk(task);
    }

    pub(super) fn attest(&mut self, line: Attestation) {
        self.position.sequence += 1;
        self.position.outbox.push(line);
    }

    /// The API was off, and is on again: between lies what was never recorded.
    fn recorded_again(&mut self, now: Now) {
        let Some(since) = self.disabled.take() else { return };
        let server = self.server_now(now);
        tracing::error!(from = %since, to = %server, "the Compliance API was not enabled in between: what happened then was not recorded, and cannot be read");
        let none = Walk::new(Task::Window, None, self.order, since, server);
        let mut line = Attestation::new(self.position.sequence, server, &none, String::new());
        "unrecorded".clone_into(&mut line.kind);
        self.attest(line);
    }

    /// Records have ended and their ids are on the disk.
    pub(super) fn delivered(&mut self, seen: &[Seen]) {
        for one in seen {
            self.given.remove(&one.key);
        }
    }

    /// Before this, ids need not be kept.
    pub(super) fn forget_before(&self, position: &Position) -> Micros {
        position.forget_before(&self.rules)
    }
}

/// Whether two names of organizations are of one kind, so that different ones are different organizations: each has an
/// `org_…` and a UUID.
fn are_alike(one: &str, other: &str) -> bool {
    one.starts_with("org_") == other.starts_with("org_")
}

/// Whether a row that is new should have been there before.
fn is_late(task: &Task, created: Micros, position: &Position) -> bool {
    let read = created < position.high && position.history.is_none_or(|history| created >= history.to);
    read && matches!(task, Task::Window | Task::Pass(_))
}

/// Refuses a position that answers another question.
fn fits(kept: &Position, rules: &Rules) -> Result<(), Fault> {
    let choice = "go back to what it was; or begin anew for these filters: give them a state.path of their own, or run \
                  `anthropic-ecs state reset`, and set `since` to where they should begin";
    if kept.version != VERSION {
        let cause = format!("the kept position has form {}, and this version knows {VERSION}", kept.version);
        return Err(Fault::new(
            FaultKind::Unusable,
            cause,
            "run the version that made it, or `anthropic-ecs state reset`",
        ));
    }
    match kept.filters.difference(&rules.filters) {
        None => Ok(()),
        Some(words) => {
            let cause = format!("the kept position was made under other filters: {words}");
            Err(Fault::new(FaultKind::Unusable, cause, choice))
        }
    }
}
