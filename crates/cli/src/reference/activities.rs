//! `docs/fields/`: every activity type with what becomes of it, a page for each family of types; and what all records share.
//!
//! Owns how types are gathered into families, which is for readers alone: nothing else in the program knows of families. A
//! type that no family claims is on the last page, so that a new one is never missing.

use std::collections::{BTreeMap, BTreeSet};

use model::catalog::{Activity, Catalog, Field};
use model::tables::{ActivityRow, ActorRow, FieldRow, Tables};

use super::{NOTE, code, codes, head, row};
use crate::catalog::elastic;
use crate::explain::{rules, words};

/// A page of types: its file, its title, and the beginnings of the names on it. The longest beginning wins.
struct Family {
    file: &'static str,
    title: &'static str,
    prefixes: &'static [&'static str],
}

const FAMILIES: [Family; 8] = [
    Family {
        file: "chats.md",
        title: "Chats, projects, files and sharing",
        prefixes: &["claude_", "cowork_", "design_", "owned_projects_", "pending_share_", "session_share_"],
    },
    Family {
        file: "claude-code.md",
        title: "Claude Code and agents",
        prefixes: &["ccr_", "claude_code_", "cli_", "inference_hooks_"],
    },
    Family {
        file: "extensions.md",
        title: "Plugins, skills, connectors and integrations",
        prefixes: &[
            "claude_command_",
            "claude_github_",
            "claude_gdrive_",
            "claude_plugin_",
            "claude_skill_",
            "desktop_",
            "ghe_",
            "github_",
            "gitlab_",
            "integration_",
            "lti_",
            "marketplace_",
            "mcp_",
            "plugin_",
            "slack_",
            "tunnel_",
        ],
    },
    Family {
        file: "organization.md",
        title: "The organization and its settings",
        prefixes: &[
            "audit_",
            "claude_enterprise_",
            "claude_organization_",
            "cmek_",
            "managed_",
            "org_",
            "organization_",
            "primary_owner_",
        ],
    },
    Family {
        file: "identity.md",
        title: "People, sign-in, groups, roles and keys",
        prefixes: &[
            "abuse_",
            "account_",
            "admin_api_key_",
            "age_",
            "anonymous_",
            "api_key_",
            "claude_user_",
            "domain_",
            "end_user_",
            "group_",
            "magic_",
            "org_domain_",
            "org_magic_",
            "org_sso_",
            "org_user_",
            "phone_",
            "rbac_",
            "role_",
            "scim_",
            "scoped_",
            "service_",
            "session_",
            "social_",
            "sso_",
            "step_",
            "trusted_",
            "user_",
            "verification_",
        ],
    },
    Family { file: "platform.md", title: "The Claude Platform", prefixes: &["platform_", "workspace_"] },
    Family {
        file: "billing.md",
        title: "Seats, spending and invoices",
        prefixes: &[
            "billing_",
            "extra_usage_",
            "invoice_",
            "org_billing_",
            "payment_",
            "platform_billing_",
            "platform_cost_",
            "platform_spend_",
            "platform_usage_",
            "prepaid_",
            "seat_",
            "subscription_",
            "workspace_member_spend_",
            "workspace_spend_",
        ],
    },
    Family { file: "others.md", title: "Compliance access and the rest", prefixes: &[""] },
];

/// The page with what all records have.
const SHARED: &str = "every-record.md";

/// The page with all types in one list.
const BY_NAME: &str = "by-name.md";

fn family(name: &str) -> usize {
    let longest = |family: &Family| {
        family.prefixes.iter().filter(|prefix| name.starts_with(**prefix)).map(|prefix| prefix.len()).max()
    };
    let claims = FAMILIES.iter().enumerate().filter_map(|(at, family)| Some((longest(family)?, at)));
    claims.max().map_or(FAMILIES.len() - 1, |(_, at)| at)
}

/// All pages about types, and their index.
pub(super) fn pages(tables: &Tables, catalog: &Catalog) -> BTreeMap<String, String> {
    let elastic: BTreeSet<&str> = elastic().collect();
    let mut pages = BTreeMap::new();
    let mut contents = head(["Page", "Types", "Holds"]);
    for (at, described) in FAMILIES.iter().enumerate() {
        let rows: Vec<&ActivityRow> =
            tables.activities.iter().filter(|row| family(&row.activity_type) == at).collect();
        let beginnings: BTreeSet<String> = rows.iter().map(|row| beginning(&row.activity_type)).collect();
        contents.push_str(&row([
            format!("[{}]({})", described.title, described.file),
            rows.len().to_string(),
            codes(beginnings),
        ]));
        let mut page = format!(
            "{NOTE}# {}\n\n{} activity types. [How to read this](README.md#how-to-read-a-type); [fields of every record]({SHARED}).\n\n",
            described.title,
            rows.len()
        );
        page.push_str(&head(["Type", "`event.category`", "`event.type`", "`event.outcome`", "Severity"]));
        for kind in &rows {
            page.push_str(&row([
                format!("[`{0}`](#{0})", kind.activity_type),
                codes(&kind.categories),
                codes(&kind.event_types),
                short_outcome(kind),
                kind.severity.to_string(),
            ]));
        }
        for kind in rows {
            let published = catalog.activities.get(&kind.activity_type);
            page.push_str(&activity(tables, kind, published, elastic.contains(kind.activity_type.as_str())));
        }
        pages.insert(format!("fields/{}", described.file), page);
    }
    pages.insert("fields/README.md".to_owned(), index(tables, catalog, &contents));
    pages.insert(format!("fields/{BY_NAME}"), by_name(tables));
    pages.insert(format!("fields/{SHARED}"), shared(tables, catalog));
    pages
}

