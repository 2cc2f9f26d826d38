//! What a configuration of the API source may say.

use super::*;

fn read(extra: serde_json::Value) -> ComplianceApiConfig {
    let mut all = serde_json::json!({"api_key": "sk-ant-api01-secret"});
    all.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    serde_json::from_value(all).unwrap()
}

fn refused(extra: serde_json::Value) -> String {
    let fault = read(extra).validate().unwrap_err();
    assert_eq!(fault.kind, FaultKind::Unusable);
    let words = fault.to_string();
    assert!(!words.contains("secret"), "{words}");
    words
}

#[test]
fn the_defaults_are_those_of_the_recommended_reader() {
    let settings = read(serde_json::json!({})).validate().unwrap();
    let rules = &settings.rules;
    assert_eq!((rules.lag.as_secs(), rules.overlap.as_secs(), rules.page_size), (90, 600, 5_000));
    assert_eq!(rules.beginning, Beginning::Lookback(Duration::from_secs(86_400)));
    let passes: Vec<&str> = rules.passes.iter().map(|pass| pass.name.as_str()).collect();
    assert_eq!(
        passes,
        [
            "6h back every 1h, all types",
            "2d back every 1d, all types",
            "5d back every 1d, anthropic_access+cmek_preserve"
        ]
    );
    assert_eq!(settings.warnings(), [] as [String; 0]);
}

#[test]
fn what_makes_no_sense_is_refused_by_name() {
    let cases = [
        (serde_json::json!({"api_key_file": "key"}), "both `api_key` and `api_key_file`"),
        (serde_json::json!({"api_key": " "}), "`api_key` is empty"),
        (serde_json::json!({"api_key": null}), "has no key"),
        (serde_json::json!({"page_size": 5001}), "`page_size` is 5001"),
        (serde_json::json!({"page_size": 0}), "`page_size` is 0"),
        (serde_json::json!({"budget_share": 0.0}), "`budget_share`"),
        (serde_json::json!({"budget_share": 1.5}), "`budget_share`"),
        (
            serde_json::json!({"since": "2026-01-01", "initial_lookback": "1d"}),
            "both `initial_lookback` and `since`",
        ),
        (serde_json::json!({"since": "2026-01-02", "until": "2026-01-01T00:00:00Z"}), "`until`"),
        (serde_json::json!({"activity_types": ["a"], "exclude_activity_types": ["b"]}), "refuses together"),
        (serde_json::json!({"actor_ids": ["apikey_1"]}), "`actor_ids`"),
        (serde_json::json!({"base_url": "http://example.com"}), "in the clear"),
        (serde_json::json!({"base_url": "https://me:secret@example.com"}), "`base_url`"),
        (serde_json::json!({"reconcile": [{"every": "2d", "depth": "1d"}]}), "`reconcile`"),
        (serde_json::json!({"reconcile": [{"every": "1h", "depth": "5m"}]}), "`reconcile`"),
        (serde_json::json!({"poll_interval": "10ms"}), "`poll_interval`"),
        (serde_json::json!({"organization_ids": [""]}), "empty text"),
    ];
    for (extra, words) in cases {
        let said = refused(extra.clone());
        assert!(said.contains(words), "{extra}: {said}");
    }
    for fine in [
        "http://127.0.0.1:8080",
        "http://[::1]:1",
        "http://localhost",
        "https://aws-external-anthropic.eu.api.aws",
    ] {
        read(serde_json::json!({"base_url": fine})).validate().unwrap();
    }
}

/// Trap 10: a filter that hides rows is said aloud.
#[test]
fn trap_10_include_filters_are_warned_of() {
    for (extra, word) in [
        (serde_json::json!({"activity_types": ["a"]}), "new ones included"),
        (serde_json::json!({"actor_ids": ["user_1"]}), "no user caused"),
        (serde_json::json!({"organization_ids": ["org_1"]}), "other organizations"),
        (serde_json::json!({"exclude_activity_types": ["a"]}), "hides rows"),
        (serde_json::json!({"reconcile": []}), "are lost"),
    ] {
        let settings = read(extra).validate().unwrap();
        assert!(settings.warnings().iter().any(|words| words.contains(word)), "{:?}", settings.warnings());
    }
}

#[test]
fn a_secret_is_never_shown() {
    let config = read(serde_json::json!({"proxy": "http://me:secret@proxy:1"}));
    let shown = format!("{config:?} {:?}", config.validate().unwrap());
    assert!(!shown.contains("secret"), "{shown}");
}

#[test]
fn a_pass_is_narrowed_by_the_filters() {
    let hidden = read(serde_json::json!({"exclude_activity_types": ["anthropic_access", "cmek_preserve"]}));
    assert_eq!(hidden.validate().unwrap().rules.passes.len(), 2);
}
