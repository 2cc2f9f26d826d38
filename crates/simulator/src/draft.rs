//! A record in the making: what its caller fixes, and the rest by chance.

use std::ops::ControlFlow;

use crate::clock::Micros;
use crate::json;
use crate::records::{RecordGenerator, RecordShape};
use crate::values::{moment, tagged_id};

/// A record of which some parts are fixed; ends with [`Draft::finish`].
#[derive(Debug)]
#[must_use = "a draft is not a record before it is finished"]
pub struct Draft<'g, 'c> {
    generator: &'g mut RecordGenerator<'c>,
    activity_type: String,
    shape: RecordShape,
    actor_kind: Option<String>,
    actor: Option<String>,
    at: Option<Micros>,
    /// Field names with their JSON.
    fixed: Vec<(String, String)>,
}

impl<'g, 'c> Draft<'g, 'c> {
    pub(crate) fn new(generator: &'g mut RecordGenerator<'c>, activity_type: &str) -> Self {
        Self {
            generator,
            activity_type: activity_type.to_owned(),
            shape: RecordShape::Believable,
            actor_kind: None,
            actor: None,
            at: None,
            fixed: Vec::new(),
        }
    }

    /// Which fields it carries; believable when not said.
    pub fn shape(mut self, shape: RecordShape) -> Self {
        self.shape = shape;
        self
    }

    /// An actor of this kind; one that fits the type when not said.
    pub fn actor_kind(mut self, kind: &str) -> Self {
        self.actor_kind = Some(kind.to_owned());
        self
    }

    /// This actor, as JSON.
    pub fn actor_json(mut self, actor: &str) -> Self {
        self.actor = Some(actor.to_owned());
        self
    }

    /// When it happened; some seconds after the record before when not said.
    pub fn at(mut self, at: Micros) -> Self {
        self.at = Some(at);
        self
    }

    /// A field's value as text. A field that the type does not have is added at the end.
    pub fn set(self, name: &str, text: &str) -> Self {
        let mut json = String::new();
        json::string(&mut json, text);
        self.set_json(name, &json)
    }

    /// A field's value as JSON.
    pub fn set_json(mut self, name: &str, json: &str) -> Self {
        self.fixed.push((name.to_owned(), json.to_owned()));
        self
    }

    /// The record, as compact JSON without a newline.
    #[must_use]
    pub fn finish(self) -> String {
        let Self { generator, activity_type, shape, actor_kind, actor, at, mut fixed } = self;
        if let Some(at) = at {
            generator.now = at;
        }
        let now = at.unwrap_or_else(|| generator.tick());
        let mut out = String::with_capacity(700);
        out.push('{');
        let id = tagged_id(&mut generator.random, "activity_");
        let created_at = moment(&mut generator.random, now);
        let (organization_id, organization_uuid) = generator.organization(&activity_type, shape).unzip();
        for (name, text) in [
            ("id", Some(id.as_str())),
            ("created_at", Some(created_at.as_str())),
            ("organization_id", organization_id),
            ("organization_uuid", organization_uuid),
            ("type", Some(activity_type.as_str())),
        ] {
            if take_fixed(&mut fixed, &mut out, name).is_continue() {
                json::key(&mut out, name);
                match text {
                    Some(text) => json::string(&mut out, text),
                    None => out.push_str("null"),
                }
            }
        }
        let actor = actor.unwrap_or_else(|| {
            let kind = actor_kind.unwrap_or_else(|| generator.fitting_kind(&activity_type).to_owned());
            generator.actor(&kind, shape)
        });
        json::key(&mut out, "actor");
        out.push_str(&actor);
        let catalog = generator.catalog;
        let fields = catalog.activities.get(&activity_type).map_or(&[][..], |activity| &activity.fields);
        generator.write_fields(&mut out, fields, &activity_type, shape, &mut |out, name| {
            take_fixed(&mut fixed, out, name)
        });
        for (name, json) in fixed {
            json::key(&mut out, &name);
            out.push_str(&json);
        }
        out.push('}');
        out
    }
}

/// Writes a field if its value is fixed, and breaks then.
fn take_fixed(fixed: &mut Vec<(String, String)>, out: &mut String, name: &str) -> ControlFlow<()> {
    let Some(index) = fixed.iter().position(|(fixed, _)| fixed == name) else {
        return ControlFlow::Continue(());
    };
    let (name, json) = fixed.remove(index);
    json::key(out, &name);
    out.push_str(&json);
    ControlFlow::Break(())
}
