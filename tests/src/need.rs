//! What a test cannot do without. A test that lacks something says so and is
//! skipped; where `CI` is set nothing may be lacking.

use std::path::Path;

/// True if all `programs` are there and this is root; else prints what is missing.
pub fn met(programs: &[&str]) -> bool {
    let mut missing: Vec<&str> = Vec::new();
    if !nix::unistd::geteuid().is_root() {
        missing.push("root");
    }
    missing.extend(programs.iter().filter(|p| !is_installed(p)));
    if !crate::skiff::binary().exists() {
        missing.push("the skiff binary (cargo build -p skiff)");
    }
    if missing.is_empty() {
        return true;
    }
    let missing = missing.join(", ");
    assert!(std::env::var_os("CI").is_none(), "missing in CI: {missing}");
    println!("skipped: this machine lacks {missing}");
    false
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut dirs: Vec<_> = std::env::split_paths(&path).collect();
    dirs.extend(["/usr/sbin", "/sbin"].map(Into::into));
    dirs.iter().any(|dir| Path::new(dir).join(program).exists())
}
