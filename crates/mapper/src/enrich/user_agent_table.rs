//! The clients that are known by name: `mappings/user-agents.csv`, embedded.
//!
//! Owns the table and its look-up by product token. Must not know how a string is taken apart.
//! The subtle thing: the file is parsed and checked by the compiler, so a wrong column count, an
//! unknown kind or a row out of order fails the build, and a look-up costs one binary search.

use std::cmp::Ordering;

/// What a product token says about the string it stands in. The smallest kind names the client;
/// within a kind, the token that comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// An application; names the string wherever it stands.
    App,
    /// A robot; likewise.
    Bot,
    /// A browser, which also claims to be the ones in `Base`.
    Browser,
    /// An HTTP library, or a product that the table does not know.
    Library,
    /// What every browser claims to be.
    Base,
    /// What a library runs on.
    Runtime,
    /// Never a name.
    Engine,
}

/// Where a client's version stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum VersionFrom {
    /// After its own token.
    Own,
    /// After the token `Version`, or nowhere.
    Version,
    /// After the token `Version`, or else after its own.
    VersionOrOwn,
    /// After its own token, or else this.
    OwnOr(&'static str),
}

/// One known product token.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    /// In lower case.
    pub(super) token: &'static str,
    pub(super) kind: Kind,
    /// What people call it; empty for an engine.
    pub(super) name: &'static str,
    pub(super) version: VersionFrom,
    /// The system that a `Darwin` token means beside this client; empty if it cannot be told.
    pub(super) darwin: &'static str,
}

/// The row of a token, whatever its case.
pub(super) fn find(token: &str) -> Option<&'static Row> {
    ROWS.binary_search_by(|row| compare(row.token, token)).ok().map(|at| &ROWS[at])
}

/// Orders a lower-case token and one in any case.
fn compare(lower: &str, any: &str) -> Ordering {
    lower.bytes().cmp(any.bytes().map(|byte| byte.to_ascii_lowercase()))
}

static ROWS: [Row; COUNT] = rows();

const TEXT: &str = include_str!("../../../../mappings/user-agents.csv");
const HEADER: &str = "token,kind,name,version,darwin,note";
const COLUMNS: usize = 6;
const COUNT: usize = lines() - 1;

const fn lines() -> usize {
    let bytes = TEXT.as_bytes();
    assert!(bytes[bytes.len() - 1] == b'\n', "user-agents.csv: the last line has no end");
    let (mut at, mut lines) = (0, 0);
    while at < bytes.len() {
        lines += (bytes[at] == b'\n') as usize;
        at += 1;
    }
    lines
}

const fn rows() -> [Row; COUNT] {
    const BLANK: Row = Row { token: "", kind: Kind::Engine, name: "", version: VersionFrom::Own, darwin: "" };
    let mut rows = [BLANK; COUNT];
    let (header, mut rest) = cut(TEXT, b'\n');
    assert!(same(header, HEADER), "user-agents.csv: the header has changed");
    let mut at = 0;
    while at < COUNT {
        let (line, next) = cut(rest, b'\n');
        rows[at] = row(line);
        assert!(
            at == 0 || ascending(rows[at - 1].token, rows[at].token),
            "user-agents.csv: rows out of order"
        );
        rest = next;
        at += 1;
    }
    rows
}

const fn row(line: &'static str) -> Row {
    let mut fields = [""; COLUMNS];
    let (mut at, mut rest) = (0, line);
    while at < COLUMNS - 1 {
        assert!(contains(rest, b','), "user-agents.csv: too few columns");
        (fields[at], rest) = cut(rest, b',');
        at += 1;
    }
    assert!(!contains(rest, b',') && !contains(line, b'"'), "user-agents.csv: too many columns, or quotes");
    let [token, kind, name, version, darwin, _note] = fields;
    assert!(is_lower(token), "user-agents.csv: a token that is empty or not in lower case");
    let kind = kind_of(kind);
    assert!(
        name.is_empty() == matches!(kind, Kind::Engine),
        "user-agents.csv: an engine has no name, all else has"
    );
    Row { token, kind, name, version: version_of(version), darwin }
}

const fn kind_of(text: &str) -> Kind {
    const KINDS: [(&str, Kind); 7] = [
        ("app", Kind::App),
        ("bot", Kind::Bot),
        ("browser", Kind::Browser),
        ("library", Kind::Library),
        ("base", Kind::Base),
        ("runtime", Kind::Runtime),
        ("engine", Kind::Engine),
    ];
    let mut at = 0;
    while at < KINDS.len() && !same(KINDS[at].0, text) {
        at += 1;
    }
    assert!(at < KINDS.len(), "user-agents.csv: unknown kind");
    KINDS[at].1
}

const fn version_of(text: &'static str) -> VersionFrom {
    if text.is_empty() {
        VersionFrom::Own
    } else if same(text, "Version") {
        VersionFrom::Version
    } else if same(text, "Version or own") {
        VersionFrom::VersionOrOwn
    } else {
        assert!(text.as_bytes()[0].is_ascii_digit(), "user-agents.csv: unknown place of a version");
        VersionFrom::OwnOr(text)
    }
}

/// What stands before the first `mark`, and what after.
const fn cut(text: &str, mark: u8) -> (&str, &str) {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] == mark {
            let (before, rest) = text.split_at(at);
            return (before, rest.split_at(1).1);
        }
        at += 1;
    }
    (text, "")
}

const fn contains(text: &str, mark: u8) -> bool {
    cut(text, mark).0.len() < text.len()
}

const fn is_lower(text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() && bytes[at].is_ascii() && !bytes[at].is_ascii_uppercase() {
        at += 1;
    }
    !bytes.is_empty() && at == bytes.len()
}

const fn same(left: &str, right: &str) -> bool {
    left.len() == right.len() && !ascending(left, right) && !ascending(right, left)
}

const fn ascending(left: &str, right: &str) -> bool {
    let (left, right) = (left.as_bytes(), right.as_bytes());
    let mut at = 0;
    while at < left.len() && at < right.len() {
        if left[at] != right[at] {
            return left[at] < right[at];
        }
        at += 1;
    }
    left.len() < right.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_found_in_any_case() {
        assert!(ROWS.len() > 100);
        for row in &ROWS {
            assert!(std::ptr::eq(find(row.token).unwrap(), row), "{}", row.token);
            assert!(std::ptr::eq(find(&row.token.to_uppercase()).unwrap(), row), "{}", row.token);
            assert!(matches!(row.darwin, "" | "iOS" | "macOS"), "{}", row.token);
        }
        for token in ["", "a", "claud", "claude-", "zzz", "Zürich", "\0"] {
            assert!(find(token).is_none(), "{token:?}");
        }
    }

    #[test]
    fn columns_are_read_as_written() {
        let safari = find("Safari").unwrap();
        assert_eq!((safari.kind, safari.name, safari.version), (Kind::Base, "Safari", VersionFrom::Version));
        let claude = find("Claude").unwrap();
        assert_eq!((claude.kind, claude.name, claude.darwin), (Kind::App, "Claude", "iOS"));
        assert_eq!(find("claude-user").unwrap().version, VersionFrom::OwnOr("1.0"));
        assert_eq!(find("opera").unwrap().version, VersionFrom::VersionOrOwn);
        assert_eq!(find("mozilla").unwrap().kind, Kind::Engine);
    }
}
