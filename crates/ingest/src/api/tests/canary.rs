//! What an operator sees of rows about our own requests: the delay of the last, and that none come any more.

use serde_json::json;

use super::*;

#[test]
fn the_delay_of_own_rows_grows_while_none_come() {
    let mut simulator = silent(21);
    simulator.own_reads = Some(SECOND);
    let mut world = World::new(simulator, json!({"initial_lookback": "1h"}));
    let watch = world.reader.watch();
    world.run(30 * MINUTE);
    assert!((60..600).contains(&watch.canary.get()), "{}", watch.canary.get());
    // Somebody switches the recording off, and nothing fails.
    world.simulation.settings().own_reads = None;
    world.run(2 * HOUR);
    assert!(world.faults.is_empty(), "{:?}", world.faults);
    assert!((5_000..7_300).contains(&watch.canary.get()), "two hours of silence: {}", watch.canary.get());
    world.simulation.settings().own_reads = Some(SECOND);
    world.run(30 * MINUTE);
    assert!((60..600).contains(&watch.canary.get()), "they come again: {}", watch.canary.get());
}
