//! What goes in: records of a large office, and the bad ones planted among them.

use std::collections::{BTreeMap, BTreeSet};

use model::catalog::Catalog;
use serde_json::{Value, json};
use simulator::{Feed, Random};

/// Records longer than this are configured to be dead letters.
pub(crate) const TOO_LARGE: usize = 64 << 10;

/// How long the field is that a sink refuses, where it is made to.
pub(crate) const REFUSED: usize = 40_000;

/// What a campaign feeds, and what must become of it.
pub(crate) struct Plan {
    /// In order; `None` is a tombstone.
    pub(crate) messages: Vec<Option<String>>,
    /// The ids of all good records.
    pub(crate) ids: BTreeSet<String>,
    /// The bad ones, and the stage that must find them out.
    pub(crate) dead: BTreeMap<Vec<u8>, &'static str>,
    /// How many records there are, with repetitions and bad ones.
    pub(crate) records: usize,
}

/// What a campaign wants beside good records.
#[derive(Clone, Copy)]
pub(crate) struct Wanted {
    pub(crate) records: usize,
    /// Records that the sink is to refuse.
    pub(crate) refused: bool,
    /// Records that come twice.
    pub(crate) repeated: bool,
    /// Tombstones, and several records in one message.
    pub(crate) mixed: bool,
}

impl Plan {
    pub(crate) fn new(random: &mut Random, wanted: Wanted) -> Self {
        let catalog = Catalog::builtin();
        let mut plan = Self { messages: Vec::new(), ids: BTreeSet::new(), dead: BTreeMap::new(), records: 0 };
        let mut feed = Feed::new(&catalog, random.bits());
        // Every kind of bad record some five times in a small campaign, a hundred times in a large one.
        let every = (wanted.records / 100).clamp(100, 2_000);
        let mut number = 0;
        while plan.ids.len() < wanted.records {
            number += 1;
            if number % every == 0 {
                for kind in 0..if wanted.refused { 5 } else { 4 } {
                    plan.bad(kind, number);
                }
            }
            if wanted.mixed && random.chance(2) {
                plan.page(&mut feed, random, number);
            } else {
                let record = plan.good(&mut feed);
                if wanted.repeated && random.chance(1) {
                    plan.push(record.clone());
                }
                plan.push(record);
            }
            if wanted.mixed && random.chance(1) {
                plan.messages.push(None);
            }
        }
        plan
    }

    fn push(&mut self, record: String) {
        self.records += 1;
        self.messages.push(Some(record));
    }

    fn good(&mut self, feed: &mut Feed<'_>) -> String {
        let record = feed.next().unwrap();
        let value: Value = serde_json::from_str(&record).unwrap();
        let new = self.ids.insert(value["id"].as_str().unwrap().to_owned());
        assert!(new, "the feed repeats an id: {record}");
        record
    }

    /// A page of the API as one message, sometimes with something in it that is no activity.
    fn page(&mut self, feed: &mut Feed<'_>, random: &mut Random, number: usize) {
        let mut records: Vec<String> = (0..random.range(1, 8)).map(|_| self.good(feed)).collect();
        if random.chance(10) {
            let bad = json!({"in_a_page": number}).to_string();
            self.dead.insert(bad.clone().into_bytes(), "map");
            records.insert(random.index(records.len() + 1), bad);
        }
        self.records += records.len();
        self.messages.push(Some(format!("{{\"data\":[{}],\"has_more\":false}}", records.join(","))));
    }

    fn bad(&mut self, kind: usize, number: usize) {
        let long = |name: &str, field: &str, length: usize| {
            let actor = json!({"type": "user_actor", "user_id": "user_1"});
            let mut record = json!({"id": format!("{name}-{number}"), "type": "claude_chat_created",
                "created_at": "2026-10-05T07:30:00Z", "actor": actor});
            record[field] = json!("x".repeat(length));
            record.to_string()
        };
        let (record, stage) = match kind {
            0 => (format!("no JSON at all, number {number}"), "decode"),
            1 => (format!("{{\"id\":\"broken-{number}\",\"type\":claude_chat_created}}"), "map"),
            2 => (json!({"neither": "id", "nor": "type", "number": number}).to_string(), "map"),
            3 => (long("too-large", "title", TOO_LARGE), "map"),
            _ => (long("refused", "claude_chat_id", REFUSED), "deliver"),
        };
        self.dead.insert(record.clone().into_bytes(), stage);
        self.push(record);
    }
}
