//! Compares the assets with what the cluster has, and installs what differs.
//!
//! A plan is made of reads alone. It is applied only when nothing in it is refused, so that a foreign template is found
//! before the first change and not half-way. What is ours is known by its `_meta`; a lifecycle policy, once there, belongs
//! to the user, who will have said in it how long records are kept.

use elasticsearch::http::Method;
use model::fault::{Fault, FaultKind};
use serde_json::Value;

use super::api::Api;
use super::server::Flavour;
use super::templates::{Asset, AssetKind, Assets, MANAGED_BY, PRIORITY};

/// What is done with one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It is not there yet.
    Create,
    /// It is ours, and older or newer than this program's.
    Update,
    /// It is as it should be.
    Unchanged,
    /// It is there and stays as it is; the note says why.
    Keep,
    /// It cannot be done by `setup`; the note says by whom and how.
    ByHand,
    /// Somebody else made it, and nothing at all is done.
    Refuse,
}

impl Action {
    /// As a table shows it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Unchanged => "unchanged",
            Self::Keep => "keep",
            Self::ByHand => "by hand",
            Self::Refuse => "refuse",
        }
    }
}

/// One row of a plan, and of what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// `component template`, `data stream`.
    pub kind: &'static str,
    /// The name in the cluster.
    pub name: String,
    /// What is to be done, or was.
    pub action: Action,
    /// What a person should know; often empty.
    pub note: String,
}

const DATA_STREAM: &str = "data stream";
/// The index template of Elastic's integration.
const ELASTICS: &str = "logs-anthropic.audit";

/// Finds out what is to be done, by reading alone. This is the dry run.
///
/// # Errors
///
/// The server cannot be asked. What stands in the way in the cluster itself is a step with [`Action::Refuse`].
pub async fn plan(api: &Api<'_>, assets: &Assets) -> Result<Vec<Step>, Fault> {
    let mut steps = Vec::new();
    for asset in &assets.items {
        steps.push(plan_asset(api, assets.target.flavour(), asset).await?);
    }
    plan_rivals(api, assets, &mut steps).await?;
    steps.push(plan_data_stream(api, assets).await?);
    Ok(steps)
}

/// Why a plan cannot be applied, if it cannot.
#[must_use]
pub fn refusal(steps: &[Step]) -> Option<Fault> {
    let refused: Vec<_> = steps.iter().filter(|step| step.action == Action::Refuse).collect();
    let causes: Vec<_> =
        refused.iter().map(|step| format!("{} {}: {}", step.kind, step.name, step.note)).collect();
    (!refused.is_empty()).then(|| {
        let remedy =
            "nothing was changed; rename or remove what is in the way, or choose another `namespace`";
        Fault::new(FaultKind::Taken, causes.join("; "), remedy)
    })
}

/// Plans, and does it. Gives the steps as they were done; the data stream's note tells when a rollover is needed.
///
/// # Errors
///
/// As [`plan`] and [`refusal`], and what the server refuses; a repeated call goes on where this one ended.
pub async fn apply(api: &Api<'_>, assets: &Assets) -> Result<Vec<Step>, Fault> {
    let mut steps = plan(api, assets).await?;
    if let Some(fault) = refusal(&steps) {
        return Err(fault);
    }
    for (asset, step) in assets.items.iter().zip(&steps) {
        if matches!(step.action, Action::Create | Action::Update) {
            let answer =
                api.call(Method::Put, &path(assets.target.flavour(), asset), Some(&asset.body)).await?;
            if !answer.is_done() {
                return Err(answer.unexpected());
            }
            tracing::info!(
                kind = asset.kind.name(),
                name = asset.name,
                action = step.action.name(),
                "installed"
            );
        }
    }
    if let Some(step) = steps.last_mut() {
        apply_data_stream(api, assets, step).await?;
    }
    Ok(steps)
}

fn path(flavour: Flavour, asset: &Asset) -> String {
    let place = match (asset.kind, flavour) {
        (AssetKind::Policy, Flavour::Elasticsearch) => "_ilm/policy",
        (AssetKind::Policy, Flavour::OpenSearch) => "_plugins/_ism/policies",
        (AssetKind::ComponentTemplate, _) => "_component_template",
        (AssetKind::IndexTemplate, _) => "_index_template",
    };
    format!("/{place}/{}", asset.name)
}

