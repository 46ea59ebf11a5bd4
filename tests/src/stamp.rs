//! Two builds of one: a binary whose release is stamped anew (crate `release` has the stamp).

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

const MARK: &[u8] = b"@(#)skiff v";
/// From the mark to the end of the room for the release.
const LENGTH: usize = 80;

/// Writes `binary` to `to` as a build of another release, such as `v1.38.0+skiff-0.2.0`.
#[track_caller]
pub fn stamped(binary: &Path, release: &str, to: &Path) {
    let mut bytes = std::fs::read(binary).expect("read the binary");
    let found: Vec<usize> = places(&bytes);
    let [at] = found[..] else {
        panic!("{} has its stamp at {found:?}", binary.display());
    };
    let room = &mut bytes[at..at + LENGTH];
    let name = MARK.len() - 1;
    assert!(name + release.len() < LENGTH, "{release} is too long");
    room[name..].fill(0);
    room[name..name + release.len()].copy_from_slice(release.as_bytes());
    std::fs::write(to, bytes).expect("write the other build");
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(to, mode).expect("make it a program");
}

fn places(bytes: &[u8]) -> Vec<usize> {
    let starts = bytes
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == MARK[0]);
    let marks = starts.filter(|(at, _)| bytes[*at..].starts_with(MARK));
    marks.map(|(at, _)| at).collect()
}