/// Every type in one list, for those who have a name and look for its page.
fn by_name(tables: &Tables) -> String {
    let mut page =
        format!("{NOTE}# All activity types by name\n\n{}", head(["Type", "On the page", "Severity"]));
    for kind in &tables.activities {
        let name = &kind.activity_type;
        let family = &FAMILIES[family(name)];
        page.push_str(&row([
            format!("[`{name}`]({}#{name})", family.file),
            family.title.to_owned(),
            kind.severity.to_string(),
        ]));
    }
    page
}

/// The first words of a name, for the index.
fn beginning(name: &str) -> String {
    let words = if ["claude", "platform", "org"].contains(&name.split('_').next().unwrap_or_default()) {
        2
    } else {
        1
    };
    format!("{}_*", name.split('_').take(words).collect::<Vec<_>>().join("_"))
}

fn index(tables: &Tables, catalog: &Catalog, contents: &str) -> String {
    format!(
        "{NOTE}# Fields

What becomes of every documented activity type, and where every field of a document comes from: {types} types, {kinds} kinds of
actor. The tables behind it are in [mappings/](../../mappings/README.md); `anthropic-ecs explain TYPE` shows the same on the
command line, rows of your own included, and `anthropic-ecs catalog` lists the types as a table, CSV or JSON.

## By activity type

{contents}
[All of them by name]({BY_NAME}).

## What all share

- [{SHARED}]({SHARED}): the envelope, the actor kinds, and fields that were met though nobody documents them.
- [ecs.md](ecs.md): every ECS field that a document can have, and from what.
- [anthropic.md](anthropic.md): every field under `anthropic.audit`, and from what.
- [Tags](../../mappings/README.md#tags): what was unusual about a record.
- [What no table knows](../../mappings/README.md#what-no-table-knows): types, fields and actors that are newer than the
  program.

## How to read a type

- The sentence is `message`. `<actor>` is put in front by the [kind of actor]({SHARED}#actor-kinds), the address behind it,
  with its place if a database knows one. `{{a|b}}` is the first of these fields that is there, `{{a|'text'}}` the text if it
  is not, `{{a?yes:no}}` a text by a boolean; `[…]` is left out when a value in it is absent.
- `event.outcome` is always the same, or goes by a field. [Why](../../mappings/README.md#outcome).
- Severity is `event.severity`, 0 to 100. [How it is chosen](../../mappings/README.md#severity).
- The table has the fields of the type's own. `?` marks one that may be absent or null; then it is absent in the document.
  *Goes to* is the one home of the value, with its index type; *and to* are copies, of a part where one is named.
- *Since* is the edition of Anthropic's reference in which the type appeared first. *Also in Elastic's integration* says
  that `event.category`, `event.type` and `event.outcome` hold at least its values
  ([exceptions](../../mappings/README.md#deviations-from-elastics-integration)).
",
        types = tables.activities.len(),
        kinds = catalog.actors.len(),
    )
}

fn short_outcome(kind: &ActivityRow) -> String {
    match &kind.outcome {
        model::tables::OutcomeRule::Fixed(outcome) => code(outcome.as_str()),
        model::tables::OutcomeRule::ByField { field, .. } => format!("by {}", code(field)),
    }
}

fn activity(tables: &Tables, kind: &ActivityRow, published: Option<&Activity>, elastic: bool) -> String {
    let name = kind.activity_type.as_str();
    let mut facts = vec![
        format!("Category {}; type {}", codes(&kind.categories), codes(&kind.event_types)),
        format!("outcome {}", words::outcome(&kind.outcome)),
        format!("severity {}", kind.severity),
    ];
    if let Some(published) = published {
        facts.push(format!("since {}", published.since));
        if published.retired {
            facts.push("no longer recorded".to_owned());
        }
    }
    if elastic {
        facts.push("also in Elastic's integration".to_owned());
    }
    let sentence = code(&format!("<actor> {}", words::sentence(&kind.message))).replace("\\|", "|");
    let mut out = format!("\n### {name}\n\n{sentence}\n\n{}.\n", facts.join("; "));
    let fields = published.map(|activity| fields(tables, "", &activity.fields, name)).unwrap_or_default();
    if fields.is_empty() {
        out.push_str("No fields of its own.\n");
    } else {
        out.push_str(&format!("\n{}{fields}", head(["Field", "Value", "Goes to", "And to"])));
    }
    out
}

/// The rows of a table of fields.
fn fields(tables: &Tables, prefix: &str, fields: &[Field], name: &str) -> String {
    let leaves = rules::leaves(tables, prefix, fields, name);
    let rows = leaves.into_iter().filter(|leaf| leaf.path != "actor").map(|leaf| {
        let absent = if leaf.optional || leaf.nullable { "?" } else { "" };
        let shape = if leaf.values.is_empty() { leaf.shape_in_words() } else { codes(&leaf.values) };
        let (home, copies) = places(&rules::rows(tables, &leaf.path, name));
        row([code(&leaf.path), format!("{shape}{absent}"), home, copies])
    });
    rows.collect()
}

/// Where a value goes, and where copies of it go, by the rows that are tried for it in this order.
fn places(rows: &[&FieldRow]) -> (String, String) {
    let many = rows.len() > 1;
    let mut homes = Vec::new();
    let mut copies = Vec::new();
    for row in rows {
        let condition = match &row.when {
            Some(when) => format!("if {} is {}: ", code(&when.field), codes(&when.values)),
            None if many => "otherwise: ".to_owned(),
            None => String::new(),
        };
        homes.push(format!("{condition}{} {}", code(&row.home), row.index.as_str()));
        if !row.also.is_empty() {
            let also: Vec<String> = row.also.iter().map(copy).collect();
            copies.push(format!("{condition}{}", also.join(", ")));
        }
    }
    (homes.join("<br>"), copies.join("<br>"))
}

fn copy(copy: &model::tables::CopyTo) -> String {
    let part = words::part(copy.convert).map_or(String::new(), |part| format!(" ({part})"));
    format!("{}{part}", code(&copy.path))
}

fn shared(tables: &Tables, catalog: &Catalog) -> String {
    let columns = ["Field", "Value", "Goes to", "And to"];
    let mut page = format!(
        "{NOTE}# Fields of every record\n\n## Envelope\n\n`actor` is taken apart, see [below](#actor-kinds); its `type`, the \
         kind, goes to `anthropic.audit.actor.type`. The `type` of the record also decides \
         `event.category`, `event.type`, `event.outcome`, `event.severity` and the sentence. On `anthropic_access` and \
         `cmek_preserve`, `created_at` goes to `event.created`, and `@timestamp` is `accessed_at`.\n\n{}{}",
        head(columns),
        fields(tables, "", &catalog.envelope, "")
    );
    page.push_str("\n## Actor kinds\n\n`<actor>` is how the sentence of `message` begins.\n\n");
    page.push_str(&head(["Kind", "`<actor>`", "Sets, unless the record does"]));
    let named = |kind: &str| tables.actors.iter().find(|row| row.kind == kind);
    let summary = |kind: &str, label: String| -> String {
        let Some(actor) = named(kind).or_else(|| named(ActorRow::ANY)) else { return String::new() };
        let set = actor.set.iter().map(|(path, value)| code(&format!("{path} = {value}")));
        row([label, code(&words::sentence(&actor.subject)), set.collect::<Vec<_>>().join(", ")])
    };
    for kind in catalog.actors.keys() {
        page.push_str(&summary(kind, format!("[`{kind}`](#{kind})")));
    }
    page.push_str(&summary(ActorRow::ANY, "any other".to_owned()));
    for (kind, own) in &catalog.actors {
        page.push_str(&format!(
            "\n### {kind}\n\n{}{}",
            head(columns),
            fields(tables, rules::ACTOR, own, kind)
        ));
    }
    page.push_str("\n## Met and not documented\n\nFields that records were seen with, though the reference does not list them.\n\n");
    page.push_str(&head(["On", "Field", "Value", "Goes to", "And to"]));
    for observed in &catalog.observed {
        let on = if observed.on == "*" { "every type".to_owned() } else { code(&observed.on) };
        let own = std::slice::from_ref(&observed.field);
        for line in fields(tables, "", own, &observed.on).lines() {
            page.push_str(&format!("| {on} {line}\n"));
        }
    }
    page
}

#[test]
fn every_type_is_on_one_page_and_few_on_the_last() {
    let tables = Tables::builtin();
    let last = FAMILIES.len() - 1;
    let rest: Vec<&str> = tables
        .activities
        .iter()
        .map(|row| row.activity_type.as_str())
        .filter(|name| family(name) == last)
        .collect();
    assert!(rest.len() < 20, "give these a family: {rest:?}");
    let file_of = |name| FAMILIES[family(name)].file;
    assert_eq!(file_of("claude_chat_created"), "chats.md");
    assert_eq!(file_of("claude_code_whatever"), "claude-code.md");
    assert_eq!(file_of("a_type_of_tomorrow"), "others.md");
}
