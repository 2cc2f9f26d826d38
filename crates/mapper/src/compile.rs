//! Compiling the mapping tables into a [`Program`].
//!
//! It decides the order of slots and what stands between them, turns rows into leaves, and finds for every field the rule
//! that serves most types and for every type the rules of its own.

use std::collections::BTreeMap;

use hashbrown::HashMap;
use model::tables::{
    ActivityRow, ActorRow, Convert, FieldRow, IndexType, On, Outcome, OutcomeRule, Piece, Tables, Template,
};

use crate::json::{self, escaped};
use crate::out::Out;
use crate::program::{
    Cases, FieldId, FieldRef, KindInfo, Leaf, NONE, Names, OutcomeByField, Part, Place, Program, Related,
    Rule, Sentence, SiblingCase, Slot, SlotId, Special, TypeInfo, Write,
};

/// `event.*` slots come first, `anthropic.*` last (values refused on the way go to its `metadata`).
const FIRST_GROUP: &str = "event";
const LAST_ROOT: &str = "anthropic";
const ANONYMIZER: &str = "anthropic.audit.anonymizer";
const METADATA: &str = "anthropic.audit.metadata";
const RESERVED: [&str; 5] = ["@timestamp", "event.id", "event.created", ANONYMIZER, METADATA];

impl Program {
    /// Compiles tables that have passed the checks of [`model::tables`].
    pub(crate) fn compile(tables: Tables) -> Self {
        let mut compiler = Compiler::new(&tables);
        let top = compiler.names("");
        let actor = compiler.names("actor.");
        let mut kinds = compiler.kinds(&actor);
        let any_kind = kinds.remove(ActorRow::ANY).unwrap_or_default();
        let mut program = Self {
            special: compiler.special(&top, &actor),
            top,
            actor,
            types: HashMap::default(),
            kinds,
            any_kind,
            leaves: compiler.leaves,
            slots: compiler.slots,
            texts: compiler.texts,
            transitions: compiler.transitions,
            groups: compiler.groups,
            depths: compiler.depths,
            tables: Tables::default(),
        };
        for row in &tables.activities {
            let info = program.type_info(row, compiler_rules(&tables, &program, &row.activity_type));
            program.types.insert(row.activity_type.as_str().into(), info);
        }
        program.tables = tables;
        program
    }

    fn type_info(&self, row: &ActivityRow, overrides: Box<[(FieldId, Rule)]>) -> TypeInfo {
        let fixed = match &row.outcome {
            OutcomeRule::Fixed(outcome) => Some(*outcome),
            OutcomeRule::ByField { .. } => None,
        };
        let outcome = match &row.outcome {
            OutcomeRule::ByField { field, cases, otherwise } => reference(&self.top, field)
                .map(|field| OutcomeByField { field, cases: cases.clone(), otherwise: *otherwise }),
            OutcomeRule::Fixed(_) => None,
        };
        TypeInfo {
            event: event_constants(
                &row.activity_type,
                &row.categories,
                &row.event_types,
                fixed,
                row.severity,
            ),
            outcome,
            message: sentence(&self.top, &row.message),
            overrides,
        }
    }

    /// The rules of a type that differ from those of all types; for types outside the tables too.
    pub(crate) fn overrides(&self, activity_type: &str) -> Box<[(FieldId, Rule)]> {
        compiler_rules(&self.tables, self, activity_type)
    }
}

/// The constant part of `event`, left open.
pub(crate) fn event_constants(
    action: &str,
    categories: &[String],
    event_types: &[String],
    outcome: Option<Outcome>,
    severity: u8,
) -> Box<[u8]> {
    let mut out = Out::default();
    out.put(b"\"event\":{");
    let push_list = |out: &mut Out, name: &str, list: &[String]| {
        if list.is_empty() {
            return;
        }
        json::push_string(out, name);
        out.put(b":[");
        for (at, value) in list.iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            json::push_string(out, value);
        }
        out.put(b"],");
    };
    if !action.is_empty() {
        out.put(b"\"action\":");
        json::push_string(&mut out, action);
        out.push(b',');
    }
    push_list(&mut out, "category", categories);
    push_list(&mut out, "type", event_types);
    if let Some(outcome) = outcome {
        out.put(format!("\"outcome\":\"{}\",", outcome.as_str()).as_bytes());
    }
    let rest = format!(
        "\"dataset\":\"anthropic.audit\",\"kind\":\"event\",\"module\":\"anthropic\",\"severity\":{severity}"
    );
    out.put(rest.as_bytes());
    out.as_slice().into()
}

