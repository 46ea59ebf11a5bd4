//! Which calls fail, and which of them are played.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// How long the faults of one scenario may take where not all are asked for.
pub const TIME: Duration = Duration::from_secs(5);

/// Errors that the kernel has for about every call. The last is one that has to be tried again.
const ERRORS: [&str; 3] = ["ENOMEM", "EPERM", "EINTR"];

/// What cannot fail, or is the language's before and below the runtime: memory, threads, signal handlers,
/// random numbers. A close that "fails" has closed.
const SPARED: [&str; 29] = [
    "arch_prctl",
    "brk",
    "clock_nanosleep",
    "close",
    "exit",
    "exit_group",
    "futex",
    "getegid",
    "geteuid",
    "getgid",
    "getpid",
    "getrandom",
    "gettid",
    "getuid",
    "madvise",
    "mmap",
    "mprotect",
    "mremap",
    "munmap",
    "restart_syscall",
    "rseq",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "sched_yield",
    "set_robust_list",
    "set_tid_address",
    "sigaltstack",
    "umask",
];

/// What the kernel never answers, and Rust's own library is sure of: it aborts, or panics.
const UNHEARD_OF: [(&str, &str); 2] = [("poll", "EPERM"), ("sendfile", "EPERM")];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Error,
    Kill,
}

/// The `nth` time that a process makes this call.
#[derive(Clone, Debug)]
pub struct Fault {
    pub call: String,
    nth: u32,
    /// None: it is killed before.
    error: Option<String>,
}

impl Fault {
    /// As strace reads it.
    pub fn injection(&self) -> String {
        let what = match &self.error {
            Some(error) => format!("error={error}"),
            None => "signal=KILL".to_owned(),
        };
        format!("{}:{what}:when={}", self.call, self.nth)
    }

    pub fn kills(&self) -> bool {
        self.error.is_none()
    }

    fn is_unheard_of(&self) -> bool {
        let error = self.error.as_deref().unwrap_or_default();
        UNHEARD_OF.contains(&(self.call.as_str(), error))
    }

    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(':');
        let (call, nth, error) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Self {
            call: call.to_owned(),
            nth: nth.parse().ok()?,
            error: (error != "KILL").then(|| error.to_owned()),
        })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let error = self.error.as_deref().unwrap_or("KILL");
        write!(f, "{}:{}:{error}", self.call, self.nth)
    }
}

/// The faults to play, in their order, and whether all of them.
pub struct Plan {
    pub faults: Vec<Fault>,
    pub is_whole: bool,
    pub seed: u64,
}

impl Plan {
    /// `calls` is how often a process of the runtime makes each.
    pub fn new(calls: &BTreeMap<String, u32>, kind: Kind) -> Self {
        let asked = std::env::var("FAULTS").unwrap_or_default();
        let seed = std::env::var("FAULTS_SEED").ok();
        let seed = seed.and_then(|seed| seed.parse().ok());
        let mut plan = Self {
            faults: all(calls, kind),
            is_whole: asked == "all",
            seed: seed.unwrap_or_else(|| RandomState::new().hash_one(0) >> 32),
        };
        if let Some(one) = Fault::parse(&asked) {
            plan.is_whole = true;
            plan.faults = match (kind, &one.error) {
                (Kind::Kill, None) | (Kind::Error, Some(_)) => vec![one],
                _ => Vec::new(),
            };
        } else if ERRORS.contains(&asked.as_str()) {
            plan.is_whole = true;
            plan.faults
                .retain(|fault| fault.error.as_deref() == Some(&asked));
        } else if !plan.is_whole {
            plan.shuffle();
        }
        plan
    }

    fn shuffle(&mut self) {
        // Any order that has no order; xorshift64.
        let mut state = self.seed | 1;
        self.faults.sort_by_cached_key(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        });
    }
}

fn all(calls: &BTreeMap<String, u32>, kind: Kind) -> Vec<Fault> {
    let errors: Vec<Option<String>> = match kind {
        Kind::Error => ERRORS.iter().map(|e| Some((*e).to_owned())).collect(),
        Kind::Kill => vec![None],
    };
    let calls = calls
        .iter()
        .filter(|(call, _)| !SPARED.contains(&call.as_str()));
    let each = calls.flat_map(|(call, count)| (1..=*count).map(move |nth| (call, nth)));
    let faults = each.flat_map(|(call, nth)| {
        errors.iter().map(move |error| Fault {
            call: call.clone(),
            nth,
            error: error.clone(),
        })
    });
    faults.filter(|fault| !fault.is_unheard_of()).collect()
}
