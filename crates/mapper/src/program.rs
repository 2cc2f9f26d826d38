//! The mapping tables, compiled: what the mapper looks up while a record passes.
//!
//! Every path a value can go to is a *slot*. Slots are numbered in the order in which they stand in a
//! document, so that a record's values, whatever order they came in, are written in one sweep over
//! the filled slots; what closes one JSON object and opens the next between any two slots is prepared
//! here. Nothing here looks at a record.

use hashbrown::HashMap;
use model::tables::{Case, Outcome, Tables};

/// Index of a field name in a [`Names`].
pub(crate) type FieldId = u16;
/// Index of a path a value can go to.
pub(crate) type SlotId = u16;

/// No field, no slot.
pub(crate) const NONE: u16 = u16::MAX;

/// How a value is written into its slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Write {
    Keyword,
    KeywordArray,
    Long,
    Double,
    Boolean,
    Date,
    Ip,
    IpArray,
    Flattened,
    Extension,
    LocalPart,
    EmailDomain,
    UrlScheme,
    UrlHost,
    UrlPort,
    UrlPath,
    UrlQuery,
    UrlFragment,
    /// A fixed text of the program.
    Text(u16),
    /// The finished content of `source`.
    Source,
    /// The finished content of `user_agent`.
    UserAgent,
    /// What kind of anonymizer the address is.
    Anonymizer,
}

/// Where a copy goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Slot(SlotId),
    Related(Related),
}

/// The lists under `related`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Related {
    Hash,
    Hosts,
    Ip,
    User,
}

impl Related {
    pub(crate) const ALL: [Self; 4] = [Self::Hash, Self::Hosts, Self::Ip, Self::User];

    pub(crate) fn of(path: &str) -> Option<Self> {
        Some(match path {
            "related.hash" => Self::Hash,
            "related.hosts" => Self::Hosts,
            "related.ip" => Self::Ip,
            "related.user" => Self::User,
            _ => return None,
        })
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Hash => "hash",
            Self::Hosts => "hosts",
            Self::Ip => "ip",
            Self::User => "user",
        }
    }
}

/// A field's row, compiled.
#[derive(Debug)]
pub(crate) struct Leaf {
    pub(crate) slot: SlotId,
    pub(crate) write: Write,
    pub(crate) also: Box<[(Place, Write)]>,
}

/// What to do with a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Rule {
    /// The tables do not know the field.
    Unknown,
    /// Move it to a slot.
    Leaf(u16),
    /// By the value of a sibling.
    Cases(Box<Cases>),
    /// An object that is opened; `otherwise` is for a value that is no object.
    Object { inside: Box<[(Box<str>, Rule)]>, otherwise: Box<Rule> },
}

/// Leaves that depend on a sibling field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cases {
    /// Tried in order.
    pub(crate) cases: Vec<SiblingCase>,
    pub(crate) otherwise: Rule,
}

/// The leaf when a sibling has one of some values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SiblingCase {
    pub(crate) sibling: FieldId,
    pub(crate) values: Box<[Box<str>]>,
    pub(crate) leaf: u16,
}

/// Field names, found fast: the name that followed last time is tried first.
pub(crate) struct Names {
    pub(crate) names: Vec<Box<str>>,
    pub(crate) ids: HashMap<Box<str>, FieldId, foldhash::fast::FixedState>,
    pub(crate) rules: Vec<Rule>,
    /// Fields that some rows treat differently on some types.
    pub(crate) overridable: Vec<bool>,
}

impl Names {
    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }

    #[inline]
    pub(crate) fn name(&self, id: FieldId) -> &str {
        self.names.get(usize::from(id)).map_or("", |name| name)
    }

    pub(crate) fn id(&self, name: &str) -> Option<FieldId> {
        self.ids.get(name).copied()
    }

    /// The rule for a field on types that have none of their own.
    #[inline]
    pub(crate) fn rule<'a>(&'a self, id: FieldId, overrides: &'a [(FieldId, Rule)]) -> &'a Rule {
        let at = usize::from(id);
        if self.overridable.get(at) == Some(&true)
            && let Some((_, rule)) = overrides.iter().find(|(other, _)| *other == id)
        {
            return rule;
        }
        self.rules.get(at).unwrap_or(&Rule::Unknown)
    }
}

