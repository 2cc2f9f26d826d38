//! Documents on their way: mapped once, never changed or copied again; a retry is a choice of indexes.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

/// Documents that were mapped together, back to back in one buffer.
#[derive(Debug, Default)]
pub struct Documents {
    lines: Bytes,
    names: String,
    items: Vec<Item>,
}

#[derive(Debug, Clone)]
struct Item {
    line: Range<u32>,
    id: Range<u32>,
    action: Range<u32>,
    key: Range<u32>,
}

/// One document, borrowed.
#[derive(Debug, Clone, Copy)]
pub struct Document<'d> {
    /// `event.id`, under which it is stored.
    pub id: &'d str,
    /// `event.action`; may be empty.
    pub action: &'d str,
    /// What messages are keyed by: the id, unless the configuration says otherwise.
    pub key: &'d str,
    /// One JSON object and a line end.
    pub line: &'d [u8],
}

impl<'d> Document<'d> {
    /// The JSON object without the line end.
    #[must_use]
    pub fn body(&self) -> &'d [u8] {
        self.line.strip_suffix(b"\n").unwrap_or(self.line)
    }
}

impl Documents {
    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// All documents as lines.
    #[must_use]
    pub fn lines(&self) -> &Bytes {
        &self.lines
    }

    /// One of them.
    #[must_use]
    pub fn get(&self, at: usize) -> Option<Document<'_>> {
        let item = self.items.get(at)?;
        let name = |range: &Range<u32>| self.names.get(range.start as usize..range.end as usize);
        Some(Document {
            id: name(&item.id)?,
            action: name(&item.action)?,
            key: name(&item.key)?,
            line: self.lines.get(item.line.start as usize..item.line.end as usize)?,
        })
    }

    /// The length of one of them with its line end, in bytes.
    #[must_use]
    pub fn line_len(&self, at: usize) -> usize {
        self.items.get(at).map_or(0, |item| (item.line.end - item.line.start) as usize)
    }
}

/// Puts documents together. One holds less than 4 GiB.
#[derive(Debug, Default)]
pub struct DocumentsBuilder {
    /// Where a document is to be appended, without a line end, before [`DocumentsBuilder::push`] is called.
    pub lines: Vec<u8>,
    names: String,
    items: Vec<Item>,
}

impl DocumentsBuilder {
    /// Ends the document that was appended to `lines` since the last call.
    pub fn push(&mut self, id: &str, action: &str, key: Option<&str>) {
        self.lines.push(b'\n');
        self.note(self.lines.len(), id, action, key);
    }

    /// Notes a document whose bytes are in a buffer of the caller's, which [`DocumentsBuilder::finish_with`] takes: from the
    /// end of the one before to `end`, a line end included.
    pub fn note(&mut self, end: usize, id: &str, action: &str, key: Option<&str>) {
        let start = self.items.last().map_or(0, |item| item.line.end);
        let line = start..end as u32;
        let mut add = |text: &str| {
            let start = self.names.len() as u32;
            self.names.push_str(text);
            start..self.names.len() as u32
        };
        let id = add(id);
        let key = key.map_or_else(|| id.clone(), &mut add);
        let action = add(action);
        self.items.push(Item { line, id, action, key });
    }

    /// How many bytes there are so far.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.lines.len()
    }

    /// The finished documents.
    #[must_use]
    pub fn finish(mut self) -> Documents {
        let lines = std::mem::take(&mut self.lines);
        self.finish_with(lines.into())
    }

    /// The finished documents, if they were noted: `lines` are their bytes.
    #[must_use]
    pub fn finish_with(self, lines: Bytes) -> Documents {
        Documents { lines, names: self.names, items: self.items }
    }
}

/// What is written at once: documents of one or several batches.
#[derive(Debug, Clone, Default)]
pub struct Request {
    parts: Vec<(Arc<Documents>, Vec<u32>)>,
    len: usize,
    bytes: usize,
}

impl Request {
    /// Adds some documents of a batch by their indexes.
    pub fn add(&mut self, documents: &Arc<Documents>, which: Vec<u32>) {
        self.len += which.len();
        self.bytes += which.iter().map(|at| documents.line_len(*at as usize)).sum::<usize>();
        self.parts.push((Arc::clone(documents), which));
    }

    /// How many documents.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Their length in bytes, with their line ends.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The documents in order.
    pub fn documents(&self) -> impl Iterator<Item = Document<'_>> {
        self.parts
            .iter()
            .flat_map(|(documents, which)| which.iter().filter_map(|at| documents.get(*at as usize)))
    }

    /// The batches of the request and which of their documents it has.
    #[must_use]
    pub fn parts(&self) -> &[(Arc<Documents>, Vec<u32>)] {
        &self.parts
    }
}
