//! `actors.csv`: one row per actor kind.

use super::{Problem, Source, Template, csv_rows};

pub(super) const HEADER: [&str; 3] = ["actor", "subject", "set"];

/// What is known about an actor kind.
#[derive(Debug, Clone)]
pub struct ActorRow {
    /// The file and line the row stands in.
    pub place: (String, u64),
    /// The `actor.type`.
    pub kind: String,
    /// The subject of the sentence in `message`, over the actor's own fields.
    pub subject: Template,
    /// ECS or vendor fields with a fixed value, set when nothing in the record fills them.
    pub set: Vec<(String, String)>,
}

impl ActorRow {
    /// The kind of the row that serves actor kinds without a row, and records without an actor.
    pub const ANY: &'static str = "*";
}

pub(super) fn read(source: Source<'_>, problems: &mut Vec<Problem>) -> Vec<ActorRow> {
    let rows = csv_rows::read(source, &HEADER, problems, |row| {
        let set = row.words(2).into_iter().map(|word| match word.split_once('=') {
            Some((path, value)) => Ok((path.to_owned(), value.to_owned())),
            None => Err(format!("`{word}` must read path=value")),
        });
        Ok(ActorRow {
            place: (source.name.to_owned(), row.line),
            kind: row.cell(0).to_owned(),
            subject: Template::parse(row.cell(1))?,
            set: set.collect::<Result<_, String>>()?,
        })
    });
    csv_rows::demand_order(source.name, &rows, problems, |row| (row.kind.clone(), row.place.1));
    rows
}
