//! Marks: how a place in any listing but the feed's is written down and read back.
//!
//! Owns the text of cursors and page tokens and their checks. A mark is bound to its tenant, route, object and order, and
//! when strict to its filters too; an altered one is none. The subtle thing: it holds the place itself, not a
//! position, so that a listing may change under a walk, and it holds the time of the walk's first page.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::api::cursor::{CursorStyle, hash};
use crate::clock::Micros;

/// What page tokens start with.
const PREFIX: &str = "page_";

/// Where an entry stands in a listing: by a number (a time, mostly), and among equal ones by its id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Spot {
    pub(crate) rank: i64,
    pub(crate) id: String,
}

/// A place in a walk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) spot: Spot,
    /// When the walk began.
    pub(crate) begun: Micros,
}

#[derive(Serialize, Deserialize)]
struct Written {
    k: i64,
    id: String,
    at: Micros,
    /// The question, and a sum over all of the above.
    q: u64,
    s: u64,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pad: String,
}

/// Writes and reads the marks of one question.
#[derive(Debug, Clone)]
pub(crate) struct Marks {
    pub(crate) seed: u64,
    pub(crate) style: CursorStyle,
    /// Whether a mark of another question is refused.
    pub(crate) strict: bool,
    /// Route, object and order as text: to these a mark is bound always.
    pub(crate) route: String,
    /// The filters as text.
    pub(crate) question: String,
}

impl Marks {
    /// A cursor, as `last_id` and `first_id` show it.
    pub(crate) fn cursor(&self, mark: &Mark) -> String {
        match self.style {
            CursorStyle::RawIds => mark.spot.id.clone(),
            _ => self.text(mark),
        }
    }

    /// A page token, as `next_page` shows it.
    pub(crate) fn token(&self, mark: &Mark) -> String {
        format!("{PREFIX}{}", self.text(mark))
    }

    fn text(&self, mark: &Mark) -> String {
        let mut written = Written {
            k: mark.spot.rank,
            id: mark.spot.id.clone(),
            at: mark.begun,
            q: hash(&self.question),
            s: 0,
            pad: String::new(),
        };
        written.s = self.sum(&written);
        if let CursorStyle::Long(bytes) = self.style {
            written.pad = "0".repeat(bytes);
        }
        // Plain strings and numbers always serialize.
        URL_SAFE_NO_PAD.encode(serde_json::to_string(&written).unwrap_or_default())
    }

    /// The mark of a cursor or token; nothing when it was altered or is of another question.
    pub(crate) fn read(&self, text: &str) -> Option<Mark> {
        let bytes = URL_SAFE_NO_PAD.decode(text.strip_prefix(PREFIX).unwrap_or(text)).ok()?;
        let written: Written = serde_json::from_slice(&bytes).ok()?;
        let same = written.q == hash(&self.question) || !self.strict;
        let whole = written.s == self.sum(&written);
        (same && whole).then_some(Mark { spot: Spot { rank: written.k, id: written.id }, begun: written.at })
    }

    fn sum(&self, written: &Written) -> u64 {
        let Written { k, id, at, q, .. } = written;
        hash(&format!("{}/{}/{k}/{id}/{at}/{q}", self.seed, self.route))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks(question: &str, style: CursorStyle) -> Marks {
        Marks { seed: 7, style, strict: true, route: "/r asc".to_owned(), question: question.to_owned() }
    }

    #[test]
    fn marks_read_back_and_belong_to_their_question_and_tenant() {
        let mark = Mark { spot: Spot { rank: -5, id: "clls_01".into() }, begun: 9 };
        for style in [CursorStyle::Opaque, CursorStyle::Long(3_000), CursorStyle::RawIds] {
            let own = marks("/a?order=asc", style);
            let token = own.token(&mark);
            assert_eq!(own.read(&token).as_ref(), Some(&mark), "{style:?}");
            assert!(if style == CursorStyle::Long(3_000) { token.len() > 3_000 } else { token.len() < 200 });
            assert_eq!(marks("/a?order=desc", style).read(&token), None);
            assert_eq!(Marks { seed: 8, ..own.clone() }.read(&token), None);
            let lenient = Marks { strict: false, ..marks("/b", style) };
            assert!(lenient.read(&token).is_some());
            assert_eq!(Marks { route: "/r desc".into(), ..lenient }.read(&token), None);
        }
        assert_eq!(marks("/a", CursorStyle::RawIds).cursor(&mark), "clls_01");
    }

    #[test]
    fn an_altered_mark_is_none() {
        let own = marks("/a", CursorStyle::Opaque);
        let token = own.token(&Mark { spot: Spot { rank: 5, id: "x".into() }, begun: 9 });
        let plain = URL_SAFE_NO_PAD.decode(&token[PREFIX.len()..]).unwrap();
        let bent = String::from_utf8(plain).unwrap().replacen("\"k\":5", "\"k\":4", 1);
        assert_eq!(own.read(&format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bent))), None);
        assert_eq!((own.read(""), own.read("page_"), own.read("page_x")), (None, None, None));
    }
}