async fn plan_asset(api: &Api<'_>, flavour: Flavour, asset: &Asset) -> Result<Step, Fault> {
    let answer = api.call(Method::Get, &path(flavour, asset), None).await?;
    let found = match (asset.kind, flavour) {
        (AssetKind::Policy, Flavour::Elasticsearch) => answer.body.get(&asset.name),
        (AssetKind::Policy, Flavour::OpenSearch) => Some(&answer.body),
        (AssetKind::ComponentTemplate, _) => answer.body.pointer("/component_templates/0/component_template"),
        (AssetKind::IndexTemplate, _) => answer.body.pointer("/index_templates/0/index_template"),
    };
    let (action, note) = match (answer.status, found) {
        (404, _) => (Action::Create, ""),
        (200, Some(found)) => match (mark(found), mark(&asset.body)) {
            (None, _) => (Action::Refuse, "it is there and was not made by anthropic-ecs"),
            (Some(old), Some(new)) if old == new => (Action::Unchanged, ""),
            _ if asset.kind == AssetKind::Policy => {
                (Action::Keep, "a policy that is there is the user's; remove it to have this version's")
            }
            _ => (Action::Update, ""),
        },
        _ => return Err(answer.unexpected()),
    };
    Ok(Step { kind: asset.kind.name(), name: asset.name.clone(), action, note: note.to_owned() })
}

/// The hash in the mark of something we made; `None` if it has no such mark.
fn mark(body: &Value) -> Option<&str> {
    let meta = body.get("_meta").or_else(|| body.pointer("/policy/_meta"));
    if let Some(meta) = meta.filter(|meta| meta.get("managed_by").and_then(Value::as_str) == Some(MANAGED_BY))
    {
        return Some(meta.get("hash").and_then(Value::as_str).unwrap_or_default());
    }
    let description = body.pointer("/policy/description").and_then(Value::as_str)?;
    let mut words = description.split_ascii_whitespace();
    let is_ours = words.next().and_then(|word| word.strip_prefix("managed_by=")) == Some(MANAGED_BY);
    is_ours.then(|| words.find_map(|word| word.strip_prefix("hash=")).unwrap_or_default())
}

/// Index templates of others that would be used in place of ours are refused. Elastic's integration would not be, but who has
/// it must know that its agents cannot write to this namespace any more.
async fn plan_rivals(api: &Api<'_>, assets: &Assets, steps: &mut Vec<Step>) -> Result<(), Fault> {
    let answer = api.call(Method::Get, "/_index_template", None).await?;
    if !answer.is_done() {
        return Err(answer.unexpected());
    }
    let kind = AssetKind::IndexTemplate.name();
    let stream = assets.data_stream();
    let Some(at) = steps.iter().position(|step| step.kind == kind) else { return Ok(()) };
    for template in answer.body.get("index_templates").and_then(Value::as_array).into_iter().flatten() {
        let name = template.get("name").and_then(Value::as_str).unwrap_or_default();
        let body = template.get("index_template").unwrap_or(&Value::Null);
        let priority = body.get("priority").and_then(Value::as_u64).unwrap_or(0);
        let mut patterns = body.get("index_patterns").and_then(Value::as_array).into_iter().flatten();
        let is_for_us =
            patterns.any(|pattern| pattern.as_str().is_some_and(|text| matches_glob(text, &stream)));
        if !is_for_us || steps[at].name == name {
            continue;
        }
        if priority >= PRIORITY {
            let note = format!(
                "it covers {stream} with priority {priority}; ours has {PRIORITY} and would not be used"
            );
            steps.push(Step { kind, name: name.to_owned(), action: Action::Refuse, note });
        } else if name == ELASTICS && steps[at].note.is_empty() {
            steps[at].note =
                "Elastic's integration is here too; from now on its agents must write to another namespace"
                    .to_owned();
        }
    }
    Ok(())
}

/// Whether an index pattern, in which `*` stands for any text, covers a name.
fn matches_glob(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((head, rest)) => name.strip_prefix(head).is_some_and(|tail| {
            (0..=tail.len()).any(|at| tail.get(at..).is_some_and(|tail| matches_glob(rest, tail)))
        }),
    }
}

