//! Words of others, as they can be shown to a person.
//!
//! Owns what is done to a text that came from a server, a file or a record before it is printed or logged. Must not know where
//! it goes.
//!
//! The subtle thing: a character can act where it is shown. It moves the cursor, colours what follows, ends the line so that
//! the rest looks like a line of ours, turns the direction of writing, or is not seen at all, so that two names look the same. All
//! of them become visible; nothing is left out.

use std::fmt::Write;

/// Whether a character does something instead of standing for something: it controls a terminal, ends a line, turns the direction of
/// writing, or has no width.
pub(crate) fn acts(character: char) -> bool {
    let turns_or_hides = matches!(
        character,
        '\u{61c}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
            | '\u{feff}'
    );
    character.is_control() || turns_or_hides
}

/// A text so that each of its characters is seen, on one line.
pub(crate) fn shown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if acts(character) {
            out.extend(character.escape_default());
        } else {
            out.push(character);
        }
    }
    out
}

/// A text of several lines so that each of its characters is seen. Lines behind the first are indented, so that none can pass
/// for one that the program begins.
pub(crate) fn shown_lines(text: &str) -> String {
    text.lines().map(shown).collect::<Vec<_>>().join("\n    ")
}

/// JSON in which no character acts; it means the same. Such characters stand in texts alone, and lines end between them.
pub(crate) fn shown_json(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for character in json.chars() {
        if character != '\n' && acts(character) {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                // Writing to a string cannot fail.
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(character);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a server could send it: colours, a second line, a line backwards, an older way to control a terminal.
    const HOSTILE: &str = "no\x1b[31m route\r\nok    sink\u{202e}\u{9b}2J\u{2028}\u{7f}é";

    #[test]
    fn nothing_acts_and_nothing_is_left_out() {
        assert_eq!(shown(HOSTILE), "no\\u{1b}[31m route\\r\\nok    sink\\u{202e}\\u{9b}2J\\u{2028}\\u{7f}é");
        assert_eq!(
            shown_lines(HOSTILE),
            "no\\u{1b}[31m route\n    ok    sink\\u{202e}\\u{9b}2J\\u{2028}\\u{7f}é"
        );
        assert_eq!(shown("as it is: \"\\\" é 🦀"), "as it is: \"\\\" é 🦀");
    }

    #[test]
    fn what_turns_or_hides_is_seen() {
        for code in [0x61c, 0x200b, 0x200c, 0x200d, 0x200e, 0x200f, 0x202a, 0x202e, 0x2066, 0x2069, 0xfeff] {
            let character = char::from_u32(code).unwrap();
            assert_eq!(shown(&format!("a{character}b")), format!("a\\u{{{code:x}}}b"));
            let json = shown_json(&format!("[\"a{character}b\"]"));
            assert_eq!(json, format!("[\"a\\u{code:04x}b\"]"));
        }
        for character in ['\u{61b}', '\u{61d}', '\u{200a}', '\u{2010}', '\u{2070}', '\u{fefe}', '\u{ff00}'] {
            assert!(!acts(character), "{:x}", u32::from(character));
        }
    }

    #[test]
    fn json_means_what_it_meant() {
        let value = serde_json::json!({ "cause": HOSTILE, "list": [1] });
        for text in [value.to_string(), format!("{value:#}")] {
            let shown = shown_json(&text);
            assert!(!shown.chars().any(|c| c != '\n' && acts(c)), "{shown:?}");
            assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
            assert_eq!(shown.lines().count(), text.lines().count());
        }
    }
}
