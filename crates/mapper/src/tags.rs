//! The `tags` a document can carry; each says that something about the record was unusual.

/// A set of tags.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tags(u16);

impl Tags {
    /// `event.original` holds the raw record.
    pub const PRESERVE_ORIGINAL_EVENT: Self = Self(1);
    /// The tables have no row for the activity type; category and outcome are inferred from its name.
    pub const UNKNOWN_ACTIVITY_TYPE: Self = Self(1 << 1);
    /// The tables have no row for the actor kind.
    pub const UNKNOWN_ACTOR_TYPE: Self = Self(1 << 2);
    /// A field without a row is kept under `anthropic.audit.metadata`.
    pub const UNKNOWN_FIELD: Self = Self(1 << 3);
    /// A field's value was not of the type its index takes and is kept under `anthropic.audit.metadata`.
    pub const UNEXPECTED_VALUE: Self = Self(1 << 4);
    /// A key stood twice in one object; the last value counts, the original is kept.
    pub const DUPLICATE_KEY: Self = Self(1 << 5);
    /// The record has no `id`; `event.id` is the SHA-256 of its canonical form.
    pub const DERIVED_EVENT_ID: Self = Self(1 << 6);
    /// The record has no usable time; `@timestamp` is the epoch.
    pub const MISSING_TIMESTAMP: Self = Self(1 << 7);
    /// A lone surrogate became U+FFFD; the original is kept.
    pub const INVALID_UNICODE: Self = Self(1 << 8);
    /// The address was not looked up because a database is damaged.
    pub const GEOIP_LOOKUP_FAILURE: Self = Self(1 << 9);
    /// A value was left out, since the configuration says so.
    pub const PRIVACY_DROPPED: Self = Self(1 << 10);
    /// A keyed hash stands in the place of a value.
    pub const PRIVACY_HASHED: Self = Self(1 << 11);
    /// A part of a value was left out.
    pub const PRIVACY_TRUNCATED: Self = Self(1 << 12);
    /// What privacy can have done.
    pub(crate) const PRIVACY: [Self; 3] =
        [Self::PRIVACY_DROPPED, Self::PRIVACY_HASHED, Self::PRIVACY_TRUNCATED];

    /// Every tag with its name in the document, in the order they are written.
    pub const ALL: [(Self, &'static str); 13] = [
        (Self::PRESERVE_ORIGINAL_EVENT, "preserve_original_event"),
        (Self::UNKNOWN_ACTIVITY_TYPE, "unknown_activity_type"),
        (Self::UNKNOWN_ACTOR_TYPE, "unknown_actor_type"),
        (Self::UNKNOWN_FIELD, "unknown_field"),
        (Self::UNEXPECTED_VALUE, "unexpected_value"),
        (Self::DUPLICATE_KEY, "duplicate_key"),
        (Self::DERIVED_EVENT_ID, "derived_event_id"),
        (Self::MISSING_TIMESTAMP, "missing_timestamp"),
        (Self::INVALID_UNICODE, "invalid_unicode"),
        (Self::GEOIP_LOOKUP_FAILURE, "geoip_lookup_failure"),
        (Self::PRIVACY_DROPPED, "privacy_dropped"),
        (Self::PRIVACY_HASHED, "privacy_hashed"),
        (Self::PRIVACY_TRUNCATED, "privacy_truncated"),
    ];

    /// Adds the tags of `other`.
    pub fn insert(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// Whether all tags of `other` are in the set.
    #[must_use]
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether there is no tag.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The names of the tags in the set.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::ALL.into_iter().filter(move |(tag, _)| self.contains(*tag)).map(|(_, name)| name)
    }
}