fn reference(names: &Names, path: &str) -> Option<FieldRef> {
    let mut parts = path.split('.');
    let field = names.id(parts.next()?)?;
    Some(FieldRef { field, below: parts.map(Into::into).collect() })
}

fn sentence(names: &Names, template: &Template) -> Sentence {
    fn parts(names: &Names, pieces: &[Piece]) -> Vec<Part> {
        let part = |piece: &Piece| match piece {
            Piece::Text(text) => Part::Text(escaped(text)),
            Piece::Value { fields, fallback } => Part::Value {
                fields: fields.iter().filter_map(|field| reference(names, field)).collect(),
                fallback: fallback.as_deref().map(escaped),
            },
            Piece::Choice { field, yes, no, absent } => Part::Choice {
                field: reference(names, field).unwrap_or(FieldRef { field: NONE, below: [].into() }),
                yes: escaped(yes),
                no: escaped(no),
                absent: absent.as_deref().map(escaped),
            },
            Piece::Group(inner) => Part::Group(parts(names, inner)),
        };
        pieces.iter().map(part).collect()
    }
    Sentence(parts(names, &template.0))
}

/// The rules a type has of its own.
fn compiler_rules(tables: &Tables, program: &Program, activity_type: &str) -> Box<[(FieldId, Rule)]> {
    overrides(tables, &program.top, "", activity_type, &|row| leaf_of(tables, row))
}

fn overrides(
    tables: &Tables,
    names: &Names,
    prefix: &str,
    name: &str,
    leaf: &dyn Fn(&FieldRow) -> u16,
) -> Box<[(FieldId, Rule)]> {
    let mut own: Vec<(FieldId, Rule)> = Vec::new();
    for row in tables.fields.iter().filter(|row| row.on.rank(name) > 1) {
        let Some(path) = in_namespace(row, prefix) else { continue };
        let top = path.split('.').next().unwrap_or(path);
        let Some(id) = names.id(top) else { continue };
        if own.iter().all(|(other, _)| *other != id) {
            own.push((id, rule(tables, names, &format!("{prefix}{top}"), name, leaf)));
        }
    }
    own.into()
}

/// The leaf of a row of the table itself: rows are compiled to leaves in the order of the table.
fn leaf_of(tables: &Tables, row: &FieldRow) -> u16 {
    tables.fields.iter().position(|other| std::ptr::eq(other, row)).unwrap_or_default() as u16
}

/// The path of a row's field in the record (`prefix` empty) or in its actor.
fn in_namespace<'a>(row: &'a FieldRow, prefix: &str) -> Option<&'a str> {
    match (prefix, row.field.strip_prefix("actor.")) {
        ("", None) => Some(&row.field),
        ("", Some(_)) => None,
        (_, inner) => inner,
    }
}

/// The rule for the field at `path` on the type or kind `name`.
fn rule(tables: &Tables, names: &Names, path: &str, name: &str, leaf: &dyn Fn(&FieldRow) -> u16) -> Rule {
    let start = tables.fields.partition_point(|row| row.field.as_str() < path);
    let rows = tables.fields[start..].iter().take_while(|row| row.field.starts_with(path));
    let mut direct: Vec<&FieldRow> = Vec::new();
    let mut inside: Vec<&str> = Vec::new();
    for row in rows.filter(|row| row.on.rank(name) > 0) {
        if row.field == path {
            direct.push(row);
        } else if let Some(below) = row.field[path.len()..].strip_prefix('.') {
            let key = below.split('.').next().unwrap_or(below);
            if !inside.contains(&key) {
                inside.push(key);
            }
        }
    }
    // The closest row wins; a stable sort keeps the order of the table among equals.
    direct.sort_by_key(|row| std::cmp::Reverse(row.on.rank(name)));
    let plain =
        direct.iter().find(|row| row.when.is_none()).map_or(Rule::Unknown, |row| Rule::Leaf(leaf(row)));
    let cases: Vec<_> = direct
        .iter()
        .filter_map(|row| {
            let when = row.when.as_ref()?;
            let values = when.values.iter().map(|value| value.as_str().into()).collect();
            Some(SiblingCase { sibling: names.id(&when.field)?, values, leaf: leaf(row) })
        })
        .collect();
    let direct =
        if cases.is_empty() { plain } else { Rule::Cases(Box::new(Cases { cases, otherwise: plain })) };
    if inside.is_empty() {
        return direct;
    }
    let inside = inside
        .into_iter()
        .map(|key| (key.into(), rule(tables, names, &format!("{path}.{key}"), name, leaf)))
        .collect();
    Rule::Object { inside, otherwise: Box::new(direct) }
}

