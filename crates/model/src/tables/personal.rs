//! `personal.csv`: which source fields hold something of a person, and of which class.
//!
//! It owns the classes, the paths by which fields are named, and the words of a key. What is done to a value is the mapper's
//! business.
//!
//! The subtle thing: a row names a field by its path, or any field by the end of its key (`*email` is also `invited_email` and
//! `ownerEmail`), so that a field of tomorrow is treated like its relatives of today. A path wins over an end, a longer end
//! over a shorter one. `none` is a decision too: it says that somebody has looked.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use super::fields::on_of;
use super::{On, PERSONAL, Problem, Source, TableError, Tables, csv_rows};
use crate::catalog::{Catalog, Field, Shape};

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
    /// `fixed`: it is left as it is, whatever it looks like.
    Fixed,
}

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
            FieldName::Ending(_) | FieldName::At(_) => 0,
        }
    }
}

/// What the rows say of a field on a type.
#[must_use]
pub fn personal(rows: &[PersonalRow], path: &FieldPath, activity_type: &str) -> Option<Personal> {
    let ranked = rows.iter().map(|row| (row.rank(path, activity_type), row));
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
            Some(ending) if !ending.is_empty() && words(ending) == ending => {
                FieldName::Ending(ending.to_owned())
            }
            Some(ending) => return Err(format!("`*{ending}` must be words in lower case, joined by `_`")),
            None => FieldName::At(row.cell(0).parse()?),
        };
        let on = on_of(row)?;
        let personal = match row.cell(2) {
            "none" => Personal::No,
            "fixed" => Personal::Fixed,
            name => Class::ALL
                .into_iter()
                .find(|class| class.as_str() == name)
                .map(Personal::Is)
                .ok_or_else(|| {
                    let known = Class::ALL.map(Class::as_str).join(", ");
                    format!("`{name}` is no class; the classes are {known}, and there are `none` and `fixed`")
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

/// A field there is, as far as anybody knows.
#[derive(Debug, Clone)]
pub struct KnownField {
    /// The way to it.
    pub path: FieldPath,
    /// The activity type it is on; `None` if it can be on any.
    pub on: Option<String>,
    /// What is in it.
    pub holds: Holds,
}

/// What is known of a field's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    /// Text that is not one of a published set.
    Text,
    /// Numbers, truth values, words of a published set.
    Plain,
    /// An object of known fields.
    Fields,
    /// Anything: what lies below is not known either.
    Anything,
}

/// The fields of the catalog, nested ones too, and those that rows of `tables` name beyond it.
#[must_use]
pub fn known_fields(catalog: &Catalog, tables: &Tables) -> Vec<KnownField> {
    let mut known = Vec::new();
    let here = FieldPath(Vec::new());
    walk(&catalog.envelope, &here, None, &mut known);
    let actor = FieldPath(vec![Segment { key: "actor".to_owned(), variant: None }]);
    for fields in catalog.actors.values() {
        walk(fields, &actor, None, &mut known);
    }
    for observed in &catalog.observed {
        let on = Some(observed.on.as_str()).filter(|on| *on != "*" && !observed.field.name.contains('.'));
        walk(std::slice::from_ref(&observed.field), &here, on, &mut known);
    }
    for (name, activity) in &catalog.activities {
        walk(&activity.fields, &here, Some(name), &mut known);
    }
    let seen: BTreeSet<String> = known.iter().map(|field| plain(&field.path)).collect();
    for row in tables.fields.iter().filter(|row| !seen.contains(&row.field)) {
        if let Ok(path) = row.field.parse() {
            known.push(KnownField { path, on: None, holds: Holds::Anything });
        }
    }
    known
}

/// A path without its variants.
fn plain(path: &FieldPath) -> String {
    path.0.iter().map(|segment| segment.key.as_str()).collect::<Vec<_>>().join(".")
}

fn walk(fields: &[Field], parent: &FieldPath, on: Option<&str>, into: &mut Vec<KnownField>) {
    for field in fields {
        let mut path = parent.clone();
        let keys = field.name.split('.').map(|key| Segment { key: key.to_owned(), variant: None });
        path.0.extend(keys);
        let mut shape = &field.shape;
        while let Shape::Array { items } = shape {
            shape = items;
        }
        let holds = match shape {
            Shape::String => Holds::Text,
            Shape::Number | Shape::Boolean | Shape::Enum { .. } => Holds::Plain,
            Shape::Object { fields } => {
                walk(fields, &path, on, into);
                Holds::Fields
            }
            Shape::Union { variants } => {
                for variant in variants {
                    let mut path = path.clone();
                    if let Some(last) = path.0.last_mut() {
                        last.variant = tag(&variant.fields);
                    }
                    walk(&variant.fields, &path, on, into);
                }
                Holds::Fields
            }
            // Lists were passed through above.
            Shape::Map { .. } | Shape::Any | Shape::Array { .. } => Holds::Anything,
            Shape::Actor => Holds::Fields,
        };
        // A list of changes tells them apart by a published `type`, though they are of one shape.
        if let Shape::Object { fields } = shape
            && matches!(
                fields.iter().find(|field| field.name == TYPE),
                Some(Field { shape: Shape::Enum { .. }, .. })
            )
        {
            for value in fields.iter().filter(|field| field.name == TYPE).flat_map(values) {
                let mut path = path.clone();
                if let Some(last) = path.0.last_mut() {
                    last.variant = Some(value.clone());
                }
                walk(fields, &path, on, into);
            }
        }
        into.push(KnownField { path, on: on.map(str::to_owned), holds });
    }
}

/// The member that tells the variants of an object apart.
const TYPE: &str = "type";

fn values(field: &Field) -> &[String] {
    match &field.shape {
        Shape::Enum { values } => values,
        _ => &[],
    }
}

fn tag(fields: &[Field]) -> Option<String> {
    fields.iter().find(|field| field.name == TYPE).and_then(|field| values(field).first().cloned())
}

/// Words in a key that suggest something of a person; a text field with one needs a decision.
const SUSPICIOUS: [&str; 46] = [
    "address",
    "addresses",
    "agent",
    "alias",
    "body",
    "comment",
    "content",
    "contents",
    "description",
    "detail",
    "email",
    "emails",
    "endpoint",
    "file",
    "filename",
    "filenames",
    "href",
    "instructions",
    "ip",
    "label",
    "link",
    "login",
    "mail",
    "message",
    "name",
    "names",
    "owner",
    "path",
    "phone",
    "principal",
    "prompt",
    "query",
    "reason",
    "subject",
    "summary",
    "text",
    "title",
    "titles",
    "uri",
    "uris",
    "url",
    "urls",
    "user",
    "username",
    "value",
    "values",
];
/// Last words of keys that hold no words of people.
const HARMLESS: [&str; 8] = ["hash", "id", "ids", "kind", "prefix", "sha256", "type", "uuid"];

/// Holds the table against the catalog: every row means something there, and every text field whose key has a word that suggests
/// something of a person has a row.
#[must_use]
pub fn check_personal(catalog: &Catalog, rows: &[PersonalRow]) -> Vec<Problem> {
    let known = known_fields(catalog, &Tables::default());
    let mut problems = Vec::new();
    let mut problem = |place: &(String, u64), message| {
        problems.push(Problem { file: place.0.clone(), line: place.1, message })
    };
    for row in rows {
        if let On::Only(names) = &row.on {
            if matches!(row.field, FieldName::Ending(_)) {
                problem(
                    &row.place,
                    "the end of a key says the same on every type: `on` must be *".to_owned(),
                );
            }
            for name in
                names.iter().filter(|name| !name.contains('*') && !catalog.activities.contains_key(*name))
            {
                problem(&row.place, format!("the catalog has no activity type `{name}`"));
            }
        }
        if let FieldName::At(path) = &row.field
            && path.to_string() != ACTOR_TYPE
        {
            let is_on = |field: &KnownField| field.on.as_deref().is_none_or(|on| row.on.rank(on) > 0);
            let is_there = |field: &KnownField| {
                path.names(&field.path) || field.holds == Holds::Anything && field.path.leads_to(path)
            };
            if !known.iter().any(|field| is_on(field) && is_there(field)) {
                problem(&row.place, format!("the catalog has no field `{path}` on `{}`", row.on));
            }
        }
    }
    let place = (PERSONAL.name.to_owned(), 0);
    for field in known.iter().filter(|field| field.holds == Holds::Text && is_suspicious(field.path.key())) {
        let on = field.on.as_deref().unwrap_or_default();
        if personal(rows, &field.path, on).is_none() {
            let on = field.on.as_deref().unwrap_or("*");
            problem(
                &place,
                format!("no row for the field `{}` of `{on}`: give it a class, or `none`", field.path),
            );
        }
    }
    problems.dedup();
    problems
}

/// Not listed among the fields of an actor, but there on every one.
const ACTOR_TYPE: &str = "actor.type";

fn is_suspicious(key: &str) -> bool {
    let words = words(key);
    let mut each = words.split('_');
    let is_harmless = each.clone().next_back().is_some_and(|last| HARMLESS.contains(&last));
    !is_harmless && each.any(|word| SUSPICIOUS.contains(&word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        let text = format!("{}\n{text}", HEADER.join(","));
        match PersonalRow::parse(Source { name: "p.csv", text: &text }) {
            Ok(rows) => check_personal(&Catalog::builtin(), &rows).iter().map(ToString::to_string).collect(),
            Err(error) => vec![error.to_string()],
        }
    }

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
        assert_eq!(of("plugin_version", "x"), Some(Personal::Fixed));
    }

    #[test]
    fn a_wrong_row_is_refused() {
        let first =
            |row: &str| problems(row).into_iter().find(|problem| problem.starts_with("p.csv")).unwrap();
        for (row, expected) in [
            ("filename,*,file,", "p.csv:2: `file` is no class"),
            ("filename,,file_name,", "p.csv:2: `on` is empty"),
            ("filenam,*,file_name,", "p.csv:2: the catalog has no field `filenam`"),
            ("filename,sso_login_failed,file_name,", "p.csv:2: the catalog has no field `filename`"),
            ("filename,claude_file_upload,file_name,", "p.csv:2: the catalog has no activity type"),
            ("updates[novel].current_value,*,name,", "p.csv:2: the catalog has no field"),
            ("updates[full_name],*,name,", "p.csv:2: `updates[full_name]` is no path"),
            ("*Email,*,email,", "p.csv:2: `*Email` must be words"),
            ("*email,sso_login_failed,email,", "p.csv:2: the end of a key says the same"),
            ("b,*,none,\na,*,none,", "p.csv:3: not sorted"),
        ] {
            assert!(first(row).starts_with(expected), "{row}: {}", first(row));
        }
    }

    #[test]
    fn a_field_with_a_telling_name_needs_a_row() {
        let missing = problems("");
        for field in ["actor.email_address", "filename", "request_body", "updates[full_name].current_value"] {
            let expected = format!("no row for the field `{field}`");
            assert!(missing.iter().any(|problem| problem.contains(&expected)), "{field}");
        }
        assert_eq!(check_personal(&Catalog::builtin(), &PersonalRow::builtin()), []);
    }
}
