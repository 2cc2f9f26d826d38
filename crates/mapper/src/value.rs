//! Writing one value the way its index type wants it, or refusing to.
//!
//! A value is refused when an index of the declared type would refuse the whole document because of
//! it; the caller then keeps it elsewhere. Empty values never get here.

use std::cell::Cell;
use std::net::IpAddr;

use crate::json;
use crate::out::Out;
use crate::program::Write;
use crate::record::{Record, Scalar};
use crate::time::{self, Wrote};
use crate::url::{self, Url};

/// Writes the values of one record.
pub(crate) struct Values<'r, 'a> {
    pub(crate) record: &'r Record<'a>,
    /// A fraction was met whose text the fast parser has lost.
    pub(crate) inexact: Cell<bool>,
    /// A key stood twice in one object.
    pub(crate) duplicate_key: Cell<bool>,
    /// The URL split last, by its node: its parts go to several places.
    url: Cell<(u32, Url<'a>)>,
    /// Where the last `@` stands in the text split last, by its node.
    at_sign: Cell<(u32, Option<u32>)>,
    /// No string of the record needs an escape: its raw text has none, and JSON allows no bare special characters.
    pub(crate) is_plain: bool,
}

/// What became of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is written whole.
    Written,
    /// It is written, but some of it had to be cut: the original must be kept too.
    Cut,
    /// Nothing was written.
    Refused,
}

impl From<bool> for Outcome {
    fn from(written: bool) -> Self {
        if written { Self::Written } else { Self::Refused }
    }
}

impl<'r, 'a> Values<'r, 'a> {
    pub(crate) fn new(record: &'r Record<'a>) -> Self {
        Self::of(record, memchr::memchr(b'\\', record.raw).is_none())
    }

    /// The same for a record of which it is known whether it is plain.
    pub(crate) fn of(record: &'r Record<'a>, is_plain: bool) -> Self {
        let url = Cell::new((0, Url::default()));
        Self {
            record,
            inexact: Cell::new(false),
            duplicate_key: Cell::new(false),
            url,
            at_sign: Cell::new((0, None)),
            is_plain,
        }
    }

    /// Appends the value at `node`; on refusal `out` may hold a beginning, which the caller cuts off.
    #[inline]
    pub(crate) fn write(&self, out: &mut Out, node: u32, write: Write) -> Outcome {
        let text = self.record.text(node);
        match (write, text) {
            (Write::Keyword, Some(text)) => {
                self.push_string(out, text);
                Outcome::Written
            }
            (Write::Date, Some(text)) => date(out, text),
            _ => self.write_rest(out, node, write, text),
        }
    }

    fn write_rest(&self, out: &mut Out, node: u32, write: Write, text: Option<&'a str>) -> Outcome {
        match write {
            Write::Keyword => self.one_or_list(out, node, Self::keyword).into(),
            Write::KeywordArray => self.list(out, node, Self::keyword).into(),
            Write::Long => self.one_or_list(out, node, Self::long).into(),
            Write::Double => self.one_or_list(out, node, Self::double).into(),
            Write::Boolean => self.one_or_list(out, node, Self::boolean).into(),
            Write::Date => self.one_or_list(out, node, Self::date).into(),
            Write::Ip => self.one_or_list(out, node, Self::ip).into(),
            Write::IpArray => self.list(out, node, Self::ip).into(),
            Write::Flattened => self.flattened(out, node).into(),
            Write::UrlPort => match text.and_then(|text| self.url(node, text).port) {
                Some(port) => {
                    self.push_integer(out, i64::from(port));
                    Outcome::Written
                }
                None => Outcome::Refused,
            },
            _ => match text.and_then(|text| self.part(node, text, write)) {
                Some(part) => {
                    self.push_string(out, part);
                    Outcome::Written
                }
                None => Outcome::Refused,
            },
        }
    }

