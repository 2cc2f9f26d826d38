//! The command line: names, defaults and help.
//!
//! Owns what can be typed, and the checks that need no file. Must not open anything.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// What the exit statuses mean; the manual makes a section of it.
pub(crate) const EXIT_STATUS: &str = "\
Exit status:
  0  done
  1  failed; standard error says what, where, and what to do
  2  bad usage or configuration
  3  finished, but some records are in the dead letters
130  stopped by a signal, in good order";

/// Turns Anthropic's Compliance API activity feed into Elastic Common Schema documents.
#[derive(Debug, Parser)]
#[command(name = "anthropic-ecs", disable_version_flag = true, after_help = EXIT_STATUS)]
#[command(after_long_help = EXIT_STATUS, max_term_width = 110, disable_help_subcommand = true)]
pub(crate) struct Cli {
    /// Print the version, the commit it was built from, and the editions of ECS and of the activity catalog that it knows
    #[arg(short = 'V', long)]
    pub(crate) version: bool,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// What the program can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Turn raw activities into ECS documents: files or standard input in, NDJSON out.
    ///
    /// An input holds one activity a line, or API pages ({"data":[...],"has_more":...}), or a JSON array of activities, plain
    /// or compressed with gzip or zstd; which of these is found out by looking, not by name. The order of the output is the
    /// order of the input, and the same input gives the same bytes.
    Normalize(NormalizeArgs),
    /// Run the stage a configuration describes: until it is told to stop, or until its files end.
    ///
    /// The first SIGTERM or SIGINT stops reading, delivers what is under way and commits; the second ends at once, and nothing
    /// is lost by it: what was not committed comes again at the next start.
    Run(RunArgs),
    /// Show the whole stage at work, on this machine and with nothing else: a simulated API is read, mapped and written.
    ///
    /// It takes half a minute, meets a few things that go wrong, and ends with a summary.
    Demo(DemoArgs),
    /// Show how a running stage is doing: what stands in its way and what to do about it, how far it is, what it gave up.
    ///
    /// The exit status is 0 if it is ready, and 1 if it is not, or does not answer.
    Status(StatusArgs),
    /// Check a configuration; with --connect, also everything it names: servers, rights, topics, templates.
    Check(CheckArgs),
    /// Install the index template, its component templates and the lifecycle policy, and make the data stream.
    Setup(SetupArgs),
    /// Show where the source of a configuration stands, or forget it.
    State(StateArgs),
    /// Hold what was delivered, files or a data stream, against the attestations of the API source: what was read must be
    /// there.
    Verify(VerifyArgs),
    /// Show what happens to an activity type, or to one record: its category, where each field goes, and why.
    Explain(ExplainArgs),
    /// List every known activity type.
    Catalog(CatalogArgs),
    /// Serve a simulated Compliance API with a tenant behind it on a loopback port, to try things out without a key.
    ///
    /// People come and go, work, and are attacked; a seed decides what they do. The keys to use and a first request are
    /// printed. Faults, events and modes come from a script, or are ordered while it runs below /_control/.
    Simulate(SimulateArgs),
    /// Print what makes a shell complete this command line.
    Completions(CompletionsArgs),
    /// Print the manual page, or write it to a folder with one for each command.
    Manual(ManualArgs),
}

/// What `normalize` takes.
#[derive(Debug, Args)]
#[command(after_help = EXIT_STATUS, after_long_help = EXIT_STATUS)]
pub(crate) struct NormalizeArgs {
    /// A file, a directory (read recursively), or - for standard input, which is the default
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// Write the documents here instead of standard output; an existing file is overwritten, unless it is an input
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Write what cannot be mapped here, with the reason; made (and an older one overwritten) only when needed.
    /// [default: dead-letters.ndjson beside the output, or in the current directory]
    #[arg(long, value_name = "FILE")]
    pub(crate) dead_letters: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) knowledge: KnowledgeArgs,
    /// Keep the raw record, byte for byte, in event.original
    #[arg(long)]
    pub(crate) preserve_original: bool,
    /// Write the SHA-256 of the raw record to event.hash
    #[arg(long)]
    pub(crate) event_hash: bool,
    /// Drop, hash or truncate what says something of persons, as this TOML file says, which holds a table
    /// [mapper.privacy] as in a configuration, and nothing else
    #[arg(long, value_name = "FILE")]
    pub(crate) privacy: Option<PathBuf>,
    /// The data stream namespace
    #[arg(long, value_name = "NAME", default_value = "default", value_parser = namespace)]
    pub(crate) namespace: String,
    /// Longer records become dead letters; 1KiB to 1GiB
    #[arg(long, value_name = "SIZE", default_value = "16MiB", value_parser = record_size)]
    pub(crate) max_record_size: usize,
    /// How many threads map. More than 8 are not used: one writer cannot take what they make.
    /// [default: all cores]
    #[arg(long, value_name = "N", value_parser = threads)]
    pub(crate) threads: Option<usize>,
    /// Say nothing on standard error but errors
    #[arg(short, long, conflicts_with = "progress")]
    pub(crate) quiet: bool,
    /// Report progress on standard error even when that is not a terminal
    #[arg(long)]
    pub(crate) progress: bool,
}

