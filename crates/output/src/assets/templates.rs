//! The templates and the policy around the mapping, rendered for one server and one namespace.
//!
//! Everything carries `_meta.managed_by`, by which a later `setup` knows its own work, and a hash of what it says, by which
//! it knows whether there is anything to do.

use std::fmt::Write as _;

use model::fault::{Fault, FaultKind};
use model::tables::Tables;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::mapping::mappings;
use super::server::Flavour;

/// The mark on what we made.
pub(super) const MANAGED_BY: &str = "anthropic-ecs";

const SETTINGS: &str = "anthropic-ecs-settings";
const ECS: &str = "anthropic-ecs-ecs";
const AUDIT: &str = "anthropic-ecs-audit";
/// Where users of Elastic's integration put what is their own; it is used here as well, and wins.
const CUSTOM: &str = "logs-anthropic.audit@custom";

/// Above `logs-*-*` (100) and the templates of Elastic's integrations (200).
pub(super) const PRIORITY: u64 = 250;

/// How backing indices are rolled over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifecycle {
    /// A policy of index lifecycle management (Elasticsearch) or index state management (OpenSearch).
    Policy,
    /// The server has neither. Elasticsearch rolls the data stream over by itself then, as its own lifecycle says;
    /// OpenSearch does nothing.
    None,
}

/// What the assets are for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    flavour: Flavour,
    lifecycle: Lifecycle,
    namespace: String,
}

/// What an asset is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AssetKind {
    /// A lifecycle policy.
    Policy,
    /// A part of index templates.
    ComponentTemplate,
    /// An index template.
    IndexTemplate,
}

impl AssetKind {
    /// As it is called in tables and messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Policy => "lifecycle policy",
            Self::ComponentTemplate => "component template",
            Self::IndexTemplate => "index template",
        }
    }
}

/// One thing to install: its name, and the body of the request that installs it.
#[derive(Debug, Clone)]
pub struct Asset {
    /// What it is.
    pub kind: AssetKind,
    /// Its name in the cluster.
    pub name: String,
    /// The request's body.
    pub body: Value,
}

/// Everything to install, in the order in which it must be.
#[derive(Debug, Clone)]
pub struct Assets {
    /// What they are for.
    pub target: Target,
    /// Policy, component templates, index template.
    pub items: Vec<Asset>,
}

impl Assets {
    /// Renders everything from the tables, a user's own rows included.
    #[must_use]
    pub fn render(tables: &Tables, target: Target) -> Self {
        let flavour = target.flavour;
        let (ecs, vendor) = mappings(tables, flavour);
        // What a document's fields are does not depend on the namespace; a data stream shows by this whether it is up to date.
        let mapping = fingerprint(&json!([ecs, vendor]));
        let component = |name: &str, template: Value| {
            (AssetKind::ComponentTemplate, name.to_owned(), json!({"template": template}))
        };
        let mut items = Vec::new();
        if target.lifecycle == Lifecycle::Policy {
            items.push((AssetKind::Policy, target.policy(), policy(&target)));
        }
        items.push(component(SETTINGS, json!({"settings": {"index": settings(&target)}})));
        items.push(component(ECS, json!({"mappings": ecs})));
        items.push(component(AUDIT, json!({"mappings": vendor})));
        items.push((AssetKind::IndexTemplate, target.index_template(), index_template(&target, &mapping)));
        let items = items.into_iter().map(|(kind, name, body)| Asset {
            kind,
            name,
            body: sealed(kind, flavour, body),
        });
        Self { items: items.collect(), target }
    }

    /// The mapping as a whole, as an existing index can be given it.
    #[must_use]
    pub fn mapping(&self) -> Value {
        let mut whole = json!({});
        for asset in &self.items {
            if let Some(mappings) = asset.body.pointer("/template/mappings") {
                merge(&mut whole, mappings);
            }
        }
        whole
    }

    /// The data stream that documents are written to.
    #[must_use]
    pub fn data_stream(&self) -> String {
        self.target.data_stream()
    }
}

impl Target {
    /// A server of this kind, what it has for the lifecycle of indices, and the last part of the data stream's name.
    ///
    /// # Errors
    ///
    /// The namespace cannot be one: it becomes part of names and paths. Elastic's rules allow a little more than this.
    pub fn new(flavour: Flavour, lifecycle: Lifecycle, namespace: &str) -> Result<Self, Fault> {
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let is_fine = |c: char| is_plain(c) || c == '_' || c == '.';
        if namespace.len() <= 100 && namespace.starts_with(is_plain) && namespace.chars().all(is_fine) {
            return Ok(Self { flavour, lifecycle, namespace: namespace.to_owned() });
        }
        Err(Fault::new(
            FaultKind::Unusable,
            format!("`{namespace}` is no namespace of a data stream"),
            "write at most 100 small letters, digits, `_` and `.`, the first a letter or digit",
        ))
    }

    /// The server's kind.
    #[must_use]
    pub fn flavour(&self) -> Flavour {
        self.flavour
    }

    pub(super) fn data_stream(&self) -> String {
        format!("logs-anthropic.audit-{}", self.namespace)
    }

    fn index_template(&self) -> String {
        format!("anthropic-ecs-{}", self.namespace)
    }

    /// Index state management finds its indices by a pattern in the policy, so that each namespace has a policy there.
    fn policy(&self) -> String {
        match self.flavour {
            Flavour::Elasticsearch => MANAGED_BY.to_owned(),
            Flavour::OpenSearch => self.index_template(),
        }
    }
}

