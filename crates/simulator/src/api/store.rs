//! The records of the simulated feed in their order, and pages of them.
//!
//! Owns what a cursor and a limit select. It knows nothing of requests or errors: bounds and cursors
//! come in as places. The subtle thing: a page before a cursor holds the rows *next* to it, so it is
//! gathered away from the cursor and then turned round.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Included};

use super::filter::Filter;
use super::library::Library;
use super::row::{Place, Row};
use crate::clock::Micros;

/// Which way a listing goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Order {
    /// Oldest first.
    Ascending,
    /// Newest first, which is the default of the API.
    Descending,
}

/// On which side of a cursor a page lies, in result order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    After,
    Before,
}

/// What is asked for.
#[derive(Debug, Clone)]
pub(crate) struct Query {
    pub(crate) filter: Filter,
    pub(crate) order: Order,
    pub(crate) cursor: Option<(Side, Place)>,
    pub(crate) limit: usize,
}

/// What is answered.
#[derive(Debug)]
pub(crate) struct Page<'s> {
    pub(crate) rows: Vec<(Place, &'s Row)>,
    /// More rows exist in the direction walked.
    pub(crate) has_more: bool,
}

/// Every record there is, shown or not yet.
#[derive(Debug, Clone, Default)]
pub(crate) struct Store {
    rows: BTreeMap<Place, Row>,
    /// What the records speak of, once somebody has asked.
    library: Option<Library>,
}

impl Store {
    pub(crate) fn insert(&mut self, place: Place, row: Row) {
        if let Some(library) = &mut self.library {
            library.note(place, &row);
        }
        self.rows.insert(place, row);
    }

    pub(crate) fn extend(&mut self, rows: impl IntoIterator<Item = (Place, Row)>) {
        if self.library.is_none() {
            self.rows.extend(rows);
        } else {
            rows.into_iter().for_each(|(place, row)| self.insert(place, row));
        }
    }

    /// What the records speak of: made now, if nobody has asked before.
    pub(crate) fn open_library(&mut self) {
        if self.library.is_none() {
            let mut library = Library::default();
            self.rows.iter().for_each(|(place, row)| library.note(*place, row));
            self.library = Some(library);
        }
    }

    /// What the records speak of; nothing unless it was opened.
    pub(crate) fn library(&self) -> Option<&Library> {
        self.library.as_ref()
    }

    pub(crate) fn get(&self, place: Place) -> Option<&Row> {
        self.rows.get(&place)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Place, &Row)> {
        self.rows.iter().map(|(place, row)| (*place, row))
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Forgets every row of which `keep` says no.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(Place, &Row) -> bool) {
        self.rows.retain(|place, row| keep(*place, row));
        self.library = None;
    }

    /// Takes out every row before a place.
    pub(crate) fn take_before(&mut self, place: Place) -> BTreeMap<Place, Row> {
        let later = self.rows.split_off(&place);
        self.library = None;
        std::mem::replace(&mut self.rows, later)
    }

    /// The place of a record by the number behind its id. Looks at all of them.
    pub(crate) fn find(&self, number: u128) -> Option<Place> {
        self.rows.keys().find(|place| place.number == number).copied()
    }

    /// The page a query selects at `now`.
    pub(crate) fn page(&self, query: &Query, now: Micros) -> Page<'_> {
        let upward = matches!(
            (query.order, query.cursor),
            (Order::Ascending, None | Some((Side::After, _))) | (Order::Descending, Some((Side::Before, _)))
        );
        let mut low = Included(Place { created: query.filter.from, number: 0 });
        let mut high = Excluded(Place { created: query.filter.until, number: 0 });
        let mut empty = query.filter.from >= query.filter.until;
        if let Some((_, cursor)) = query.cursor {
            if upward && cursor.created >= query.filter.from {
                low = Excluded(cursor);
                empty |= cursor.created >= query.filter.until;
            } else if !upward && cursor.created < query.filter.until {
                high = Excluded(cursor);
                empty |= cursor.created < query.filter.from;
            }
        }
        if empty {
            return Page { rows: Vec::new(), has_more: false };
        }
        let seen = |(_, row): &(&Place, &Row)| row.indexed <= now && query.filter.keeps(&row.content);
        let range = self.rows.range((low, high));
        let mut rows: Vec<_> = if upward {
            range.filter(seen).take(query.limit + 1).collect()
        } else {
            range.rev().filter(seen).take(query.limit + 1).collect()
        };
        let has_more = rows.len() > query.limit;
        rows.truncate(query.limit);
        if matches!(query.cursor, Some((Side::Before, _))) {
            rows.reverse();
        }
        Page { rows: rows.into_iter().map(|(place, row)| (*place, row)).collect(), has_more }
    }
}
