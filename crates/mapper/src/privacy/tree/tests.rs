//! What is to be done where, by class, by rule and by type.

use super::*;
use crate::privacy::PrivacyRule;

fn tree(classes: &[(Class, Action)], rules: &[(&str, &str, Action)]) -> Tree {
    let rule = |(field, types, action): &(&str, &str, Action)| PrivacyRule {
        fields: vec![(*field).to_owned()],
        activity_types: types.split_whitespace().map(str::to_owned).collect(),
        action: *action,
    };
    let options = PrivacyOptions {
        classes: classes.iter().copied().collect(),
        rules: rules.iter().map(rule).collect(),
        key: None,
    };
    Tree::compile(&PersonalRow::builtin(), &options)
}

/// The verdict for a path of keys, `key[type]` for an object of a variant.
fn verdict(tree: &Tree, path: &str, on: &str) -> Verdict {
    let patterns = tree.patterns(on);
    let (mut place, mut verdict) = (TOP, UNDECIDED);
    for part in path.split('.') {
        let (key, variant) =
            part.split_once('[').map_or((part, None), |(key, rest)| (key, rest.strip_suffix(']')));
        let own = match tree.field(place, key) {
            Some(field) => {
                place = tree.into(field);
                tree.verdict(field, &patterns)
            }
            None => {
                let own = tree.unknown(place, key);
                place = ANYWHERE;
                own
            }
        };
        if let (Some(variant), Some(places)) = (variant, tree.variants(place)) {
            let by_ending = || tree.variant_by_ending(place, tree.by_key(variant));
            place = places.get(variant).copied().unwrap_or_else(by_ending);
        }
        verdict = verdict.inside().over(own);
    }
    verdict
}

#[test]
fn the_last_rule_that_fits_wins() {
    let tree = tree(
        &[(Class::FileName, Action::Drop), (Class::Email, Action::Truncate)],
        &[
            ("filename", "claude_file_*", Action::Truncate),
            ("filename", "claude_file_uploaded claude_file_viewed", Action::Keep),
            ("filename", "claude_file_viewed", Action::Drop),
            ("actor.email_address", "", Action::Keep),
        ],
    );
    let of = |path, on| verdict(&tree, path, on).action();
    assert_eq!(of("filename", "claude_file_exported"), Action::Truncate);
    assert_eq!(of("filename", "claude_file_uploaded"), Action::Keep);
    assert_eq!(of("filename", "claude_file_viewed"), Action::Drop);
    assert_eq!(of("filename", "claude_project_file_uploaded"), Action::Drop);
    assert_eq!(of("filename", "a_type_of_tomorrow"), Action::Drop);
    assert_eq!(of("filename", "claude_file_of_tomorrow"), Action::Truncate);
    assert_eq!(of("actor.email_address", "x"), Action::Keep);
    assert_eq!(of("metadata.ownerEmail", "x"), Action::Truncate);
    assert_eq!(of("id", "x"), Action::Keep);
}

#[test]
fn a_key_is_known_by_its_last_words() {
    let tree = tree(
        &[(Class::Name, Action::Drop), (Class::Title, Action::Hash), (Class::Email, Action::Truncate)],
        &[],
    );
    for (key, expected) in [
        ("display_name", Action::Drop),
        ("name", Action::Keep),
        ("the_long_name_of_a_field_with_display_name", Action::Drop),
        ("a_b_c_email", Action::Truncate),
        ("a_b_c_d_email", Action::Truncate),
        ("email", Action::Truncate),
        ("subjectLine", Action::Hash),
        ("emails_sent", Action::Keep),
        ("", Action::Keep),
        ("__", Action::Keep),
    ] {
        assert_eq!(tree.by_key(key).action(), expected, "{key}");
    }
    assert_eq!(tree.by_key(&"a_".repeat(1 << 20)).action(), Action::Keep);
}

