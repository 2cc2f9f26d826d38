//! Activity types the tables do not know: what their name gives away, and nothing more.
//!
//! New types appear about daily, so this path is used for real. The end of the name tells event
//! type and outcome (`mappings/suffixes.csv`); the known types that share the longest beginning
//! tell the category. Every such document is tagged, so that nobody takes a guess for knowledge.

use std::collections::BTreeMap;

use model::tables::{EcsFields, SuffixRow, Tables};

use crate::compile::event_constants;
use crate::json;
use crate::program::{Part, Program, Sentence, TypeInfo};
use crate::text::shorten;

/// As much of a type's name as a sentence shows, in bytes.
const LONGEST_NAME: usize = 128;

/// Works out what can be said of an unknown type.
pub(crate) fn infer(program: &Program, ecs: &EcsFields, activity_type: &str) -> TypeInfo {
    let suffix = suffix(&program.tables, activity_type);
    let (event_types, outcome, severity) = match suffix {
        Some(row) => (row.event_types.clone(), Some(row.outcome), row.severity),
        None => (Vec::new(), None, 0),
    };
    let categories = categories(&program.tables, activity_type);
    let (categories, event_types) = fit(ecs, categories, event_types);
    let name = if activity_type.is_empty() {
        "an activity without a type"
    } else {
        shorten(activity_type, LONGEST_NAME)
    };
    let text = json::escaped(&format!("performed {name}"));
    TypeInfo {
        event: event_constants(activity_type, &categories, &event_types, outcome, severity),
        outcome: None,
        message: Sentence(vec![Part::Text(text)]),
        overrides: program.overrides(activity_type),
    }
}

fn suffix<'a>(tables: &'a Tables, activity_type: &str) -> Option<&'a SuffixRow> {
    tables.suffixes.iter().find(|row| activity_type.ends_with(&row.suffix))
}

/// The categories most common among the known types that share the most leading words.
fn categories(tables: &Tables, activity_type: &str) -> Vec<String> {
    // No known type begins with more than the longest of them is long.
    let longest = tables.activities.iter().map(|row| row.activity_type.len()).max().unwrap_or_default();
    let ends = activity_type.match_indices('_').map(|(at, _)| at + 1).take_while(|end| *end <= longest);
    for prefix in ends.collect::<Vec<_>>().into_iter().rev().map(|end| &activity_type[..end]) {
        let start = tables.activities.partition_point(|row| row.activity_type.as_str() < prefix);
        let kin = tables.activities[start..].iter().take_while(|row| row.activity_type.starts_with(prefix));
        let mut votes: BTreeMap<&[String], usize> = BTreeMap::new();
        for row in kin {
            *votes.entry(&row.categories).or_default() += 1;
        }
        // Of equally common ones the first in order, so that the answer never varies.
        if let Some((categories, _)) =
            votes.into_iter().max_by_key(|(list, votes)| (*votes, std::cmp::Reverse(*list)))
        {
            return categories.to_vec();
        }
    }
    Vec::new()
}

/// Makes the guess valid ECS: every type expected by a category, every category expecting a type.
fn fit(ecs: &EcsFields, categories: Vec<String>, mut types: Vec<String>) -> (Vec<String>, Vec<String>) {
    let Some(expected) = ecs.get("event.category").map(|field| &field.allowed) else {
        return (categories, types);
    };
    let expects = |category: &String, event_type: &String| {
        expected.get(category).is_some_and(|beside| beside.contains(event_type))
    };
    if categories.is_empty() {
        return (categories, types);
    }
    types.retain(|event_type| categories.iter().any(|category| expects(category, event_type)));
    let info = "info".to_owned();
    let unmet = |types: &[String]| {
        categories.iter().any(|category| !types.iter().any(|event_type| expects(category, event_type)))
    };
    if unmet(&types) && !types.contains(&info) && categories.iter().any(|category| expects(category, &info)) {
        types.push(info);
    }
    let categories = categories.iter().filter(|c| types.iter().any(|event_type| expects(c, event_type)));
    (categories.cloned().collect(), types)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event_of(activity_type: &str) -> String {
        let program = Program::compile(Tables::builtin());
        String::from_utf8(infer(&program, &EcsFields::builtin(), activity_type).event.into_vec()).unwrap()
    }

    #[test]
    fn names_give_away_category_and_outcome() {
        let event = event_of("claude_artifact_comment_deletion_failed");
        assert!(event.contains("\"outcome\":\"failure\"") && event.contains("deletion"), "{event}");
        let event = event_of("platform_workspace_member_suspended");
        assert!(event.contains("\"iam\"") && event.contains("\"outcome\":\"unknown\""), "{event}");
        let event = event_of("sso_login_blocked");
        assert!(event.contains("authentication") && event.contains("\"outcome\":\"failure\""), "{event}");
    }

    #[test]
    fn a_name_without_kin_gets_no_category() {
        for name in ["zzz_happened", "zzz", "", "_", "__", "ünïcode_created"] {
            assert!(!event_of(name).contains("\"category\""), "{name}");
        }
    }

    #[test]
    fn every_guess_is_valid_ecs() {
        let (program, ecs) = (Program::compile(Tables::builtin()), EcsFields::builtin());
        for known in &program.tables.activities {
            for suffix in &program.tables.suffixes {
                let name = format!("{}_x{}", known.activity_type, suffix.suffix);
                let categories = categories(&program.tables, &name);
                let (categories, types) = fit(&ecs, categories, suffix.event_types.clone());
                let allowed = &ecs.get("event.category").unwrap().allowed;
                for event_type in &types {
                    assert!(
                        categories.iter().any(|c| allowed[c].contains(event_type)),
                        "{name} {event_type}"
                    );
                }
                for category in &categories {
                    assert!(types.iter().any(|t| allowed[category].contains(t)), "{name} {category}");
                }
            }
        }
    }
}
