//! What is to be done where, as a tree of keys.
//!
//! Compiled from the table of personal fields and the configuration. A place in the tree is a way of keys from the top of a record,
//! lists left out. What the tree does not know is decided by the end of its key alone; what lies below it too.
//!
//! The subtle thing: what is to be done with a field may depend on the activity type. Those decisions stay open in the tree, and
//! are taken for each record, by a bit for each pattern that says whether it is for the record's type. And where the `type` of an
//! object says what its members hold, a `type` of tomorrow is read as a key is: by its end.

use std::sync::Arc;

use hashbrown::HashMap;
use memchr::memmem;
use model::tables::{Class, FieldName, FieldPath, LONGEST_ENDING, On, Personal, PersonalRow, Segment, words};
use smallvec::SmallVec;

use super::scan::Quoted;
use super::verdict::{UNDECIDED, Verdict, resolved};
use super::{Action, PrivacyOptions, looks, types};

/// A place in the tree.
pub(super) type PlaceId = u32;
/// Everything that the tree does not know.
pub(super) const ANYWHERE: PlaceId = 0;
/// The top of a record.
pub(super) const TOP: PlaceId = 1;

/// The tree.
pub(super) struct Tree {
    places: Vec<Place>,
    fields: Vec<Field>,
    /// By the end of a key.
    endings: HashMap<String, Verdict>,
    /// The types of the patterns that are not for all.
    types: Vec<On>,
    needs_type: bool,
    /// What is done to keys that are an e-mail address, or an IP address.
    looks: [(Class, Action); 2],
}

/// What leads on from a place.
#[derive(Debug, Default)]
pub(super) struct Place {
    fields: HashMap<Box<str>, u32>,
    /// Where an object belongs, by the value of its member `type`.
    variants: HashMap<Box<str>, PlaceId>,
    /// Where it belongs if that value is not known, by what its end says.
    by_ending: Vec<(Verdict, PlaceId)>,
    /// What holds for fields on which nothing else decides.
    otherwise: Option<Verdict>,
}

/// A field of the tree.
#[derive(Debug)]
pub(super) struct Field {
    /// By the number of a pattern, `None` if it is for all types; the first that is for the record's type counts. Never empty,
    /// and just one if all types come to the same.
    decisions: Box<[(Option<usize>, Verdict)]>,
    /// Where it leads.
    pub(super) into: PlaceId,
}

/// A bit for each pattern of [`Tree::types`].
pub(super) type Patterns = Arc<[u64]>;

impl Tree {
    /// Puts the table and the configuration together.
    pub(super) fn compile(rows: &[PersonalRow], options: &PrivacyOptions) -> Self {
        let has_rules = !options.rules.is_empty();
        let verdict = |personal: Personal| match personal {
            // Of what is kept the class matters to rules alone.
            Personal::Is(class) if has_rules || options.of(class) != Action::Keep => {
                Verdict::Usual(options.of(class), Some(class))
            }
            Personal::Is(_) | Personal::No => UNDECIDED,
            Personal::Version => Verdict::Version,
            Personal::Fixed => Verdict::Fixed,
        };
        let mut tree = Self {
            places: vec![Place::default(), Place::default()],
            fields: Vec::new(),
            endings: HashMap::new(),
            types: Vec::new(),
            needs_type: false,
            looks: [Class::Email, Class::Address].map(|class| (class, options.of(class))),
        };
        let mut patterns: Vec<Pattern> = Vec::new();
        for row in rows {
            match &row.field {
                FieldName::Ending(ending) => {
                    tree.endings.insert(ending.clone(), verdict(row.personal));
                }
                FieldName::At(path) => patterns.push(Pattern {
                    path: path.clone(),
                    on: tree.on(&row.on),
                    precedence: (0, variants(path), usize::from(row.on != On::Any)),
                    verdict: verdict(row.personal),
                }),
                FieldName::Within(path) => {
                    let mut path = path.clone();
                    path.0.push(Segment { key: ANY_KEY.to_owned(), variant: None });
                    let verdict = verdict(row.personal);
                    patterns.push(Pattern { path, on: None, precedence: (0, 0, 0), verdict });
                }
            }
        }
        for (rule, number) in options.rules.iter().zip(1_u32..) {
            let on = tree.on(&types(rule));
            for path in rule.fields.iter().filter_map(|field| field.parse::<FieldPath>().ok()) {
                // Which class the field has on a type is found where the rule is applied.
                let verdict = Verdict::Rule(rule.action, None, number);
                patterns.push(Pattern { path, on, precedence: (number as usize, 0, 0), verdict });
            }
        }
        patterns.sort_by_key(|pattern| std::cmp::Reverse(pattern.precedence));
        let all: Vec<Step> = (0..patterns.len()).map(|pattern| Step { pattern, at: 0 }).collect();
        tree.places[TOP as usize] = Place::default();
        tree.fill(TOP, &patterns, &all, None);
        tree
    }

