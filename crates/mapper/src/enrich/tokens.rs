//! A user agent taken apart: products, comments and the fields within comments.
//!
//! Owns the grammar, which is RFC 9110's read leniently, since nobody has to follow it. Must not
//! know any client by name. The subtle thing: every slice returned is a part of the input cut at
//! `char` boundaries, whatever the input; nothing here allocates or can panic.

/// No name or version that a person would want is longer.
const LONGEST: usize = 64;

/// A top-level part of the string, and where it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// Anything up to the next space or comment.
    Word(usize, &'a str),
    /// What stands in parentheses, without them; those within are left as they are.
    Comment(&'a str),
}

/// Takes `text` apart.
pub(super) fn pieces(text: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = &text[at..];
        let start = at + rest.find(|c: char| !is_space(c))?;
        let rest = &text[start..];
        if let Some(inside) = rest.strip_prefix('(') {
            let length = comment_length(inside);
            at = (start + 1 + length + 1).min(text.len());
            return Some(Piece::Comment(&inside[..length]));
        }
        let length = rest.find(|c| is_space(c) || c == '(').unwrap_or(rest.len());
        at = start + length;
        Some(Piece::Word(start, &rest[..length]))
    })
}

/// The fields of a comment: `X11; Linux x86_64` is two.
pub(super) fn fields(comment: &str) -> impl Iterator<Item = &str> {
    comment.split(';').map(str::trim).filter(|field| !field.is_empty())
}

/// Up to the parenthesis that closes the one before `text`, or all of it.
fn comment_length(text: &str) -> usize {
    let mut depth = 0_usize;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'(' => depth += 1,
            b')' if depth == 0 => return at,
            b')' => depth -= 1,
            _ => {}
        }
    }
    text.len()
}

fn is_space(c: char) -> bool {
    c.is_whitespace() || c.is_control()
}

/// A word as product token and what follows the slash: `Chrome/109.0` is `Chrome` and `109.0`. A
/// scoped package (`@scope/name/1.0`) keeps its scope.
pub(super) fn product(word: &str) -> (&str, Option<&str>) {
    let word = word.trim_matches([',', ';', ')', '"', '\'']);
    let split = match word.strip_prefix('@') {
        Some(scoped) if scoped.matches('/').count() > 1 => word.rsplit_once('/'),
        Some(_) => None,
        None => word.split_once('/'),
    };
    split.map_or((word, None), |(token, version)| (token, Some(version)))
}

/// The version at the start of `text`, if that is one: no longer than reasonable, with a digit,
/// and without a `v` before it.
pub(super) fn version(text: &str) -> Option<&str> {
    let text = match text.strip_prefix(['v', 'V']) {
        Some(rest) if rest.starts_with(|c: char| c.is_ascii_digit()) => rest,
        _ => text,
    };
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '.' | '_' | '+' | '~' | '-'));
    let found = text[..end.unwrap_or(text.len())].trim_end_matches(['.', '_', '+', '~', '-']);
    (found.len() <= LONGEST && found.bytes().any(|byte| byte.is_ascii_digit())).then_some(found)
}

/// Whether a word is nothing but a version.
pub(super) fn is_version(word: &str) -> bool {
    let number = word.strip_prefix(['v', 'V']).unwrap_or(word);
    number.starts_with(|c: char| c.is_ascii_digit())
        && version(word).is_some_and(|found| found.len() == number.len())
}

/// Whether a token could be the name of a client; `words` also allows spaces.
pub(super) fn is_name(token: &str, words: bool) -> bool {
    let first = |c: char| c.is_alphabetic() || c == '@';
    token.len() <= LONGEST
        && token.starts_with(first)
        && token.chars().all(|c| {
            c.is_alphanumeric()
                || matches!(c, '+' | '-' | '.' | '_' | '!' | '&' | '#' | '@' | '/')
                || (words && c == ' ')
        })
}

/// Whether a token is a robot by its ending.
pub(super) fn is_bot(token: &str) -> bool {
    let ends = |end: &str| {
        token
            .len()
            .checked_sub(end.len())
            .and_then(|at| token.get(at..))
            .is_some_and(|tail| tail.eq_ignore_ascii_case(end))
    };
    // Cubot makes phones.
    (ends("bot") || ends("spider") || ends("crawler")) && !ends("cubot") && is_name(token, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Vec<Piece<'_>> {
        pieces(text).collect()
    }

    #[test]
    fn words_and_comments() {
        use Piece::{Comment, Word};
        assert_eq!(all(""), []);
        assert_eq!(all(" \t\0 "), []);
        assert_eq!(all("a b"), [Word(0, "a"), Word(2, "b")]);
        assert_eq!(all("a/1 (x; y) b/2"), [Word(0, "a/1"), Comment("x; y"), Word(11, "b/2")]);
        assert_eq!(all("a(x(y)z)b"), [Word(0, "a"), Comment("x(y)z"), Word(8, "b")]);
        assert_eq!(all("((a)"), [Comment("(a)")]);
        assert_eq!(all("("), [Comment("")]);
        assert_eq!(all(")("), [Word(0, ")"), Comment("")]);
        assert_eq!(all("()()"), [Comment(""), Comment("")]);
        assert_eq!(all("é(ü)ö"), [Word(0, "é"), Comment("ü"), Word(6, "ö")]);
        assert_eq!(fields("a; b ;;c").collect::<Vec<_>>(), ["a", "b", "c"]);
    }

    #[test]
    fn products_and_versions() {
        assert_eq!(product("Chrome/109.0.0.0"), ("Chrome", Some("109.0.0.0")));
        assert_eq!(product("undici"), ("undici", None));
        assert_eq!(product("bingbot/2.0;"), ("bingbot", Some("2.0")));
        assert_eq!(product("@scope/name/1.2"), ("@scope/name", Some("1.2")));
        assert_eq!(product("@scope/name"), ("@scope/name", None));
        assert_eq!(version("5.0.0-alpha.14"), Some("5.0.0-alpha.14"));
        assert_eq!(version("v1.2,"), Some("1.2"));
        assert_eq!(version("7dd0a1b"), Some("7dd0a1b"));
        assert_eq!(version("5.0+"), Some("5.0"));
        assert_eq!(version("Python"), None);
        assert_eq!(version(""), None);
        assert_eq!(version(&"1".repeat(65)), None);
        assert!(is_version("0.39.0") && is_version("v2") && !is_version("v") && !is_version("2;x"));
    }

    #[test]
    fn names() {
        assert!(is_name("Go-http-client", false) && is_name("日本語", false) && is_name("My App", true));
        assert!(!is_name("My App", false) && !is_name("", true) && !is_name("1abc", false));
        assert!(!is_name("+https:", false) && !is_name("<script>", true) && !is_name(&"a".repeat(65), false));
        assert!(is_bot("GPTBot") && is_bot("Baiduspider") && is_bot("my-crawler"));
        assert!(!is_bot("CUBOT") && !is_bot("ot") && !is_bot("é") && !is_bot("<bot"));
    }
}
