//! The kernel calls that safe crates do not offer, each behind a safe function.
//!
//! The only crate of the workspace with `unsafe` in it. Nothing here decides
//! anything: a function is one call, its arguments are checked by their types,
//! and its error is the kernel's.
#![expect(unsafe_code, reason = "this crate exists to hold it")]

pub mod bpf;
pub mod memory;
pub mod mount;
pub mod net;
pub mod path;
pub mod process;
pub mod socket;
pub mod tty;

use std::io;
use std::os::fd::OwnedFd;

/// A pipe, close-on-exec: the end to read and the end to write.
pub fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)?)
}

/// What a raw system call returned, as a result.
fn check(returned: libc::c_long) -> io::Result<libc::c_long> {
    if returned < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(returned)
    }
}

/// A descriptor that a raw system call returned.
fn check_fd(returned: libc::c_long) -> io::Result<OwnedFd> {
    use std::os::fd::FromRawFd;
    let fd = i32::try_from(check(returned)?).expect("the kernel's descriptors fit an int");
    // SAFETY: the calls passed to this function return a new descriptor nobody else has seen.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// `bytes` as the kernel wants its strings.
fn c_string(bytes: &[u8]) -> io::Result<std::ffi::CString> {
    std::ffi::CString::new(bytes).map_err(|_| io::ErrorKind::InvalidInput.into())
}