    /// The number of a pattern of types.
    fn on(&mut self, on: &On) -> Option<usize> {
        if *on == On::Any {
            return None;
        }
        let known = self.types.iter().position(|other| other == on);
        Some(known.unwrap_or_else(|| {
            self.types.push(on.clone());
            self.types.len() - 1
        }))
    }

    /// Puts the fields into a place that the steps have reached. `told` are the keys on which the `type` of the object decides by
    /// its end, and how.
    fn fill(
        &mut self,
        place: PlaceId,
        patterns: &[Pattern],
        steps: &[Step],
        told: Option<(&[&str], Verdict)>,
    ) {
        for step in steps {
            let Some(segment) = step.segment(patterns) else { continue };
            if segment.key == ANY_KEY {
                self.places[place as usize].otherwise = Some(patterns[step.pattern].verdict);
                continue;
            }
            if self.places[place as usize].fields.contains_key(segment.key.as_str()) {
                continue;
            }
            let here: Vec<&Step> = steps
                .iter()
                .filter(|other| other.segment(patterns).is_some_and(|other| other.key == segment.key))
                .collect();
            let told = told.filter(|(keys, _)| keys.contains(&segment.key.as_str()));
            let by_variant = told.map(|(_, verdict)| verdict).filter(|verdict| *verdict != UNDECIDED);
            let last = here.iter().filter(|step| step.is_last(patterns)).map(|step| &patterns[step.pattern]);
            let by_key = self.by_key(&segment.key);
            let decisions = decisions(last, by_variant, by_key);
            self.needs_type |= decisions.len() > 1;
            let into = self.inside(patterns, &here);
            let number = self.fields.len() as u32;
            self.fields.push(Field { decisions, into });
            self.places[place as usize].fields.insert(segment.key.as_str().into(), number);
        }
    }

    /// The place that a field leads to.
    fn inside(&mut self, patterns: &[Pattern], here: &[&Step]) -> PlaceId {
        let onward: Vec<&&Step> = here.iter().filter(|step| !step.is_last(patterns)).collect();
        if onward.is_empty() {
            return ANYWHERE;
        }
        let variant = |step: &Step| step.segment(patterns).and_then(|segment| segment.variant.as_deref());
        let next = |wanted: Option<&str>| -> Vec<Step> {
            let fits = |step: &&&&Step| variant(step).is_none() || variant(step) == wanted;
            onward.iter().filter(fits).map(|step| Step { at: step.at + 1, ..***step }).collect()
        };
        let place = self.add();
        self.fill(place, patterns, &next(None), None);
        // The fields that rows name for one variant are those whose meaning the `type` tells.
        let is_row =
            |step: &Step| patterns.get(step.pattern).is_some_and(|pattern| pattern.precedence.0 == 0);
        let told: Vec<&str> = onward
            .iter()
            .filter(|step| is_row(step) && variant(step).is_some())
            .map(|step| Step { at: step.at + 1, ..***step })
            .filter(|step| step.is_last(patterns))
            .filter_map(|step| step.segment(patterns).map(|segment| segment.key.as_str()))
            .collect();
        for name in onward.iter().filter_map(|step| variant(step)) {
            if !self.places[place as usize].variants.contains_key(name) {
                let inside = self.add();
                let ending = self.by_key(name);
                self.fill(inside, patterns, &next(Some(name)), Some((&told, ending)));
                self.places[place as usize].variants.insert(name.into(), inside);
            }
        }
        if !told.is_empty() {
            let mut endings: Vec<Verdict> = Vec::new();
            for verdict in self.endings.values().filter(|verdict| **verdict != UNDECIDED) {
                if !endings.contains(verdict) {
                    endings.push(*verdict);
                }
            }
            for ending in endings {
                let inside = self.add();
                self.fill(inside, patterns, &next(None), Some((&told, ending)));
                self.places[place as usize].by_ending.push((ending, inside));
            }
        }
        place
    }

