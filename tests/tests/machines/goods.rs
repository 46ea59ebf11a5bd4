//! What the machines are given: the disk that they have at `/work`.

use std::path::{Path, PathBuf};
use std::process::Command;

use e2e::{image, package, run, vm};

pub const PROGRAMS: &[&str] = &["cc", "skopeo", "umoci", "busybox", "ip"];

/// Says that it is a newer skiff, and then does nothing, or ends.
const BROKEN: &str = r#"
#include <stdio.h>
#include <string.h>
#include <unistd.h>
int main(int count, char **words) {
    if (count > 1 && !strcmp(words[1], "--version"))
        return puts("skiff 0.1.99") < 0;
    for (; !ENDS;)
        pause();
    return 1;
}
"#;

/// `skiff.deb`, `next` (a skiff to upgrade to), `hangs` and `ends` (which are none),
/// `busybox.tar`, `snapshot.sh`.
pub fn disk(dir: &Path) -> PathBuf {
    let binary = package::stripped(dir);
    let snapshot = dir.join("snapshot.sh");
    std::fs::write(&snapshot, vm::SNAPSHOT).expect("write a script");
    let files = [
        ("skiff.deb", package::debian(&binary, dir)),
        ("next", next(&binary, dir)),
        ("hangs", broken(dir, "hangs", "0")),
        ("ends", broken(dir, "ends", "1")),
        ("busybox.tar", image::busybox()),
        ("snapshot.sh", snapshot),
    ];
    let disk = vm::disk_of(dir, &files);
    for (_, made) in files.iter().filter(|(_, path)| path.starts_with(dir)) {
        std::fs::remove_file(made).expect("remove what is on the disk");
    }
    std::fs::remove_file(binary).expect("remove what is on the disk");
    disk
}

/// Another file, and the same skiff.
fn next(binary: &Path, dir: &Path) -> PathBuf {
    let path = dir.join("next");
    let mut bytes = std::fs::read(binary).expect("read the binary");
    // What is behind the end of an ELF file nobody reads.
    bytes.extend(b"another build");
    std::fs::write(&path, bytes).expect("write the next binary");
    path
}

fn broken(dir: &Path, name: &str, ends: &str) -> PathBuf {
    let (source, path) = (dir.join(format!("{name}.c")), dir.join(name));
    std::fs::write(&source, BROKEN).expect("write a program");
    let mut compile = Command::new("cc");
    compile.args(["-static", &format!("-DENDS={ends}"), "-o"]);
    run::ok(compile.arg(&path).arg(&source));
    path
}
