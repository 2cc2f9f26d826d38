//! What a packager installs beside the program: its version line, shell completions and manual pages.
//!
//! Owns how they are put out; what they say is the command line's own definition (`args`), so that they cannot lag behind it.
//!
//! The subtle thing: the same program gives the same bytes on every machine, so no page has a date or a width of its own.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use anyhow::Context;
use clap::{Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};
use model::catalog::Catalog;

use crate::args::{Cli, CompletionsArgs, EXIT_STATUS, ManualArgs};
use crate::failure::{Ending, Failure};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The program's version, the commit it was built from if that is known, and the editions of what it knows.
pub(crate) fn version() -> String {
    let catalog = Catalog::builtin();
    let (types, edition) = (catalog.activities.len(), catalog.edition());
    let commit =
        option_env!("ANTHROPIC_ECS_COMMIT").map(|commit| format!("commit {commit}, ")).unwrap_or_default();
    format!(
        "anthropic-ecs {VERSION} ({commit}ECS {}, catalog {edition}, {types} activity types)",
        mapper::ECS_VERSION
    )
}

/// Prints the completions of a shell.
pub(crate) fn completions(args: &CompletionsArgs) -> Result<Ending, Failure> {
    let mut command = Cli::command();
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, &name, &mut script);
    if args.shell == Shell::Bash {
        // The script calls a program with a hyphen in its name by two names, and then completes none of its commands:
        // https://github.com/clap-rs/clap/issues/6421. Once that is mended, there is nothing to replace.
        let (wrong, right) = (name.replace('-', "__subcmd__"), name.replace('-', "__"));
        script = String::from_utf8_lossy(&script).replace(&wrong, &right).into_bytes();
    }
    print(&script)
}

/// Prints the manual page of the program, or writes it and one for each of its commands to a folder.
pub(crate) fn manual(args: &ManualArgs) -> Result<Ending, Failure> {
    let mut command = Cli::command();
    command.build();
    let Some(folder) = &args.output else { return print(&page(&command)?.1) };
    let unwritable = |path: &Path| format!("{} cannot be written; name another folder", path.display());
    fs::create_dir_all(folder).with_context(|| unwritable(folder)).map_err(Failure::Failed)?;
    for command in all(&command) {
        let (name, text) = page(command)?;
        let path = folder.join(name);
        fs::write(&path, text).with_context(|| unwritable(&path)).map_err(Failure::Failed)?;
    }
    Ok(Ending::Done)
}

fn print(text: &[u8]) -> Result<Ending, Failure> {
    let mut out = io::stdout();
    out.write_all(text).and_then(|()| out.flush()).map_err(Failure::writing)?;
    Ok(Ending::Done)
}

/// A command and all below it.
fn all(command: &Command) -> Vec<&Command> {
    std::iter::once(command).chain(command.get_subcommands().flat_map(all)).collect()
}

/// The name of a command's page, and its text in roff.
fn page(command: &Command) -> Result<(String, Vec<u8>), Failure> {
    let page =
        Man::new(command.clone()).source(format!("anthropic-ecs {VERSION}")).manual("anthropic-ecs manual");
    let mut text = Vec::new();
    let write = |out: &mut Vec<u8>| {
        page.render_title(out)?;
        page.render_name_section(out)?;
        page.render_synopsis_section(out)?;
        page.render_description_section(out)?;
        page.render_options_section(out)?;
        if command.has_subcommands() {
            page.render_subcommands_section(out)?;
        }
        if command.get_after_help().is_some() {
            exit_status().to_writer(out)?;
        }
        Ok(())
    };
    write(&mut text).map_err(|error: io::Error| Failure::failed(error))?;
    Ok((page.get_filename(), text))
}

/// The list that `--help` ends with. As any other text it would be filled to the width of the page.
fn exit_status() -> Roff {
    let mut section = Roff::new();
    section.control("SH", ["EXIT STATUS"]);
    let lines = EXIT_STATUS.lines().filter_map(|line| line.trim_start().split_once("  "));
    for (status, meaning) in lines {
        section.control("TP", []).text([bold(status)]).text([roman(meaning)]);
    }
    section
}