    fn add(&mut self) -> PlaceId {
        self.places.push(Place::default());
        self.places.len() as PlaceId - 1
    }

    /// The verdict for a field that the tree does not know, in a place.
    pub(super) fn unknown(&self, place: PlaceId, key: &str) -> Verdict {
        let otherwise = self.places.get(place as usize).and_then(|place| place.otherwise);
        self.by_ending(key).or(otherwise).unwrap_or(UNDECIDED)
    }

    /// The verdict by the end of a key alone.
    pub(super) fn by_key(&self, key: &str) -> Verdict {
        self.by_ending(key).unwrap_or(UNDECIDED)
    }

    fn by_ending(&self, key: &str) -> Option<Verdict> {
        let words = words(key);
        // Where the last words begin, as many as an ending has at most: a key of a million words costs no more than its length.
        let starts = words.rmatch_indices('_').map(|(at, _)| at + 1).take(LONGEST_ENDING);
        let mut starts: SmallVec<[usize; LONGEST_ENDING]> = starts.collect();
        if starts.len() < LONGEST_ENDING {
            starts.push(0);
        }
        let mut endings = starts.iter().rev().filter_map(|start| self.endings.get(words.get(*start..)?));
        endings.next().copied()
    }

    /// What is done to a key that is itself of a class by its looks, in an object of this verdict.
    pub(super) fn key_action(&self, verdict: Verdict, class: Class) -> Action {
        let own =
            self.looks.iter().find(|(other, _)| *other == class).map_or(Action::Keep, |(_, action)| *action);
        match verdict {
            Verdict::Rule(action, ..) => action,
            Verdict::Usual(action, _) => own.max(action),
            Verdict::Fixed | Verdict::Version => own,
        }
    }

    /// The field of that key.
    pub(super) fn field(&self, place: PlaceId, key: &str) -> Option<u32> {
        self.places.get(place as usize)?.fields.get(key).copied()
    }

    /// Where a field leads.
    pub(super) fn into(&self, field: u32) -> PlaceId {
        self.fields.get(field as usize).map_or(ANYWHERE, |field| field.into)
    }

    /// The verdict for a field, if it is the same on all types.
    pub(super) fn verdict_on_all(&self, field: u32) -> Option<Verdict> {
        match &*self.fields.get(field as usize)?.decisions {
            [(_, verdict)] => Some(*verdict),
            _ => None,
        }
    }

    /// The verdict for a field on a type.
    pub(super) fn verdict(&self, field: u32, patterns: &[u64]) -> Verdict {
        let Some(field) = self.fields.get(field as usize) else { return UNDECIDED };
        let is_for =
            |number: usize| patterns.get(number / 64).is_some_and(|bits| bits >> (number % 64) & 1 == 1);
        let fitting = field.decisions.iter().filter(|(on, _)| on.is_none_or(is_for));
        resolved(fitting.map(|(_, verdict)| *verdict))
    }

    /// Where an object belongs whose `type` the place does not know.
    pub(super) fn variant_by_ending(&self, place: PlaceId, ending: Verdict) -> PlaceId {
        let by_ending = self.places.get(place as usize).map(|place| place.by_ending.as_slice());
        let found = by_ending.unwrap_or_default().iter().find(|(other, _)| *other == ending);
        found.map_or(place, |(_, place)| *place)
    }

    /// Where an object of a variant belongs; `None` if there are no variants in a place.
    pub(super) fn variants(&self, place: PlaceId) -> Option<&HashMap<Box<str>, PlaceId>> {
        let variants = &self.places.get(place as usize)?.variants;
        (!variants.is_empty()).then_some(variants)
    }

    /// Whether anything depends on the activity type.
    pub(super) fn needs_type(&self) -> bool {
        self.needs_type
    }