async fn plan_data_stream(api: &Api<'_>, assets: &Assets) -> Result<Step, Fault> {
    let name = assets.data_stream();
    let step = |action, note: String| Step { kind: DATA_STREAM, name: assets.data_stream(), action, note };
    let answer = api.call(Method::Get, &format!("/_resolve/index/{name}"), None).await?;
    let list = |key| answer.body.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    match answer.status {
        404 => return Ok(step(Action::Create, String::new())),
        200 => {}
        _ => return Err(answer.unexpected()),
    }
    if !list("indices").is_empty() || !list("aliases").is_empty() {
        return Ok(step(
            Action::Refuse,
            "an index or alias has the name, and no data stream can take it".to_owned(),
        ));
    }
    let Some(stream) = list("data_streams").first() else { return Ok(step(Action::Create, String::new())) };
    let backing = stream.get("backing_indices").and_then(|indices| match indices {
        Value::Array(indices) => indices.last().and_then(Value::as_str),
        other => other.as_str(),
    });
    let Some(index) = backing else { return Err(answer.unexpected()) };
    let settings = api.call(Method::Get, &format!("/{index}/_settings?flat_settings=true"), None).await?;
    let set = |key: &str| settings.body.get(index)?.get("settings")?.get(key)?.as_str().map(str::to_owned);
    let pipeline = ["index.default_pipeline", "index.final_pipeline"].into_iter().find_map(|key| {
        set(key).filter(|pipeline| pipeline != "_none").map(|pipeline| format!("{key} {pipeline}"))
    });
    if let Some(pipeline) = pipeline {
        return Ok(step(
            Action::ByHand,
            format!("its write index sends documents through {pipeline}; {}", rollover(&name)),
        ));
    }
    let mappings = api.call(Method::Get, &format!("/{index}/_mapping"), None).await?;
    let meta = mappings.body.get(index).and_then(|index| index.pointer("/mappings/_meta"));
    let wanted = assets.mapping();
    Ok(if meta.is_some() && meta == wanted.get("_meta") {
        step(Action::Unchanged, String::new())
    } else {
        step(Action::Update, "new fields are added to its write index".to_owned())
    })
}

fn rollover(name: &str) -> String {
    format!(
        "POST /{name}/_rollover makes the next one from the new template (the ids of the old one are then not compared any more)"
    )
}

async fn apply_data_stream(api: &Api<'_>, assets: &Assets, step: &mut Step) -> Result<(), Fault> {
    let name = assets.data_stream();
    match step.action {
        Action::Create => {
            let answer = api.call(Method::Put, &format!("/_data_stream/{name}"), None).await?;
            if answer.is_no_such_call() {
                step.action = Action::ByHand;
                step.note = "the server has no call to make one; the first document does".to_owned();
            } else if !answer.is_done() {
                return Err(answer.unexpected());
            }
        }
        Action::Update => {
            let path = format!("/{name}/_mapping?write_index_only=true");
            let answer = api.call(Method::Put, &path, Some(&assets.mapping())).await?;
            if answer.status == 400 {
                step.action = Action::ByHand;
                step.note = format!(
                    "its write index cannot take the new mapping ({}); {}",
                    answer.words(),
                    rollover(&name)
                );
            } else if !answer.is_done() {
                return Err(answer.unexpected());
            }
        }
        _ => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn patterns_cover_as_the_server_says() {
        let name = "logs-anthropic.audit-default";
        for pattern in ["*", "logs-*-*", "logs-*", name, "logs-anthropic.audit-*", "*default", "l*a*d*t"] {
            assert!(matches_glob(pattern, name), "{pattern}");
        }
        for pattern in ["", "logs", "logs-anthropic.audit-", "metrics-*", "logs-*-x*"] {
            assert!(!matches_glob(pattern, name), "{pattern}");
        }
    }

    #[test]
    fn only_our_own_mark_counts() {
        let ours = json!({"_meta": {"managed_by": "anthropic-ecs", "hash": "1"}});
        assert_eq!(mark(&ours), Some("1"));
        assert_eq!(mark(&json!({"policy": {"_meta": {"managed_by": "anthropic-ecs"}}})), Some(""));
        let described = json!({"policy": {"description": "managed_by=anthropic-ecs version=1 hash=2"}});
        assert_eq!(mark(&described), Some("2"));
        for foreign in [
            json!({}),
            json!({"_meta": {"managed_by": "fleet", "hash": "1"}}),
            json!({"policy": {"description": "not managed_by=anthropic-ecs"}}),
        ] {
            assert_eq!(mark(&foreign), None, "{foreign}");
        }
    }

    #[test]
    fn a_refused_step_refuses_the_whole() {
        let step = |action| Step {
            kind: "index template",
            name: "x".to_owned(),
            action,
            note: "foreign".to_owned(),
        };
        assert_eq!(refusal(&[step(Action::Create), step(Action::Keep)]), None);
        let fault = refusal(&[step(Action::Create), step(Action::Refuse)]).unwrap();
        assert_eq!((fault.kind, fault.cause.as_str()), (FaultKind::Taken, "index template x: foreign"));
    }
}
