//! The published activity reference as data: every activity type, every actor kind, their fields.
//!
//! Read from `mappings/catalog.json`. It owns what the vendor publishes (names, types, enums,
//! nullability) and must not know what becomes of a field: that is [`crate::tables`]'s business.
//! The catalog is knowledge, not a gate: records of types it does not list are mapped all the same.

use std::collections::BTreeMap;

use serde::Deserialize;
use thiserror::Error;

/// The text of `mappings/catalog.json`, as shipped.
pub const CATALOG_JSON: &str = include_str!("../../../mappings/catalog.json");

/// Every documented activity type and actor kind.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalog {
    /// Which edition of the vendor's reference this is.
    pub source: String,
    /// Fields that every activity has.
    pub envelope: Vec<Field>,
    /// Actor kinds (`actor.type`) and their fields; `type` itself is left out.
    pub actors: BTreeMap<String, Vec<Field>>,
    /// Fields that the reference does not list, but that records are known to carry.
    pub observed: Vec<Observed>,
    /// Activity types and their type-specific fields, without the envelope.
    pub activities: BTreeMap<String, Activity>,
}

/// A field met in records though the reference does not list it.
#[derive(Debug, Clone, Deserialize)]
pub struct Observed {
    /// The activity type (actor kind for `actor.` fields) it is met on, or `*`.
    pub on: String,
    /// Name and shape; an actor's field is named `actor.<field>`.
    #[serde(flatten)]
    pub field: Field,
}

/// One documented activity type.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Activity {
    /// The edition (`YYYY-MM`) in which the type first appeared.
    pub since: String,
    /// True for a type that is no longer recorded; old rows remain.
    #[serde(default)]
    pub retired: bool,
    /// The type-specific fields.
    pub fields: Vec<Field>,
}

/// A named field of an activity, an actor or a nested object.
#[derive(Debug, Clone, Deserialize)]
pub struct Field {
    /// The key in the JSON object.
    pub name: String,
    /// What the value looks like.
    #[serde(flatten)]
    pub shape: Shape,
    /// The key may be missing.
    #[serde(default)]
    pub optional: bool,
    /// The value may be `null`.
    #[serde(default)]
    pub nullable: bool,
    /// The edition in which the field appeared, when later than its type.
    #[serde(default)]
    pub since: Option<String>,
}

impl Field {
    /// True when a record of the type always carries a value for the field.
    #[must_use]
    pub fn is_required(&self) -> bool {
        !self.optional && !self.nullable
    }
}

/// The shape of a value.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Shape {
    /// Any text.
    String,
    /// An integer or a fraction.
    Number,
    /// `true` or `false`.
    Boolean,
    /// One of a published set of texts; the set grows without notice.
    Enum {
        /// The published values.
        values: Vec<String>,
    },
    /// A list.
    Array {
        /// The shape of every item.
        items: Box<Shape>,
    },
    /// An object of known fields.
    Object {
        /// Its fields.
        fields: Vec<Field>,
    },
    /// An object with free keys.
    Map {
        /// The shape of every value.
        values: Box<Shape>,
    },
    /// One of several objects, told apart by their `type`.
    Union {
        /// The alternatives.
        variants: Vec<Variant>,
    },
    /// Nothing is published about the value.
    Any,
    /// One of the actor kinds (only the envelope's `actor`).
    Actor,
}

/// One alternative of a [`Shape::Union`].
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variant {
    /// Its fields.
    pub fields: Vec<Field>,
}

/// The catalog text is not what this program expects.
#[derive(Debug, Error)]
#[error("the activity catalog cannot be read: {0}")]
pub struct CatalogError(#[from] serde_json::Error);

impl Catalog {
    /// Reads a catalog from its JSON text.
    ///
    /// # Errors
    ///
    /// When the text is not JSON or not a catalog; the message names line and column.
    pub fn parse(json: &str) -> Result<Self, CatalogError> {
        Ok(serde_json::from_str(json)?)
    }

    /// The catalog that ships with the program.
    ///
    /// # Panics
    ///
    /// Never in a program that was built: the build reads the same text first.
    #[must_use]
    #[expect(clippy::expect_used, reason = "the build script has read the same text")]
    pub fn builtin() -> Self {
        Self::parse(CATALOG_JSON).expect("the built-in catalog is checked by the build")
    }

    /// The newest edition of the reference that is in it, `YYYY-MM`.
    #[must_use]
    pub fn edition(&self) -> &str {
        self.activities.values().map(|activity| activity.since.as_str()).max().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_builtin_catalog_has_every_published_type_and_actor() {
        let catalog = Catalog::builtin();
        assert_eq!(catalog.activities.len(), 521);
        assert_eq!(catalog.actors.len(), 11);
        assert_eq!(catalog.envelope.len(), 6);
    }

    #[test]
    fn a_broken_catalog_names_the_place() {
        let error = Catalog::parse("{\"source\":\"x\",\n\"envelope\":7}").unwrap_err().to_string();
        assert!(error.contains("line 2"), "{error}");
    }
}
