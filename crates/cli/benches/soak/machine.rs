//! Where and with what it ran: for whoever compares figures.

use std::fs;
use std::process::Command;

use crate::stage::program;

/// The processor, how many cores, how much memory, and the kernel.
pub(crate) fn words() -> String {
    let field = |path: &str, name: &str| -> Option<String> {
        let text = fs::read_to_string(path).ok()?;
        let line = text.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let processor = field("/proc/cpuinfo", "model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned());
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let memory = field("/proc/meminfo", "MemTotal")
        .and_then(|text| text.trim_end_matches(" kB").parse::<f64>().ok())
        .map_or_else(String::new, |kib| format!(", {:.0} GiB of memory", kib / f64::from(1 << 20)));
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{processor}, {cores} cores{memory}, Linux {}", kernel.trim())
}

/// The commit that the program was built from, as it says itself.
pub(crate) fn commit() -> String {
    let output = Command::new(program()).arg("--version").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let named = said.split_once("commit ").and_then(|(_, rest)| rest.split_once(','));
    named.map_or_else(|| "not known".to_owned(), |(commit, _)| commit.to_owned())
}

/// Processes that would have run, a minute before the end.
pub(crate) fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').take(3).collect::<Vec<_>>().join(" ")
}
