//! Client string to client, version, system and device.
//!
//! Owns who is named by a string that names many: the table of known clients decides, `woothee`
//! is asked only about strings in which the table finds nobody. Must not know ECS field names or
//! caches. Parsing is total and bounded: only the first [`LIMIT`] bytes are looked at.
//!
//! The subtle thing: nearly every string claims to be several clients (Edge is also Chrome, Safari
//! and Mozilla), so tokens have ranks, not an order; see `Kind` in the table.

use std::borrow::Cow;

use super::os::{Os, Scan};
use super::tokens::{self, Piece};
use super::user_agent_table::{self as table, Kind, Row, VersionFrom};

/// Anything beyond is ignored: no real client says so much.
pub const LIMIT: usize = 2048;

/// What a client string says; `None` where it says nothing sensible.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserAgent<'a> {
    /// `Chrome`, `claude-cli`, `Anthropic/Python`.
    pub name: Option<&'a str>,
    /// `109.0.0.0`.
    pub version: Option<&'a str>,
    /// `Mac`, `iPhone`, `Pixel 8 Pro`.
    pub device_name: Option<&'a str>,
    /// The system it runs on.
    pub os: Os<'a>,
}

impl UserAgent<'_> {
    /// Whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.name.is_none() && self.device_name.is_none() && self.os.is_empty()
    }
}

/// Says what a client string tells about the client. Never fails; a string that is no user agent
/// at all gives an empty answer.
///
/// ```
/// let agent = mapper::enrich::user_agent::parse("claude-cli/2.0.1 (external, cli)");
/// assert_eq!((agent.name, agent.version), (Some("claude-cli"), Some("2.0.1")));
/// ```
#[must_use]
pub fn parse(text: &str) -> UserAgent<'_> {
    let text = clip(text).trim();
    let mut reading = Reading::of(text);
    reading.settle_system();
    let Some(client) = reading.client() else { return ask_woothee(text, reading) };
    let (os, device_name) = reading.system.finish();
    let (name, version) = client.named(reading.version_token, os.name, reading.web_view);
    UserAgent { name: Some(name), version, device_name, os }
}

/// Everything gathered in one pass.
#[derive(Default)]
struct Reading<'a> {
    best: Option<Client<'a>>,
    // The first product unknown to the table in a browser-like string; it counts if that string
    // is an Electron application's.
    stranger: Option<Client<'a>>,
    system: Scan<'a>,
    version_token: Option<&'a str>,
    darwin: Option<&'a str>,
    electron: bool,
    cfnetwork: bool,
    web_view: bool,
}

/// A product that may name the string.
#[derive(Clone, Copy)]
struct Client<'a> {
    kind: Kind,
    name: &'a str,
    version: Option<&'a str>,
    row: Option<&'static Row>,
}

impl<'a> Reading<'a> {
    fn of(text: &'a str) -> Self {
        let mut reading = Self::default();
        let browser_like = text.get(..8).is_some_and(|start| start.eq_ignore_ascii_case("Mozilla/"));
        // Where a name of several words would begin: `My App/1.0`.
        let mut name_start = None;
        let mut pieces = tokens::pieces(text).peekable();
        while let Some(piece) = pieces.next() {
            let (start, word) = match piece {
                Piece::Comment(comment) => {
                    reading.comment(comment);
                    name_start = None;
                    continue;
                }
                Piece::Word(start, word) => (start, word),
            };
            let number = match pieces.peek() {
                Some(Piece::Word(_, next)) if tokens::is_version(next) => Some(*next),
                _ => None,
            };
            let ends = pieces.peek().is_none_or(|next| matches!(next, Piece::Comment(_)));
            let (token, version) = tokens::product(word);
            let first = start == 0;
            let (name, version) = match (version, number) {
                // `Anthropic/Python 0.39.0`
                (Some(language), Some(_)) if !language.bytes().any(|byte| byte.is_ascii_digit()) => {
                    (word, number)
                }
                (Some(version), _) => (token, Some(version)),
                (None, Some(_)) => (token, number),
                (None, None) if first && (ends || word.ends_with(',')) => (token, None),
                (None, None) => {
                    name_start.get_or_insert(start);
                    continue;
                }
            };
            let from = name_start.take().unwrap_or(start);
            let whole = text.get(from..start + name.len()).filter(|whole| tokens::is_name(whole, true));
            reading.product(token, whole.unwrap_or(name), version, browser_like);
        }
        reading
    }

    fn product(&mut self, token: &'a str, name: &'a str, version: Option<&'a str>, browser_like: bool) {
        match token {
            "Version" => self.version_token = version.and_then(tokens::version),
            "Darwin" => self.darwin = version,
            "CFNetwork" => self.cfnetwork = true,
            "Electron" => self.electron = true,
            _ => self.system.product(token, version),
        }
        let version = version.and_then(tokens::version);
        if let Some(row) = table::find(token) {
            self.offer(Client { kind: row.kind, name: row.name, version, row: Some(row) });
        } else if tokens::is_bot(token) {
            self.offer(Client { kind: Kind::Bot, name: token, version, row: None });
        } else if tokens::is_name(name, true) {
            let client = Client { kind: Kind::Library, name, version, row: None };
            if browser_like {
                self.stranger.get_or_insert(client);
            } else {
                self.offer(client);
            }
        }
    }
    fn comment(&mut self, comment: &'a str) {
        for field in tokens::fields(comment) {
            self.web_view |= field == "wv";
            self.system.field(field);
            for part in field.split(',').map(str::trim) {
                self.named_in_comment(part, None);
                for (token, version) in part.split_whitespace().map(tokens::product) {
                    if version.is_some() {
                        self.named_in_comment(token, version);
                    }
                }
            }
        }
    }