    /// Which patterns are for a type.
    pub(super) fn patterns(&self, activity_type: &str) -> Patterns {
        let mut bits = vec![0; self.types.len().div_ceil(64)];
        for (number, on) in self.types.iter().enumerate() {
            bits[number / 64] |= u64::from(on.rank(activity_type) > 0) << (number % 64);
        }
        bits.into()
    }

    /// Whether a string, as it stands in the record, can be an e-mail address that is treated.
    #[inline]
    pub(super) fn looks_like_email(&self, part: &[u8], string: Quoted) -> bool {
        let [(_, email), _] = self.looks;
        email != Action::Keep && (string.has_at || string.has_escape && self.looks_escaped(part, false, b'"'))
    }

    /// Whether a string, as it stands in the record, can look like something that is treated.
    #[inline]
    pub(super) fn looks(&self, part: &[u8], string: Quoted) -> bool {
        let [(_, email), (_, address)] = self.looks;
        let first = part.get(1).copied().unwrap_or_default();
        if string.has_escape {
            return self.looks_escaped(part, string.has_at, first);
        }
        string.has_at && email != Action::Keep || address != Action::Keep && looks::could_be_address(first)
    }

    /// The same for one with escapes, each character of which may be written as six.
    #[cold]
    fn looks_escaped(&self, part: &[u8], has_at: bool, first: u8) -> bool {
        let [(_, email), (_, address)] = self.looks;
        let has_at = || has_at || memmem::find(part, b"\\u0040").is_some();
        (email != Action::Keep && part.len() <= 6 * looks::LONGEST_EMAIL + 2 && has_at())
            || (address != Action::Keep
                && part.len() <= 6 * looks::LONGEST_ADDRESS + 2
                && (first == b'\\' || looks::could_be_address(first)))
    }
}

/// The key that stands for all that are not known; no rule can name it.
const ANY_KEY: &str = "*";

/// What decides on a field, by the patterns that name it, the closest first: rules, rows for the `type` of the object it lies in,
/// the end of that `type`, other rows, the end of its key.
fn decisions<'p>(
    patterns: impl Iterator<Item = &'p Pattern>,
    by_variant: Option<Verdict>,
    by_key: Verdict,
) -> Box<[(Option<usize>, Verdict)]> {
    let mut decisions = Vec::new();
    let mut is_decided = false;
    for pattern in patterns {
        if let Some(verdict) = by_variant.filter(|_| pattern.precedence.0 == 0 && pattern.precedence.1 == 0) {
            decisions.push((None, verdict));
            is_decided = true;
            break;
        }
        decisions.push((pattern.on, pattern.verdict));
        // A rule for all types is not the end: the class is still asked for.
        if pattern.on.is_none() && !matches!(pattern.verdict, Verdict::Rule(..)) {
            is_decided = true;
            break;
        }
    }
    if !is_decided {
        decisions.push((None, by_variant.unwrap_or(by_key)));
    }
    // Where all types come to the same, none needs to be looked up.
    let first = decisions.first().map_or(UNDECIDED, |(_, verdict)| *verdict);
    let is_for_all = decisions.iter().all(|(on, _)| on.is_none());
    if is_for_all || decisions.iter().all(|(_, verdict)| *verdict == first) {
        return [(None, resolved(decisions.iter().map(|(_, verdict)| *verdict)))].into();
    }
    decisions.into()
}

/// Fields, and what is to be done with them.
struct Pattern {
    path: FieldPath,
    on: Option<usize>,
    /// The greater counts: rules by their number, then rows by how closely they name a field.
    precedence: (usize, usize, usize),
    verdict: Verdict,
}

/// How far along a pattern's path.
#[derive(Clone, Copy)]
struct Step {
    pattern: usize,
    at: usize,
}

impl Step {
    fn segment<'p>(&self, patterns: &'p [Pattern]) -> Option<&'p model::tables::Segment> {
        patterns.get(self.pattern)?.path.0.get(self.at)
    }

    fn is_last(&self, patterns: &[Pattern]) -> bool {
        patterns.get(self.pattern).is_none_or(|pattern| pattern.path.0.len() == self.at + 1)
    }
}

fn variants(path: &FieldPath) -> usize {
    path.0.iter().filter(|segment| segment.variant.is_some()).count()
}

#[cfg(test)]
mod tests;
