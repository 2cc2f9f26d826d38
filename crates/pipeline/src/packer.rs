//! Documents of several parcels into requests of a good size.
//!
//! Owns where one request ends and the next begins: by bytes, by count, and by how long the first document has waited.
//! Pure: the time is told. Must not know what becomes of a request.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use output::{Documents, Request};
use tokio::time::Instant;

/// How large requests are.
#[derive(Debug, Clone, Copy)]
pub struct Packing {
    /// A request is full before it exceeds this many bytes; a longer document goes alone.
    pub bytes: usize,
    /// The most documents of a request.
    pub documents: usize,
    /// How long a document may wait for company.
    pub linger: Duration,
}

/// A request, and which parcel each of its parts is of.
#[derive(Debug, Clone, Default)]
pub(crate) struct Packed {
    /// What is written.
    pub(crate) request: Request,
    /// The sequence number of the parcel of each of [`Request::parts`].
    pub(crate) parcels: Vec<u64>,
}

impl Packed {
    /// Adds documents of a parcel.
    pub(crate) fn add(&mut self, parcel: u64, documents: &Arc<Documents>, which: Vec<u32>) {
        if !which.is_empty() {
            self.request.add(documents, which);
            self.parcels.push(parcel);
        }
    }

    /// Two halves by number of documents, in order. The second is empty for a single document.
    #[must_use]
    pub(crate) fn halves(self) -> (Self, Self) {
        let (mut first, mut second) = (Self::default(), Self::default());
        let mut room = self.request.len().div_ceil(2);
        for ((documents, which), parcel) in self.request.parts().iter().zip(&self.parcels) {
            let (front, back) = which.split_at(room.min(which.len()));
            room -= front.len();
            first.add(*parcel, documents, front.to_vec());
            second.add(*parcel, documents, back.to_vec());
        }
        (first, second)
    }
}

/// Puts requests together.
#[derive(Debug)]
pub(crate) struct Packer {
    packing: Packing,
    full: VecDeque<Packed>,
    open: Packed,
    /// When the open request is to go, full or not.
    due: Option<Instant>,
    waiting: u64,
}

impl Packer {
    /// An empty packer.
    #[must_use]
    pub(crate) fn new(packing: Packing) -> Self {
        Self { packing, full: VecDeque::new(), open: Packed::default(), due: None, waiting: 0 }
    }

    /// Adds all documents of a parcel.
    pub(crate) fn push(&mut self, parcel: u64, documents: &Arc<Documents>, now: Instant) {
        let mut which = Vec::new();
        let mut bytes = self.open.request.bytes();
        let mut count = self.open.request.len();
        for at in 0..documents.len() {
            let length = documents.line_len(at);
            if count > 0 && (bytes + length > self.packing.bytes || count >= self.packing.documents) {
                self.open.add(parcel, documents, std::mem::take(&mut which));
                self.full.push_back(std::mem::take(&mut self.open));
                (bytes, count, self.due) = (0, 0, None);
            }
            bytes += length;
            count += 1;
            if which.is_empty() {
                which.reserve(documents.len() - at);
            }
            which.push(at as u32);
        }
        self.open.add(parcel, documents, which);
        self.waiting += documents.len() as u64;
        if !self.open.request.is_empty() && self.due.is_none() {
            self.due = Some(now + self.packing.linger);
        }
    }

    /// A full request, or one whose time has come; any when `flush`.
    pub(crate) fn pop(&mut self, now: Instant, flush: bool) -> Option<Packed> {
        let packed = self.full.pop_front().or_else(|| {
            let due = self.due.is_some_and(|due| flush || due <= now);
            due.then(|| {
                self.due = None;
                std::mem::take(&mut self.open)
            })
        })?;
        self.waiting -= packed.request.len() as u64;
        Some(packed)
    }

    /// When [`Packer::pop`] will give something without more being pushed; now at the latest if a request is full.
    #[must_use]
    pub(crate) fn due(&self, now: Instant) -> Option<Instant> {
        if self.full.is_empty() { self.due } else { Some(now) }
    }

    /// How many documents wait here.
    #[must_use]
    pub(crate) fn waiting(&self) -> u64 {
        self.waiting
    }
}

#[cfg(test)]
mod tests {
    use output::DocumentsBuilder;

    use super::*;

    fn documents(name: &str, lengths: &[usize]) -> Arc<Documents> {
        let mut builder = DocumentsBuilder::default();
        for (at, length) in lengths.iter().enumerate() {
            builder.lines.extend(std::iter::repeat_n(b'x', length - 1));
            builder.push(&format!("{name}{at}"), "", None);
        }
        Arc::new(builder.finish())
    }

    fn packing(bytes: usize, documents: usize) -> Packing {
        Packing { bytes, documents, linger: Duration::from_millis(100) }
    }

    fn ids(packed: &Packed) -> Vec<String> {
        packed.request.documents().map(|document| document.id.to_owned()).collect()
    }

    #[test]
    fn requests_keep_to_bytes_and_count_and_order() {
        let now = Instant::now();
        let mut packer = Packer::new(packing(100, 3));
        packer.push(0, &documents("a", &[60, 30, 20, 200, 1]), now);
        packer.push(1, &documents("b", &[1, 1, 1, 1]), now);
        let mut got = Vec::new();
        while let Some(packed) = packer.pop(now, false) {
            assert_eq!(packed.request.parts().len(), packed.parcels.len());
            got.push((ids(&packed).join(" "), packed.parcels));
        }
        let expected = [("a0 a1", vec![0]), ("a2", vec![0]), ("a3", vec![0]), ("a4 b0 b1", vec![0, 1])];
        assert_eq!(got, expected.map(|(ids, parcels)| (ids.to_owned(), parcels)));
        assert_eq!(packer.waiting(), 2);
        assert_eq!(packer.pop(now, true).map(|packed| ids(&packed)), Some(vec!["b2".into(), "b3".into()]));
        assert!(packer.pop(now, true).is_none());
        assert_eq!(packer.waiting(), 0);
    }

    #[test]
    fn the_first_document_decides_when_a_request_goes() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut packer = Packer::new(packing(1_000, 100));
        assert_eq!(packer.due(start), None);
        packer.push(0, &documents("a", &[10]), start);
        packer.push(1, &documents("b", &[10]), at(90));
        assert_eq!(packer.due(start), Some(at(100)));
        assert!(packer.pop(at(99), false).is_none());
        assert_eq!(packer.pop(at(100), false).map(|packed| packed.request.len()), Some(2));
        assert_eq!(packer.due(start), None);
    }

    #[test]
    fn halves_have_everything_in_order_down_to_one() {
        let now = Instant::now();
        let mut packer = Packer::new(packing(1_000, 100));
        packer.push(4, &documents("a", &[9, 9]), now);
        packer.push(5, &documents("b", &[9, 9, 9]), now);
        let packed = packer.pop(now, true).unwrap();
        let (first, second) = packed.halves();
        assert_eq!((ids(&first).join(" "), ids(&second).join(" ")), ("a0 a1 b0".into(), "b1 b2".into()));
        assert_eq!((first.parcels.clone(), second.parcels), (vec![4, 5], vec![5]));
        let (first, _) = first.halves();
        let (first, second) = first.halves();
        assert_eq!((first.request.len(), second.request.len()), (1, 1));
        assert!(first.halves().1.request.is_empty());
    }
}
