//! Chance that belongs to an id: whatever is not in the feed follows from the seed and the id.
//!
//! Owns how it is drawn, and the words transcripts are made of. The subtle thing: every question about an id draws anew from
//! its beginning, so that answers do not depend on what else was asked.

use serde_json::json;

use crate::api::cursor::hash;
use crate::api::row::base58;
use crate::random::Random;
use crate::vocabulary::{LABELS, SENTENCES, SLUGS};

/// The chance of an id, for one matter.
pub(crate) fn chance_of(seed: u64, matter: &str, id: &str) -> Random {
    Random::new(hash(&format!("{seed}/{matter}/{id}")))
}

/// An id made from others: the prefix, `01` and 22 characters.
pub(crate) fn made_id(seed: u64, prefix: &str, of: &str) -> String {
    let mut random = chance_of(seed, prefix, of);
    format!("{prefix}01{}", base58((u128::from(random.bits()) << 64) | u128::from(random.bits())))
}

/// One of some words.
pub(crate) fn one_of(random: &mut Random, words: &[&'static str]) -> &'static str {
    words.get(random.index(words.len())).copied().unwrap_or_default()
}

/// A question or an answer.
pub(crate) fn said(random: &mut Random) -> String {
    let mut text = (*random.pick(SENTENCES)).to_owned();
    for _ in 0..random.below(4) {
        text.push(' ');
        text.push_str(one_of(random, SENTENCES));
    }
    text
}

/// What something is called.
pub(crate) fn title(random: &mut Random) -> String {
    (*random.pick(LABELS)).to_owned()
}

/// A tool that was used: its name, its input as JSON text, and what came of it. One in ten is long.
pub(crate) fn tool(random: &mut Random) -> (&'static str, String, String) {
    let name = *random.pick(&["search", "Read", "Bash", "web_fetch"]);
    let words = if random.chance(10) { 900 } else { random.range(3, 40) };
    let mut result = String::new();
    for _ in 0..words {
        result.push_str(one_of(random, SLUGS));
        result.push(' ');
    }
    let input = json!({"query": random.pick(SLUGS), "note": if words == 900 { result.clone() } else { said(random) }});
    (name, input.to_string(), result)
}

/// The first `most` characters of a text, and whether that was not all of it.
pub(crate) fn characters(text: &str, most: Option<usize>) -> (&str, bool) {
    let cut = most.and_then(|most| text.char_indices().nth(most));
    cut.map_or((text, false), |(at, _)| (text.get(..at).unwrap_or(text), true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_always_has_the_same_chance_and_another_seed_another() {
        assert_eq!(made_id(1, "x_", "a"), made_id(1, "x_", "a"));
        assert_ne!(made_id(1, "x_", "a"), made_id(2, "x_", "a"));
        assert_ne!(made_id(1, "x_", "a"), made_id(1, "y_", "a").replace("y_", "x_"));
        assert_eq!(made_id(1, "x_", "a").len(), "x_01".len() + 22);
    }

    #[test]
    fn characters_are_not_bytes() {
        assert_eq!(characters("äöü", Some(2)), ("äö", true));
        assert_eq!(characters("äöü", Some(3)), ("äöü", false));
        assert_eq!(characters("äöü", None), ("äöü", false));
    }
}
