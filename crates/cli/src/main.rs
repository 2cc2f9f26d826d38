//! The anthropic-ecs command line.

fn main() {}