    /// The text that a copy under `write` has, when it is text.
    pub(crate) fn text_of(&self, node: u32, write: Write) -> Option<&'a str> {
        let text = self.record.text(node)?;
        match write {
            Write::Ip | Write::IpArray => Some(text).filter(|text| text.parse::<IpAddr>().is_ok()),
            _ => self.part(node, text, write),
        }
    }

    /// The part of a text that a copy takes, unless it is empty.
    #[inline]
    fn part(&self, node: u32, text: &'a str, write: Write) -> Option<&'a str> {
        let part = match write {
            Write::Extension => extension(text),
            Write::LocalPart => self.at_sign(node, text).map(|(local, _)| local),
            Write::EmailDomain => self.at_sign(node, text).map(|(_, domain)| domain),
            Write::UrlScheme => self.url(node, text).scheme,
            Write::UrlHost => self.url(node, text).host,
            Write::UrlPath => Some(self.url(node, text).path),
            Write::UrlQuery => self.url(node, text).query,
            Write::UrlFragment => self.url(node, text).fragment,
            // A number, not a text.
            Write::UrlPort => None,
            _ => Some(text),
        };
        part.filter(|part| !part.is_empty())
    }

    /// The part of the text at `node` that `write` takes.
    #[inline]
    pub(crate) fn part_of(&self, node: u32, write: Write) -> Option<&'a str> {
        self.part(node, self.record.text(node)?, write)
    }

    /// Which parts the text at `node` has, a bit for each.
    #[inline]
    pub(crate) fn parts(&self, node: u32, parted: Parted) -> u8 {
        let Some(text) = self.record.text(node) else { return 0 };
        let bit = |at: u8, has: bool| u8::from(has) << at;
        let has = |part: Option<&str>| part.is_some_and(|part| !part.is_empty());
        match parted {
            Parted::FileName => bit(0, has(extension(text))),
            Parted::Email => self
                .at_sign(node, text)
                .map_or(0, |(local, domain)| bit(0, !local.is_empty()) | bit(1, !domain.is_empty())),
            Parted::Url => {
                let url = self.url(node, text);
                bit(0, has(url.scheme))
                    | bit(1, has(url.host))
                    | bit(2, url.port.is_some())
                    | bit(3, !url.path.is_empty())
                    | bit(4, has(url.query))
                    | bit(5, has(url.fragment))
            }
        }
    }

    /// What stands before and behind the last `@`.
    #[inline]
    fn at_sign(&self, node: u32, text: &'a str) -> Option<(&'a str, &'a str)> {
        let (last, at) = self.at_sign.get();
        let at = if last == node {
            at? as usize
        } else {
            let at = memchr::memrchr(b'@', text.as_bytes());
            self.at_sign.set((node, at.map(|at| at as u32)));
            at?
        };
        Some((text.get(..at)?, text.get(at + 1..)?))
    }

    #[inline]
    fn url(&self, node: u32, text: &'a str) -> Url<'a> {
        let (last, url) = self.url.get();
        if last == node {
            return url;
        }
        let url = url::split(text);
        self.url.set((node, url));
        url
    }

    /// Appends a text of the record as the inside of a JSON string.
    #[inline(always)]
    pub(crate) fn push_text(&self, out: &mut Out, text: &str) {
        if self.is_plain { out.put(text.as_bytes()) } else { json::push_escaped(out, text) }
    }

    /// Appends a text of the record as a JSON string.
    #[inline]
    pub(crate) fn push_string(&self, out: &mut Out, text: &str) {
        out.push(b'"');
        self.push_text(out, text);
        out.push(b'"');
    }

    fn one_or_list(&self, out: &mut Out, node: u32, one: fn(&Self, &mut Out, u32) -> bool) -> bool {
        if self.record.is_array(node) { self.list(out, node, one) } else { one(self, out, node) }
    }

    /// Writes an array of scalars without its empty items; a scalar becomes an array of one.
    fn list(&self, out: &mut Out, node: u32, one: fn(&Self, &mut Out, u32) -> bool) -> bool {
        out.push(b'[');
        if self.record.is_array(node) {
            let mut first = true;
            for item in self.record.items(node) {
                if self.record.is_empty(item) {
                    continue;
                }
                if !first {
                    out.push(b',');
                }
                first = false;
                if !one(self, out, item) {
                    return false;
                }
            }
        } else if !one(self, out, node) {
            return false;
        }
        out.push(b']');
        true
    }

    fn keyword(&self, out: &mut Out, node: u32) -> bool {
        match self.record.scalar(node) {
            Some(Scalar::Text(text)) => self.push_string(out, text),
            Some(Scalar::Null) | None => return false,
            Some(other) => {
                out.push(b'"');
                self.push_scalar(out, other);
                out.push(b'"');
            }
        }
        true
    }

    fn long(&self, out: &mut Out, node: u32) -> bool {
        match self.record.scalar(node) {
            Some(Scalar::Int(value)) => self.push_integer(out, value),
            _ => return false,
        }
        true
    }

    fn double(&self, out: &mut Out, node: u32) -> bool {
        match self.record.scalar(node) {
            Some(number @ (Scalar::Int(_) | Scalar::Big(_))) => self.push_scalar(out, number),
            Some(Scalar::Number(None)) => {
                self.inexact.set(true);
                out.push(b'0');
            }
            Some(Scalar::Number(Some(text))) if is_readable_number(text) => {
                out.put(text.as_bytes());
            }
            _ => return false,
        }
        true
    }

    fn boolean(&self, out: &mut Out, node: u32) -> bool {
        match self.record.scalar(node) {
            Some(value @ Scalar::Bool(_)) => self.push_scalar(out, value),
            _ => return false,
        }
        true
    }

    fn date(&self, out: &mut Out, node: u32) -> bool {
        self.record.text(node).is_some_and(|text| date(out, text) == Outcome::Written)
    }

    fn ip(&self, out: &mut Out, node: u32) -> bool {
        match self.record.text(node) {
            Some(text) if text.parse::<IpAddr>().is_ok() => self.push_string(out, text),
            _ => return false,
        }
        true
    }

    fn push_integer(&self, out: &mut Out, value: i64) {
        out.put(itoa::Buffer::new().format(value).as_bytes());
    }

    /// Appends a scalar as JSON; a number by its own text.
    pub(crate) fn push_scalar(&self, out: &mut Out, scalar: Scalar<'_>) {
        match scalar {
            Scalar::Null => out.put(b"null"),
            Scalar::Bool(true) => out.put(b"true"),
            Scalar::Bool(false) => out.put(b"false"),
            Scalar::Text(text) => self.push_string(out, text),
            Scalar::Int(value) => self.push_integer(out, value),
            Scalar::Big(value) => out.put(itoa::Buffer::new().format(value).as_bytes()),
            Scalar::Number(Some(text)) => out.put(text.as_bytes()),
            Scalar::Number(None) => {
                self.inexact.set(true);
                out.push(b'0');
            }
        }
    }
}

