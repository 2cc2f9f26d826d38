//! What becomes of one text.
//!
//! Knows classes and actions, and neither fields nor JSON. What of a value stays when it is truncated is decided here, by class:
//! so much that records can still be grouped by it, and no more. The subtle thing: where the part that is to stay cannot be
//! told, nothing stays, and neither does a part that is itself what would be treated: a URL's host may be an IP address.

use std::borrow::Cow;

use model::tables::Class;

use super::{Action, Privacy, looks};
use crate::enrich::user_agent;
use crate::url;

/// How many characters of a text of no special class stay.
const CHARACTERS: usize = 16;
/// The longest file extension, domain and product that stay, in bytes.
const LONGEST_EXTENSION: usize = 16;
const LONGEST_DOMAIN: usize = 253;

/// What stands in a value's place.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Treated<'t> {
    /// The value itself: there was nothing to cut off.
    Same,
    /// A part of it.
    Part(Cow<'t, str>),
    /// A pseudonym.
    Pseudonym(super::pseudonym::Pseudonym),
    /// Nothing.
    Nothing,
}

/// The action for a text in a field of a class, by the class or by its looks, and the class it has then.
pub(super) fn usual(
    privacy: &Privacy,
    action: Action,
    class: Option<Class>,
    text: &str,
) -> (Action, Option<Class>) {
    match looks_like(privacy, text) {
        // What is an e-mail address in a title is dropped if either is to be.
        Some(looks) if privacy.of(looks) >= action => (privacy.of(looks), Some(looks)),
        _ => (action, class),
    }
}

/// What a text gives itself away as, if anything is done to that.
pub(super) fn looks_like(privacy: &Privacy, text: &str) -> Option<Class> {
    let is = |class| privacy.of(class) != Action::Keep;
    if is(Class::Email) && looks::email(text).is_some() {
        Some(Class::Email)
    } else if is(Class::Address) && looks::network(text).is_some() {
        Some(Class::Address)
    } else {
        None
    }
}

/// What a text is, wherever it stands.
pub(super) fn class_by_looks(text: &str) -> Option<Class> {
    if looks::email(text).is_some() {
        Some(Class::Email)
    } else {
        looks::network(text).map(|_| Class::Address)
    }
}

/// Does it.
pub(super) fn treat<'t>(
    privacy: &Privacy,
    action: Action,
    class: Option<Class>,
    text: &'t str,
) -> Treated<'t> {
    match (action, &privacy.pseudonyms) {
        (Action::Keep, _) => Treated::Same,
        (Action::Hash, Some(pseudonyms)) => Treated::Pseudonym(pseudonyms.of(text, class)),
        // Without a key there is no hashing, which was refused at the start.
        (Action::Drop | Action::Hash, _) => Treated::Nothing,
        (Action::Truncate, _) => match truncated(class, text) {
            Some(part) if part == text => Treated::Same,
            Some(part) if gives_away(privacy, class, text, &part) => Treated::Nothing,
            Some(part) => Treated::Part(part),
            None => Treated::Nothing,
        },
    }
}

/// Whether a word of the part that stays of a text is what something is done to; also a word that was cut.
fn gives_away(privacy: &Privacy, class: Option<Class>, text: &str, part: &str) -> bool {
    // A domain, a network and a letter are what is to stay.
    if let Some(Class::Email | Class::Address | Class::Name) = class {
        return false;
    }
    let ends_word = |c: char| c.is_whitespace() || matches!(c, '/' | ',' | ';' | '<' | '>' | '(' | ')' | '"');
    let cut = part.strip_suffix('…').and_then(|cut| text.get(cut.len()..).filter(|_| text.starts_with(cut)));
    let looked_at = match cut {
        Some(rest) => text.get(..text.len() - rest.len() + rest.find(ends_word).unwrap_or(rest.len())),
        None => Some(part),
    };
    looked_at.unwrap_or(text).split(ends_word).any(|word| looks_like(privacy, word).is_some())
}

/// The part of a text that stays.
fn truncated(class: Option<Class>, text: &str) -> Option<Cow<'_, str>> {
    match class {
        Some(Class::Email) => {
            let (_, domain) = looks::email(text).unwrap_or(text.trim()).rsplit_once('@')?;
            let is_domain = domain.len() <= LONGEST_DOMAIN && looks::is_domain(domain);
            is_domain.then(|| format!("@{}", domain.to_lowercase()).into())
        }
        Some(Class::Address) => looks::network(text).map(|network| network.truncated().to_string().into()),
        Some(Class::UserAgent) => {
            let agent = user_agent::parse(text);
            let name = agent.name?;
            let digits = |version: &str| version.find(|c: char| !c.is_ascii_digit()).unwrap_or(version.len());
            let major = agent.version.and_then(|version| version.get(..digits(version)));
            Some(match major.filter(|major| !major.is_empty()) {
                // `Anthropic/Python 0.39.0`
                Some(major) if name.contains('/') => format!("{name} {major}").into(),
                Some(major) => format!("{name}/{major}").into(),
                None => name.into(),
            })
        }
        Some(Class::FileName) => {
            let name = text.rsplit(['/', '\\']).next().unwrap_or_default();
            let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
            let is_one = !extension.is_empty()
                && extension.len() <= LONGEST_EXTENSION
                && extension.bytes().all(|byte| byte.is_ascii_alphanumeric());
            Some(if is_one { format!("*.{extension}").into() } else { "*".into() })
        }
        Some(Class::Url) => {
            let url = url::split(text);
            let (scheme, host) = (url.scheme?, url.host?);
            let is_host = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '[' | ']' | ':');
            (host.len() <= LONGEST_DOMAIN && host.chars().all(is_host))
                .then(|| format!("{scheme}://{host}").into())
        }
        Some(Class::Name) => Some(first(text, 1)),
        Some(Class::Title | Class::Body) | None => Some(first(text, CHARACTERS)),
    }
}

