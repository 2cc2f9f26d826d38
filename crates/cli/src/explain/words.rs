//! The tables' rules in words.
//!
//! Owns phrases; must not know where they are shown.

use model::catalog::Shape;
use model::tables::{Case, Convert, FieldRow, On, OutcomeRule, Piece, Template, When};

/// An outcome rule as a sentence.
pub(crate) fn outcome(rule: &OutcomeRule) -> String {
    match rule {
        OutcomeRule::Fixed(outcome) => format!("always {}", outcome.as_str()),
        OutcomeRule::ByField { field, cases, otherwise } => {
            let cases: Vec<String> = cases
                .iter()
                .map(|(value, outcome)| format!("{} is {}", case(value), outcome.as_str()))
                .collect();
            format!("by {field}: {}, anything else is {}", cases.join(", "), otherwise.as_str())
        }
    }
}

/// A value an outcome depends on, as the table writes it.
pub(crate) fn case(case: &Case) -> String {
    match case {
        Case::Text(text) => text.clone(),
        Case::Class(digit) => format!("{}xx", char::from(*digit)),
    }
}

/// A condition.
pub(crate) fn when(when: &When) -> String {
    format!("if {} is {}", when.field, when.values.join(" or "))
}

/// Which types a row is for, as a reason why it applies to `name`.
pub(crate) fn applies(row: &FieldRow, name: &str) -> String {
    let what = if row.field.starts_with(super::rules::ACTOR) { "actor kind" } else { "type" };
    match &row.on {
        On::Any => format!("every {what}"),
        On::Only(names) if names.iter().any(|other| other == name) => match names.len() - 1 {
            0 => format!("this {what}"),
            1 => format!("this {what} and 1 more"),
            more => format!("this {what} and {more} more"),
        },
        On::Only(names) => {
            let patterns = names.iter().filter(|pattern| On::Only(vec![(*pattern).clone()]).rank(name) > 0);
            patterns.cloned().collect::<Vec<_>>().join(" ")
        }
    }
}

/// What part of a value is copied; `None` for all of it.
pub(crate) fn part(convert: Convert) -> Option<&'static str> {
    Some(match convert {
        Convert::Whole => return None,
        Convert::Extension => "extension",
        Convert::LocalPart => "part before @",
        Convert::EmailDomain => "part behind @",
        Convert::UrlScheme => "URL scheme",
        Convert::UrlHost => "URL host",
        Convert::UrlPort => "URL port",
        Convert::UrlPath => "URL path",
        Convert::UrlQuery => "URL query",
        Convert::UrlFragment => "URL fragment",
    })
}

/// A shape in a word or two.
pub(crate) fn shape(shape: &Shape) -> String {
    match shape {
        Shape::String => "string".to_owned(),
        Shape::Number => "number".to_owned(),
        Shape::Boolean => "boolean".to_owned(),
        Shape::Enum { values } => format!("one of {}", values.len()),
        Shape::Array { items } => match &**items {
            Shape::Enum { .. } => "list of strings".to_owned(),
            items => format!("list of {}s", self::shape(items)),
        },
        Shape::Object { .. } | Shape::Union { .. } | Shape::Actor => "object".to_owned(),
        Shape::Map { .. } => "map".to_owned(),
        Shape::Any => "any".to_owned(),
    }
}

/// A sentence as its table writes it.
pub(crate) fn sentence(template: &Template) -> String {
    fn push(pieces: &[Piece], out: &mut String) {
        for piece in pieces {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Value { fields, fallback } => {
                    let fallback = fallback.as_ref().map(|text| format!("'{text}'"));
                    let choices: Vec<String> = fields.iter().cloned().chain(fallback).collect();
                    out.push_str(&format!("{{{}}}", choices.join("|")));
                }
                Piece::Choice { field, yes, no, absent } => {
                    let absent = absent.as_ref().map_or(String::new(), |text| format!(":{text}"));
                    out.push_str(&format!("{{{field}?{yes}:{no}{absent}}}"));
                }
                Piece::Group(inner) => {
                    out.push('[');
                    push(inner, out);
                    out.push(']');
                }
            }
        }
    }
    let mut out = String::new();
    push(&template.0, &mut out);
    out
}

#[cfg(test)]
mod tests {
    use model::tables::Outcome;

    use super::*;

    #[test]
    fn a_sentence_reads_as_in_its_table() {
        let text = "put {a|b.c} on[ at {d}] as {e?x:y:z} for {f|'nobody'}";
        assert_eq!(sentence(&Template::parse(text).unwrap()), text);
    }

    #[test]
    fn outcomes_read_as_sentences() {
        assert_eq!(outcome(&OutcomeRule::Fixed(Outcome::Success)), "always success");
        let rule = OutcomeRule::ByField {
            field: "status".to_owned(),
            cases: vec![
                (Case::Class(b'2'), Outcome::Success),
                (Case::Text("404".to_owned()), Outcome::Failure),
            ],
            otherwise: Outcome::Unknown,
        };
        assert_eq!(outcome(&rule), "by status: 2xx is success, 404 is failure, anything else is unknown");
    }
}
