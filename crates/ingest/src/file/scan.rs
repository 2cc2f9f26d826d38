//! Walks through one JSON object to its end, a piece at a time.
//!
//! Owns strings, escapes and depth. Must not know pages, arrays of records or buffers.
//!
//! The subtle thing: this is no parser. It accepts much that is not JSON, and stops early only where going on would
//! swallow the next record: a bracket of the wrong kind, a line end inside a string, or a `{` where no value can
//! begin (at the object's own level, or first on a line: there it is most likely the next record after a cut one).

use super::block::Reason;

/// Depth up to which the kind of each bracket is remembered; deeper ones are only counted.
const KINDS: u64 = 256;

/// How far a walk came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The bytes are used up.
    More,
    /// The object ends before this index.
    Closed(usize),
    /// What was walked through up to this index is no object.
    Broken(usize, Reason),
}

/// The keys of the outermost object that decide whether it is a page.
#[derive(Clone, Debug, Default)]
pub(crate) struct Keys {
    open: u64,
    close: u64,
    after_data: bool,
    /// `id` or `type` was seen.
    pub(crate) identity: bool,
    /// `actor` or `created_at` was seen.
    pub(crate) activity: bool,
    /// Offset of the `[` of the first `data` array.
    pub(crate) array: Option<u64>,
}

impl Keys {
    fn colon(&mut self, data: &[u8], base: u64) {
        let range = self.open.saturating_sub(base) as usize..self.close.saturating_sub(base) as usize;
        let key = data.get(range).unwrap_or_default();
        self.after_data = key == b"data";
        match key {
            b"id" | b"type" => self.identity = true,
            b"actor" | b"created_at" => self.activity = true,
            _ => {}
        }
    }
}

/// Where a walk stands.
#[derive(Clone, Debug)]
pub(crate) struct Walk {
    depth: u64,
    /// One bit for each open bracket: set for `[`.
    arrays: [u64; KINDS as usize / 64],
    string: bool,
    escape: bool,
    /// The last byte outside strings that is not white space, and whether a line ended after it.
    last: (u8, bool),
}

impl Walk {
    /// Before the `{` of an object.
    pub(crate) fn new() -> Self {
        Self { depth: 0, arrays: [0; KINDS as usize / 64], string: false, escape: false, last: (0, false) }
    }

    /// Inside an object, after the `]` of one of its members.
    pub(crate) fn in_object() -> Self {
        Self { depth: 1, last: (b']', false), ..Self::new() }
    }

    /// After the opening quote of a string.
    pub(crate) fn in_string() -> Self {
        Self { string: true, ..Self::new() }
    }

    /// Walks on from `data[from]`; `data[0]` is byte `base` of the input. With `KEYS` the outermost keys are noted,
    /// and `data` must still hold the bytes of the last one.
    pub(crate) fn walk<const KEYS: bool>(
        &mut self,
        data: &[u8],
        base: u64,
        from: usize,
        keys: &mut Keys,
    ) -> Step {
        let table = if KEYS { &WITH_COLON } else { &PLAIN };
        let mut i = from;
        loop {
            if self.string {
                match self.string_end(data, i) {
                    None => {
                        self.last = (b'"', false);
                        return Step::More;
                    }
                    Some(end) if data[end] == b'\n' => return Step::Broken(end, Reason::LineBreakInString),
                    Some(end) => {
                        self.string = false;
                        if KEYS && self.depth == 1 {
                            keys.close = base + end as u64;
                        }
                        i = end + 1;
                    }
                }
            }
            match data[i..].iter().position(|byte| table[*byte as usize]) {
                None => {
                    self.last = self.before(data, from, data.len());
                    return Step::More;
                }
                Some(step) => i += step,
            }
            match data[i] {
                b'"' => {
                    self.string = true;
                    if KEYS && self.depth == 1 {
                        keys.open = base + i as u64 + 1;
                    }
                }
                b'{' => {
                    if self.depth > 0 && self.stray(self.before(data, from, i)) {
                        return Step::Broken(i, Reason::Unbalanced);
                    }
                    self.push(false);
                }
                b'[' => {
                    let first = KEYS && self.depth == 1 && keys.after_data && keys.array.is_none();
                    if first && self.before(data, from, i).0 == b':' {
                        keys.array = Some(base + i as u64);
                    }
                    self.push(true);
                }
                b':' => {
                    if KEYS && self.depth == 1 {
                        keys.colon(data, base);
                    }
                }
                close => {
                    if self.in_array().is_some_and(|array| array != (close == b']')) {
                        return Step::Broken(i + 1, Reason::Unbalanced);
                    }
                    self.depth -= 1;
                    if self.depth == 0 {
                        return Step::Closed(i + 1);
                    }
                }
            }
            i += 1;
        }
    }