/// So many characters of a text, and a sign that there were more.
fn first(text: &str, characters: usize) -> Cow<'_, str> {
    match text.char_indices().nth(characters) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()).into(),
        None => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stays_of_a_value() {
        for (class, text, expected) in [
            (Class::Email, "Ada@Example.COM", Some("@example.com")),
            (Class::Email, "Ada <ada@example.com>", Some("@example.com")),
            (Class::Email, "ada", None),
            (Class::Email, "ada@", None),
            (Class::Email, "x@y ada lovelace", None),
            (Class::Address, "198.51.100.17", Some("198.51.100.0")),
            (Class::Address, "unknown", None),
            (Class::FileName, "Notice of Ada.PDF", Some("*.PDF")),
            (Class::FileName, "/home/ada/.x/notes", Some("*")),
            (Class::FileName, "letter.to Ada Lovelace", Some("*")),
            (Class::FileName, "a.tar.gz", Some("*.gz")),
            (Class::Url, "https://ada:pw@Example.com:8443/x?q#f", Some("https://Example.com")),
            (Class::Url, "/v1/x?email=ada", None),
            (Class::Url, "https://ada lovelace", None),
            (Class::Url, "mailto:ada@example.com", None),
            (Class::Name, "Ada Lovelace", Some("A…")),
            (Class::Title, "A plan for the Analytical Engine", Some("A plan for the A…")),
            (Class::Title, "A plan", Some("A plan")),
            (Class::Body, "üüüüüüüüüüüüüüüüü", Some("üüüüüüüüüüüüüüüü…")),
            (Class::UserAgent, "claude-cli/2.0.1 (external, cli)", Some("claude-cli/2")),
            (Class::UserAgent, "(Ada's own)", None),
            (
                Class::UserAgent,
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
                Some("Chrome/126"),
            ),
        ] {
            assert_eq!(truncated(Some(class), text).as_deref(), expected, "{text}");
        }
    }

    /// A truncated client is still the client it was.
    #[test]
    fn a_truncated_client_keeps_its_name() {
        for text in [
            "claude-cli/2.0.1 (external, cli)",
            "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0",
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Safari/605.1.15",
            "Anthropic/Python 0.39.0",
            "python-requests/2.32.0",
            "curl/8.7.1",
        ] {
            let part = truncated(Some(Class::UserAgent), text).unwrap();
            let (before, after) = (user_agent::parse(text), user_agent::parse(&part));
            assert_eq!(before.name, after.name, "{text}: {part}");
        }
    }

    #[test]
    fn what_stays_is_no_address() {
        let of = |action| {
            let options = crate::PrivacyOptions {
                classes: [(Class::Email, action), (Class::Address, action)].into(),
                rules: vec![crate::PrivacyRule {
                    fields: vec!["filename".to_owned()],
                    activity_types: Vec::new(),
                    action: Action::Truncate,
                }],
                key: None,
            };
            Privacy::new(&options, &model::tables::Tables::builtin()).unwrap().unwrap()
        };
        let (keep, drop) = (of(Action::Keep), of(Action::Drop));
        for (class, text, left) in [
            (Class::UserAgent, "ada@example.com/1.0 (x)", "ada@example.com/1"),
            (Class::Url, "https://192.0.2.7:8443/x", "https://192.0.2.7"),
            (Class::Url, "https://[2001:db8::7]/x", "https://[2001:db8::7]"),
            (Class::Title, "192.0.2.7 is the address of a machine", "192.0.2.7 is the…"),
            (Class::Body, "ada@example.com, and others", "ada@example.com,…"),
            (Class::Body, "ask ada@example.com why", "ask ada@example.…"),
            (Class::Body, "seen at 192.0.2.77", "seen at 192.0.2.…"),
        ] {
            let treated = |privacy| treat(privacy, Action::Truncate, Some(class), text);
            assert_eq!(treated(&keep), Treated::Part(left.into()), "{text}");
            assert_eq!(treated(&drop), Treated::Nothing, "{text}");
        }
        for (class, text, left) in [
            (Class::Url, "https://example.com/x", "https://example.com"),
            (Class::Email, "ada@example.com", "@example.com"),
            (Class::Address, "192.0.2.7", "192.0.2.0"),
            (Class::Name, "ada@example.com and others", "a…"),
            (Class::Title, "Notes of last week, by ada@example.com", "Notes of last we…"),
            (Class::UserAgent, "tool/1.2.3.4 (x)", "tool/1"),
        ] {
            assert_eq!(treat(&drop, Action::Truncate, Some(class), text), Treated::Part(left.into()));
        }
    }
}
