//! How large campaigns are, by what chance they go, and that there is one at a time.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::{env, fs};

use simulator::Random;

use crate::say;

/// The value of a variable that is set to something.
pub(crate) fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// How many records a campaign has. Without servers to try, which is how `cargo test` is run by hand every few minutes, the
/// campaigns that need none are short.
pub(crate) fn records() -> usize {
    match variable("DELIVERY_RECORDS") {
        Some(number) => number.parse().expect("DELIVERY_RECORDS is a number"),
        None if variable("KAFKA_BROKERS").is_none() => 5_000,
        None => 200_000,
    }
}

/// How often copies are killed in a campaign of that many records.
pub(crate) fn kills(records: usize) -> usize {
    4 + records / 25_000
}

/// Chance of a campaign's own; says by which seed it can be had again.
pub(crate) fn chance(campaign: &str) -> Random {
    let seed = match variable("DELIVERY_SEED") {
        Some(seed) => seed.parse().expect("DELIVERY_SEED is a number"),
        None => u64::from(std::process::id()),
    };
    say(format!("{campaign}: {} records, DELIVERY_SEED={seed}", records()));
    Random::new(seed)
}

/// Campaigns stop servers that others need, and would slow each other down: there is one at a time.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The program, as it was when the tests began: it is started many times, and a build in the meantime changes nothing.
pub(crate) fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let built =
            variable("DELIVERY_PROGRAM").unwrap_or_else(|| env!("CARGO_BIN_EXE_anthropic-ecs").into());
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        remove_old_copies(folder);
        let copy = folder.join(format!("{COPY}{}", std::process::id()));
        fs::copy(&built, &copy).unwrap();
        copy
    })
}

/// What a copy of the program is called, before the id of the process that made it.
const COPY: &str = "delivery-program-";

/// Removes the copies of test runs that are over.
fn remove_old_copies(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let name = entry.file_name();
        let owner = name.to_str().and_then(|name| name.strip_prefix(COPY));
        if owner.is_some_and(|id| !Path::new("/proc").join(id).exists()) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// A folder for a campaign; kept when it fails, or when `DELIVERY_KEEP` is set.
pub(crate) struct Scratch(Option<tempfile::TempDir>);

impl Scratch {
    pub(crate) fn new() -> Self {
        Self(Some(tempfile::tempdir().unwrap()))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.as_ref().unwrap().path()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if (std::thread::panicking() || variable("DELIVERY_KEEP").is_some())
            && let Some(folder) = self.0.take()
        {
            say(format!("what the campaign left behind is kept in {}", folder.keep().display()));
        }
    }
}
