//! What the API answers instead of data.
//!
//! Owns status, `error.type` and wording, which differ between the dialects; who is refused what is
//! decided elsewhere.

/// Which edition of the vendor's documentation the simulation follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Dialect {
    /// August 2026: `{"error":…}`, 401 without a key, unknown parameters ignored, names in the records.
    #[default]
    August,
    /// October 2026: `{"type":"error",…}`, a bare 404 without a key, unknown parameters refused, names redacted.
    October,
}

impl Dialect {
    /// `2026-08` or `2026-10`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::August => "2026-08",
            Self::October => "2026-10",
        }
    }
}

impl std::str::FromStr for Dialect {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "2026-08" => Ok(Self::August),
            "2026-10" => Ok(Self::October),
            _ => Err(format!("`{text}` is no dialect; there are 2026-08 and 2026-10")),
        }
    }
}

/// An error as the API words it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) kind: &'static str,
    pub(crate) message: String,
}

impl Refusal {
    pub(crate) fn new(status: u16, kind: &'static str, message: impl Into<String>) -> Self {
        Self { status, kind, message: message.into() }
    }

    pub(crate) fn invalid(message: &str) -> Self {
        Self::new(400, "invalid_request_error", message)
    }

    pub(crate) fn unknown_parameter(name: &str, known: &[&str]) -> Self {
        let hint = known.iter().find(|known| near(known, name));
        let hint = hint.map(|known| format!(" Did you mean '{known}'?")).unwrap_or_default();
        Self::invalid(&format!("Unknown query parameter: '{name}'.{hint}"))
    }

    /// The same text for a damaged cursor and for one of another question.
    pub(crate) fn cursor(parameter: &str) -> Self {
        Self::invalid(&format!("{parameter}: invalid pagination cursor"))
    }

    /// An organization that the key does not reach.
    pub(crate) fn outside(name: &str) -> Self {
        Self::new(403, "permission_error", format!("Organization {name} is outside this API key's scope"))
    }

    /// A thing that is gone, out of reach, or never was: all look alike.
    pub(crate) fn gone(what: &str, id: &str) -> Self {
        Self::new(404, "not_found_error", format!("{what} {id} not found"))
    }

    pub(crate) fn not_found() -> Self {
        Self::new(404, "not_found_error", "Not found")
    }

    /// The body.
    pub(crate) fn body(&self, dialect: Dialect, request_id: &str) -> Vec<u8> {
        let error = serde_json::json!({"type": self.kind, "message": self.message});
        let body = match dialect {
            Dialect::August => serde_json::json!({ "error": error }),
            Dialect::October => {
                serde_json::json!({"type": "error", "error": error, "request_id": request_id})
            }
        };
        body.to_string().into_bytes()
    }
}

/// Whether one name is the other with a letter added, dropped or changed.
fn near(known: &str, name: &str) -> bool {
    let same_start = known.bytes().zip(name.bytes()).take_while(|(a, b)| a == b).count();
    let same_end = known.bytes().rev().zip(name.bytes().rev()).take_while(|(a, b)| a == b).count();
    let longest = known.len().max(name.len());
    known.len().abs_diff(name.len()) <= 1 && same_start + same_end + 1 >= longest
}