struct Compiler<'t> {
    tables: &'t Tables,
    ids: HashMap<String, SlotId>,
    slots: Vec<Slot>,
    leaves: Vec<Leaf>,
    texts: Vec<Box<str>>,
    transitions: Vec<Box<[u8]>>,
    groups: usize,
    depths: Vec<usize>,
}

impl<'t> Compiler<'t> {
    fn new(tables: &'t Tables) -> Self {
        let mut paths: Vec<&str> = RESERVED.to_vec();
        for row in &tables.fields {
            paths.push(&row.home);
            paths.extend(row.also.iter().map(|copy| copy.path.as_str()));
        }
        paths.extend(tables.actors.iter().flat_map(|row| row.set.iter().map(|(path, _)| path.as_str())));
        paths.retain(|path| Related::of(path).is_none());
        // Values of one JSON object must be neighbours: order by path of parents, then leaves first.
        let order = |path: &&str| {
            let root = path.split('.').next().unwrap_or_default();
            let rank = match root {
                FIRST_GROUP => 0,
                LAST_ROOT => 2,
                _ => 1,
            };
            let (parents, leaf) = path.rsplit_once('.').unwrap_or(("", path));
            (
                rank,
                *path == METADATA,
                parents.split('.').map(str::to_owned).collect::<Vec<_>>(),
                leaf.to_owned(),
            )
        };
        paths.sort_by_cached_key(order);
        paths.dedup();

        let mut groups: Vec<Vec<&str>> = vec![vec![FIRST_GROUP], vec![]];
        let mut slots = Vec::new();
        let mut ids = HashMap::new();
        for path in paths {
            let (parents, leaf) = path.rsplit_once('.').unwrap_or(("", path));
            let parents: Vec<&str> = parents.split('.').filter(|part| !part.is_empty()).collect();
            let group = groups.iter().position(|group| *group == parents).unwrap_or_else(|| {
                groups.push(parents);
                groups.len() - 1
            });
            let key = [b",", &*json::string(leaf), b":"].concat();
            ids.insert(path.to_owned(), slots.len() as SlotId);
            slots.push(Slot { key: key.into(), group: group as u16 });
        }
        let mut transitions = Vec::new();
        for from in &groups {
            transitions.extend(groups.iter().map(|to| transition(from, to)));
        }
        let mut compiler = Self {
            tables,
            ids,
            slots,
            leaves: Vec::new(),
            texts: Vec::new(),
            transitions,
            groups: groups.len(),
            depths: groups.iter().map(Vec::len).collect(),
        };
        compiler.compile_leaves();
        compiler
    }

    fn slot(&self, path: &str) -> SlotId {
        self.ids.get(path).copied().unwrap_or(NONE)
    }

    fn text(&mut self, text: &str) -> u16 {
        let at = self.texts.iter().position(|other| &**other == text).unwrap_or_else(|| {
            self.texts.push(text.into());
            self.texts.len() - 1
        });
        at as u16
    }

    fn compile_leaves(&mut self) {
        let arrays = ecs_arrays();
        for row in &self.tables.fields {
            let write = match row.home.as_str() {
                "source.ip" => Write::Source,
                "user_agent.original" => Write::UserAgent,
                home => plain_write(row.index, arrays.contains(&home)),
            };
            let also = row.also.iter().map(|copy| {
                let place = match Related::of(&copy.path) {
                    Some(list) => Place::Related(list),
                    None => Place::Slot(self.slot(&copy.path)),
                };
                let write = match copy.convert {
                    Convert::Whole => plain_write(row.index, arrays.contains(&copy.path.as_str())),
                    Convert::Extension => Write::Extension,
                    Convert::LocalPart => Write::LocalPart,
                    Convert::EmailDomain => Write::EmailDomain,
                    Convert::UrlScheme => Write::UrlScheme,
                    Convert::UrlHost => Write::UrlHost,
                    Convert::UrlPort => Write::UrlPort,
                    Convert::UrlPath => Write::UrlPath,
                    Convert::UrlQuery => Write::UrlQuery,
                    Convert::UrlFragment => Write::UrlFragment,
                };
                (place, write)
            });
            let leaf = Leaf { slot: self.slot(&row.home), write, also: also.collect() };
            self.leaves.push(leaf);
        }
    }

