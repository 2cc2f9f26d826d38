//! API pages: an object whose `data` array holds the records.
//!
//! Owns the verdict, and what surrounds `data`. Must not know the records inside, which are those of any array.
//!
//! The subtle thing: an object may turn out to be a page only at its end, and a page may be too big to wait for. So an
//! outermost object is walked for at most 64 KiB (`LOOK_BYTES`) noting its keys. If it ends by then, all keys are
//! known and the verdict is exact: a `data` array, and neither `id` nor `type`. If not, it is a page if a `data` array
//! has begun and neither `id`, `type`, `actor` nor `created_at` was seen. For a page the machine goes back to the first
//! byte of its `data` and reads on from there; should `id` or `type` turn up later, what is left of the object is
//! reported, so that nothing is lost in silence.

use super::{Machine, State, Window};
use crate::file::block::{Kind, Reason, Span};
use crate::file::scan::{Keys, Step, Walk};

/// The page whose `data` is being read.
#[derive(Debug)]
pub(super) struct Page {
    start: u64,
    /// What came before the `[`, kept if the verdict was made before the object's end.
    header: Option<Vec<u8>>,
}

impl Machine {
    /// Where the `data` of the object in hand begins, if it looks like a page as far as it is known.
    pub(super) fn page_so_far(&self) -> Option<u64> {
        let page = self.looking && !self.keys.identity && !self.keys.activity;
        self.keys.array.filter(|_| page)
    }

    pub(super) fn enter_page(&mut self, window: Window<'_>, array: u64, keep_header: bool) {
        let header = || window.data[window.index(self.start)..window.index(array)].to_vec();
        self.page = Some(Page { start: self.start, header: keep_header.then(header) });
        #[cfg(test)]
        self.frames.push((self.start, array + 1));
        self.saw_page = true;
        self.at = array + 1;
        self.nest = 1;
        self.state = State::Between;
    }

    /// The `data` has ended: the rest of the page begins.
    pub(super) fn enter_tail(&mut self) {
        self.start = self.at;
        self.walk = Walk::in_object();
        self.keys = Keys::default();
        self.state = State::Tail;
    }

    pub(super) fn tail(&mut self, window: Window<'_>, out: &mut Vec<Span>) -> bool {
        let from = window.index(self.at);
        let step = if self.skipping {
            self.walk.walk::<false>(window.data, window.base, from, &mut self.keys)
        } else {
            self.walk.walk::<true>(window.data, window.base, from, &mut self.keys)
        };
        match step {
            Step::More => {
                self.at = window.end();
                return false;
            }
            Step::Closed(end) => {
                self.at = window.base + end as u64;
                let Page { start, header } =
                    self.page.take().unwrap_or(Page { start: self.start, header: None });
                // Keys are not noted while skipping, so the worst is assumed of what was too long to look at.
                let suspect = self.keys.identity || self.at - self.start > self.max;
                let header = header.filter(|_| suspect);
                if header.is_some() || self.keys.array.is_some() || self.at - self.start > self.max {
                    self.header = header.map(|header| (start, header));
                    self.emit(window, Kind::Malformed(Reason::NotAPage), out);
                } else {
                    #[cfg(test)]
                    self.frames.push((self.start, self.at));
                    self.state = State::Between;
                }
            }
            Step::Broken(end, reason) => {
                self.at = window.base + end as u64;
                self.page = None;
                self.emit(window, Kind::Malformed(reason), out);
            }
        }
        true
    }
}