    pub(crate) fn is_in_string(&self) -> bool {
        self.string
    }

    /// The index of the quote or line end that ends the string, from `data[i]` inside it.
    #[inline]
    pub(crate) fn string_end(&mut self, data: &[u8], mut i: usize) -> Option<usize> {
        loop {
            if self.escape {
                let escaped = *data.get(i)?;
                self.escape = false;
                if escaped == b'\n' {
                    return Some(i);
                }
                i += 1;
            }
            i += special(&data[i..])?;
            if data[i] != b'\\' {
                return Some(i);
            }
            self.escape = true;
            i += 1;
        }
    }

    /// The last byte before `data[at]` that is not white space, and whether a line ended since. Bytes before
    /// `data[from]` were walked through earlier.
    fn before(&self, data: &[u8], from: usize, at: usize) -> (u8, bool) {
        let mut newline = false;
        for byte in data[from..at].iter().rev() {
            match byte {
                b'\n' => newline = true,
                b' ' | b'\t' | b'\r' => {}
                other => return (*other, newline),
            }
        }
        (self.last.0, self.last.1 || newline)
    }

    /// Whether a `{` cannot stand here.
    fn stray(&self, (before, newline): (u8, bool)) -> bool {
        let fits = match self.in_array() {
            Some(true) => matches!(before, b'[' | b','),
            Some(false) => before == b':',
            None => true,
        };
        !fits && (newline || self.depth == 1)
    }

    /// Whether the innermost open bracket is a `[`; unknown when too deep.
    fn in_array(&self) -> Option<bool> {
        let at = self.depth.wrapping_sub(1);
        (at < KINDS).then(|| self.arrays[at as usize / 64] >> (at % 64) & 1 == 1)
    }

    fn push(&mut self, array: bool) {
        if self.depth < KINDS {
            let bit = 1 << (self.depth % 64);
            let word = &mut self.arrays[self.depth as usize / 64];
            *word = if array { *word | bit } else { *word & !bit };
        }
        self.depth += 1;
    }
}

/// Bytes that matter outside strings.
const fn table(colon: bool) -> [bool; 256] {
    let mut table = [false; 256];
    table[b'"' as usize] = true;
    table[b'{' as usize] = true;
    table[b'}' as usize] = true;
    table[b'[' as usize] = true;
    table[b']' as usize] = true;
    table[b':' as usize] = colon;
    table
}

static PLAIN: [bool; 256] = table(false);
static WITH_COLON: [bool; 256] = table(true);

