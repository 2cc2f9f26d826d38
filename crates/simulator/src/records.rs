//! Single activity records, made from the catalog.
//!
//! The catalog says which fields a type has; this module decides which of them a record carries,
//! chooses among enum values and union variants, and writes the record as the feed sends it: compact,
//! flat, envelope first. The same catalog, seed and calls give the same bytes.

use std::ops::ControlFlow;

use model::catalog::{Catalog, Field, Shape};

use crate::cast::{Cast, CastSize};
use crate::clock::{Micros, SECOND, instant};
use crate::coverage::Coverage;
use crate::draft::Draft;
use crate::fits::{fitting, is_without_organization};
use crate::random::{Random, Weighted};
use crate::vocabulary::{SEATS, SENTENCES, SETTINGS, SLUGS};
use crate::{json, values};

/// Which of a type's fields a record carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RecordShape {
    /// Every field, none null.
    Full,
    /// Only what must be there; a field that must be there but may be null is null.
    Required,
    /// Every field, and null wherever the catalog says nullable or optional.
    Nulls,
    /// Optional and nullable fields come and go, as in a real feed.
    Believable,
}

impl RecordShape {
    /// All four.
    pub const ALL: [Self; 4] = [Self::Full, Self::Required, Self::Nulls, Self::Believable];
}

/// What becomes of one field.
enum Carried {
    Value,
    Null,
    Absent,
}

/// Makes activity records of any type; see the module's text.
#[derive(Debug, Clone)]
pub struct RecordGenerator<'c> {
    pub(crate) catalog: &'c Catalog,
    pub(crate) random: Random,
    pub(crate) cast: Cast,
    /// When the next record happens.
    pub(crate) now: Micros,
    /// What has been chosen so far, while covering all there is to choose.
    coverage: Option<Coverage>,
    /// The JSON of the value written last, so that `previous_…` differs from `current_…`.
    last: String,
}

impl<'c> RecordGenerator<'c> {
    /// A generator with a middling cast of its own.
    #[must_use]
    pub fn new(catalog: &'c Catalog, seed: u64) -> Self {
        Self::with_cast(
            catalog,
            seed,
            Cast::new(seed, CastSize { people: 400, machines: 40, addresses: 1_200 }),
        )
    }

    /// A generator whose actors come from `cast`.
    #[must_use]
    pub fn with_cast(catalog: &'c Catalog, seed: u64, cast: Cast) -> Self {
        let now = instant((2026, 10, 5), 7, 30, 0);
        Self { catalog, random: Random::new(seed), cast, now, coverage: None, last: String::new() }
    }

    /// One record of a type, as compact JSON without a newline.
    ///
    /// A type that the catalog does not list gives the envelope alone.
    pub fn record(&mut self, activity_type: &str, shape: RecordShape) -> String {
        self.draft(activity_type).shape(shape).finish()
    }

    /// Starts a record of which something is to be fixed: the actor, the time, a field.
    pub fn draft(&mut self, activity_type: &str) -> Draft<'_, 'c> {
        Draft::new(self, activity_type)
    }

    /// An actor of a kind in the given shape, as compact JSON. Any kind is possible; one that the
    /// catalog does not list has a `type` and nothing else.
    pub fn actor(&mut self, kind: &str, shape: RecordShape) -> String {
        let mut out = String::from("{");
        json::key(&mut out, "type");
        json::string(&mut out, kind);
        let presence = self.cast.presence(&mut self.random, kind);
        let catalog = self.catalog;
        for field in catalog.actors.get(kind).map_or(&[][..], Vec::as_slice) {
            // Anthropic's staff are nameless in practice, whatever the reference allows.
            let carried = match self.carried(field, shape) {
                Carried::Value if shape == RecordShape::Believable && kind == "anthropic_actor" => {
                    Carried::Null
                }
                carried => carried,
            };
            match (carried, presence.value(&field.name)) {
                (Carried::Absent, _) => {}
                (Carried::Value, Some(text)) => {
                    json::key(&mut out, &field.name);
                    json::string(&mut out, &text);
                }
                (carried, _) => self.write_carried(&mut out, field, &carried, kind, shape),
            }
        }
        out.push('}');
        out
    }

    /// Actors of a kind in every shape, with every variant and enum value among them.
    pub fn actors_for(&mut self, kind: &str) -> Vec<String> {
        let mut actors: Vec<_> = RecordShape::ALL.iter().map(|&shape| self.actor(kind, shape)).collect();
        let fields = self.catalog.actors.get(kind).map_or(&[][..], Vec::as_slice);
        self.cover(fields, |generator| actors.push(generator.actor(kind, RecordShape::Full)));
        actors
    }

