//! Holds the shipped tables against the catalog and ECS, and prints what is wrong.

#![allow(clippy::print_stdout)]

use model::catalog::Catalog;
use model::tables::{EcsFields, Tables, check};

fn main() {
    let problems = check(&Catalog::builtin(), &EcsFields::builtin(), &Tables::builtin());
    for problem in &problems {
        println!("{problem}");
    }
    println!("{} problems", problems.len());
}