/// What is known beyond what is built in.
#[derive(Debug, Default, Args)]
pub(crate) struct KnowledgeArgs {
    /// A City, Country, ASN or Anonymous-IP database in MaxMind format; repeatable
    #[arg(long, value_name = "FILE")]
    pub(crate) geoip: Vec<PathBuf>,
    /// Rows of your own for activity types or fields, as in mappings/activities.csv or mappings/fields.csv; repeatable
    #[arg(long, value_name = "FILE")]
    pub(crate) mappings: Vec<PathBuf>,
}

/// What `run` takes.
#[derive(Debug, Args)]
#[command(after_help = EXIT_STATUS, after_long_help = EXIT_STATUS)]
pub(crate) struct RunArgs {
    /// The configuration
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Write a line for each change of state and nothing below this level: error, warn, info, debug or trace.
    /// [default: what the configuration says, or info]
    #[arg(long, value_name = "LEVEL")]
    pub(crate) log_level: Option<tracing::Level>,
}

/// What `status` takes.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// The configuration of the stage, which says where it listens
    #[arg(short, long, value_name = "FILE", conflicts_with = "url")]
    pub(crate) config: Option<PathBuf>,
    /// Where it listens [default: http://127.0.0.1:9464]
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// Print what it says, as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// What `demo` takes.
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// The folder for documents, configuration and state; files of an earlier demo in it are overwritten
    #[arg(short, long, value_name = "FOLDER", default_value = "demo-output")]
    pub(crate) output: PathBuf,
    /// Decides who there is and what they do
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
}

/// What `check` takes.
#[derive(Debug, Args)]
#[command(after_help = EXIT_STATUS, after_long_help = EXIT_STATUS)]
pub(crate) struct CheckArgs {
    /// The configuration
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Also reach every server it names, and say what is missing there
    #[arg(long)]
    pub(crate) connect: bool,
}

/// What `setup` takes.
#[derive(Debug, Args)]
#[command(after_help = EXIT_STATUS, after_long_help = EXIT_STATUS)]
pub(crate) struct SetupArgs {
    /// The configuration, whose sink is Elasticsearch or OpenSearch
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Change nothing; print what would be installed, as JSON
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// What `state` takes.
#[derive(Debug, Args)]
pub(crate) struct StateArgs {
    #[command(subcommand)]
    pub(crate) command: StateCommand,
}

/// What can be done with a position.
#[derive(Debug, Subcommand)]
pub(crate) enum StateCommand {
    /// Show the position as it is on disk; the stage may be running
    Show {
        /// The configuration
        #[arg(short, long, value_name = "FILE")]
        config: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Forget the position, so that the next start begins anew; the stage must not be running. Attestations stay
    Reset {
        /// The configuration
        #[arg(short, long, value_name = "FILE")]
        config: PathBuf,
        /// Do it; without this, only what would be removed is said
        #[arg(long)]
        yes: bool,
    },
}

/// What `verify` takes.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// The configuration whose sink, Elasticsearch or OpenSearch, is counted window by window; without it, files are
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The attestations, a file in the state folder.
    /// [default: that of the configuration, or state/attestations.ndjson]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) attestations: Option<PathBuf>,
    /// Read the ids of every window from the index, also of those whose count is right, and hold them against the hash
    #[arg(long, requires = "config")]
    pub(crate) ids: bool,
    /// Delivered documents, and dead letters if there are any: files or directories, plain or compressed. With --config, the
    /// dead letters it names are read by themselves
    #[arg(value_name = "PATH", required_unless_present = "config")]
    pub(crate) paths: Vec<PathBuf>,
}

/// What `explain` takes.
#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// An activity type such as claude_chat_created, known or not; or - for one record on standard input
    #[arg(value_name = "TYPE|-")]
    pub(crate) subject: String,
    #[command(flatten)]
    pub(crate) knowledge: KnowledgeArgs,
    /// Show the fields of every actor kind too
    #[arg(long)]
    pub(crate) actors: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// What `catalog` takes.
#[derive(Debug, Args)]
pub(crate) struct CatalogArgs {
    /// Rows of your own, listed with the others; repeatable
    #[arg(long, value_name = "FILE")]
    pub(crate) mappings: Vec<PathBuf>,
    /// Print a JSON array
    #[arg(long, conflicts_with = "csv")]
    pub(crate) json: bool,
    /// Print CSV with a header
    #[arg(long)]
    pub(crate) csv: bool,
}

/// What `simulate` takes.
#[derive(Debug, Args)]
#[command(after_long_help = crate::simulate::help())]
pub(crate) struct SimulateArgs {
    /// The port on 127.0.0.1; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value_t = 8_787)]
    pub(crate) port: u16,
    /// Decides who there is and what they do
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    /// How many activities a person causes in an hour at work
    #[arg(long, value_name = "N", default_value_t = 12, value_parser = clap::value_parser!(u64).range(0..=100_000))]
    pub(crate) rate: u64,
    /// How many people there are
    #[arg(long, value_name = "N", default_value_t = 40, value_parser = people)]
    pub(crate) people: usize,
    /// How many hours of history there are at the start
    #[arg(long, value_name = "HOURS", default_value_t = 24, value_parser = clap::value_parser!(u32).range(0..=9_000))]
    pub(crate) history: u32,
    /// How many times as fast as the real clock the simulated one goes, from the real present on
    #[arg(long, value_name = "TIMES", default_value_t = 1.0)]
    pub(crate) speed: f64,
    /// A script of what goes wrong, what happens besides, and in which modes: JSON lines, or TOML with `[[fault]]`,
    /// `[[activity]]` and `[settings]`
    #[arg(long, value_name = "FILE")]
    pub(crate) faults: Option<PathBuf>,
    /// The edition of the API: 2026-08 or 2026-10
    #[arg(long, value_name = "EDITION", default_value = "2026-10")]
    pub(crate) dialect: simulator::api::Dialect,
}

/// What `completions` takes.
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub(crate) shell: clap_complete::Shell,
}

