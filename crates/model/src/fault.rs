//! What stands in the way of a source or a sink: what it is, why, and what to do about it.

use std::fmt;

/// Something outside failed. Whether to wait or to give up is asked of [`FaultKind::is_final`]; everything else about it is
/// for people: the log, `/readyz` and the exit message show cause and remedy as they stand here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The class of the fault, for decisions and counters.
    pub kind: FaultKind,
    /// What happened and where: `https://es:9200 answered 403: action [indices:data/write/bulk] is unauthorized`.
    pub cause: String,
    /// What a person can do: `give the API key the privilege create_doc on logs-anthropic.audit-*`.
    pub remedy: String,
    /// How long the other side asked to be left alone.
    pub retry_after: Option<std::time::Duration>,
}

/// Classes of faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FaultKind {
    /// No connection, a reset, a timeout, an answer that is none.
    Unreachable,
    /// The other side is there and asks for less or for later (429, 503, a full queue).
    Throttled,
    /// It does not know who we are (401, SASL failure, an untrusted certificate).
    Unauthenticated,
    /// It knows us and does not allow it (403, an ACL).
    Forbidden,
    /// What should be there is not: an index, a template, a topic.
    Missing,
    /// It is there and closed for writing: a full disk, a closed index, a block.
    Blocked,
    /// The request is too large for the other side; smaller ones may pass.
    TooLarge,
    /// Our own disk: a file cannot be read or written.
    Storage,
    /// Somebody else has what must be ours alone: a lock, a transactional id.
    Taken,
    /// The configuration, or kept state, cannot be used as it is.
    Unusable,
}

impl FaultKind {
    /// Whether waiting cannot help, so that the stage must end.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Taken | Self::Unusable)
    }

    /// A short name for counters and logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Throttled => "throttled",
            Self::Unauthenticated => "unauthenticated",
            Self::Forbidden => "forbidden",
            Self::Missing => "missing",
            Self::Blocked => "blocked",
            Self::TooLarge => "too_large",
            Self::Storage => "storage",
            Self::Taken => "taken",
            Self::Unusable => "unusable",
        }
    }
}

impl Fault {
    /// A fault with its cause and its remedy.
    #[must_use]
    pub fn new(kind: FaultKind, cause: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { kind, cause: cause.into(), remedy: remedy.into(), retry_after: None }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.remedy.is_empty() {
            f.write_str(&self.cause)
        } else {
            write!(f, "{}; {}", self.cause, self.remedy)
        }
    }
}

impl std::error::Error for Fault {}

/// An error with its causes, outermost first: `error sending request: connection refused`. A cause that an outer text quotes
/// already is not said again.
#[must_use]
pub fn causes(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let more = inner.to_string();
        if !words.contains(&more) {
            words.push_str(": ");
            words.push_str(&more);
        }
        cause = inner.source();
    }
    words
}
