//! What this machine's kernel must be able to do.

use std::io;

use sys::mount::Filesystem;

use crate::{Error, Result};

/// The first Linux with all that is used here: `mount_setattr` came last.
const OLDEST: (u32, u32) = (5, 12);

pub fn check() -> Result<()> {
    let name =
        nix::sys::utsname::uname().map_err(|e| node(format!("ask the kernel's version: {e}")))?;
    let release = name.release().to_string_lossy();
    if version(&release).is_some_and(|version| version < OLDEST) {
        let (major, minor) = OLDEST;
        return Err(node(format!(
            "this is Linux {release}: containers take {major}.{minor} or newer"
        )));
    }
    match Filesystem::open("overlay") {
        Ok(_) => Ok(()),
        Err(e) if e.raw_os_error() == Some(libc::ENODEV) => {
            Err(node("the kernel has no overlayfs: load it with `modprobe overlay`".into()))
        }
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
            Err(node("mounting is not permitted here: run skiff on the machine itself, or in a privileged container".into()))
        }
        Err(e) => Err(node(format!("try the overlay file system: {e}"))),
    }
}

fn node(what: String) -> Error {
    Error::Node { what }
}

/// `6.1.0-13-amd64` is 6.1; what cannot be read is taken to be new.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_compared_by_number() {
        let versions = ["6.1.0-13-amd64", "5.4.0", "5.12-rc1", "6.18.44-fc"].map(version);
        assert_eq!(
            versions,
            [Some((6, 1)), Some((5, 4)), Some((5, 12)), Some((6, 18))]
        );
        assert_eq!(
            versions.map(|v| v.unwrap() < OLDEST),
            [false, true, false, false]
        );
    }
}
