//! That both loops count everything that is shown of a run.

use std::sync::Arc;

use super::*;
use crate::run::{Stage, run};
use crate::stop;
use crate::testing::{
    Chaos, FakeLetters, FakeSource, FakeTransactions, Fate, Message, World, good, mapping, message, options,
    planted,
};
use crate::transactional::run_transactional;

const GOOD: usize = 50;

/// Records of each fate, in a world where nothing else goes wrong.
fn world() -> World {
    let mut messages: Vec<Message> = good("a", GOOD);
    messages.push(message(planted("bad", Fate::Unmappable)));
    messages.push(message(planted("no", Fate::Refused)));
    World::new(1, vec![messages], Chaos { batch: 5, request_limit: 1 << 20, ..Chaos::default() })
}

fn check(status: &Status) {
    let documents = GOOD as u64 + 1;
    let requests = status.request_documents.get();
    assert_eq!(requests.counts.iter().map(|(_, count)| count).sum::<u64>(), status.requests.get());
    assert!(requests.sum >= documents, "{requests:?}");
    assert!(status.request_bytes.get().sum > documents * 500);
    assert!(status.read_bytes.get() > documents * 300);
    let mappers = &status.mappers;
    assert_eq!(mappers.planned.get() + mappers.general.get(), documents);
    assert!(status.newest_record.get() > 0 && status.last_commit.get() > 0);
    assert_eq!(status.open_batches.get(), 0);
    assert!(status.peak_bytes.get() > 0);
    let actions = status.glance.last_hour().actions;
    assert_eq!(actions, [("claude_chat_created".to_owned(), documents)].into());
    let dead = status.recent_dead.get();
    let stages: Vec<&str> = dead.iter().map(|note| note.stage).collect();
    assert!(stages.len() == 2 && stages.contains(&"map") && stages.contains(&"deliver"), "{dead:?}");
    let shown = format!("{dead:?}");
    assert!(!shown.contains("dahl") && !shown.contains("Quarterly"), "content is shown: {shown}");
}

#[tokio::test(start_paused = true)]
async fn the_usual_loop() {
    let (_handle, token) = stop();
    let status = Arc::new(Status::default());
    status.glance.want();
    run(world().stage(), &options(1), Arc::clone(&status), token).await.unwrap();
    check(&status);
}

#[tokio::test(start_paused = true)]
async fn the_loop_of_transactions() {
    let (_handle, token) = stop();
    let (status, world) = (Arc::new(Status::default()), world());
    status.glance.want();
    let stage = Stage {
        source: FakeSource::open(&world),
        sink: FakeTransactions::open(&world),
        dead_letters: FakeLetters(world.clone()),
        mapping: mapping(),
    };
    run_transactional(stage, &options(1), Arc::clone(&status), token).await.unwrap();
    check(&status);
}
