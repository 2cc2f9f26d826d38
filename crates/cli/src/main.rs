//! The `anthropic-ecs` program: which mode runs, and the exit status it ends with.
//!
//! Owns nothing but the way from the command line to a mode and from its end to an exit status; each
//! mode is a module. What is written to standard output is data, what is written to standard error
//! is for people; nothing here prints through macros, so that a closed pipe is met and not a panic.
//!
//! The subtle thing: the program may end while a thread still waits in a read of standard input,
//! which nothing can interrupt. Ending the process is then the only way to end that thread.

mod args;
mod catalog;
mod check;
mod config;
mod core_files;
mod demo;
mod explain;
mod failure;
mod files;
mod knowledge;
mod normalize;
mod packaging;
#[cfg(test)]
mod reference;
mod run;
mod setup;
mod simulate;
mod state;
mod status;
mod stop;
mod suggest;
mod table;
mod telemetry;
mod terminal;
mod verify;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use args::{Cli, Command};
use failure::{Ending, Failure};

/// Pages of the feed are large, live for a moment, and are let go by another thread than took them. The C library spreads
/// them over an arena for each thread and hardly gives any back, so that a backfill grows to twice what it has in use; this
/// one is set to give back at once (`.cargo/config.toml`; `cargo bench-backfill` shows it).
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    // Before a secret is read; the environment, which may hold some, is there in any mode.
    core_files::forbid();
    let cli = Cli::parse();
    let ended = match cli.command {
        _ if cli.version => version(),
        Some(Command::Normalize(args)) => normalize::run(&args),
        Some(Command::Run(args)) => run::run(&args),
        Some(Command::Demo(args)) => demo::run(&args),
        Some(Command::Status(args)) => status::run(&args),
        Some(Command::Check(args)) => check::run(&args),
        Some(Command::Setup(args)) => setup::run(&args),
        Some(Command::State(args)) => state::run(&args),
        Some(Command::Verify(args)) => verify::run(&args),
        Some(Command::Explain(args)) => explain::run(&args),
        Some(Command::Catalog(args)) => catalog::run(&args),
        Some(Command::Simulate(args)) => simulate::run(&args),
        Some(Command::Completions(args)) => packaging::completions(&args),
        Some(Command::Manual(args)) => packaging::manual(&args),
        None => help(),
    };
    let ending = ended.unwrap_or_else(|failure| {
        if let Some(message) = failure.message() {
            // Nobody is left to be told when standard error is closed too.
            let _ = writeln!(io::stderr(), "anthropic-ecs: {}", terminal::shown_lines(&message));
        }
        failure.ending()
    });
    ExitCode::from(ending as u8)
}

/// Prints what this program is and what it knows.
fn version() -> Result<Ending, Failure> {
    writeln!(io::stdout(), "{}", packaging::version()).map_err(Failure::writing)?;
    Ok(Ending::Done)
}

/// Without a mode there is nothing to do but to say what could be done.
fn help() -> Result<Ending, Failure> {
    write!(io::stderr(), "{}", Cli::command().render_help()).map_err(Failure::writing)?;
    Ok(Ending::Usage)
}
