//! Refuses to build when the knowledge tables are wrong: against the catalog, against ECS, or in
//! themselves. `cargo build` then prints every problem with its file and line.

use std::process::ExitCode;

use model::catalog::Catalog;
use model::tables::{
    ACTIVITIES, ACTORS, ECS_FIELDS, EcsFields, FIELDS, PERSONAL, PersonalRow, SUFFIXES, Tables, check,
    check_personal,
};

fn main() -> ExitCode {
    println!("cargo::rerun-if-changed=build.rs");
    let mut problems = Vec::new();
    let ecs = EcsFields::read(ECS_FIELDS, &mut problems);
    match (Catalog::parse(model::catalog::CATALOG_JSON), Tables::parse(ACTIVITIES, ACTORS, FIELDS, SUFFIXES))
    {
        (Ok(catalog), Ok(tables)) => {
            problems.extend(check(&catalog, &ecs, &tables));
            match PersonalRow::parse(PERSONAL) {
                Ok(rows) => problems.extend(check_personal(&catalog, &rows)),
                Err(error) => problems.extend(error.0),
            }
        }
        (catalog, tables) => {
            if let Err(error) = catalog {
                println!("cargo::error={error}");
            }
            if let Err(error) = tables {
                problems.extend(error.0);
            }
        }
    }
    for problem in &problems {
        println!("cargo::error={problem}");
    }
    ExitCode::from(u8::from(!problems.is_empty()))
}
