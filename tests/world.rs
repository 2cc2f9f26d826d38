//! What all tests share: where things are, a mapper, the catalog, and room on the stack.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use mapper::enrich::GeoDatabases;
use mapper::{Mapped, Mapper, MapperOptions, Mapping, Unmappable};
use model::catalog::Catalog;
use model::tables::Tables;
use simulator::{Cast, CastSize, RecordGenerator};

use crate::json::Json;

/// A path under the project's root.
pub(crate) fn root(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

pub(crate) fn catalog() -> &'static Catalog {
    static CATALOG: OnceLock<Catalog> = OnceLock::new();
    CATALOG.get_or_init(Catalog::builtin)
}

/// Where the mapper says what kind of anonymizer an address is.
pub(crate) const ANONYMIZER: &str = "anthropic.audit.anonymizer";

/// The three databases of `tests/data`.
pub(crate) fn geo() -> GeoDatabases {
    let names = ["test-city.mmdb", "test-asn.mmdb", "test-anonymous-ip.mmdb"];
    let paths: Vec<_> = names.iter().map(|name| root("tests/data").join(name)).collect();
    GeoDatabases::open(&paths).unwrap()
}

/// The shipped tables with the test databases; compiled once.
pub(crate) fn mapping() -> Arc<Mapping> {
    static MAPPING: OnceLock<Arc<Mapping>> = OnceLock::new();
    let new = || Arc::new(Mapping::new(Tables::builtin(), geo(), MapperOptions::default()));
    Arc::clone(MAPPING.get_or_init(new))
}

pub(crate) fn mapper() -> Mapper {
    Mapper::new(mapping())
}

/// A record generator that depends on the seed alone; its cast is shared.
pub(crate) fn generator(seed: u64) -> RecordGenerator<'static> {
    static CAST: OnceLock<Cast> = OnceLock::new();
    let cast = CAST.get_or_init(|| Cast::new(1, CastSize { people: 60, machines: 20, addresses: 300 }));
    RecordGenerator::with_cast(catalog(), seed, cast.clone())
}

/// A seed for a name, the same on every machine (FNV-1a).
pub(crate) fn seed_of(name: &str) -> u64 {
    name.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Maps a record that must be mappable.
pub(crate) fn document_of(mapper: &mut Mapper, raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    if let Err(error) = mapper.map(raw, &mut out) {
        panic!("{error}: {}", String::from_utf8_lossy(&raw[..raw.len().min(3_000)]));
    }
    out
}

/// The document of one record, read.
pub(crate) fn mapped(raw: &str) -> Json {
    Json::read(std::str::from_utf8(&document_of(&mut mapper(), raw.as_bytes())).unwrap())
}

/// Maps behind bytes that must stay; also checks that nothing is appended when there is no document.
pub(crate) fn try_map<'m>(
    mapper: &'m mut Mapper,
    raw: &[u8],
    out: &mut Vec<u8>,
) -> Result<Mapped<'m>, Unmappable> {
    out.clear();
    out.extend_from_slice(b"before\n");
    let result = mapper.map(raw, out);
    assert!(out.starts_with(b"before\n"), "the mapper touched what stood before");
    out.drain(..b"before\n".len());
    assert!(result.is_ok() || out.is_empty(), "an error left {} bytes behind", out.len());
    result
}

/// Runs `test` where deep recursion of the test's own helpers is no problem.
pub(crate) fn with_room(test: impl FnOnce() + Send + 'static) {
    with_stack(512 << 20, test);
}

/// Runs `test` on a stack of that many bytes.
pub(crate) fn with_stack(bytes: usize, test: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().stack_size(bytes).spawn(test).unwrap();
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}
