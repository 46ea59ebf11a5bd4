//! skiff as it is given to others: its binary, and its Debian package.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{run, skiff};

/// The binary under test without what only a debugger reads: there is less to copy.
#[track_caller]
pub fn stripped(dir: &Path) -> PathBuf {
    let to = dir.join("skiff");
    run::ok(
        Command::new("strip")
            .arg("-o")
            .arg(&to)
            .arg(skiff::binary()),
    );
    to
}

/// A package of `binary`, made as those for users are.
#[track_caller]
pub fn debian(binary: &Path, dir: &Path) -> PathBuf {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/package.sh");
    let mut make = Command::new(script);
    make.arg("--fast").arg("--binary").arg(binary);
    run::ok(make.arg("--out").arg(dir));
    let made = std::fs::read_dir(dir).expect("the directory is there");
    let mut made = made.flatten().map(|entry| entry.path());
    let package = made.find(|path| path.extension().is_some_and(|end| end == "deb"));
    package.expect("package.sh makes a package")
}
