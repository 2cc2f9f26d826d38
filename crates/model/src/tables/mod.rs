//! The mapping tables: what becomes of every activity type, actor kind and source field.
//!
//! Each table is a sorted CSV file under `mappings/`; one file here reads one table. [`check`] holds
//! the tables against the catalog and against ECS; the mapper's build script runs it, so that a wrong
//! row fails the build, and [`Tables::extend`] runs it again for rows a user brings at run time.

mod activities;
mod actors;
mod check;
mod csv_rows;
mod ecs;
mod fields;
mod known;
mod personal;
mod suffixes;
mod template;

pub use activities::{ActivityRow, Case, Outcome, OutcomeRule};
pub use actors::ActorRow;
pub use check::check;
pub use ecs::{EcsField, EcsFields};
pub use fields::{Convert, CopyTo, FieldRow, IndexType, On, When};
pub use known::{Holds, KnownField, check_personal, known_fields};
pub use personal::{
    Class, FieldName, FieldPath, LONGEST_ENDING, Personal, PersonalRow, Segment, ends_with_words, personal,
    words,
};
pub use suffixes::SuffixRow;
pub use template::{Piece, Template};

use std::fmt;

use thiserror::Error;

/// The text of one table and the name it goes by in messages.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// The file's name, for messages.
    pub name: &'a str,
    /// The CSV text.
    pub text: &'a str,
}

/// `mappings/activities.csv`, as shipped.
pub const ACTIVITIES: Source<'static> =
    Source { name: "mappings/activities.csv", text: include_str!("../../../../mappings/activities.csv") };
/// `mappings/actors.csv`, as shipped.
pub const ACTORS: Source<'static> =
    Source { name: "mappings/actors.csv", text: include_str!("../../../../mappings/actors.csv") };
/// `mappings/fields.csv`, as shipped.
pub const FIELDS: Source<'static> =
    Source { name: "mappings/fields.csv", text: include_str!("../../../../mappings/fields.csv") };
/// `mappings/personal.csv`, as shipped.
pub const PERSONAL: Source<'static> =
    Source { name: "mappings/personal.csv", text: include_str!("../../../../mappings/personal.csv") };
/// `mappings/suffixes.csv`, as shipped.
pub const SUFFIXES: Source<'static> =
    Source { name: "mappings/suffixes.csv", text: include_str!("../../../../mappings/suffixes.csv") };
/// `mappings/ecs-fields.csv`, as shipped.
pub const ECS_FIELDS: Source<'static> =
    Source { name: "mappings/ecs-fields.csv", text: include_str!("../../../../mappings/ecs-fields.csv") };

/// All the mapping tables.
#[derive(Debug, Clone, Default)]
pub struct Tables {
    /// One row per activity type, sorted by type.
    pub activities: Vec<ActivityRow>,
    /// One row per actor kind, sorted.
    pub actors: Vec<ActorRow>,
    /// One row per source field and condition, sorted.
    pub fields: Vec<FieldRow>,
    /// What the end of an unknown type's name says, most telling first.
    pub suffixes: Vec<SuffixRow>,
}

/// Something wrong with a table, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The table's file.
    pub file: String,
    /// The line in it, counted from 1; 0 when the file as a whole is meant.
    pub line: u64,
    /// What is wrong and what was expected.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.file, self.message),
            line => write!(f, "{}:{line}: {}", self.file, self.message),
        }
    }
}

/// The tables are not usable; every problem found is listed.
#[derive(Debug, Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct TableError(pub Vec<Problem>);

impl Tables {
    /// Reads the four tables from their texts, without holding them against the catalog.
    ///
    /// # Errors
    ///
    /// Every row that cannot be read, every row out of order.
    pub fn parse(
        activities: Source<'_>,
        actors: Source<'_>,
        fields: Source<'_>,
        suffixes: Source<'_>,
    ) -> Result<Self, TableError> {
        let mut problems = Vec::new();
        let tables = Self {
            activities: activities::read(activities, &mut problems),
            actors: actors::read(actors, &mut problems),
            fields: fields::read(fields, &mut problems),
            suffixes: suffixes::read(suffixes, &mut problems),
        };
        if problems.is_empty() { Ok(tables) } else { Err(TableError(problems)) }
    }

    /// The tables that ship with the program.
    ///
    /// # Panics
    ///
    /// Never in a program that was built: the mapper's build script checks the same texts.
    #[must_use]
    #[expect(clippy::expect_used, reason = "the build script has read the same text")]
    pub fn builtin() -> Self {
        Self::parse(ACTIVITIES, ACTORS, FIELDS, SUFFIXES)
            .expect("the built-in tables are checked by the build")
    }

    /// Adds a user's own rows: new activity types, or homes for new fields. The header of `overlay`
    /// tells which table it extends. A row with the key of an existing one takes its place.
    ///
    /// # Errors
    ///
    /// The same checks as at build time, except that types and fields need not be in the catalog,
    /// for which new ones are the very purpose of an overlay.
    pub fn extend(&mut self, overlay: Source<'_>) -> Result<(), TableError> {
        let mut problems = Vec::new();
        let header = overlay.text.trim_start_matches('\u{feff}').lines().next().unwrap_or_default().trim();
        let mut extended = self.clone();
        if header == activities::HEADER.join(",") {
            for row in activities::read(overlay, &mut problems) {
                insert(&mut extended.activities, row, |r| r.activity_type.clone());
            }
        } else if header == fields::HEADER.join(",") {
            for row in fields::read(overlay, &mut problems) {
                insert(&mut extended.fields, row, FieldRow::key);
            }
        } else {
            problems.push(Problem {
                file: overlay.name.to_owned(),
                line: 1,
                message: format!(
                    "the first line must be the header `{}` or `{}`, found `{header}`",
                    activities::HEADER.join(","),
                    fields::HEADER.join(",")
                ),
            });
        }
        if problems.is_empty() {
            problems = check::check_rows(&extended, &EcsFields::builtin());
            problems.retain(|problem| problem.file == overlay.name);
        }
        if problems.is_empty() {
            *self = extended;
            Ok(())
        } else {
            Err(TableError(problems))
        }
    }

    /// The row of an activity type.
    #[must_use]
    pub fn activity(&self, activity_type: &str) -> Option<&ActivityRow> {
        let found = self.activities.binary_search_by(|row| row.activity_type.as_str().cmp(activity_type));
        found.ok().and_then(|at| self.activities.get(at))
    }
}

/// Puts `row` at its place in a sorted table, instead of a row of the same key.
fn insert<T, K: Ord>(table: &mut Vec<T>, row: T, key: impl Fn(&T) -> K) {
    match table.binary_search_by(|other| key(other).cmp(&key(&row))) {
        Ok(at) => {
            if let Some(place) = table.get_mut(at) {
                *place = row;
            }
        }
        Err(at) => table.insert(at, row),
    }
}