/// Nothing is ever deleted: how long audit records are kept is not ours to decide.
fn policy(target: &Target) -> Value {
    match target.flavour {
        Flavour::Elasticsearch => json!({"policy": {"phases": {"hot": {"actions": {
            "rollover": {"max_age": "30d", "max_primary_shard_size": "50gb"},
        }}}}}),
        Flavour::OpenSearch => json!({"policy": {
            "default_state": "open",
            "states": [{
                "name": "open",
                "actions": [{"rollover": {"min_index_age": "30d", "min_primary_shard_size": "50gb"}}],
                "transitions": [],
            }],
            "ism_template": [{"index_patterns": [target.data_stream()], "priority": PRIORITY}],
        }}),
    }
}

fn settings(target: &Target) -> Value {
    let mut settings = json!({
        "codec": "best_compression",
        "mapping": {
            // The last line of defence: a document with a value that its field cannot hold is indexed without the value,
            // and `_ignored` says so. As a setting it serves every type that can, in every release, and no other.
            "ignore_malformed": true,
            "total_fields": {"limit": 2000},
        },
    });
    if target.flavour == Flavour::Elasticsearch {
        // Elasticsearch 9 makes a `logs-*-*` stream a logsdb one unless told otherwise; audit records come back as they
        // were sent, not put together from columns.
        settings["mode"] = json!("standard");
        if target.lifecycle == Lifecycle::Policy {
            settings["lifecycle"] = json!({"name": target.policy()});
        }
    }
    settings
}

fn index_template(target: &Target, mapping: &str) -> Value {
    let mut body = json!({
        "index_patterns": [target.data_stream()],
        "priority": PRIORITY,
        "data_stream": {},
        "composed_of": [SETTINGS, ECS, AUDIT],
        "template": {"mappings": {
            "_meta": {"managed_by": MANAGED_BY, "hash": mapping},
            "properties": {"data_stream": {"properties": {
                "namespace": {"type": "constant_keyword", "value": target.namespace},
            }}},
        }},
    });
    if target.flavour == Flavour::Elasticsearch {
        body["composed_of"] = json!([SETTINGS, ECS, AUDIT, CUSTOM]);
        body["ignore_missing_component_templates"] = json!([CUSTOM]);
        if target.lifecycle == Lifecycle::None {
            body["template"]["lifecycle"] = json!({});
        }
    }
    body
}

/// Adds one object to another, member by member; the later one wins.
fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from.clone(),
    }
}

/// The body with the mark that we made it. A policy of OpenSearch has no `_meta`; its description has to serve.
fn sealed(kind: AssetKind, flavour: Flavour, mut body: Value) -> Value {
    let hash = fingerprint(&body);
    let version = env!("CARGO_PKG_VERSION");
    let meta = json!({"managed_by": MANAGED_BY, "version": version, "hash": hash});
    match (kind, flavour) {
        (AssetKind::Policy, Flavour::Elasticsearch) => body["policy"]["_meta"] = meta,
        (AssetKind::Policy, Flavour::OpenSearch) => {
            body["policy"]["description"] =
                json!(format!("managed_by={MANAGED_BY} version={version} hash={hash}"));
        }
        _ => body["_meta"] = meta,
    }
    body
}

/// Sixteen hex digits of the SHA-256 of a JSON value; its keys are sorted, so that equal values have equal texts.
fn fingerprint(value: &Value) -> String {
    let digest = Sha256::digest(value.to_string());
    digest.iter().take(8).fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(flavour: Flavour, lifecycle: Lifecycle) -> Assets {
        Assets::render(&Tables::builtin(), Target::new(flavour, lifecycle, "default").unwrap())
    }

    #[test]
    fn everything_is_marked_as_ours() {
        for flavour in [Flavour::Elasticsearch, Flavour::OpenSearch] {
            for asset in render(flavour, Lifecycle::Policy).items {
                assert!(asset.body.to_string().contains("anthropic-ecs"), "{}", asset.name);
                assert!(asset.name.starts_with("anthropic-ecs"), "{}", asset.name);
            }
        }
    }

    #[test]
    fn the_template_covers_one_namespace_and_outranks_elastics() {
        let assets = render(Flavour::Elasticsearch, Lifecycle::Policy);
        let template = &assets.items.last().unwrap().body;
        assert_eq!(template["index_patterns"], json!(["logs-anthropic.audit-default"]));
        assert!(template["priority"].as_u64() > Some(200));
    }

    #[test]
    fn without_policies_nothing_refers_to_one() {
        let assets = render(Flavour::Elasticsearch, Lifecycle::None);
        assert!(assets.items.iter().all(|asset| asset.kind != AssetKind::Policy));
        assert!(assets.items[0].body.pointer("/template/settings/index/lifecycle").is_none());
        assert_eq!(assets.items.last().unwrap().body["template"]["lifecycle"], json!({}));
    }

    #[test]
    fn a_namespace_is_plain() {
        let new = |namespace: &str| Target::new(Flavour::Elasticsearch, Lifecycle::None, namespace);
        for fine in ["default", "eu_1", "9", "a.b", &"x".repeat(100)] {
            assert!(new(fine).is_ok(), "{fine}");
        }
        for wrong in ["", "a-b", "Prod", "a/b", "*", "_a", ".", "ä", "a?b", &"x".repeat(101)] {
            assert!(new(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_whole_mapping_has_all_parts() {
        let mapping = render(Flavour::OpenSearch, Lifecycle::None).mapping();
        assert_eq!(mapping["dynamic"], false);
        assert_eq!(mapping["_meta"]["managed_by"], MANAGED_BY);
        assert!(mapping["properties"]["anthropic"].is_object() && mapping["properties"]["event"].is_object());
    }
}