    /// Only applications and robots are called by what stands in a comment.
    fn named_in_comment(&mut self, token: &'a str, version: Option<&'a str>) {
        let version = version.and_then(tokens::version);
        match table::find(token) {
            Some(row) if row.kind <= Kind::Bot => {
                self.offer(Client { kind: row.kind, name: row.name, version, row: Some(row) });
            }
            Some(_) => {}
            None if tokens::is_bot(token) => {
                self.offer(Client { kind: Kind::Bot, name: token, version, row: None });
            }
            None => {}
        }
    }

    fn offer(&mut self, client: Client<'a>) {
        if client.kind != Kind::Engine && self.best.is_none_or(|best| client.kind < best.kind) {
            self.best = Some(client);
        }
    }

    fn client(&self) -> Option<Client<'a>> {
        match (self.electron, self.stranger, self.best) {
            (true, Some(stranger), best) if best.is_none_or(|best| best.kind >= Kind::Browser) => {
                Some(stranger)
            }
            (_, _, best) => best,
        }
    }

    /// `Darwin` is macOS, unless the client speaks through CFNetwork: then it is whatever the
    /// client is made for, and unknown for a client that is made for both.
    fn settle_system(&mut self) {
        let Some(darwin) = self.darwin else { return };
        let made_for = self.client().and_then(|client| client.row).map_or("", |row| row.darwin);
        match made_for {
            "iOS" => self.system.hint("iOS", ios_version(darwin)),
            "macOS" => self.system.hint("macOS", None),
            _ if !self.cfnetwork => self.system.hint("macOS", None),
            _ => {}
        }
    }
}

impl<'a> Client<'a> {
    /// What to call it, and its version.
    fn named(
        self,
        version_token: Option<&'a str>,
        system: Option<&str>,
        web_view: bool,
    ) -> (&'a str, Option<&'a str>) {
        let Some(row) = self.row else { return (self.name, self.version) };
        let version = match row.version {
            VersionFrom::Own => self.version,
            VersionFrom::Version => version_token,
            VersionFrom::VersionOrOwn => version_token.or(self.version),
            VersionFrom::OwnOr(published) => self.version.or(Some(published)),
        };
        let name = match row.name {
            "Chrome" if web_view => "Chrome WebView",
            "Safari" if system == Some("Android") => "Android Browser",
            name => name,
        };
        (name, version)
    }
}

/// iOS by its kernel: 19 to 24 were iOS 13 to 18, 25 is iOS 26.
fn ios_version(darwin: &str) -> Option<Cow<'static, str>> {
    let kernel: u32 = darwin.split('.').next()?.parse().ok()?;
    match kernel {
        19..=24 => Some((kernel - 6).to_string().into()),
        25..=99 => Some((kernel + 1).to_string().into()),
        _ => None,
    }
}

/// The long tail: old phones, consoles, crawlers that hide in odd places.
fn ask_woothee<'a>(text: &'a str, reading: Reading<'a>) -> UserAgent<'a> {
    let (mut os, device_name) = reading.system.finish();
    let Some(found) = woothee::parser::Parser::new().parse(text) else {
        return UserAgent { device_name, os, ..UserAgent::default() };
    };
    if os.is_empty()
        && let Some(name) = woothee_system(found.os)
    {
        let version = Some(found.os_version).filter(|version| tokens::is_version(version));
        os = Os::named(name, version);
    }
    let name = woothee_name(found.name);
    let version = name.and_then(|_| tokens::version(found.version)).filter(|version| *version != "UNKNOWN");
    UserAgent { name, version, device_name, os }
}

/// `woothee`'s classes, which are not names of clients, left out.
fn woothee_name(name: &str) -> Option<&str> {
    const CLASSES: [&str; 6] =
        ["UNKNOWN", "HTTP Library", "Mobile Transcoder", "RSSReader", "Webview", "misc crawler"];
    (!name.is_empty() && !CLASSES.contains(&name)).then_some(name)
}

/// `woothee`'s names of systems as people write them.
fn woothee_system(name: &str) -> Option<&str> {
    match name {
        "" | "UNKNOWN" => None,
        "Mac OSX" | "Mac OS Classic" => Some("macOS"),
        "iPhone" | "iPod" => Some("iOS"),
        "iPad" => Some("iPadOS"),
        "Windows Phone OS" => Some("Windows Phone"),
        name if name.starts_with("Windows") => Some("Windows"),
        name => Some(name),
    }
}

/// At most [`LIMIT`] bytes, cut between characters.
fn clip(text: &str) -> &str {
    let mut end = text.len().min(LIMIT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
