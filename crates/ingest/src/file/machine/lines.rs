//! Line mode: one record a line, found by line ends alone.
//!
//! Owns the way into line mode and out of it. Must not look into a line.
//!
//! The subtle thing: line mode is what keeps one damaged line from spoiling the next, and what makes the common case
//! fast, so it is left only for lines that cannot be records: a `[`, or a `{` alone. Their value is split by structure,
//! and the first object after it that is all on one line leads back.

use super::{BOM, Machine, State, Window, trim_end};
use crate::file::block::{Kind, Reason, Span};
use memchr::memchr_iter;

impl Machine {
    pub(super) fn after(&mut self, window: Window<'_>) -> bool {
        while let Some(byte) = window.data.get(window.index(self.at)) {
            match byte {
                b' ' | b'\t' | b'\r' => self.at += 1,
                b'\n' => {
                    self.at += 1;
                    self.start = self.at;
                    self.state = State::Line;
                    return true;
                }
                _ => {
                    self.state = State::Between;
                    return true;
                }
            }
        }
        false
    }

    pub(super) fn lines(&mut self, window: Window<'_>, out: &mut Vec<Span>) -> bool {
        let from = window.index(self.at);
        let mut ends = memchr_iter(b'\n', &window.data[from..]).map(|end| from + end);
        if self.skipping {
            let end = ends.next();
            self.at = end.map_or(window.end(), |end| window.base + end as u64);
            if end.is_some() {
                self.emit(window, Kind::Record, out);
                self.state = State::Line;
                self.start = self.at;
            }
            return end.is_some();
        }
        let mut line = window.index(self.start);
        for end in ends {
            if !self.line(window, line, end, out) {
                return true;
            }
            line = end + 1;
        }
        // What begins like an array is split as one before it is whole: it may be as long as it likes.
        line = skip_space(window.data, line, window.data.len());
        self.start = window.base + line as u64;
        self.at = window.end();
        if window.data.get(line) == Some(&b'[') {
            self.at = self.start;
            self.state = State::Between;
            return true;
        }
        false
    }

    /// Hands out one line, or leaves line mode at its beginning and returns false.
    #[inline]
    pub(super) fn line(&mut self, window: Window<'_>, from: usize, to: usize, out: &mut Vec<Span>) -> bool {
        let start = skip_space(window.data, from, to);
        let line = trim_end(&window.data[start..to]);
        let offset = window.base + start as u64;
        let kind = match line {
            [] => return true,
            // Only a pretty-printed object has a line like that.
            [b'{'] | [b'[', ..] if line[0] == b'[' || to - start <= self.max as usize => {
                self.start = offset;
                self.at = offset;
                self.state = State::Between;
                return false;
            }
            [b'{', ..] => Kind::Record,
            _ => Kind::Malformed(Reason::NotAnObject),
        };
        out.push(self.span(start, start + line.len(), (to - start) as u64, offset, kind));
        true
    }
}

/// The first index from `from` that is neither white space nor part of a byte order mark.
#[inline]
fn skip_space(data: &[u8], mut from: usize, to: usize) -> usize {
    while from < to {
        match data[from] {
            b' ' | b'\t' | b'\r' => from += 1,
            b'\xef' if data[from..to].starts_with(BOM) => from += BOM.len(),
            _ => break,
        }
    }
    from
}
