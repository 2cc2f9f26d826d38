//! `fields.csv`: where each source field goes.

use super::{Problem, Source, csv_rows};

pub(super) const HEADER: [&str; 6] = ["field", "on", "when", "home", "index", "also"];

/// Where a source field goes, for some types and under some condition.
#[derive(Debug, Clone)]
pub struct FieldRow {
    /// The file and line the row stands in.
    pub place: (String, u64),
    /// A top-level field, a dotted path into one, or `actor.<field>`.
    pub field: String,
    /// The activity types (actor kinds for `actor.` fields) the row is for.
    pub on: On,
    /// A further condition on a sibling field.
    pub when: Option<When>,
    /// The path the value is moved to.
    pub home: String,
    /// The index type of `home`.
    pub index: IndexType,
    /// Paths that get a copy.
    pub also: Vec<CopyTo>,
}

impl FieldRow {
    /// What makes the row unique: field, types, condition, as written.
    #[must_use]
    pub fn key(&self) -> (String, String, String) {
        let when = self.when.as_ref().map(|when| format!("{}={}", when.field, when.values.join("|")));
        (self.field.clone(), self.on.to_string(), when.unwrap_or_default())
    }
}

/// The types a row is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum On {
    /// All of them.
    Any,
    /// These names; a `*` in a name stands for any text.
    Only(Vec<String>),
}

impl std::fmt::Display for On {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Only(names) => f.write_str(&names.join(" ")),
        }
    }
}

impl On {
    /// How closely the row names `name`: 3 by the name itself, 2 by a pattern, 1 by `*`, 0 not at all.
    #[must_use]
    pub fn rank(&self, name: &str) -> u8 {
        match self {
            Self::Any => 1,
            Self::Only(names) if names.iter().any(|other| other == name) => 3,
            Self::Only(names) if names.iter().any(|pattern| glob(pattern, name)) => 2,
            Self::Only(_) => 0,
        }
    }
}

/// Matches a pattern in which one `*` stands for any text.
fn glob(pattern: &str, name: &str) -> bool {
    pattern.split_once('*').is_some_and(|(head, tail)| {
        name.len() >= head.len() + tail.len() && name.starts_with(head) && name.ends_with(tail)
    })
}

/// The row applies when a sibling field has one of these values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct When {
    /// A top-level field.
    pub field: String,
    /// The values, as text.
    pub values: Vec<String>,
}

/// A path that gets a copy of the value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyTo {
    /// The path.
    pub path: String,
    /// What is copied.
    pub convert: Convert,
}

/// The part of a value that a copy takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Convert {
    /// All of it.
    Whole,
    /// A file name's extension, without the dot.
    Extension,
    /// What stands before the `@` of an e-mail address.
    LocalPart,
    /// What stands behind the `@` of an e-mail address.
    EmailDomain,
    /// A URL's scheme.
    UrlScheme,
    /// A URL's host, without port and user.
    UrlHost,
    /// A URL's port, as a number.
    UrlPort,
    /// A URL's path.
    UrlPath,
    /// A URL's query, without the `?`.
    UrlQuery,
    /// A URL's fragment, without the `#`.
    UrlFragment,
}

impl Convert {
    fn parse(text: &str) -> Result<Self, String> {
        Ok(match text {
            "extension" => Self::Extension,
            "local_part" => Self::LocalPart,
            "email_domain" => Self::EmailDomain,
            "url_scheme" => Self::UrlScheme,
            "url_host" => Self::UrlHost,
            "url_port" => Self::UrlPort,
            "url_path" => Self::UrlPath,
            "url_query" => Self::UrlQuery,
            "url_fragment" => Self::UrlFragment,
            other => return Err(format!("`{other}` is no conversion")),
        })
    }
}

/// How Elasticsearch indexes a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum IndexType {
    /// Exact text.
    Keyword,
    /// Long exact text.
    Wildcard,
    /// Prose.
    MatchOnlyText,
    /// A 64-bit integer.
    Long,
    /// A 64-bit fraction.
    Double,
    /// `true` or `false`.
    Boolean,
    /// A point in time.
    Date,
    /// An address.
    Ip,
    /// An object with free keys.
    Flattened,
}

impl IndexType {
    /// The type as Elasticsearch names it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Keyword => "keyword",
            Self::Wildcard => "wildcard",
            Self::MatchOnlyText => "match_only_text",
            Self::Long => "long",
            Self::Double => "double",
            Self::Boolean => "boolean",
            Self::Date => "date",
            Self::Ip => "ip",
            Self::Flattened => "flattened",
        }
    }

    /// The type of that name, if a source field can be indexed with it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        use IndexType as I;
        let all = [
            I::Keyword,
            I::Wildcard,
            I::MatchOnlyText,
            I::Long,
            I::Double,
            I::Boolean,
            I::Date,
            I::Ip,
            I::Flattened,
        ];
        all.into_iter().find(|index| index.as_str() == text)
    }
}

/// The second column: which types a row is for.
pub(super) fn on_of(row: &csv_rows::Row) -> Result<On, String> {
    Ok(match row.words(1).as_slice() {
        [] => return Err("`on` is empty; write * for every type".to_owned()),
        [any] if any == "*" => On::Any,
        names => On::Only(names.to_vec()),
    })
}

pub(super) fn read(source: Source<'_>, problems: &mut Vec<Problem>) -> Vec<FieldRow> {
    let rows = csv_rows::read(source, &HEADER, problems, |row| {
        let path_ok = |path: &str| {
            !path.is_empty()
                && path.split('.').all(|name| !name.is_empty() && !name.contains(char::is_whitespace))
        };
        let (field, home) = (row.cell(0), row.cell(3));
        if !path_ok(field) {
            return Err(format!("`{field}` is no field path"));
        }
        if !path_ok(home) {
            return Err(format!("`{home}` is no path"));
        }
        let on = on_of(row)?;
        let when = match row.cell(2) {
            "" => None,
            cell => {
                let (field, values) =
                    cell.split_once('=').ok_or_else(|| format!("`{cell}` must read field=value|value"))?;
                Some(When { field: field.to_owned(), values: values.split('|').map(str::to_owned).collect() })
            }
        };
        let also = row.words(5).into_iter().map(|word| match word.split_once(':') {
            Some((path, convert)) => Ok(CopyTo { path: path.to_owned(), convert: Convert::parse(convert)? }),
            None => Ok(CopyTo { path: word, convert: Convert::Whole }),
        });
        Ok(FieldRow {
            place: (source.name.to_owned(), row.line),
            field: field.to_owned(),
            on,
            when,
            home: home.to_owned(),
            index: IndexType::parse(row.cell(4))
                .ok_or_else(|| format!("`{}` is no index type", row.cell(4)))?,
            also: also.collect::<Result<_, String>>()?,
        })
    });
    csv_rows::demand_order(source.name, &rows, problems, |row| (row.key(), row.place.1));
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closest_row_ranks_highest() {
        let on = On::Only(vec!["claude_github_*".to_owned(), "org_created".to_owned()]);
        assert_eq!(
            [on.rank("org_created"), on.rank("claude_github_x"), on.rank("other"), On::Any.rank("x")],
            [3, 2, 0, 1]
        );
        assert!(!glob("ab*ba", "aba"));
    }
}
