//! What the program knows, put together: the built-in tables, a user's own rows, GeoIP databases.
//!
//! Owns reading those files; whatever is wrong with one is the user's to mend, so every failure here is
//! one of usage.

use std::fs;
use std::path::PathBuf;

use anyhow::Context;
use mapper::enrich::GeoDatabases;
use model::tables::{Source, Tables};

use crate::failure::Failure;

/// The built-in tables and the rows of `overlays`, in that order.
pub(crate) fn tables(overlays: &[PathBuf]) -> Result<Tables, Failure> {
    let mut tables = Tables::builtin();
    for path in overlays {
        let name = path.display().to_string();
        let text = fs::read_to_string(path)
            .with_context(|| format!("the mappings in {name} cannot be read; expected a CSV file in UTF-8"))
            .map_err(Failure::usage)?;
        tables.extend(Source { name: &name, text: &text }).map_err(Failure::usage)?;
    }
    Ok(tables)
}

/// The GeoIP databases.
pub(crate) fn geoip(paths: &[PathBuf]) -> Result<GeoDatabases, Failure> {
    GeoDatabases::open(paths).map_err(Failure::usage)
}
