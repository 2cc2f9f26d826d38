//! Scripts: what goes wrong, what happens, and in which modes; as JSON lines, or as TOML.
//!
//! The keys are those of [`Fault`], [`Event`] and [`Change`], the kinds those of [`super::FaultKind`] in snake case:
//!
//! ```toml
//! [settings]                      # modes, from the start on
//! cursors = "raw_ids"
//! retry_margin = 2
//!
//! [[fault]]                       # two 429 after the tenth request
//! kind = "rate_limited"
//! retry_after = 3
//! after = 10
//! count = 2
//!
//! [[fault]]                       # every other request fails between the first and the second minute
//! kind = "status"
//! status = 503
//! every = 2
//! count = 0                       # without end
//! from = 60                       # seconds after the start, or RFC 3339
//! until = 120
//!
//! [[fault]]                       # the page behind a cursor is cut in the midst
//! kind = "truncated"
//! path = "/v1/compliance/activities"
//! query = "after_id="
//!
//! [[activity]]                    # happened, says it was made, and is shown at three different times
//! type = "claude_chat_created"
//! occurred = 30
//! created = 31
//! indexed = 3600
//! fields = { claude_chat_id = "claude_chat_01late" }
//! ```
//!
//! In JSON lines an object with `kind` is a fault, one with `type` an activity, and `{"settings":{…}}` sets modes.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::change::Change;
use super::event::Event;
use super::faults::Fault;

/// All that a script says.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Modes, which hold from the start on.
    #[serde(default)]
    pub settings: Change,
    /// What goes wrong.
    #[serde(default, rename = "fault")]
    pub faults: Vec<Fault>,
    /// What happens besides what the tenant does.
    #[serde(default, rename = "activity")]
    pub activities: Vec<Event>,
}

/// Reads a script; which of the two forms it is in is seen at its first character.
///
/// # Errors
///
/// What is wrong and in which line.
pub fn read_scenario(text: &str) -> Result<Scenario, String> {
    if !text.trim_start().starts_with('{') {
        return toml::from_str(text).map_err(|error| error.to_string());
    }
    let mut scenario = Scenario::default();
    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
        read_line(line, &mut scenario).map_err(|error| format!("line {number}: {error}"))?;
    }
    Ok(scenario)
}

fn read_line(line: &str, scenario: &mut Scenario) -> serde_json::Result<()> {
    let value: Value = serde_json::from_str(line)?;
    if let Some(settings) = value.get("settings") {
        scenario.settings = serde_json::from_value(settings.clone())?;
    } else if value.get("type").is_some() {
        scenario.activities.push(serde_json::from_value(value)?);
    } else {
        scenario.faults.push(serde_json::from_value(value)?);
    }
    Ok(())
}

/// Reads a script that has faults and nothing else.
///
/// # Errors
///
/// What is wrong and in which line; activities and settings too, because nobody would act on them.
pub fn read_script(text: &str) -> Result<Vec<Fault>, String> {
    let scenario = read_scenario(text)?;
    if scenario.settings != Change::default() || !scenario.activities.is_empty() {
        return Err("only faults are possible here, neither activities nor settings".to_owned());
    }
    Ok(scenario.faults)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{FaultKind, Settings, When};

    #[test]
    fn both_forms_say_the_same() {
        let toml = "[settings]\npage_bytes = 9\n[[fault]]\nkind = \"rate_limited\"\nretry_after = 3\nafter = 10\ncount = 2\n\n[[fault]]\nkind = \"status\"\nstatus = 503\nfrom = 60\n[[activity]]\ntype = \"user_logged_out\"\noccurred = 4\nfields = { a = 1 }\n";
        let lines = "{\"kind\":\"rate_limited\",\"retry_after\":3,\"after\":10,\"count\":2}\n\n{\"kind\":\"status\",\"status\":503,\"from\":60}\n{\"type\":\"user_logged_out\",\"occurred\":4,\"fields\":{\"a\":1}}\n{\"settings\":{\"page_bytes\":9}}";
        let script = read_scenario(toml).unwrap();
        assert_eq!(script, read_scenario(lines).unwrap());
        let faults = &script.faults;
        assert_eq!(faults[0].kind, FaultKind::RateLimited);
        assert_eq!((faults[1].status, faults[1].from.clone()), (Some(503), Some(When::Seconds(60))));
        assert_eq!(script.activities[0].occurred, Some(When::Seconds(4)));
        let mut settings = Settings::default();
        script.settings.apply(&mut settings).unwrap();
        assert_eq!(settings.page_bytes, 9);
        assert_eq!(read_scenario("").unwrap(), Scenario::default());
    }

    #[test]
    fn a_mistake_is_named_with_its_line() {
        let error = read_script("{\"kind\":\"reset\"}\n{\"kind\":\"reset\",\"afterwards\":1}").unwrap_err();
        assert!(error.starts_with("line 2") && error.contains("afterwards"), "{error}");
        assert!(read_script("[[fault]]\nkind = \"earthquake\"").unwrap_err().contains("earthquake"));
        assert!(read_scenario("{\"settings\":{\"colour\":1}}").unwrap_err().contains("colour"));
        assert!(read_script("[settings]\ngzip = false").unwrap_err().contains("only faults"));
    }
}
