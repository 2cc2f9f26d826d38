//! The test binary.
fn main() {}
