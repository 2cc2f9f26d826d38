//! `state`: where a source stands on disk, shown or forgotten.
//!
//! Owns the words. What a position is made of is the source's; here it is only read, or removed as a whole.
//!
//! The subtle thing: showing takes no lock, since a position is replaced as a whole and can be read at any time; forgetting
//! takes it, so that no running stage loses what it stands on.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use ingest::api::{self, Position, Task};
use ingest::checkpoint::Checkpoint;

use crate::args::{StateArgs, StateCommand};
use crate::config::{Config, Source};
use crate::failure::{Ending, Failure};
use crate::run::{failure, wire};
use crate::terminal::{shown, shown_json};

/// Runs the mode.
pub(crate) fn run(args: &StateArgs) -> Result<Ending, Failure> {
    match &args.command {
        StateCommand::Show { config, json } => show(&Config::read(config)?, *json),
        StateCommand::Reset { config, yes } => reset(&Config::read(config)?, *yes),
    }
}

/// The name of the position, and the files that make it up.
fn kept(config: &Config) -> Result<(&'static str, Vec<PathBuf>), Failure> {
    let folder = &config.state.path;
    match &config.source {
        Source::ComplianceApi(_) => Ok((api::NAME, api::files(folder).to_vec())),
        Source::File(_) => Ok((wire::FILES, vec![folder.join(format!("{}.state", wire::FILES))])),
        Source::Kafka(source) => Err(Failure::usage(anyhow!(
            "positions of a Kafka source are kept by the brokers, for the group `{}`; use kafka-consumer-groups there",
            source.group
        ))),
    }
}

fn show(config: &Config, json: bool) -> Result<Ending, Failure> {
    let (name, _) = kept(config)?;
    let folder = &config.state.path;
    let value: Option<serde_json::Value> = Checkpoint::peek(folder, name).map_err(|fault| failure(&fault))?;
    let Some(value) = value else {
        say(&format!("nothing is kept in {}; the next start begins anew", folder.display()))?;
        return Ok(Ending::Done);
    };
    if json || name != api::NAME {
        say(&shown_json(&format!("{value:#}")))?;
        return Ok(Ending::Done);
    }
    let position = serde_json::from_value(value).map_err(|error| {
        Failure::usage(anyhow!("the position in {} is of another version: {error}", folder.display()))
    })?;
    let mut text = words(&position, folder);
    match api::asked_to_wait(folder) {
        Ok(None) => {}
        Ok(Some(until)) => text += &format!("\nasks again     at {until}, as the API wished"),
        Err(error) => text += &format!("\nbudget         cannot be read, and is taken for spent: {error}"),
    }
    say(&text)?;
    Ok(Ending::Done)
}

/// A position of the API source for people.
fn words(position: &Position, folder: &Path) -> String {
    let mut lines = vec![
        format!("state          {}", folder.display()),
        format!("feed           {}", position.filters.base_url),
        format!("organization   {}", position.organization.as_deref().unwrap_or("not known yet")),
        format!("begun at       {}", position.start),
        format!("read up to     {}", position.high),
        format!("read again     from {} on, with the next window", position.reread),
    ];
    if let Some(history) = position.history {
        lines.push(format!("history        {} to {} is still to be read", history.from, history.to));
    }
    lines.extend(position.passes.iter().map(|pass| format!("due {}  {}", pass.due, pass.name)));
    for walk in &position.walks {
        let what = match &walk.task {
            Task::Window => "window".to_owned(),
            Task::Tail => "tail".to_owned(),
            Task::Pass(name) => name.clone(),
            Task::History => "history".to_owned(),
            Task::Gap(_) => "gap".to_owned(),
        };
        let (from, to) = (walk.whole.from, walk.whole.to);
        lines.push(format!(
            "under way      {what}: {from} to {to}, {} records in {} pages",
            walk.tally.records, walk.tally.pages
        ));
    }
    for gap in &position.gaps {
        lines.push(format!(
            "GAP            {} to {}, since {}: {}",
            gap.slice.from, gap.slice.to, gap.since, gap.cause
        ));
    }
    lines.push(format!("attestations   {}", position.sequence));
    // Some of it was said by a server.
    lines.iter().map(|line| shown(line)).collect::<Vec<_>>().join("\n")
}

fn reset(config: &Config, yes: bool) -> Result<Ending, Failure> {
    let (name, files) = kept(config)?;
    let folder = &config.state.path;
    let there: Vec<PathBuf> = files.into_iter().filter(|path| path.exists()).collect();
    if there.is_empty() {
        say(&format!("nothing is kept in {}", folder.display()))?;
        return Ok(Ending::Done);
    }
    if !yes {
        for path in &there {
            say(&format!("would remove {}", path.display()))?;
        }
        say(
            "the next start would begin anew, and deliver again what its beginning covers; add --yes to do it",
        )?;
        return Ok(Ending::Done);
    }
    let _lock = Checkpoint::open(folder, name).map_err(|fault| failure(&fault))?;
    // The position first: ids without a position are harmless, a position without its ids gives records twice.
    for path in &there {
        std::fs::remove_file(path)
            .map_err(|error| Failure::failed(anyhow!("{} cannot be removed: {error}", path.display())))?;
        say(&format!("removed {}", path.display()))?;
    }
    Ok(Ending::Done)
}

fn say(line: &str) -> Result<(), Failure> {
    writeln!(io::stdout(), "{line}").map_err(Failure::writing)
}
