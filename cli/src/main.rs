//! The `skiff` binary: parses flags and starts parts.
fn main() {}
