//! The disk and the kernel that emulated machines begin with, made once and kept.

use std::path::PathBuf;
use std::process::Command;

use crate::cache::cached;
use crate::run;

/// Set it anew when the script changes: the image is kept by this name.
const NAME: &str = "debian-12-vm-3";

/// The directory with `disk`, `vmlinuz` and `initrd`.
pub fn made() -> PathBuf {
    cached(NAME, |out| {
        let script = include_str!("image.sh");
        run::ok(Command::new("sh").args(["-c", script]).arg(out));
    })
}
