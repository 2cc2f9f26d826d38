//! `personal.csv`: which source fields hold something of a person, and of which class.
//!
//! It owns the classes, the paths by which fields are named, and the words of a key. What is done to a value is the mapper's
//! business.
//!
//! The subtle thing: a row names a field by its path, or any field by the end of its key (`*email` is also `invited_email` and
//! `ownerEmail`), so that a field of tomorrow is treated like its relatives of today. A path wins over an end, a longer end
//! over a shorter one. Where the `type` of an object says what its members hold, that `type` is as good as a key: its end counts
//! too. `none` is a decision as well: it says that somebody has looked.

use std::fmt;
use std::str::FromStr;

use super::fields::on_of;
use super::{On, PERSONAL, Problem, Source, TableError, csv_rows};

pub(super) const HEADER: [&str; 4] = ["field", "on", "class", "note"];

/// What a value says of a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// An e-mail address.
    Email,
    /// An IP address, or a network.
    Address,
    /// What a client calls itself.
    UserAgent,
    /// The name of a file or document, with or without its folder.
    FileName,
    /// The name of a person or of an account that is one elsewhere.
    Name,
    /// A title, a description, a label: a few words of somebody's own.
    Title,
    /// What was sent or written: bodies, prompts, contents, queries.
    Body,
    /// A URL.
    Url,
}

impl Class {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Email,
        Self::Address,
        Self::UserAgent,
        Self::FileName,
        Self::Name,
        Self::Title,
        Self::Body,
        Self::Url,
    ];

    /// The class as the table writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Address => "address",
            Self::UserAgent => "user_agent",
            Self::FileName => "file_name",
            Self::Name => "name",
            Self::Title => "title",
            Self::Body => "body",
            Self::Url => "url",
        }
    }
}

/// What a row says of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Personal {
    /// It holds values of this class.
    Is(Class),
    /// `none`: nothing of a person is expected there. A value may still give itself away by its looks.
    No,
    /// `version`: a version, which is no IP address though it may look like one; an e-mail address it may still be.
    Version,
    /// `fixed`: it is left as it is, whatever it looks like.
    Fixed,
}

/// How many words the end of a key may have, by which fields are known.
pub const LONGEST_ENDING: usize = 4;

/// One row.
#[derive(Debug, Clone)]
pub struct PersonalRow {
    /// The file and line the row stands in.
    pub place: (String, u64),
    /// Which fields.
    pub field: FieldName,
    /// The activity types the row is for.
    pub on: On,
    /// What they hold.
    pub personal: Personal,
}

/// How a row names fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldName {
    /// By the end of the key, in whole words joined by `_`; at any depth.
    Ending(String),
    /// By the way to it.
    At(FieldPath),
    /// By the way to what it lies in, directly; what no other row decides on. Written `key.key.*`.
    Within(FieldPath),
}

/// The way to a field from the top of a record. Lists are passed through: `updates.type` is that of every entry.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FieldPath(pub Vec<Segment>);

/// One step of a way.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Segment {
    /// The key.
    pub key: String,
    /// Only into objects whose member `type` has this value; written `key[value]`.
    pub variant: Option<String>,
}

impl FromStr for FieldPath {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no path to a field: write `key`, `key.key` or `key[type].key`");
        let mut segments = Vec::new();
        for part in text.split('.') {
            let (key, variant) = match part.split_once('[') {
                Some((key, rest)) => (key, Some(rest.strip_suffix(']').ok_or_else(wrong)?)),
                None => (part, None),
            };
            let is_name = |name: &str| {
                !name.is_empty()
                    && !name.contains(|c: char| c.is_whitespace() || matches!(c, '[' | ']' | '*'))
            };
            if !is_name(key) || variant.is_some_and(|variant| !is_name(variant)) {
                return Err(wrong());
            }
            segments.push(Segment { key: key.to_owned(), variant: variant.map(str::to_owned) });
        }
        if segments.last().is_none_or(|last| last.variant.is_some()) {
            return Err(wrong());
        }
        Ok(Self(segments))
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, segment) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str(".")?;
            }
            f.write_str(&segment.key)?;
            if let Some(variant) = &segment.variant {
                write!(f, "[{variant}]")?;
            }
        }
        Ok(())
    }
}

impl FieldPath {
    /// Whether it names `other`: a segment without a variant stands for every variant.
    #[must_use]
    pub fn names(&self, other: &Self) -> bool {
        self.0.len() == other.0.len() && self.leads_to(other)
    }

    /// Whether it names `other` or something that `other` lies in.
    #[must_use]
    pub fn leads_to(&self, other: &Self) -> bool {
        self.0.len() <= other.0.len()
            && self.0.iter().zip(&other.0).all(|(own, other)| {
                own.key == other.key && (own.variant.is_none() || own.variant == other.variant)
            })
    }

    /// Whether `other` lies directly in it.
    #[must_use]
    pub fn holds(&self, other: &Self) -> bool {
        self.0.len() + 1 == other.0.len() && self.leads_to(other)
    }