/// A value a sentence or an outcome is made from.
#[derive(Debug, Clone)]
pub(crate) struct FieldRef {
    /// The top-level field (of the record, or of its actor).
    pub(crate) field: FieldId,
    /// Keys of the objects below it.
    pub(crate) below: Box<[Box<str>]>,
}

/// A compiled sentence.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sentence(pub(crate) Vec<Part>);

#[derive(Debug, Clone)]
pub(crate) enum Part {
    /// Texts are escaped for JSON.
    Text(Box<[u8]>),
    Value {
        fields: Box<[FieldRef]>,
        fallback: Option<Box<[u8]>>,
    },
    Choice {
        field: FieldRef,
        yes: Box<[u8]>,
        no: Box<[u8]>,
        absent: Option<Box<[u8]>>,
    },
    Group(Vec<Part>),
}

/// What is known of an activity type.
pub(crate) struct TypeInfo {
    /// `"event":{…` up to what depends on the record, without the closing brace.
    pub(crate) event: Box<[u8]>,
    pub(crate) outcome: Option<OutcomeByField>,
    pub(crate) message: Sentence,
    pub(crate) overrides: Box<[(FieldId, Rule)]>,
}

/// An outcome that depends on a field.
pub(crate) struct OutcomeByField {
    pub(crate) field: FieldRef,
    pub(crate) cases: Vec<(Case, Outcome)>,
    pub(crate) otherwise: Outcome,
}

/// What is known of an actor kind.
#[derive(Default)]
pub(crate) struct KindInfo {
    pub(crate) subject: Sentence,
    pub(crate) overrides: Box<[(FieldId, Rule)]>,
    /// Slots with a fixed text, filled when nothing in the record fills them.
    pub(crate) set: Box<[(SlotId, u16)]>,
}

/// A path a value can go to.
pub(crate) struct Slot {
    /// `,"name":`, ready to be written behind another value of the same object.
    pub(crate) key: Box<[u8]>,
    pub(crate) group: u16,
}

/// The compiled tables.
pub(crate) struct Program {
    pub(crate) top: Names,
    pub(crate) actor: Names,
    pub(crate) types: HashMap<Box<str>, TypeInfo, foldhash::fast::FixedState>,
    pub(crate) kinds: HashMap<Box<str>, KindInfo, foldhash::fast::FixedState>,
    /// For actor kinds without a row.
    pub(crate) any_kind: KindInfo,
    pub(crate) leaves: Vec<Leaf>,
    pub(crate) slots: Vec<Slot>,
    pub(crate) texts: Vec<Box<str>>,
    pub(crate) transitions: Vec<Box<[u8]>>,
    pub(crate) groups: usize,
    pub(crate) depths: Vec<usize>,
    pub(crate) tables: Tables,
    pub(crate) special: Special,
}

/// Fields and slots the program itself must know.
pub(crate) struct Special {
    pub(crate) id: FieldId,
    pub(crate) type_: FieldId,
    pub(crate) actor: FieldId,
    pub(crate) created_at: FieldId,
    pub(crate) actor_type: FieldId,
    pub(crate) actor_address: FieldId,
    pub(crate) timestamp: SlotId,
    pub(crate) event_id: SlotId,
    pub(crate) event_created: SlotId,
    pub(crate) anonymizer: SlotId,
    pub(crate) metadata: SlotId,
}

impl Program {
    /// What closes and opens objects between a value in one group and the next in another; empty within one group.
    #[inline]
    pub(crate) fn transition(&self, from: u16, to: u16) -> &[u8] {
        self.transitions.get(usize::from(from) * self.groups + usize::from(to)).map_or(b"", |bytes| bytes)
    }

    /// How many objects are open inside a group.
    pub(crate) fn depth(&self, group: u16) -> usize {
        self.depths.get(usize::from(group)).copied().unwrap_or_default()
    }
}
