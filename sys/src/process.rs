//! Making, signalling and confining processes.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::sched::CloneFlags;
use nix::unistd::Pid;

use crate::{check, check_fd};

/// Which of the two processes a clone returned in.
#[derive(Debug)]
pub enum Cloned {
    Child,
    Parent { pid: Pid, pidfd: OwnedFd },
}

#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Forks into new namespaces, and on cgroup v2 straight into a group.
///
/// Only for processes with one thread: with more, the child could find locks
/// that nobody is left to release. That is checked. With `CLONE_PARENT` among
/// `namespaces` the new process is a child of the caller's parent.
pub fn clone(namespaces: CloneFlags, cgroup: Option<BorrowedFd<'_>>) -> io::Result<Cloned> {
    assert_single_threaded()?;
    let mut pidfd: libc::c_int = -1;
    let namespaces = u64::from(namespaces.bits().cast_unsigned());
    let mut args = CloneArgs {
        flags: namespaces | u64::from(libc::CLONE_PIDFD.cast_unsigned()),
        pidfd: (&raw mut pidfd) as u64,
        exit_signal: u64::from(libc::SIGCHLD.cast_unsigned()),
        ..CloneArgs::default()
    };
    if args.flags & u64::from(libc::CLONE_PARENT.cast_unsigned()) != 0 {
        // clone(2): it is the caller's own then.
        args.exit_signal = 0;
    }
    if let Some(group) = cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = u64::from(group.as_raw_fd().cast_unsigned());
    }
    // SAFETY: no memory is shared (no CLONE_VM), there is one thread, and `args` and `pidfd` outlive the call.
    let pid =
        check(unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of::<CloneArgs>()) })?;
    if pid == 0 {
        return Ok(Cloned::Child);
    }
    let pid = i32::try_from(pid).expect("process ids fit an int");
    // SAFETY: CLONE_PIDFD has stored a new descriptor that nobody else has seen.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    Ok(Cloned::Parent {
        pid: Pid::from_raw(pid),
        pidfd,
    })
}

fn assert_single_threaded() -> io::Result<()> {
    let status = std::fs::read_to_string("/proc/self/stat")?;
    // proc_pid_stat(5): num_threads is the 18th field after the name's closing parenthesis.
    let threads = status
        .rsplit_once(") ")
        .and_then(|(_, rest)| rest.split(' ').nth(17));
    match threads {
        Some("1") => Ok(()),
        _ => Err(io::Error::other(
            "cannot fork safely: this process has several threads",
        )),
    }
}

/// Ends the process at once: no destructors, no flushing.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: _exit has no preconditions.
    unsafe { libc::_exit(code) }
}

pub fn pidfd_open(pid: Pid) -> io::Result<OwnedFd> {
    // SAFETY: two plain numbers.
    check_fd(unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0 as libc::c_uint) })
}

/// Sends a signal to the process and to no other that later has its number.
pub fn pidfd_send(pidfd: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    let (fd, info) = (pidfd.as_raw_fd(), std::ptr::null::<libc::siginfo_t>());
    // SAFETY: a null siginfo is what kill(2) would send.
    let done = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            fd,
            signal,
            info,
            0 as libc::c_uint,
        )
    };
    check(done).map(drop)
}

/// A copy of another process's descriptor (pidfd_getfd(2)).
pub fn pidfd_getfd(pidfd: BorrowedFd<'_>, number: i32) -> io::Result<OwnedFd> {
    let fd = pidfd.as_raw_fd();
    // SAFETY: three plain numbers; the descriptor it returns is new.
    check_fd(unsafe { libc::syscall(libc::SYS_pidfd_getfd, fd, number, 0 as libc::c_uint) })
}

/// Sets the NIS domain name of the calling process's UTS namespace.
pub fn set_domain_name(name: &str) -> io::Result<()> {
    // SAFETY: the bytes of `name` outlive the call, which reads as many as it is told.
    let done = unsafe { libc::setdomainname(name.as_ptr().cast(), name.len()) };
    check(done.into()).map(drop)
}

/// Closes every descriptor of the process from 3 on but the first `preserved` and those given.
///
/// # Safety contract kept by the caller's types
/// Nothing that owns another descriptor may be used, or dropped, afterwards:
/// call it in a child that ends by exec or [`exit_now`].
pub fn close_all_but(preserved: u32, keep: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut keep: Vec<u32> = keep
        .iter()
        .map(|fd| fd.as_raw_fd().cast_unsigned())
        .collect();
    keep.sort_unstable();
    let mut first = preserved.saturating_add(3);
    for fd in keep {
        if fd < first {
            continue;
        }
        if fd > first {
            close_between(first, fd - 1)?;
        }
        first = fd + 1;
    }
    close_between(first, u32::MAX)
}

fn close_between(first: u32, last: u32) -> io::Result<()> {
    // SAFETY: three plain numbers; the caller owns nothing it will use again in that range.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0 as libc::c_uint) }).map(drop)
}

