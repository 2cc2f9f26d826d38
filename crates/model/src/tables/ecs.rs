//! `ecs-fields.csv`: the field list of the one ECS version this program writes.

use std::collections::BTreeMap;

use super::{ECS_FIELDS, Problem, Source, csv_rows};

const HEADER: [&str; 4] = ["name", "type", "array", "allowed"];

/// The ECS field list.
#[derive(Debug, Clone, Default)]
pub struct EcsFields(BTreeMap<String, EcsField>);

/// What ECS says about a field.
#[derive(Debug, Clone)]
pub struct EcsField {
    /// The index type, as Elasticsearch names it.
    pub index: String,
    /// ECS asks for an array.
    pub array: bool,
    /// Allowed or expected values, each with the event types expected beside it
    /// (only `event.category` has those); empty when any value will do.
    pub allowed: BTreeMap<String, Vec<String>>,
}

impl EcsFields {
    /// The list that ships with the program.
    #[must_use]
    pub fn builtin() -> Self {
        Self::read(ECS_FIELDS, &mut Vec::new())
    }

    /// Reads the list from its text; what is wrong with it is added to `problems`.
    pub fn read(source: Source<'_>, problems: &mut Vec<Problem>) -> Self {
        let rows = csv_rows::read(source, &HEADER, problems, |row| {
            let allowed = row.words(3).into_iter().map(|word| match word.split_once(':') {
                Some((value, types)) => (value.to_owned(), types.split('|').map(str::to_owned).collect()),
                None => (word, Vec::new()),
            });
            let field = EcsField {
                index: row.cell(1).to_owned(),
                array: row.cell(2) == "yes",
                allowed: allowed.collect(),
            };
            Ok((row.cell(0).to_owned(), field))
        });
        Self(rows.into_iter().collect())
    }

    /// The field of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&EcsField> {
        self.0.get(name)
    }

    /// Every field, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &EcsField)> {
        self.0.iter().map(|(name, field)| (name.as_str(), field))
    }
}
