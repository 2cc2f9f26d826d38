//! What is to be done with one value, and which of two decisions counts.
//!
//! Knows neither fields nor records. The subtle thing: a verdict keeps the class of a field also where nothing is done to it, since a
//! rule for something that the field lies in may cut off a part, and which part stays is decided by the class.

use model::tables::Class;

use super::Action;

/// What is to be done with a value and what lies in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing, whatever it looks like.
    Fixed,
    /// Nothing, unless it is an e-mail address.
    Version,
    /// This, or what is done to what it looks like, if that says less.
    Usual(Action, Option<Class>),
    /// The rule of this number says this, and nothing else counts but a later rule.
    Rule(Action, Option<Class>, u32),
}

/// Nothing is known of a field: only looks count.
pub(super) const UNDECIDED: Verdict = Verdict::Usual(Action::Keep, None);

impl Verdict {
    /// The verdict for a field of its own verdict within a value of this one.
    #[inline]
    pub(super) fn over(self, own: Self) -> Self {
        match (self, own) {
            // Of rules the later one. A part is cut off by what the field itself is.
            (Self::Rule(action, class, outer), Self::Rule(_, other, inner)) if outer > inner => {
                Self::Rule(action, other.or(class), outer)
            }
            (_, Self::Rule(..)) => own,
            (Self::Rule(action, _, number), Self::Usual(_, Some(class))) => {
                Self::Rule(action, Some(class), number)
            }
            (Self::Rule(..), _) => self,
            (Self::Usual(outer, _), Self::Usual(inner, _)) if outer > inner => self,
            (Self::Usual(Action::Keep, _) | Self::Fixed | Self::Version, _) => own,
            (_, Self::Fixed | Self::Version) => self,
            _ => own,
        }
    }

    /// The verdict that holds for what lies in a value of this one.
    #[inline]
    pub(super) fn inside(self) -> Self {
        if matches!(self, Self::Fixed | Self::Version) { UNDECIDED } else { self }
    }

    pub(super) fn action(self) -> Action {
        match self {
            Self::Fixed | Self::Version => Action::Keep,
            Self::Usual(action, _) | Self::Rule(action, ..) => action,
        }
    }

    pub(super) fn class(self) -> Option<Class> {
        match self {
            Self::Fixed | Self::Version => None,
            Self::Usual(_, class) | Self::Rule(_, class, _) => class,
        }
    }
}

/// What comes of decisions, the first of which counts; a rule takes the class from those behind it.
pub(super) fn resolved(mut decisions: impl Iterator<Item = Verdict>) -> Verdict {
    match decisions.next() {
        Some(Verdict::Rule(action, None, number)) => {
            Verdict::Rule(action, decisions.find_map(Verdict::class), number)
        }
        Some(verdict) => verdict,
        None => UNDECIDED,
    }
}