/// Installs a compiled seccomp filter on the calling thread (8 bytes an instruction).
///
/// With `SECCOMP_FILTER_FLAG_NEW_LISTENER` among `flags`, gives its listener back.
pub fn load_seccomp(filter: &[u8], flags: u32) -> io::Result<Option<OwnedFd>> {
    const SECCOMP_SET_MODE_FILTER: libc::c_uint = 1;
    let instructions: Vec<libc::sock_filter> = filter
        .chunks_exact(8)
        .map(|i| libc::sock_filter {
            code: u16::from_ne_bytes([i[0], i[1]]),
            jt: i[2],
            jf: i[3],
            k: u32::from_ne_bytes([i[4], i[5], i[6], i[7]]),
        })
        .collect();
    let len = u16::try_from(instructions.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let program = libc::sock_fprog {
        len,
        filter: instructions.as_ptr().cast_mut(),
    };
    // SAFETY: `program` names `len` instructions, which live through the call and are only read.
    let done = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            SECCOMP_SET_MODE_FILTER,
            flags,
            &raw const program,
        )
    };
    if u64::from(flags) & libc::SECCOMP_FILTER_FLAG_NEW_LISTENER == 0 {
        return check(done).map(|_| None);
    }
    check_fd(done).map(Some)
}

/// Gives the calling process a session keyring of its own, away from its creator's keys.
pub fn new_session_keyring() -> io::Result<()> {
    const KEYCTL_JOIN_SESSION_KEYRING: libc::c_int = 1;
    let anonymous = std::ptr::null::<libc::c_char>();
    // SAFETY: a null name asks for an anonymous keyring.
    check(unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, anonymous) })
        .map(drop)
}

/// Unblocks every signal and takes up the default for SIGPIPE, which Rust programs ignore.
pub fn reset_signals() -> io::Result<()> {
    use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, signal, sigprocmask};
    // SAFETY: the default action runs no code of ours.
    unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) }?;
    Ok(sigprocmask(
        SigmaskHow::SIG_SETMASK,
        Some(&SigSet::empty()),
        None,
    )?)
}

/// Gives memory that was freed back to the kernel.
pub fn trim_heap() {
    // SAFETY: malloc_trim has no preconditions.
    let _ = unsafe { libc::malloc_trim(0) };
}

/// What sched_setattr(2) takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SchedulerAttributes {
    pub policy: u32,
    pub flags: u64,
    pub nice: i32,
    pub priority: u32,
    pub runtime: u64,
    pub deadline: u64,
    pub period: u64,
}

/// Has the calling thread scheduled like this.
pub fn set_scheduler(attributes: &SchedulerAttributes) -> io::Result<()> {
    #[repr(C)]
    struct SchedAttr {
        size: u32,
        policy: u32,
        flags: u64,
        nice: i32,
        priority: u32,
        runtime: u64,
        deadline: u64,
        period: u64,
    }
    let attr = SchedAttr {
        size: u32::try_from(size_of::<SchedAttr>()).expect("it has 48 bytes"),
        policy: attributes.policy,
        flags: attributes.flags,
        nice: attributes.nice,
        priority: attributes.priority,
        runtime: attributes.runtime,
        deadline: attributes.deadline,
        period: attributes.period,
    };
    let (this, flags) = (0 as libc::pid_t, 0 as libc::c_uint);
    // SAFETY: `attr` says its own size and outlives the call, which only reads it.
    let done = unsafe { libc::syscall(libc::SYS_sched_setattr, this, &raw const attr, flags) };
    check(done).map(drop)
}

/// Sets the class and the level of the calling process's I/O priority (ioprio_set(2)).
pub fn set_io_priority(class: i32, level: i32) -> io::Result<()> {
    const IOPRIO_WHO_PROCESS: libc::c_int = 1;
    let (this, priority) = (0 as libc::c_int, class << 13 | level);
    // SAFETY: three plain numbers.
    let done = unsafe { libc::syscall(libc::SYS_ioprio_set, IOPRIO_WHO_PROCESS, this, priority) };
    check(done).map(drop)
}

pub fn set_personality(domain: i32) -> io::Result<()> {
    let domain = libc::c_ulong::from(domain.cast_unsigned());
    // SAFETY: one plain number.
    check(unsafe { libc::personality(domain) }.into()).map(drop)
}

/// Where the calling thread's memory is to come from (set_mempolicy(2)); nodes below 1024.
pub fn set_memory_policy(mode: i32, nodes: &[usize]) -> io::Result<()> {
    const WORD: usize = libc::c_ulong::BITS as usize;
    let mut mask = [0 as libc::c_ulong; 1024 / WORD];
    for node in nodes {
        let word = mask.get_mut(node / WORD);
        *word.ok_or(io::ErrorKind::InvalidInput)? |= 1 << (node % WORD);
    }
    let (mask, length) = match nodes {
        [] => (std::ptr::null(), 0),
        // The kernel takes one bit less than it is told of.
        _ => (mask.as_ptr(), mask.len() * WORD + 1),
    };
    // SAFETY: `mask` is null, or names `length` - 1 bits that outlive the call, which only reads them.
    check(unsafe { libc::syscall(libc::SYS_set_mempolicy, mode, mask, length) }).map(drop)
}
