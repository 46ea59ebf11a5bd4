//! Two builds of one: a binary whose release is stamped anew (crate `release` has the stamp).

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use crate::run;

/// What the release follows, to its first letter.
const MARK: &str = "@(#)skiff v";
/// From the mark to the end of the room for the release.
const LENGTH: usize = 80;

/// Writes `binary` to `to` as a build of another release, such as `v1.38.0+skiff-0.2.0`.
#[track_caller]
pub fn stamped(binary: &Path, release: &str, to: &Path) {
    let mut stamp = format!("{}{release}", MARK.trim_end_matches('v')).into_bytes();
    assert!(stamp.len() < LENGTH, "{release} is too long");
    stamp.resize(LENGTH, 0);
    let at = place_of_stamp(binary);
    std::fs::copy(binary, to).expect("copy the binary");
    let file = File::options().write(true).open(to);
    let written = file.and_then(|file| file.write_all_at(&stamp, at));
    written.expect("write the stamp");
}

fn place_of_stamp(binary: &Path) -> u64 {
    let mut grep = Command::new("grep");
    let found = run::ok(grep.args(["-obaF", MARK]).arg(binary));
    let places: Vec<&str> = found.lines().collect();
    let [place] = places[..] else {
        panic!("{} has its stamp at {places:?}", binary.display());
    };
    let (at, _) = place.split_once(':').expect("grep -b tells where");
    at.parse().expect("a place is a number")
}