/// Kinds of texts that have parts, which one text of the kind may have and another lack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parted {
    Url,
    Email,
    FileName,
}

impl Parted {
    /// What a text must be to have the part that `write` takes; `None` when it takes the whole of any text.
    pub(crate) fn of(write: Write) -> Option<Self> {
        Some(match write {
            Write::Extension => Self::FileName,
            Write::LocalPart | Write::EmailDomain => Self::Email,
            Write::UrlScheme
            | Write::UrlHost
            | Write::UrlPort
            | Write::UrlPath
            | Write::UrlQuery
            | Write::UrlFragment => Self::Url,
            _ => return None,
        })
    }
}

/// The longest number, in bytes, that is written as one.
const LONGEST_NUMBER: usize = 800;

/// Whether a number of any size is one that readers of JSON take: JSON sets no limit, but serde_json refuses what no double
/// holds, and Elasticsearch's parser a number of more than 1,000 digits.
pub(crate) fn is_readable_number(text: &str) -> bool {
    text.len() <= LONGEST_NUMBER && text.parse::<f64>().is_ok_and(f64::is_finite)
}

fn date(out: &mut Out, text: &str) -> Outcome {
    out.push(b'"');
    let wrote = time::push_utc(out, text);
    out.push(b'"');
    match wrote {
        Wrote::Whole => Outcome::Written,
        Wrote::Cut => Outcome::Cut,
        Wrote::Refused => Outcome::Refused,
    }
}

/// A file name's extension.
fn extension(text: &str) -> Option<&str> {
    let name = memchr::memrchr2(b'/', b'\\', text.as_bytes()).map_or(0, |at| at + 1);
    let name = text.get(name..)?;
    let dot = memchr::memrchr(b'.', name.as_bytes()).filter(|dot| *dot > 0)?;
    name.get(dot + 1..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_texts() {
        let cases = [
            ("a.tar.gz", Write::Extension, Some("gz")),
            (".bashrc", Write::Extension, None),
            ("dir.d/readme", Write::Extension, None),
            ("ada@example.com", Write::LocalPart, Some("ada")),
            ("ada@example.com", Write::EmailDomain, Some("example.com")),
            ("@example.com", Write::LocalPart, None),
            ("ada", Write::LocalPart, None),
            ("https://example.com:8443/x?y#z", Write::UrlHost, Some("example.com")),
            ("https://example.com", Write::UrlPath, None),
        ];
        for (text, write, expected) in cases {
            let record = Record::of_text(text);
            let values = Values::new(&record);
            assert_eq!(values.part(1, text, write), expected, "{text} {write:?}");
        }
    }
}
