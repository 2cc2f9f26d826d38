//! Writes `samples/activities.ndjson` again, from the story in the crate's `samples` module.

use model::catalog::Catalog;
use simulator::samples;

fn main() -> std::io::Result<()> {
    std::fs::write(samples::path(), samples::activities(&Catalog::builtin()))
}
