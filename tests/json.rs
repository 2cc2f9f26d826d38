//! JSON as it stands in the text: order of keys, repeated keys, the digits of numbers, any depth.
//!
//! serde_json forgets most of that, and simd-json is what the mapper reads with; a checker of the mapper needs
//! a reader of its own. It is only given text that serde_json has found to be JSON, so it does not judge.

use std::fmt::Write;

/// A JSON value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    /// A number, by its digits.
    Number(String),
    /// A text; a lone surrogate escape has become U+FFFD.
    Text(String),
    Array(Vec<Self>),
    /// Keys and values in the order of the text, repeated keys included.
    Object(Vec<(String, Self)>),
    /// A value or a member to be written as it is; never read.
    Raw(String),
}

/// Whether `bytes` are JSON by RFC 8259: at any depth, with numbers of any size, with lone surrogate escapes.
pub(crate) fn is_json(bytes: &[u8]) -> bool {
    // Ignoring a value, serde_json neither recurses nor decodes.
    std::str::from_utf8(bytes).is_ok() && serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok()
}

impl Json {
    /// Reads a text that is JSON.
    pub(crate) fn read(text: &str) -> Self {
        assert!(is_json(text.as_bytes()), "not JSON: {}", shorten(text));
        let mut reader = Reader { bytes: text.as_bytes(), at: 0 };
        reader.value()
    }

    /// The value of the last member of that name.
    pub(crate) fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(members) => {
                members.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value)
            }
            _ => None,
        }
    }

    /// The value at a dotted path.
    pub(crate) fn at(&self, path: &str) -> Option<&Self> {
        path.split('.').try_fold(self, |value, name| value.get(name))
    }

    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn is_object(&self) -> bool {
        matches!(self, Self::Object(_))
    }

    /// The items of an array, or the one value itself.
    pub(crate) fn items(&self) -> &[Self] {
        match self {
            Self::Array(items) => items,
            one => std::slice::from_ref(one),
        }
    }

    /// `null`, `""`, `{}`, `[]`, or made of nothing else; of a repeated key the last value counts.
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Null => true,
            Self::Text(text) => text.is_empty(),
            Self::Array(items) => items.iter().all(Self::is_empty),
            Self::Object(_) => self.members().into_iter().all(|(_, value)| value.is_empty()),
            Self::Bool(_) | Self::Number(_) | Self::Raw(_) => false,
        }
    }

    /// The members of an object that count: of a repeated key the last.
    pub(crate) fn members(&self) -> Vec<(&str, &Self)> {
        let Self::Object(members) = self else { return Vec::new() };
        let last = |at: usize, name: &str| members[at + 1..].iter().all(|(later, _)| later != name);
        let counting = members.iter().enumerate().filter(|(at, (name, _))| last(*at, name));
        counting.map(|(_, (name, value))| (name.as_str(), value)).collect()
    }

    /// Whether a key stands twice in one object, at any depth.
    pub(crate) fn repeats_a_key(&self) -> bool {
        match self {
            Self::Array(items) => items.iter().any(Self::repeats_a_key),
            Self::Object(members) => {
                self.members().len() < members.len() || members.iter().any(|(_, value)| value.repeats_a_key())
            }
            _ => false,
        }
    }

    /// Compact JSON.
    pub(crate) fn write(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(value) => write!(out, "{value}").unwrap(),
            Self::Number(text) | Self::Raw(text) => out.push_str(text),
            Self::Text(text) => out.push_str(&serde_json::to_string(text).unwrap()),
            Self::Array(items) => {
                out.push('[');
                for (at, item) in items.iter().enumerate() {
                    out.push_str(if at > 0 { "," } else { "" });
                    item.write(out);
                }
                out.push(']');
            }
            Self::Object(members) => {
                out.push('{');
                for (at, (name, value)) in members.iter().enumerate() {
                    out.push_str(if at > 0 { "," } else { "" });
                    write!(out, "{}:", serde_json::to_string(name).unwrap()).unwrap();
                    value.write(out);
                }
                out.push('}');
            }
        }
    }

    /// JSON to be read by people: a member a line, lists of scalars on one.
    pub(crate) fn pretty(&self) -> String {
        let mut out = String::new();
        self.write_pretty(&mut out, 0);
        out.push('\n');
        out
    }

    fn write_pretty(&self, out: &mut String, depth: usize) {
        let line = |out: &mut String, depth: usize| {
            out.push('\n');
            out.extend(std::iter::repeat_n("  ", depth));
        };
        match self {
            Self::Array(items)
                if items.iter().any(|item| matches!(item, Self::Array(_) | Self::Object(_))) =>
            {
                out.push('[');
                for (at, item) in items.iter().enumerate() {
                    out.push_str(if at > 0 { "," } else { "" });
                    line(out, depth + 1);
                    item.write_pretty(out, depth + 1);
                }
                line(out, depth);
                out.push(']');
            }
            Self::Array(items) => {
                out.push('[');
                for (at, item) in items.iter().enumerate() {
                    out.push_str(if at > 0 { ", " } else { "" });
                    item.write(out);
                }
                out.push(']');
            }
            Self::Object(members) if !members.is_empty() => {
                out.push('{');
                for (at, (name, value)) in members.iter().enumerate() {
                    out.push_str(if at > 0 { "," } else { "" });
                    line(out, depth + 1);
                    write!(out, "{}: ", serde_json::to_string(name).unwrap()).unwrap();
                    value.write_pretty(out, depth + 1);
                }
                line(out, depth);
                out.push('}');
            }
            other => other.write(out),
        }
    }
}

