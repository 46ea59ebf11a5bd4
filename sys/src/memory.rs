//! What of the program's own file is in memory.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use crate::{check, check_fd};

/// The pages of the program's file that nothing writes to: headers, constants, code.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
struct Range {
    start: u64,
    len: u64,
}

/// `struct uffdio_api` of linux/userfaultfd.h.
#[repr(C)]
struct Api {
    api: u64,
    features: u64,
    ioctls: u64,
}

/// `struct uffdio_register`.
#[repr(C)]
struct Register {
    range: Range,
    mode: u64,
    ioctls: u64,
}

nix::ioctl_readwrite!(agree, 0xAA, 0x3F, Api);
nix::ioctl_readwrite!(register, 0xAA, 0x00, Register);

/// Gives back what is mapped of the program's file, and has it mapped page by page as it is used again.
///
/// For as long as the descriptor is open, and not in children. Else the kernel
/// maps 64 KiB around each page that is used, and whole folios of the page
/// cache, which makes megabytes of a small part of a large program.
///
/// # Errors
/// Before Linux 6.7, or where userfaultfd(2) is forbidden: all is as before then.
pub fn map_program_by_page() -> io::Result<OwnedFd> {
    let range = program();
    // Nobody hears of a fault: that there could be somebody is what has the kernel map single pages.
    let faults = userfault()?;
    let mut wanted = Register {
        range,
        mode: MODE_WRITE_PROTECT,
        ioctls: 0,
    };
    // SAFETY: `wanted` is the struct that the request takes, and outlives the call.
    unsafe { register(faults.as_raw_fd(), &raw mut wanted) }?;
    give_back(range)?;
    Ok(faults)
}

/// Gives back what is mapped of the program's file: what is used again is mapped again, what only the start used is not.
///
/// # Errors
/// Of madvise(2), of which none is known for a program that no debugger holds.
pub fn give_back_program() -> io::Result<()> {
    give_back(program())
}

const MODE_WRITE_PROTECT: u64 = 1 << 1;

fn userfault() -> io::Result<OwnedFd> {
    const USER_MODE_ONLY: libc::c_int = 1;
    const VERSION: u64 = 0xAA;
    /// Write protection by the kernel alone; the only kind that files can have.
    const WRITE_PROTECT_ASYNC: u64 = 1 << 15;
    let flags = libc::O_CLOEXEC | USER_MODE_ONLY;
    // SAFETY: one plain number; the descriptor it returns is new.
    let faults = check_fd(unsafe { libc::syscall(libc::SYS_userfaultfd, flags) })?;
    let mut api = Api {
        api: VERSION,
        features: WRITE_PROTECT_ASYNC,
        ioctls: 0,
    };
    // SAFETY: `api` is the struct that the request takes, and outlives the call.
    unsafe { agree(faults.as_raw_fd(), &raw mut api) }?;
    Ok(faults)
}

fn program() -> Range {
    // The linker makes them; what lies between is in segments that cannot be written to.
    unsafe extern "C" {
        static __executable_start: u8;
        static etext: u8;
    }
    const PAGE: u64 = 4096;
    let start = (&raw const __executable_start) as u64;
    let end = (&raw const etext) as u64;
    // The last page is left out, for its rest may be something else's.
    Range {
        start: start.next_multiple_of(PAGE),
        len: (end / PAGE * PAGE).saturating_sub(start.next_multiple_of(PAGE)),
    }
}

fn give_back(range: Range) -> io::Result<()> {
    let length = usize::try_from(range.len).map_err(io::Error::other)?;
    let start = range.start as *mut libc::c_void;
    // SAFETY: nothing has written to these pages, so that the kernel reads them from the file again.
    match check(unsafe { libc::madvise(start, length, libc::MADV_DONTNEED) }.into()) {
        // Between the segments nothing is mapped: the kernel tells that when it has given back all else.
        Err(e) if e.raw_os_error() != Some(libc::ENOMEM) => Err(e),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_file() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").expect("there is one");
        let line = status.lines().find_map(|l| l.strip_prefix("RssFile:"));
        let size = line.and_then(|l| l.split_whitespace().next());
        size.and_then(|n| n.parse().ok())
            .expect("the kernel counts it")
    }

    #[test]
    fn what_the_start_used_is_mapped_no_more() {
        let before = of_file();
        give_back_program().expect("the kernel takes it");
        let after = of_file();
        assert!(after < before, "{after} KiB instead of {before}");
    }

    #[test]
    fn what_is_mapped_of_the_program_shrinks_to_what_is_used() {
        let before = of_file();
        let kept = match map_program_by_page() {
            Ok(kept) => kept,
            Err(e) => {
                let forbidden = [libc::ENOSYS, libc::EPERM, libc::EINVAL];
                assert!(e.raw_os_error().is_some_and(|n| forbidden.contains(&n)));
                return println!("skipped: this kernel cannot: {e}");
            }
        };
        let after = of_file();
        assert!(after < before, "{after} KiB instead of {before}");
        drop(kept);
        assert!(of_file() >= after, "what is used is still there");
    }
}
