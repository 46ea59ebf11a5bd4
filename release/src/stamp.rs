//! The stamp: `@(#)`, as what(1) looks for, and the release.

/// The Kubernetes that this skiff serves, and this skiff.
const RELEASE: &str = concat!("v1.37.0+skiff-", env!("CARGO_PKG_VERSION"));

const MARK: &str = "@(#)skiff ";
/// There is room for another name; zeros follow it.
const LENGTH: usize = 80;

static STAMP: [u8; LENGTH] = stamp(MARK, RELEASE);

const fn stamp(mark: &str, release: &str) -> [u8; LENGTH] {
    let mut stamp = [0; LENGTH];
    let (start, rest) = stamp.split_at_mut(mark.len());
    start.copy_from_slice(mark.as_bytes());
    let (name, _) = rest.split_at_mut(release.len());
    name.copy_from_slice(release.as_bytes());
    stamp
}

/// As Kubernetes tells versions: `v1.37.0+skiff-0.1.0`.
pub fn kubernetes() -> &'static str {
    // Read when it runs: what the compiler knows of the stamp may have changed since.
    let name = &std::hint::black_box(&STAMP)[MARK.len()..];
    let end = name.iter().position(|byte| *byte == 0);
    let name = &name[..end.unwrap_or(name.len())];
    std::str::from_utf8(name).unwrap_or(RELEASE)
}

/// Of skiff itself: `0.1.0`.
pub fn version() -> &'static str {
    let parts = kubernetes().split_once("+skiff-");
    parts.map_or(env!("CARGO_PKG_VERSION"), |(_, version)| version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_release_is_this_packages_version() {
        assert_eq!(kubernetes(), RELEASE);
        assert_eq!(version(), env!("CARGO_PKG_VERSION"));
        assert!(kubernetes().parse::<crate::Release>().is_ok());
    }
}