    /// The `type` of the object that the field lies in, where the way says so.
    #[must_use]
    pub fn variant(&self) -> Option<&str> {
        let holder = self.0.len().checked_sub(2).and_then(|at| self.0.get(at))?;
        holder.variant.as_deref()
    }

    /// The key of the field itself.
    #[must_use]
    pub fn key(&self) -> &str {
        self.0.last().map_or("", |segment| &segment.key)
    }
}

impl PersonalRow {
    /// The rows that ship with the program.
    ///
    /// # Panics
    ///
    /// Never in a program that was built: the mapper's build script checks the same text.
    #[must_use]
    #[expect(clippy::expect_used, reason = "the build script has read the same text")]
    pub fn builtin() -> Vec<Self> {
        Self::parse(PERSONAL).expect("the built-in table is checked by the build")
    }

    /// Reads the table from its text, without holding it against the catalog.
    ///
    /// # Errors
    ///
    /// Every row that cannot be read, every row out of order.
    pub fn parse(source: Source<'_>) -> Result<Vec<Self>, TableError> {
        let mut problems = Vec::new();
        let rows = read(source, &mut problems);
        if problems.is_empty() { Ok(rows) } else { Err(TableError(problems)) }
    }

    /// How closely the row names a field on a type: 0 not at all; a path before an end, a type by name before a pattern before
    /// `*`, a longer end before a shorter one.
    #[must_use]
    pub fn rank(&self, path: &FieldPath, activity_type: &str) -> usize {
        let on = usize::from(self.on.rank(activity_type));
        match &self.field {
            _ if on == 0 => 0,
            FieldName::At(own) if own.names(path) => {
                let variants = own.0.iter().filter(|segment| segment.variant.is_some()).count();
                1_000_000 + 1_000 * variants + on
            }
            FieldName::Ending(ending) if ends_with_words(&words(path.key()), ending) => {
                ending.len() * 10 + on
            }
            FieldName::Within(own) if own.holds(path) => on,
            FieldName::Ending(_) | FieldName::At(_) | FieldName::Within(_) => 0,
        }
    }

    /// Whether the row names the field for one `type` of the object that it lies in, this one or another.
    fn tells_variants(&self, path: &FieldPath) -> bool {
        let FieldName::At(own) = &self.field else { return false };
        own.variant().is_some()
            && own.0.len() == path.0.len()
            && own.0.iter().zip(&path.0).all(|(own, other)| own.key == other.key)
    }

    /// How closely the row names the `type` of the object that a field lies in, by its end: before a path that leaves the `type`
    /// open, behind one that names it.
    fn rank_of_variant(&self, path: &FieldPath) -> usize {
        match (&self.field, path.variant()) {
            (FieldName::Ending(ending), Some(variant)) if ends_with_words(&words(variant), ending) => {
                1_000_100 + ending.len()
            }
            _ => 0,
        }
    }
}

/// What the rows say of a field on a type.
#[must_use]
pub fn personal(rows: &[PersonalRow], path: &FieldPath, activity_type: &str) -> Option<Personal> {
    let is_told = path.variant().is_some() && rows.iter().any(|row| row.tells_variants(path));
    let rank = |row: &PersonalRow| {
        let by_variant = if is_told { row.rank_of_variant(path) } else { 0 };
        row.rank(path, activity_type).max(by_variant)
    };
    let ranked = rows.iter().map(|row| (rank(row), row));
    ranked.filter(|(rank, _)| *rank > 0).max_by_key(|(rank, _)| *rank).map(|(_, row)| row.personal)
}

/// The words of a key, in lower case and joined by `_`: `userAgent`, `User-Agent` and `user_agent` are one.
#[must_use]
pub fn words(key: &str) -> String {
    let mut words = String::with_capacity(key.len() + 4);
    let mut before = None;
    let mut rest = key.chars().peekable();
    while let Some(c) = rest.next() {
        if !c.is_alphanumeric() {
            before = None;
            continue;
        }
        let begins = match before {
            None => true,
            Some(last) if c.is_uppercase() => {
                // `IPAddress`: the last capital of a row begins the next word.
                !char::is_uppercase(last) || rest.peek().is_some_and(|next| next.is_lowercase())
            }
            Some(_) => false,
        };
        if begins && !words.is_empty() {
            words.push('_');
        }
        words.extend(c.to_lowercase());
        before = Some(c);
    }
    words
}

/// Whether words end with other words, whole ones.
#[must_use]
pub fn ends_with_words(words: &str, ending: &str) -> bool {
    words.strip_suffix(ending).is_some_and(|before| before.is_empty() || before.ends_with('_'))
}