/// The first quote, backslash or line end, eight bytes at a time.
#[inline]
fn special(data: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const HIGH: u64 = ONES << 7;
    let zero = |word: u64| word.wrapping_sub(ONES) & !word & HIGH;
    let mut at = 0;
    while let Some(bytes) = data[at..].first_chunk::<8>() {
        let word = u64::from_le_bytes(*bytes);
        let hit = zero(word ^ (ONES * b'"' as u64))
            | zero(word ^ (ONES * b'\\' as u64))
            | zero(word ^ (ONES * b'\n' as u64));
        // The lowest hit is exact; only bits above it may be wrong.
        if hit != 0 {
            return Some(at + hit.trailing_zeros() as usize / 8);
        }
        at += 8;
    }
    data[at..].iter().position(|byte| matches!(byte, b'"' | b'\\' | b'\n')).map(|found| at + found)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Walks `text` in pieces of every size and expects the same each time.
    fn walk(text: &str) -> Step {
        let whole = Walk::new().walk::<false>(text.as_bytes(), 0, 0, &mut Keys::default());
        for size in 1..=text.len() {
            let (mut walk, mut keys, mut from) = (Walk::new(), Keys::default(), 0);
            let mut step = Step::More;
            while step == Step::More && from < text.len() {
                let to = (from + size).min(text.len());
                step = walk.walk::<true>(&text.as_bytes()[..to], 0, from, &mut keys);
                from = to;
            }
            assert_eq!(step, whole, "{text} in pieces of {size}");
        }
        whole
    }

    #[test]
    fn objects_end_where_they_end() {
        for text in [
            "{}",
            r#"{"a":{"b":[{},{"c":[1,2,[]]}]}}"#,
            r#"{"a":"}","b":"\"}","c":"\\","d":"\\\"{"}"#,
            "{\"a\"\n: {\"b\" :\n\n{} } , \"c\":[ {} ,\n {} ] }",
        ] {
            assert_eq!(walk(&format!("{text} {{}}")), Step::Closed(text.len()), "{text}");
            assert_eq!(walk(&text[..text.len() - 1]), Step::More);
        }
        let deep = format!("{}1{}", "{\"a\":".repeat(700), "}".repeat(700));
        assert_eq!(walk(&deep[..]), Step::Closed(deep.len()));
    }

    #[test]
    fn what_would_swallow_the_next_record_stops() {
        let stops = |text: &str| text.find('#').map(|at| (text.replace('#', ""), at));
        for (text, reason) in [
            (r#"{"a":1,#{"b":2}"#, Reason::Unbalanced),
            ("{\"a\":[1,2\n#{\"b\":2}", Reason::Unbalanced),
            ("{\"a\":{\"x\":\"y\"\n #{\"b\":2}", Reason::Unbalanced),
            (r#"{"a":[1}#,{"b":2}"#, Reason::Unbalanced),
            (r#"{"a":1]#"#, Reason::Unbalanced),
            ("{\"a\":\"abc#\n{}", Reason::LineBreakInString),
            ("{\"a\":\"abc\\#\n{}", Reason::LineBreakInString),
        ] {
            let (text, at) = stops(text).unwrap();
            assert_eq!(walk(&text), Step::Broken(at, reason), "{text}");
        }
    }

    #[test]
    fn keys_of_the_outermost_object_are_noted() {
        let keys = |text: &str| {
            let mut keys = Keys::default();
            Walk::new().walk::<true>(text.as_bytes(), 0, 0, &mut keys);
            (keys.array, keys.identity, keys.activity)
        };
        assert_eq!(keys(r#"{"x":{"id":1,"data":[]},"data" : [ ]}"#), (Some(33), false, false));
        assert_eq!(keys(r#"{"data":null,"id":1,"x":[]}"#), (None, true, false));
        assert_eq!(keys(r#"{"data":{"a":[]},"created_at":""}"#), (None, false, true));
        assert_eq!(keys(r#"{"a":"data","b":[],"dat\"a":[]}"#), (None, false, false));
    }

    #[test]
    fn special_bytes_are_found_wherever_they_are() {
        for at in 0..40 {
            for byte in *b"\"\\\n" {
                let mut text = [b'!'; 40];
                text[at] = byte;
                text[39] = byte;
                assert_eq!(special(&text), Some(at));
            }
        }
        assert_eq!(special(&[0x80; 33]), None);
    }
}
