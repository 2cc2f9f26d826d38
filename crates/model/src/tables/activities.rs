//! `activities.csv`: one row per activity type.

use super::{Problem, Source, Template, csv_rows};

pub(super) const HEADER: [&str; 6] = ["type", "category", "event_type", "outcome", "severity", "message"];

/// What is known about an activity type.
#[derive(Debug, Clone)]
pub struct ActivityRow {
    /// The file and line the row stands in.
    pub place: (String, u64),
    /// The `type` of the activity, which becomes `event.action`.
    pub activity_type: String,
    /// `event.category`.
    pub categories: Vec<String>,
    /// `event.type`.
    pub event_types: Vec<String>,
    /// How `event.outcome` is found.
    pub outcome: OutcomeRule,
    /// `event.severity`, 0 to 100.
    pub severity: u8,
    /// The predicate of the sentence in `message`.
    pub message: Template,
}

/// `event.outcome`, see <https://www.elastic.co/docs/reference/ecs/ecs-allowed-values-event-outcome>.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The action succeeded.
    Success,
    /// The action failed or was refused.
    Failure,
    /// The record does not tell.
    Unknown,
}

impl Outcome {
    /// The value as ECS writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Unknown => "unknown",
        }
    }

    pub(super) fn parse(text: &str) -> Result<Self, String> {
        match text {
            "success" => Ok(Self::Success),
            "failure" => Ok(Self::Failure),
            "unknown" => Ok(Self::Unknown),
            other => Err(format!("`{other}` is no outcome; ECS allows success, failure, unknown")),
        }
    }
}

/// How the outcome of a type is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutcomeRule {
    /// Always the same.
    Fixed(Outcome),
    /// By the value of a field.
    ByField {
        /// Dotted path of the field.
        field: String,
        /// Tried in order.
        cases: Vec<(Case, Outcome)>,
        /// When no case matches or the field is absent.
        otherwise: Outcome,
    },
}

/// A value an outcome depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Case {
    /// Exactly this text, number or boolean.
    Text(String),
    /// A three-digit number that begins with this digit, written `2xx`.
    Class(u8),
}

impl Case {
    /// Whether `text`, a scalar as JSON writes it without quotes, is meant.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        match self {
            Self::Text(expected) => expected == text,
            Self::Class(digit) => {
                text.len() == 3
                    && text.as_bytes().first() == Some(digit)
                    && text.bytes().all(|b| b.is_ascii_digit())
            }
        }
    }
}

impl OutcomeRule {
    fn parse(cell: &str) -> Result<Self, String> {
        let mut words = cell.split_whitespace();
        let field = words.next().ok_or("the outcome is empty")?;
        let mut cases = Vec::new();
        let mut otherwise = None;
        for word in words {
            let (value, outcome) =
                word.split_once('=').ok_or_else(|| format!("`{word}` must read value=outcome"))?;
            let outcome = Outcome::parse(outcome)?;
            if otherwise.is_some() {
                return Err("`*=…` must come last".to_owned());
            }
            match value.as_bytes() {
                b"*" => otherwise = Some(outcome),
                [digit @ b'1'..=b'9', b'x', b'x'] => cases.push((Case::Class(*digit), outcome)),
                _ => cases.push((Case::Text(value.to_owned()), outcome)),
            }
        }
        match (cases.is_empty(), otherwise) {
            (true, None) => Ok(Self::Fixed(Outcome::parse(field)?)),
            (false, Some(otherwise)) => Ok(Self::ByField { field: field.to_owned(), cases, otherwise }),
            _ => {
                Err("an outcome by field needs at least one value=outcome and ends with *=outcome".to_owned())
            }
        }
    }
}

pub(super) fn read(source: Source<'_>, problems: &mut Vec<Problem>) -> Vec<ActivityRow> {
    let rows = csv_rows::read(source, &HEADER, problems, |row| {
        let activity_type = row.cell(0);
        if activity_type.is_empty() {
            return Err("the type is empty".to_owned());
        }
        let severity = row.cell(4).parse::<u8>().ok().filter(|severity| *severity <= 100);
        let message = row.cell(5);
        if message.is_empty() {
            return Err("the message is empty".to_owned());
        }
        Ok(ActivityRow {
            place: (source.name.to_owned(), row.line),
            activity_type: activity_type.to_owned(),
            categories: row.words(1),
            event_types: row.words(2),
            outcome: OutcomeRule::parse(row.cell(3))?,
            severity: severity.ok_or_else(|| format!("severity `{}` is not 0 to 100", row.cell(4)))?,
            message: Template::parse(message)?,
        })
    });
    csv_rows::demand_order(source.name, &rows, problems, |row| (row.activity_type.clone(), row.place.1));
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcome_rules() {
        assert_eq!(OutcomeRule::parse("success"), Ok(OutcomeRule::Fixed(Outcome::Success)));
        let OutcomeRule::ByField { field, cases, otherwise } =
            OutcomeRule::parse("status_code 2xx=success 404=failure *=unknown").unwrap()
        else {
            panic!("by field")
        };
        assert_eq!((field.as_str(), otherwise), ("status_code", Outcome::Unknown));
        assert!(cases[0].0.matches("204") && !cases[0].0.matches("2045") && !cases[0].0.matches("2a4"));
        assert!(cases[1].0.matches("404"));
        for bad in ["", "fine", "a b=success", "a *=unknown", "a *=unknown b=success", "a b=good *=unknown"] {
            assert!(OutcomeRule::parse(bad).is_err(), "{bad}");
        }
    }
}