#[test]
fn variants_are_told_apart() {
    let tree = tree(
        &[(Class::Name, Action::Hash), (Class::Url, Action::Drop), (Class::Title, Action::Truncate)],
        &[("updates.current_value", "marketplace_updated", Action::Truncate)],
    );
    let of = |path: &str, on: &str| verdict(&tree, path, on).action();
    assert_eq!(of("updates[full_name].current_value", "claude_user_settings_updated"), Action::Hash);
    assert_eq!(of("updates[full_name].previous_value", "a_type_of_tomorrow"), Action::Hash);
    assert_eq!(of("updates[display_name].current_value", "claude_user_settings_updated"), Action::Hash);
    assert_eq!(of("updates[display_name].current_value", "org_external_key_updated"), Action::Truncate);
    assert_eq!(of("updates.current_value", "claude_user_settings_updated"), Action::Hash);
    assert_eq!(of("updates.current_value", "x"), Action::Keep);
    assert_eq!(of("updates[latex_enabled].current_value", "claude_user_settings_updated"), Action::Hash);
    assert_eq!(
        of("updates[thinking_mode_enabled].current_value", "claude_user_settings_updated"),
        Action::Keep
    );
    for (of_tomorrow, expected) in [
        ("nickname", Action::Hash),
        ("firstName", Action::Hash),
        ("owner_url", Action::Drop),
        ("job_description", Action::Truncate),
        ("of_tomorrow", Action::Keep),
    ] {
        for value in ["current_value", "previous_value"] {
            assert_eq!(of(&format!("updates[{of_tomorrow}].{value}"), "x"), expected, "{of_tomorrow}");
        }
        assert_eq!(of(&format!("updates[{of_tomorrow}].type"), "x"), Action::Keep);
    }
    assert_eq!(of("updates[owner_url].current_value", "marketplace_updated"), Action::Truncate);
    assert_eq!(of("updates[issuer_url].current_value", "x"), Action::Drop);
    assert_eq!(of("updates[name].current_value", "x"), Action::Keep);
    assert_eq!(of("updates[full_name].current_value", "marketplace_updated"), Action::Truncate);
    assert_eq!(of("updates[full_name].settings.profile_url", "x"), Action::Drop);
}

#[test]
fn a_value_is_not_better_off_inside_another() {
    let tree = tree(
        &[(Class::Body, Action::Hash), (Class::Email, Action::Truncate), (Class::Url, Action::Drop)],
        &[("metadata", "", Action::Keep), ("metadata.team", "", Action::Drop)],
    );
    let of = |path| verdict(&tree, path, "x").action();
    assert_eq!(of("request_body.owner_email"), Action::Hash);
    assert_eq!(of("request_body.callback_url"), Action::Drop);
    assert_eq!(of("request_body.version"), Action::Hash);
    assert_eq!(of("request_body.anything.at.all"), Action::Hash);
    assert_eq!(of("metadata.owner_email"), Action::Keep);
    assert_eq!(of("metadata.team"), Action::Drop);
    assert_eq!(of("metadata.team.members"), Action::Drop);
}

#[test]
fn claims_are_treated_unless_they_are_known() {
    let tree = tree(&[(Class::Name, Action::Hash), (Class::Email, Action::Truncate)], &[]);
    let of = |key: &str| verdict(&tree, &format!("event_data.oidc_token.claims.{key}"), "x").action();
    for key in ["sub", "actor", "repository_owner", "head_ref", "ref", "unique_name", "of_tomorrow.a"] {
        assert_eq!(of(key), Action::Hash, "{key}");
    }
    for key in ["iss", "aud", "repository", "run_id", "runner_version"] {
        assert_eq!(of(key), Action::Keep, "{key}");
    }
    assert_eq!(of("user_email"), Action::Truncate);
}

#[test]
fn a_rule_knows_the_class_of_what_it_treats() {
    let settings = "claude_user_settings_updated";
    for classes in [vec![], vec![(Class::Name, Action::Drop)]] {
        for (field, on) in [
            ("updates[display_name].current_value", settings),
            ("updates[display_name].current_value", ""),
            ("updates.current_value", ""),
            ("updates", settings),
        ] {
            let tree = tree(&classes, &[(field, on, Action::Truncate)]);
            let of = |on| verdict(&tree, "updates[display_name].current_value", on);
            assert_eq!(of(settings), Verdict::Rule(Action::Truncate, Some(Class::Name), 1), "{field}");
            if on.is_empty() {
                assert_eq!(
                    of("org_external_key_updated"),
                    Verdict::Rule(Action::Truncate, Some(Class::Title), 1)
                );
            }
        }
    }
    let tree = tree(&[], &[("event_data", "", Action::Truncate)]);
    let of = |path| verdict(&tree, path, "x");
    assert_eq!(of("event_data.oidc_token.claims.sub"), Verdict::Rule(Action::Truncate, Some(Class::Name), 1));
    assert_eq!(of("event_data.ip"), Verdict::Rule(Action::Truncate, Some(Class::Address), 1));
}

#[test]
fn a_later_rule_for_what_a_field_lies_in_wins() {
    let (outer, inner) = ("event_data", "event_data.oidc_token.claims.sub");
    let rule = |field, action| (field, "", action);
    for (rules, expected) in [
        ([rule(inner, Action::Keep), rule(outer, Action::Hash)], Action::Hash),
        ([rule(outer, Action::Hash), rule(inner, Action::Keep)], Action::Keep),
        ([rule(inner, Action::Drop), rule(outer, Action::Keep)], Action::Keep),
    ] {
        let tree = tree(&[(Class::Name, Action::Truncate)], &rules);
        assert_eq!(verdict(&tree, inner, "x").action(), expected, "{rules:?}");
    }
}
