//! Writing compact JSON text, keys in the order they are given.
//!
//! A `serde_json::Value` would sort or box what the feed sends flat and ordered, so records are
//! written as text. It owns escaping and commas; it knows nothing of activities.

use std::fmt::Write;

/// Appends a key and its colon, with a comma when it is not the object's first.
pub(crate) fn key(out: &mut String, name: &str) {
    if !out.ends_with('{') {
        out.push(',');
    }
    string(out, name);
    out.push(':');
}

/// Appends the comma between two items of an array.
pub(crate) fn next_item(out: &mut String) {
    if !out.ends_with('[') {
        out.push(',');
    }
}

/// Appends a string value.
pub(crate) fn string(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            control if control < ' ' => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{:04x}", u32::from(control));
            }
            plain => out.push(plain),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_written_reads_back() {
        let text = "say \"hi\"\\ \n\t\u{1} Zoë 会議";
        let mut out = String::from("{");
        key(&mut out, "a");
        string(&mut out, text);
        key(&mut out, "b");
        out.push('[');
        for _ in 0..2 {
            next_item(&mut out);
            string(&mut out, "x");
        }
        out.push_str("]}");
        let value: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!(value["a"], text);
        assert_eq!(value["b"].as_array().unwrap().len(), 2);
    }
}
