//! The program that a container's processes are forked from.
//!
//! A container may get at the file its creator runs from: by a script of
//! `#!/proc/self/exe`, or by looking at a process that joins it (CVE-2019-5736).
//! So whatever forks runs from a read-only view of the file, which is attached
//! nowhere, so that nobody can make it writable; where that cannot be had, from
//! a sealed copy in memory. Either costs one exec of a file that is in memory.

use std::convert::Infallible;
use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use nix::fcntl::{AT_FDCWD, FcntlArg, SealFlag, fcntl};
use nix::sys::statvfs::{FsFlags, fstatvfs};
use sys::mount::{Attributes, Change, Reach, change, clone_tree};

use super::error::OrRefuse;
use super::{Refusal, Result};

const EXE: &str = "/proc/self/exe";

/// Set for the program that we execute, lest it does the same again.
const MARK: &str = "SKIFF_OCI_UNWRITABLE";

/// Goes on as the same program from a file that cannot be written to. Does nothing where it is that already.
pub fn make_unwritable() -> Result<()> {
    let what = || "run from an unwritable view of this program".to_owned();
    if is_unwritable().or_refuse(what)? {
        return Ok(());
    }
    if std::env::var_os(MARK).is_some() {
        return Err(Refusal::failed(what(), "it is still writable"));
    }
    let program = read_only_view().or_else(|_| crate::node::sealed_copy(Path::new(EXE)));
    let program = program.or_refuse(what)?;
    let Err(why) = execute(&program);
    Err(Refusal::failed(what(), why))
}

fn is_unwritable() -> io::Result<bool> {
    let exe = File::open(EXE)?;
    if fstatvfs(&exe)?.flags().contains(FsFlags::ST_RDONLY) {
        return Ok(true);
    }
    // Only files in memory have seals.
    let seals = fcntl(&exe, FcntlArg::F_GET_SEALS).unwrap_or(0);
    Ok(SealFlag::from_bits_truncate(seals).contains(SealFlag::F_SEAL_WRITE))
}

fn read_only_view() -> io::Result<OwnedFd> {
    let view = clone_tree(AT_FDCWD, Path::new(EXE), Reach::This)?;
    let read_only = Change {
        set: Attributes::READ_ONLY,
        ..Change::default()
    };
    change(view.as_fd(), read_only, Reach::This)?;
    Ok(view)
}

fn execute(program: &OwnedFd) -> std::result::Result<Infallible, nix::errno::Errno> {
    let c_string = |text: std::ffi::OsString| CString::new(text.into_vec()).ok();
    let args: Vec<CString> = std::env::args_os().filter_map(c_string).collect();
    let mark = (MARK.into(), "1".into());
    let env = std::env::vars_os().chain([mark]);
    let env = env.filter_map(|(name, value)| {
        let mut text = name;
        text.push("=");
        text.push(value);
        c_string(text)
    });
    let env: Vec<CString> = env.collect();
    nix::unistd::fexecve(program, &args, &env)
}