    fn names(&mut self, prefix: &str) -> Names {
        let tables = self.tables;
        let mut tops: BTreeMap<&str, bool> = BTreeMap::new();
        if prefix.is_empty() {
            tops.insert("actor", false);
        }
        for row in &tables.fields {
            let Some(path) = in_namespace(row, prefix) else { continue };
            let top = path.split('.').next().unwrap_or(path);
            *tops.entry(top).or_default() |= row.on != On::Any;
            // Siblings that conditions look at are fields too, even without a row.
            if let Some(when) = &row.when {
                tops.entry(&when.field).or_default();
            }
        }
        let mut names = Names {
            names: tops.keys().map(|name| (*name).into()).collect(),
            ids: tops.keys().zip(0..).map(|(name, id)| ((*name).into(), id)).collect(),
            rules: Vec::new(),
            overridable: tops.values().copied().collect(),
        };
        let leaf = |row: &FieldRow| leaf_of(tables, row);
        let rules = tops.keys().map(|top| rule(tables, &names, &format!("{prefix}{top}"), "*", &leaf));
        let rules: Vec<Rule> = rules.collect();
        names.rules = rules;
        names
    }

    fn kinds(&mut self, names: &Names) -> HashMap<Box<str>, KindInfo, foldhash::fast::FixedState> {
        let tables = self.tables;
        let leaf = |row: &FieldRow| leaf_of(tables, row);
        let mut kinds = HashMap::default();
        for row in &tables.actors {
            let set = row.set.iter().map(|(path, text)| (self.slot(path), self.text(text))).collect();
            let info = KindInfo {
                subject: sentence(names, &row.subject),
                overrides: overrides(tables, names, "actor.", &row.kind, &leaf),
                set,
            };
            kinds.insert(row.kind.as_str().into(), info);
        }
        kinds
    }

    fn special(&self, top: &Names, actor: &Names) -> Special {
        let id = |names: &Names, name| names.id(name).unwrap_or(NONE);
        Special {
            id: id(top, "id"),
            type_: id(top, "type"),
            actor: id(top, "actor"),
            created_at: id(top, "created_at"),
            actor_type: id(actor, "type"),
            actor_address: id(actor, "ip_address"),
            timestamp: self.slot("@timestamp"),
            event_id: self.slot("event.id"),
            event_created: self.slot("event.created"),
            anonymizer: self.slot(ANONYMIZER),
            metadata: self.slot(METADATA),
        }
    }
}

/// ECS fields that are arrays, among those that source fields go to.
fn ecs_arrays() -> [&'static str; 3] {
    ["user.changes.roles", "user.roles", "user.target.roles"]
}

fn plain_write(index: IndexType, array: bool) -> Write {
    match (index, array) {
        (IndexType::Keyword | IndexType::Wildcard | IndexType::MatchOnlyText, false) => Write::Keyword,
        (IndexType::Keyword | IndexType::Wildcard | IndexType::MatchOnlyText, true) => Write::KeywordArray,
        (IndexType::Long, _) => Write::Long,
        (IndexType::Double, _) => Write::Double,
        (IndexType::Boolean, _) => Write::Boolean,
        (IndexType::Date, _) => Write::Date,
        (IndexType::Ip, false) => Write::Ip,
        (IndexType::Ip, true) => Write::IpArray,
        (IndexType::Flattened, _) => Write::Flattened,
    }
}

/// The bytes from behind a value in the object `from` to inside the object `to`; without the comma before the next key, which is
/// the first of its object if this ends in a brace that opens.
fn transition(from: &[&str], to: &[&str]) -> Box<[u8]> {
    let common = from.iter().zip(to).take_while(|(a, b)| a == b).count();
    let mut bytes = vec![b'}'; from.len() - common];
    if common < to.len() {
        bytes.push(b',');
    }
    for name in &to[common..] {
        bytes.extend_from_slice(&json::string(name));
        bytes.extend_from_slice(b":{");
    }
    bytes.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transitions_close_and_open() {
        let text = |from: &[&str], to: &[&str]| String::from_utf8(transition(from, to).into_vec()).unwrap();
        assert_eq!(text(&["event"], &["event"]), "");
        assert_eq!(text(&["event"], &["user", "target"]), "},\"user\":{\"target\":{");
        assert_eq!(text(&["user", "target"], &["user", "changes"]), "},\"changes\":{");
        assert_eq!(text(&["user", "target"], &[]), "}}");
    }

    #[test]
    fn arrays_are_those_of_ecs() {
        let ecs = model::tables::EcsFields::builtin();
        for row in &Tables::builtin().fields {
            for path in row.also.iter().map(|copy| copy.path.as_str()).chain([row.home.as_str()]) {
                let array = ecs.get(path).is_some_and(|field| field.array);
                assert_eq!(array, ecs_arrays().contains(&path) || Related::of(path).is_some(), "{path}");
            }
        }
    }
}
