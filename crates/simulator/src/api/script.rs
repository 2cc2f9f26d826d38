//! Fault scripts: JSON lines, or TOML with a `[[fault]]` table each.
//!
//! The keys are those of [`Fault`], the kinds those of [`super::FaultKind`] in snake case:
//!
//! ```toml
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
//! ```

use serde::Deserialize;

use super::faults::Fault;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tables {
    #[serde(default)]
    fault: Vec<Fault>,
}

/// Reads a script; which of the two forms it is in is seen at its first character.
///
/// # Errors
///
/// What is wrong and in which line.
pub fn read_script(text: &str) -> Result<Vec<Fault>, String> {
    if !text.trim_start().starts_with('{') {
        return toml::from_str::<Tables>(text).map(|tables| tables.fault).map_err(|error| error.to_string());
    }
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(number, line)| serde_json::from_str(line).map_err(|error| format!("line {number}: {error}")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{FaultKind, When};

    #[test]
    fn both_forms_say_the_same() {
        let toml = "[[fault]]\nkind = \"rate_limited\"\nretry_after = 3\nafter = 10\ncount = 2\n\n[[fault]]\nkind = \"status\"\nstatus = 503\nfrom = 60\n";
        let lines = "{\"kind\":\"rate_limited\",\"retry_after\":3,\"after\":10,\"count\":2}\n\n{\"kind\":\"status\",\"status\":503,\"from\":60}\n";
        let script = read_script(toml).unwrap();
        assert_eq!(script, read_script(lines).unwrap());
        assert_eq!(script[0].kind, FaultKind::RateLimited);
        assert_eq!((script[1].status, script[1].from.clone()), (Some(503), Some(When::Seconds(60))));
        assert_eq!(read_script("").unwrap(), []);
    }

    #[test]
    fn a_mistake_is_named_with_its_line() {
        let error = read_script("{\"kind\":\"reset\"}\n{\"kind\":\"reset\",\"afterwards\":1}").unwrap_err();
        assert!(error.starts_with("line 2") && error.contains("afterwards"), "{error}");
        assert!(read_script("[[fault]]\nkind = \"earthquake\"").unwrap_err().contains("earthquake"));
    }
}