impl std::fmt::Display for Json {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut out = String::new();
        self.write(&mut out);
        f.write_str(&shorten(&out))
    }
}

/// Enough of a text for a message.
pub(crate) fn shorten(text: &str) -> String {
    match text.char_indices().nth(3_000) {
        Some((end, _)) => format!("{}… ({} bytes)", &text[..end], text.len()),
        None => text.to_owned(),
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn peek(&mut self) -> u8 {
        while self.bytes[self.at].is_ascii_whitespace() {
            self.at += 1;
        }
        self.bytes[self.at]
    }

    fn value(&mut self) -> Json {
        match self.peek() {
            b'{' => {
                let mut members = Vec::new();
                self.list(b'}', |reader| {
                    reader.peek();
                    let name = reader.string();
                    reader.peek();
                    reader.at += 1;
                    members.push((name, reader.value()));
                });
                Json::Object(members)
            }
            b'[' => {
                let mut items = Vec::new();
                self.list(b']', |reader| items.push(reader.value()));
                Json::Array(items)
            }
            b'"' => Json::Text(self.string()),
            b't' => self.word("true", Json::Bool(true)),
            b'f' => self.word("false", Json::Bool(false)),
            b'n' => self.word("null", Json::Null),
            _ => {
                let start = self.at;
                while self.bytes.get(self.at).is_some_and(|b| b"+-.eE".contains(b) || b.is_ascii_digit()) {
                    self.at += 1;
                }
                let digits = std::str::from_utf8(&self.bytes[start..self.at]).unwrap();
                // The integer zero has two spellings, and a reader may choose.
                Json::Number(if digits == "-0" { "0" } else { digits }.to_owned())
            }
        }
    }

    fn list(&mut self, end: u8, mut item: impl FnMut(&mut Self)) {
        self.at += 1;
        while self.peek() != end {
            if self.peek() == b',' {
                self.at += 1;
            }
            item(self);
        }
        self.at += 1;
    }

    fn word(&mut self, word: &str, value: Json) -> Json {
        self.at += word.len();
        value
    }

    fn string(&mut self) -> String {
        let mut units = Vec::new();
        let mut text = String::new();
        self.at += 1;
        loop {
            let start = self.at;
            while !matches!(self.bytes[self.at], b'"' | b'\\') {
                self.at += 1;
            }
            let plain = std::str::from_utf8(&self.bytes[start..self.at]).unwrap();
            let escape = (self.bytes[self.at] == b'\\').then(|| self.bytes[self.at + 1]);
            // Escapes that stand side by side may be the two halves of one character.
            if !plain.is_empty() || escape != Some(b'u') {
                text.push_str(&String::from_utf16_lossy(&units));
                units.clear();
            }
            text.push_str(plain);
            self.at += 2;
            match escape {
                None => {
                    self.at -= 1;
                    return text;
                }
                Some(b'u') => {
                    let digits = std::str::from_utf8(&self.bytes[self.at..self.at + 4]).unwrap();
                    units.push(u16::from_str_radix(digits, 16).unwrap());
                    self.at += 4;
                }
                Some(b'b') => text.push('\u{8}'),
                Some(b'f') => text.push('\u{c}'),
                Some(b'n') => text.push('\n'),
                Some(b'r') => text.push('\r'),
                Some(b't') => text.push('\t'),
                Some(other) => text.push(char::from(other)),
            }
        }
    }
}

#[test]
fn the_reader_keeps_what_serde_forgets() {
    let text = r#" {"b":1.50,"a":[ ],"b":-0,"c":"\ud83d\ude00\ud83dx\n\u0041","d":{"x":[1,{}],"y":1e400}} "#;
    let read = Json::read(text);
    let mut out = String::new();
    read.write(&mut out);
    assert_eq!(
        out,
        "{\"b\":1.50,\"a\":[],\"b\":0,\"c\":\"😀\u{FFFD}x\\nA\",\"d\":{\"x\":[1,{}],\"y\":1e400}}"
    );
    assert!(read.repeats_a_key() && !read.get("d").unwrap().repeats_a_key());
    assert_eq!(read.at("d.y"), Some(&Json::Number("1e400".to_owned())));
    assert_eq!(read.get("b"), Some(&Json::Number("0".to_owned())));
    for bad in ["", "{", "nul", "01", "1.", "\"\u{1}\"", "[1,]", "{\"a\" 1}", "1 2", "\"\\ud8\""] {
        assert!(!is_json(bad.as_bytes()), "{bad}");
    }
}
