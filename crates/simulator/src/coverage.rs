//! Which of the catalog's choices have been made, and which are still to make.
//!
//! A choice is known by the place of its shape in memory: shapes live in the catalog, which nobody
//! changes while a generator holds it.

use std::collections::HashSet;

use model::catalog::{Field, Shape, Variant};

/// The choices made so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Coverage {
    made: HashSet<(usize, usize)>,
}

impl Coverage {
    /// The first of a shape's options not chosen before, `None` when all were.
    pub(crate) fn choose(&mut self, shape: &Shape, count: usize) -> Option<usize> {
        let place = place(shape);
        let option = (0..count).find(|option| !self.made.contains(&(place, *option)))?;
        self.made.insert((place, option));
        Some(option)
    }

    /// The first variant that is new or has something new inside.
    pub(crate) fn choose_variant(&mut self, shape: &Shape, variants: &[Variant]) -> Option<usize> {
        let place = place(shape);
        let fresh = |index: &usize| {
            !self.made.contains(&(place, *index)) || !self.is_complete(&variants[*index].fields)
        };
        let option = (0..variants.len()).find(fresh)?;
        self.made.insert((place, option));
        Some(option)
    }

    /// True when every choice under these fields has been made.
    pub(crate) fn is_complete(&self, fields: &[Field]) -> bool {
        fields.iter().all(|field| self.covers(&field.shape))
    }

    fn covers(&self, shape: &Shape) -> bool {
        let all = |count: usize| (0..count).all(|option| self.made.contains(&(place(shape), option)));
        match shape {
            Shape::Boolean => all(2),
            Shape::Enum { values } => all(values.len()),
            Shape::Array { items } => self.covers(items),
            Shape::Object { fields } => self.is_complete(fields),
            Shape::Map { values } => self.covers(values),
            Shape::Union { variants } => {
                all(variants.len()) && variants.iter().all(|variant| self.is_complete(&variant.fields))
            }
            Shape::String | Shape::Number | Shape::Any | Shape::Actor => true,
        }
    }
}

/// Where a shape lives.
fn place(shape: &Shape) -> usize {
    std::ptr::from_ref(shape).addr()
}