fn read(source: Source<'_>, problems: &mut Vec<Problem>) -> Vec<PersonalRow> {
    let rows = csv_rows::read(source, &HEADER, problems, |row| {
        let field = match row.cell(0).strip_prefix('*') {
            Some(ending) if ending.split('_').count() > LONGEST_ENDING => {
                return Err(format!("`*{ending}` has more than {LONGEST_ENDING} words"));
            }
            Some(ending) if !ending.is_empty() && words(ending) == ending => {
                FieldName::Ending(ending.to_owned())
            }
            Some(ending) => return Err(format!("`*{ending}` must be words in lower case, joined by `_`")),
            None => match row.cell(0).strip_suffix(".*") {
                Some(holder) => FieldName::Within(holder.parse()?),
                None => FieldName::At(row.cell(0).parse()?),
            },
        };
        let on = on_of(row)?;
        let personal = match row.cell(2) {
            "none" => Personal::No,
            "fixed" => Personal::Fixed,
            "version" => Personal::Version,
            name => Class::ALL
                .into_iter()
                .find(|class| class.as_str() == name)
                .map(Personal::Is)
                .ok_or_else(|| {
                    let known = Class::ALL.map(Class::as_str).join(", ");
                    format!("`{name}` is no class; the classes are {known}, and there are `none`, `version` and `fixed`")
                })?,
        };
        Ok((
            (row.cell(0).to_owned(), on.to_string()),
            PersonalRow { place: (source.name.to_owned(), row.line), field, on, personal },
        ))
    });
    csv_rows::demand_order(source.name, &rows, problems, |(key, row)| (key.clone(), row.place.1));
    rows.into_iter().map(|(_, row)| row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_words() {
        for (key, expected) in [
            ("user_agent", "user_agent"),
            ("userAgent", "user_agent"),
            ("User-Agent", "user_agent"),
            ("IPAddress", "ip_address"),
            ("clientIP", "client_ip"),
            ("a..b__c", "a_b_c"),
            ("", ""),
            ("ünïForm", "ünï_form"),
        ] {
            assert_eq!(words(key), expected);
        }
        assert!(ends_with_words("client_ip", "ip") && ends_with_words("ip", "ip"));
        assert!(!ends_with_words("zip", "ip") && !ends_with_words("ip_range", "ip"));
    }

    #[test]
    fn the_closest_row_decides() {
        let rows = PersonalRow::builtin();
        let of = |path: &str, on: &str| personal(&rows, &path.parse().unwrap(), on);
        assert_eq!(of("owner_email", "new_type"), Some(Personal::Is(Class::Email)));
        assert_eq!(of("metadata.ownerEmail", "new_type"), Some(Personal::Is(Class::Email)));
        assert_eq!(of("metadata.display_name", "new_type"), Some(Personal::Is(Class::Name)));
        assert_eq!(of("display_name", "ccr_agent_created"), Some(Personal::Is(Class::Title)));
        assert_eq!(
            of("keys_written", "claude_code_user_memory_updated"),
            Some(Personal::Is(Class::FileName))
        );
        assert_eq!(of("keys_written", "claude_code_user_settings_updated"), Some(Personal::No));
        assert_eq!(of("updates[full_name].current_value", "x"), Some(Personal::Is(Class::Name)));
        assert_eq!(of("updates[name].current_value", "x"), Some(Personal::No));
        assert_eq!(of("claude_chat_id", "x"), None);
        assert_eq!(of("plugin_version", "x"), Some(Personal::Version));
    }

    #[test]
    fn the_type_of_a_change_is_as_good_as_a_key() {
        let rows = PersonalRow::builtin();
        let of = |path: &str, on: &str| personal(&rows, &path.parse().unwrap(), on);
        let (name, title) = (Some(Personal::Is(Class::Name)), Some(Personal::Is(Class::Title)));
        let settings = "claude_user_settings_updated";
        assert_eq!(of("updates[nickname].current_value", "x"), name);
        assert_eq!(of("updates[preferredFirstName].previous_value", "x"), name);
        assert_eq!(of("updates[owner_url].current_value", "x"), Some(Personal::Is(Class::Url)));
        assert_eq!(of("updates[owner_url].note_id", "x"), None);
        assert_eq!(of("updates[display_name].current_value", settings), name);
        assert_eq!(of("updates[display_name].current_value", "org_external_key_updated"), title);
        assert_eq!(of("updates.current_value", settings), name);
        assert_eq!(of("updates.current_value", "marketplace_updated"), Some(Personal::No));
        assert_eq!(of("updates[thinking_mode_enabled].current_value", settings), Some(Personal::No));
    }

    #[test]
    fn what_no_row_names_is_what_it_lies_in() {
        let rows = PersonalRow::builtin();
        let of =
            |key: &str| personal(&rows, &format!("event_data.oidc_token.claims.{key}").parse().unwrap(), "x");
        for key in ["sub", "actor", "repository_owner", "head_ref", "unique_name", "ref", "claim_of_tomorrow"]
        {
            assert_eq!(of(key), Some(Personal::Is(Class::Name)), "{key}");
        }
        for key in ["iss", "aud", "repository", "run_id", "exp"] {
            assert_eq!(of(key), Some(Personal::No), "{key}");
        }
        assert_eq!(of("user_email"), Some(Personal::Is(Class::Email)));
        assert_eq!(of("runner_version"), Some(Personal::Version));
        assert_eq!(of("a.b"), None);
    }
}
