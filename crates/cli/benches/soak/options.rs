//! What was asked for on the command line, and what follows from it. Must not start anything.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Parser;
use model::settings::Period;

use crate::figures::SHORTEST;

/// Hours of mixed faults at load, with memory, descriptors, threads and position looked at all the while.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo bench-soak --")]
pub(crate) struct Options {
    /// For how long, like `20s`, `90m` or `8h`; what comes before and after it takes a minute or two.
    #[arg(default_value = "2m")]
    pub(crate) span: Period,
    /// Writes `soak.md` and `soak.svg` there, if all went well; a path from the repository's root.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) write: Option<PathBuf>,
    /// Ends the stages now and then, by SIGTERM or SIGKILL, and starts them again. Memory is not judged then.
    #[arg(long)]
    pub(crate) kills: bool,
    /// Decides the tenant and what goes wrong; the moments are up to the machine.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// How many people make the rows.
    #[arg(long, default_value_t = 800)]
    pub(crate) people: usize,
    /// What cargo says to every bench.
    #[arg(long, hide = true)]
    pub(crate) bench: bool,
}

impl Options {
    pub(crate) fn span(&self) -> Duration {
        self.span.0
    }

    /// The command that does the same again.
    pub(crate) fn command(&self) -> String {
        let mut command = format!("cargo bench-soak -- {}", self.span);
        if self.kills {
            command.push_str(" --kills");
        }
        if self.seed != 1 {
            command.push_str(&format!(" --seed {}", self.seed));
        }
        if self.people != 800 {
            command.push_str(&format!(" --people {}", self.people));
        }
        if let Some(folder) = &self.write {
            command.push_str(&format!(" --write {}", folder.display()));
        }
        command
    }

    /// How often everything is looked at: some 700 times.
    pub(crate) fn every(&self) -> Duration {
        (self.span() / 720).clamp(Duration::from_millis(500), Duration::from_secs(60))
    }

    /// What is at the beginning is not judged: caches fill, and the tenant's first day has its first busy hours.
    pub(crate) fn warm_up(&self) -> Duration {
        (self.span() / 3).min(Duration::from_secs(1_200))
    }

    /// Whether growth can be judged.
    pub(crate) fn is_judged(&self) -> bool {
        !self.kills && self.span() >= SHORTEST
    }

    /// Where samples go in any case.
    pub(crate) fn folder() -> PathBuf {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("soak");
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    /// Where the page and the plot go.
    pub(crate) fn destination(&self) -> PathBuf {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        self.write.as_ref().map_or_else(Self::folder, |folder| root.join(folder))
    }
}