    /// Records of a type in every shape, with every enum value, both booleans and every union variant
    /// of its fields among them, and every actor kind: the fitting ones in every shape.
    pub fn records_for(&mut self, activity_type: &str) -> Vec<String> {
        let fitting = fitting(activity_type);
        let mut records = Vec::new();
        for (kind, _) in fitting {
            for shape in RecordShape::ALL {
                records.push(self.draft(activity_type).shape(shape).actor_kind(kind).finish());
            }
        }
        let catalog = self.catalog;
        for kind in catalog.actors.keys().filter(|kind| fitting.iter().all(|(fit, _)| fit != kind)) {
            records.push(self.draft(activity_type).actor_kind(kind).finish());
        }
        let fields = catalog.activities.get(activity_type).map_or(&[][..], |activity| &activity.fields);
        self.cover(fields, |generator| records.push(generator.record(activity_type, RecordShape::Full)));
        records
    }

    /// Calls `make` until every choice under `fields` has been made.
    fn cover(&mut self, fields: &[Field], mut make: impl FnMut(&mut Self)) {
        self.coverage = Some(Coverage::default());
        while self.coverage.as_ref().is_some_and(|coverage| !coverage.is_complete(fields)) {
            make(self);
        }
        self.coverage = None;
    }

    /// A fitting actor kind for a type, by chance.
    pub(crate) fn fitting_kind(&mut self, activity_type: &str) -> &'static str {
        let kinds = fitting(activity_type);
        kinds[Weighted::new(kinds.iter().map(|(_, weight)| *weight)).pick(&mut self.random)].0
    }

    /// Lets some seconds pass and says what time it is; now and then records share a time.
    pub(crate) fn tick(&mut self) -> Micros {
        if !self.random.chance(8) {
            let later = self.now + self.random.below(20 * SECOND as u64) as i64;
            self.now = values::settle(&mut self.random, later);
        }
        self.now
    }

    /// Both organization fields, or null where none is named.
    pub(crate) fn organization(&self, activity_type: &str, shape: RecordShape) -> Option<(&str, &str)> {
        let without = match shape {
            RecordShape::Full => false,
            RecordShape::Nulls => true,
            RecordShape::Required | RecordShape::Believable => is_without_organization(activity_type),
        };
        (!without).then_some((self.cast.organization.0.as_str(), self.cast.organization.1.as_str()))
    }

    /// Writes fields into an open object; `given` may write one of them itself.
    ///
    /// `context` is what the fields belong to: an activity type, or the `type` of an object.
    pub(crate) fn write_fields(
        &mut self,
        out: &mut String,
        fields: &[Field],
        context: &str,
        shape: RecordShape,
        given: &mut dyn FnMut(&mut String, &str) -> ControlFlow<()>,
    ) {
        for field in fields {
            if given(out, &field.name).is_continue() {
                let carried = self.carried(field, shape);
                self.write_carried(out, field, &carried, context, shape);
            }
        }
    }

    fn carried(&mut self, field: &Field, shape: RecordShape) -> Carried {
        match shape {
            RecordShape::Full => Carried::Value,
            _ if field.is_required() => Carried::Value,
            RecordShape::Nulls => Carried::Null,
            RecordShape::Required if field.optional => Carried::Absent,
            RecordShape::Required => Carried::Null,
            // The API writes null where there is nothing, and leaves out only what cannot be null.
            RecordShape::Believable if field.nullable && self.random.chance(40) => Carried::Null,
            RecordShape::Believable if !field.nullable && self.random.chance(40) => Carried::Absent,
            RecordShape::Believable => Carried::Value,
        }
    }

    fn write_carried(
        &mut self,
        out: &mut String,
        field: &Field,
        carried: &Carried,
        context: &str,
        shape: RecordShape,
    ) {
        match carried {
            Carried::Absent => {}
            Carried::Null => {
                json::key(out, &field.name);
                out.push_str("null");
            }
            Carried::Value => {
                json::key(out, &field.name);
                let start = out.len();
                self.write_value(out, &field.shape, &field.name, context, shape);
                let former = ["previous_", "old_"].iter().any(|prefix| field.name.starts_with(prefix));
                // What changed is different afterwards, unless there is nothing else to choose.
                for _ in 0..8 {
                    if !(former && self.coverage.is_none() && out[start..] == self.last) {
                        break;
                    }
                    out.truncate(start);
                    self.write_value(out, &field.shape, &field.name, context, shape);
                }
                self.last = out[start..].to_owned();
            }
        }
    }

    fn write_value(&mut self, out: &mut String, kind: &Shape, name: &str, context: &str, shape: RecordShape) {
        match kind {
            Shape::String => {
                let text = values::text(&mut self.random, &self.cast, self.now, rule_name(name, context));
                json::string(out, &text);
            }
            Shape::Number => out.push_str(&values::number(&mut self.random, rule_name(name, context))),
            Shape::Boolean => out.push_str(["true", "false"][self.choose(kind, 2)]),
            Shape::Enum { values } => json::string(out, &values[self.choose(kind, values.len())]),
            Shape::Array { items } => {
                let count = match shape {
                    RecordShape::Full => self.random.range(1, 3),
                    RecordShape::Required | RecordShape::Nulls => 1,
                    RecordShape::Believable => [0, 1, 1, 1, 2, 2, 3][self.random.index(7)],
                };
                out.push('[');
                for _ in 0..count {
                    json::next_item(out);
                    self.write_value(out, items, name, context, shape);
                }
                out.push(']');
            }
            Shape::Object { fields } => self.write_object(out, fields, context, shape, false),
            Shape::Map { values } => {
                out.push('{');
                for index in 0..self.random.range(1, 3) as usize {
                    let keys = map_keys(rule_name(name, context));
                    let key = keys[index % keys.len()];
                    json::key(out, key);
                    // What a token claims is text with a meaning, though the reference says anything goes.
                    let values = if name == "claims" { &Shape::String } else { &**values };
                    self.write_value(out, values, if name == "claims" { key } else { name }, context, shape);
                }
                out.push('}');
            }
            Shape::Union { variants } => {
                let random = self.random.index(variants.len());
                let chosen =
                    self.coverage.as_mut().and_then(|coverage| coverage.choose_variant(kind, variants));
                self.write_object(out, &variants[chosen.unwrap_or(random)].fields, context, shape, true);
            }
            Shape::Any => self.write_anything(out, 2),
            // Only the envelope has an actor; another place for one would be a new idea of the vendor's.
            Shape::Actor => out.push_str(&self.actor("user_actor", shape)),
        }
    }

    /// Writes an object; its `type`, if it has one, decides what its other values look like.
    ///
    /// A union's variants are told apart by their `type`, so there it is never left out.
    fn write_object(
        &mut self,
        out: &mut String,
        fields: &[Field],
        context: &str,
        shape: RecordShape,
        tagged: bool,
    ) {
        let tag = fields.iter().find(|field| field.name == "type");
        let tag_value = match tag.map(|field| &field.shape) {
            Some(kind @ Shape::Enum { values }) => Some(values[self.choose(kind, values.len())].as_str()),
            _ => None,
        };
        let always = tag.is_some_and(Field::is_required) || tagged || shape == RecordShape::Believable;
        out.push('{');
        self.write_fields(
            out,
            fields,
            tag_value.unwrap_or(context),
            shape,
            &mut |out, name| match tag_value {
                Some(value) if name == "type" && (always || shape == RecordShape::Full) => {
                    json::key(out, name);
                    json::string(out, value);
                    ControlFlow::Break(())
                }
                _ => ControlFlow::Continue(()),
            },
        );
        out.push('}');
    }

    /// Chooses one of a shape's options: one not chosen before while covering, else any.
    fn choose(&mut self, kind: &Shape, count: usize) -> usize {
        let random = self.random.index(count);
        self.coverage.as_mut().and_then(|coverage| coverage.choose(kind, count)).unwrap_or(random)
    }

    /// Any JSON value at all, nested at most `depth` deep.
    fn write_anything(&mut self, out: &mut String, depth: u32) {
        match self.random.below(if depth == 0 { 5 } else { 7 }) {
            0 => out.push_str("null"),
            1 => out.push_str("true"),
            2 => out.push_str(&self.random.below(5_000).to_string()),
            3 => json::string(out, SENTENCES[self.random.index(SENTENCES.len())]),
            4 => json::string(out, SLUGS[self.random.index(SLUGS.len())]),
            5 => {
                out.push('[');
                for _ in 0..2 {
                    json::next_item(out);
                    self.write_anything(out, depth - 1);
                }
                out.push(']');
            }
            _ => {
                out.push('{');
                json::key(out, SETTINGS[self.random.index(SETTINGS.len())]);
                self.write_anything(out, depth - 1);
                out.push('}');
            }
        }
    }
}

/// The name by which a value is chosen: a changed value looks like what changed.
fn rule_name<'n>(name: &'n str, context: &'n str) -> &'n str {
    match (context, name) {
        (_, "current_value" | "previous_value" | "new_value") => context,
        ("aws", "account_id") => "aws_account_id",
        ("compliance_api_accessed", "url") => "api_url",
        ("platform_federated_authentication", "id") => "workspace_id",
        ("platform_federated_authentication", "type") => "involved_type",
        _ => name,
    }
}

/// The keys of an object whose keys are free.
fn map_keys(name: &str) -> &'static [&'static str] {
    match name {
        "claims" => &["sub", "repository", "ref", "environment"],
        "item_allocations" | "subscription_item_quotas" => SEATS,
        "mcp_tools_enabled" | "cli_op_permissions_enabled" => {
            &["search_tickets", "deployctl:status", "create_page"]
        }
        "metadata" => &["installation", "visibility", "default_branch"],
        _ => SETTINGS,
    }
}