/// What `manual` takes.
#[derive(Debug, Args)]
pub(crate) struct ManualArgs {
    /// Write a page for each command to this folder, made if need be, instead of one to standard output
    #[arg(short, long, value_name = "FOLDER")]
    pub(crate) output: Option<PathBuf>,
}

/// Reads a size such as `16MiB`.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "kb" => 1_000,
        "m" | "mib" => 1 << 20,
        "mb" => 1_000_000,
        "g" | "gib" => 1 << 30,
        "gb" => 1_000_000_000,
        _ => return Err(format!("`{unit}` is no unit; write a size as 65536, 64KiB, 16MiB or 1GiB")),
    };
    let number: u64 = number.parse().map_err(|_| "a size is a whole number and a unit: 16MiB".to_owned())?;
    number.checked_mul(unit).ok_or_else(|| "that is too large".to_owned())
}

fn record_size(text: &str) -> Result<usize, String> {
    match size(text)? {
        bytes @ 0x400..=0x4000_0000 => Ok(bytes as usize),
        _ => Err("must be from 1KiB to 1GiB".to_owned()),
    }
}

fn people(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(people @ 0_usize..=100_000) => Ok(people),
        _ => Err("must be a whole number up to 100000".to_owned()),
    }
}

fn threads(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(threads @ 1_usize..) => Ok(threads),
        _ => Err("must be a whole number from 1 on".to_owned()),
    }
}

/// What Elasticsearch accepts as the last part of a data stream's name.
pub(crate) fn namespace(text: &str) -> Result<String, String> {
    if text.is_empty() || text.len() > 100 {
        return Err("must have 1 to 100 bytes".to_owned());
    }
    if let Some(bad) =
        text.chars().find(|c| "-\\/*?\"<>|,#:".contains(*c) || c.is_whitespace() || c.is_control())
    {
        return Err(format!("must not contain {bad:?}, which Elasticsearch refuses in a namespace"));
    }
    if text.chars().any(char::is_uppercase) {
        return Err("must be lower case, which Elasticsearch demands of a namespace".to_owned());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn sizes_read_as_people_write_them() {
        let read = |text| size(text).ok();
        assert_eq!(
            ["5", "5B", "64KiB", "16MiB", "1gib", "2 MB", "3k"].map(read),
            [5, 5, 65_536, 16 << 20, 1 << 30, 2_000_000, 3_072].map(Some)
        );
        assert_eq!(["", "MiB", "1.5MiB", "5 bananas", "-1", "99999999999GiB"].map(read), [None; 6]);
        assert!(record_size("1KiB").is_ok() && record_size("1023").is_err() && record_size("2GiB").is_err());
    }

    #[test]
    fn a_namespace_must_suit_a_data_stream() {
        assert!(["default", "prod_eu", "é"].into_iter().all(|name| namespace(name).is_ok()));
        assert!(["", "a-b", "Prod", "a b", "a/b", "a:b"].into_iter().all(|name| namespace(name).is_err()));
    }
}
