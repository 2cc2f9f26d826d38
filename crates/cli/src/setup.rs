//! `setup`: the index template and what belongs to it, installed or shown.

use std::io::{self, Write};

use anyhow::anyhow;
use model::fault::{Fault, FaultKind};
use output::assets::{self, Api, Assets, Step, Target};
use output::elasticsearch::{Elasticsearch, Flavour};
use serde_json::json;

use crate::args::SetupArgs;
use crate::config::{Config, Sink};
use crate::failure::{Ending, Failure};
use crate::knowledge;
use crate::run::failure;
use crate::table::{Style, Table};
use crate::terminal::shown_json;

/// Runs the mode.
pub(crate) fn run(args: &SetupArgs) -> Result<Ending, Failure> {
    let config = Config::read(&args.config)?;
    let Sink::Elasticsearch(sink) = &config.sink else {
        return Err(Failure::usage(anyhow!(
            "{}: [sink] is not of type `elasticsearch`; only such a sink needs a setup",
            args.config.display()
        )));
    };
    let tables = knowledge::tables(config.mapper.overlay.as_slice())?;
    let settings = sink.validate().map_err(|fault| failure(&fault))?;
    let client = Elasticsearch::open(&settings).map_err(|fault| failure(&fault))?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::failed)?;
    let known = match sink.flavour {
        Flavour::Auto => None,
        Flavour::Elasticsearch => Some(assets::Flavour::Elasticsearch),
        Flavour::OpenSearch => Some(assets::Flavour::OpenSearch),
    };
    let outcome = runtime.block_on(async {
        let Some((transport, address)) = client.client().management() else {
            return Err(Fault::new(FaultKind::Unusable, "[sink] `url` names no server", "name at least one"));
        };
        let api = Api::new(&transport, address);
        let server = assets::detect(&api, known).await?;
        let target = Target::new(server.flavour, server.lifecycle, &sink.namespace)?;
        let assets = Assets::render(&tables, target);
        let steps = if args.dry_run {
            assets::plan(&api, &assets).await?
        } else {
            assets::apply(&api, &assets).await?
        };
        Ok((assets, steps))
    });
    let (assets, steps) = outcome.map_err(|fault| failure(&fault))?;
    if args.dry_run {
        let items: Vec<_> = assets
            .items
            .iter()
            .map(|item| json!({"kind": item.kind.name(), "name": item.name, "body": item.body}))
            .collect();
        let text = serde_json::to_string_pretty(&items).map_err(Failure::failed)?;
        writeln!(io::stdout(), "{}", shown_json(&text)).map_err(Failure::writing)?;
        show(&mut io::stderr(), &steps).map_err(Failure::writing)?;
        return match assets::refusal(&steps) {
            Some(fault) => Err(failure(&fault)),
            None => Ok(Ending::Done),
        };
    }
    show(&mut io::stdout(), &steps).map_err(Failure::writing)?;
    Ok(Ending::Done)
}

/// The steps as a table.
fn show(out: &mut impl Write, steps: &[Step]) -> io::Result<()> {
    let mut table = Table::new(&["ACTION", "KIND", "NAME", "NOTE"]);
    for step in steps {
        table.row(vec![
            step.action.name().into(),
            step.kind.into(),
            step.name.as_str().into(),
            step.note.as_str().into(),
        ]);
    }
    table.write(out, Style::default(), "")
}
