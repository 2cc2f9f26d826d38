//! Tells records apart: the state machine between bytes and spans.
//!
//! Owns the formats: one record a line, arrays, API pages, objects one after the other, and any mixture. Must not know
//! where bytes come from or who holds the buffer; it is shown a growing window and told when the input ends.
//!
//! The subtle thing: nothing may depend on where a window ends. A verdict falls at a position in the input (the end of an
//! object, [`LOOK_BYTES`], a record's limit), so a step that cannot reach that position in this window goes on from where
//! it stood in the next one.
//!
//! Positions are offsets in the input. `data[0]` of a window is byte `base`, except while skipping (see
//! [`Machine::skip`]), when the window begins with the head of what is skipped.

mod lines;
mod page;

use super::block::{HEAD_BYTES, Kind, Reason, Span};
use super::scan::{Keys, Step, Walk};
use memchr::memchr;
use page::Page;

/// How long an object may be until it must be decided whether it is a page.
pub(crate) const LOOK_BYTES: usize = 64 * 1024;

pub(crate) const BOM: &[u8] = b"\xef\xbb\xbf";

/// Whether more bytes may follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// They may.
    Open,
    /// The input is complete.
    Complete,
    /// The input broke off.
    Cut,
}

/// What the machine is in the middle of. `start` is where the thing in hand began, `at` how far it was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before a value: outermost, or inside arrays if `nest` says so.
    Between,
    /// In an object.
    Object,
    /// In something that is no object.
    Run,
    /// In a page, after its `data`.
    Tail,
    /// After an outermost object that was all on one line.
    After,
    /// In lines, one record each.
    Line,
}

/// A window of the input.
#[derive(Clone, Copy)]
pub(crate) struct Window<'a> {
    pub(crate) data: &'a [u8],
    pub(crate) base: u64,
}

impl Window<'_> {
    fn index(&self, offset: u64) -> usize {
        (offset - self.base) as usize
    }

    fn end(&self) -> u64 {
        self.base + self.data.len() as u64
    }
}

#[derive(Debug)]
pub(crate) struct Machine {
    state: State,
    at: u64,
    start: u64,
    /// How many arrays around records are open.
    nest: u64,
    walk: Walk,
    keys: Keys,
    /// Whether the object in hand may still turn out to be a page.
    looking: bool,
    page: Option<Page>,
    skipping: bool,
    done: bool,
    pub(crate) saw_page: bool,
    /// The beginning of an object that was wrongly taken for a page: to be handed out beside the last span.
    pub(crate) header: Option<(u64, Vec<u8>)>,
    max: u64,
    look: u64,
    /// Whether one-line objects lead to line mode.
    lines: bool,
    /// Page frames, for the test that every byte is accounted for.
    #[cfg(test)]
    pub(crate) frames: Vec<(u64, u64)>,
}

impl Machine {
    /// Begins at `at`; records longer than `max` bytes are not handed out whole.
    pub(crate) fn new(at: u64, max: usize) -> Self {
        Self {
            state: State::Between,
            at,
            start: at,
            nest: 0,
            walk: Walk::new(),
            keys: Keys::default(),
            looking: false,
            page: None,
            skipping: false,
            done: false,
            saw_page: false,
            header: None,
            max: max as u64,
            look: LOOK_BYTES.min(max) as u64,
            lines: true,
            #[cfg(test)]
            frames: Vec::new(),
        }
    }

    /// For one value that is held whole: the verdict on pages is exact, and there is no line mode.
    pub(crate) fn exact(length: usize) -> Self {
        Self { look: length as u64, lines: false, ..Self::new(0, length) }
    }

    /// Where the next byte to look at is.
    pub(crate) fn at(&self) -> u64 {
        self.at
    }

    /// Bytes before this offset are no longer needed.
    pub(crate) fn needed(&self) -> u64 {
        if self.holds() { self.start } else { self.at }
    }

    fn holds(&self) -> bool {
        matches!(self.state, State::Object | State::Run | State::Tail | State::Line)
    }

    /// Whether what is in hand is already longer than a record may be.
    pub(crate) fn too_long(&self) -> bool {
        self.at - self.needed() > self.max
    }

    /// Bytes of the thing in hand to keep while it is skipped.
    pub(crate) fn head(&self) -> usize {
        HEAD_BYTES.min(self.max as usize)
    }

    pub(crate) fn skipping(&self) -> bool {
        self.skipping
    }

    /// There is nothing more to find.
    pub(crate) fn close(&mut self) {
        self.done = true;
    }

    pub(crate) fn done(&self) -> bool {
        self.done
    }

    /// From now on the window begins with the head of the thing in hand, followed by the byte at [`Self::at`].
    pub(crate) fn skip(&mut self) {
        self.skipping = true;
    }

    /// Looks at the rest of the window, and pushes what it finds. Stops early only when `header` is set.
    pub(crate) fn advance(&mut self, window: Window<'_>, end: End, out: &mut Vec<Span>) {
        while self.header.is_none() {
            let goes_on = match self.state {
                State::Between => self.between(window),
                State::Object => self.object(window, out),
                State::Run => self.run(window, out),
                State::Tail => self.tail(window, out),
                State::After => self.after(window),
                State::Line => self.lines(window, out),
            };
            if !goes_on && (end == End::Open || !self.finish(window, end, out)) {
                return;
            }
        }
    }

