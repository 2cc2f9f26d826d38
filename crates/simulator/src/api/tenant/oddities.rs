//! Records that no client expects and every client must survive.
//!
//! Each is valid JSON as a whole text goes; what is in it is unknown, missing, huge, or badly typed.

use crate::random::Random;

/// A field more, which no catalog lists: written before the closing brace.
const MORE: [&str; 8] = [
    // A surrogate without its other half.
    r#""note":"half \ud83d of a pair""#,
    r#""counter":123456789012345678901234567890"#,
    r#""ratio":1e400"#,
    r#""ratio":-0.10000000000000000555111512312578270"#,
    r#""nested":{"a":{"b":[{"c":[[{"d":null}]]}]}}"#,
    r#""empty":{"object":{},"array":[],"text":"","nothing":null}"#,
    r#""text":"\u0000\u001f\u2028\ufeff\"\\\/ 会議""#,
    r#""dotted.name":1,"@timestamp":"never","_id":"7""#,
];

/// The record with something odd about it.
pub(super) fn bend(random: &mut Random, text: &str) -> String {
    let more = |extra: &str| format!("{},{extra}}}", text.strip_suffix('}').unwrap_or(text));
    match random.below(12) {
        0 => replaced(text, "\"type\":\"", "claude_hologram_projected"),
        1 => text.replacen("\"actor\":{\"type\":\"", "\"actor\":{\"type\":\"delegated_", 1),
        2 => {
            // What is usually a string is null.
            text.replacen("\"user_agent\":\"", "\"user_agent\":null,\"agent\":\"", 1)
        }
        3 => more(&format!("\"body\":\"{}\"", "x".repeat(1 << 20))),
        _ => more(MORE[random.index(MORE.len())]),
    }
}

/// The text with the string after `key` replaced.
fn replaced(text: &str, key: &str, value: &str) -> String {
    let parts = text.split_once(key).and_then(|(before, rest)| Some((before, rest.split_once('"')?.1)));
    parts.map_or_else(|| text.to_owned(), |(before, after)| format!("{before}{key}{value}\"{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_odd_about_a_record_its_text_is_json() {
        let text = r#"{"id":"a","type":"b","actor":{"type":"user_actor","user_agent":"c"}}"#;
        let mut random = Random::new(4);
        let mut met = std::collections::HashSet::new();
        for _ in 0..400 {
            let odd = bend(&mut random, text);
            // serde_json refuses lone surrogates and overflowing numbers in values it builds, not in ones it skips.
            let parsed: Result<serde::de::IgnoredAny, _> = serde_json::from_str(&odd);
            assert!(parsed.is_ok(), "{odd}");
            assert_ne!(odd, text);
            met.insert(odd);
        }
        assert_eq!(met.len(), 12);
    }
}