    fn between(&mut self, window: Window<'_>) -> bool {
        while let Some(byte) = window.data.get(window.index(self.at)) {
            self.start = self.at;
            match byte {
                b' ' | b'\t' | b'\n' | b'\r' | b',' => {}
                b'{' => {
                    self.walk = Walk::new();
                    self.keys = Keys::default();
                    self.looking = self.nest == 0;
                    self.state = State::Object;
                    return true;
                }
                b'[' => self.nest += 1,
                b']' if self.nest > 0 => {
                    self.nest -= 1;
                    if self.nest == 0 && self.page.is_some() {
                        self.at += 1;
                        self.enter_tail();
                        return true;
                    }
                }
                b'"' => {
                    self.at += 1;
                    self.walk = Walk::in_string();
                    self.state = State::Run;
                    return true;
                }
                _ => {
                    self.walk = Walk::new();
                    self.state = State::Run;
                    return true;
                }
            }
            self.at += 1;
        }
        false
    }

    fn object(&mut self, window: Window<'_>, out: &mut Vec<Span>) -> bool {
        let from = window.index(self.at);
        let step = if self.looking {
            let limit = window.index(self.start + self.look).min(window.data.len());
            self.walk.walk::<true>(&window.data[..limit], window.base, from, &mut self.keys)
        } else {
            self.walk.walk::<false>(window.data, window.base, from, &mut self.keys)
        };
        match step {
            Step::More if self.looking => {
                self.at = window.end().min(self.start + self.look);
                if self.at < self.start + self.look {
                    return false;
                }
                match self.page_so_far() {
                    Some(array) => self.enter_page(window, array, true),
                    None => self.looking = false,
                }
            }
            Step::More => {
                self.at = window.end();
                return false;
            }
            Step::Closed(end) => {
                self.at = window.base + end as u64;
                match self.keys.array {
                    Some(array) if self.looking && !self.keys.identity => {
                        self.enter_page(window, array, false)
                    }
                    _ => self.close_object(window, out),
                }
            }
            Step::Broken(end, reason) => {
                self.at = window.base + end as u64;
                match self.page_so_far() {
                    Some(array) => self.enter_page(window, array, true),
                    None => self.emit(window, Kind::Malformed(reason), out),
                }
            }
        }
        true
    }

    fn close_object(&mut self, window: Window<'_>, out: &mut Vec<Span>) {
        let one_line = self.nest == 0
            && self.lines
            && self.at - self.start <= self.max
            && memchr(b'\n', &window.data[window.index(self.start)..window.index(self.at)]).is_none();
        self.emit(window, Kind::Record, out);
        if one_line {
            self.state = State::After;
        }
    }

    fn run(&mut self, window: Window<'_>, out: &mut Vec<Span>) -> bool {
        let from = window.index(self.at);
        let end = if self.walk.is_in_string() {
            let end = self.walk.string_end(window.data, from);
            end.map(|end| if window.data[end] == b'"' { end + 1 } else { end })
        } else {
            let stops: &[u8] = if self.nest > 0 { b"\n{,[]" } else { b"\n{" };
            window.data[from..].iter().position(|byte| stops.contains(byte)).map(|found| from + found)
        };
        self.at = end.map_or(window.end(), |end| window.base + end as u64);
        if end.is_some() {
            self.emit(window, Kind::Malformed(Reason::NotAnObject), out);
        }
        end.is_some()
    }

    /// Hands out what is in hand, up to `at`.
    fn emit(&mut self, window: Window<'_>, kind: Kind, out: &mut Vec<Span>) {
        let length = self.at - self.start;
        let (start, end) = if self.skipping {
            (0, self.head())
        } else {
            let start = window.index(self.start);
            (start, start + trim_end(&window.data[start..window.index(self.at)]).len())
        };
        // A byte order mark in the middle comes from files put one after the other.
        if self.skipping || self.nest > 0 || &window.data[start..end] != BOM {
            out.push(self.span(start, end, length, self.start, kind));
        }
        self.skipping = false;
        self.state = State::Between;
    }

    fn span(&self, start: usize, end: usize, length: u64, offset: u64, kind: Kind) -> Span {
        let (end, kind) =
            if length > self.max { (start + self.head(), Kind::TooLarge { length }) } else { (end, kind) };
        Span { start: start as u32, end: end as u32, offset, kind }
    }

    /// The input is used up. Returns true if there is something to read again.
    fn finish(&mut self, window: Window<'_>, end: End, out: &mut Vec<Span>) -> bool {
        let truncated = Kind::Malformed(Reason::Truncated);
        match self.state {
            State::Between | State::After if self.nest == 0 => {}
            State::Between | State::After => {
                self.start = self.at;
                self.emit_empty(window, out);
            }
            State::Object => match self.page_so_far() {
                Some(array) => {
                    self.enter_page(window, array, true);
                    return true;
                }
                None => self.emit(window, truncated, out),
            },
            State::Run => {
                self.emit(window, Kind::Malformed(Reason::NotAnObject), out);
                return true;
            }
            State::Tail => {
                self.emit(window, truncated, out);
            }
            State::Line if self.start == self.at => {}
            State::Line if self.skipping => self.emit(window, Kind::Record, out),
            State::Line => {
                let (start, to) = (window.index(self.start), window.data.len());
                let line = trim_end(&window.data[start..to]);
                let whole = end == End::Complete
                    || Walk::new().walk::<false>(line, 0, 0, &mut self.keys) == Step::Closed(line.len());
                if !whole {
                    self.emit(window, truncated, out);
                } else if !self.line(window, start, to, out) {
                    return true;
                }
            }
        }
        self.done = true;
        false
    }

    fn emit_empty(&mut self, window: Window<'_>, out: &mut Vec<Span>) {
        let index = window.index(self.at);
        out.push(self.span(index, index, 0, self.at, Kind::Malformed(Reason::Truncated)));
    }
}

#[inline]
fn trim_end(data: &[u8]) -> &[u8] {
    let end = data.iter().rposition(|byte| !matches!(byte, b' ' | b'\t' | b'\r' | b'\n'));
    &data[..end.map_or(0, |end| end + 1)]
}
