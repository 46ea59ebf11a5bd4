//! What came of a call.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// A call that takes longer hangs. The virtual machine of the tests is slow.
const LIMIT: Duration = Duration::from_secs(180);

static NEXT: AtomicU32 = AtomicU32::new(0);

#[derive(Debug)]
pub struct Outcome {
    call: String,
    status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Outcome {
    /// Runs `command` to its end. Its output goes to files in `dir`, for a container that outlives the call keeps it.
    #[track_caller]
    pub fn of(command: &mut Command, dir: &Path) -> Self {
        Self::with_input(command, dir, Stdio::null())
    }

    #[track_caller]
    pub fn with_input(command: &mut Command, dir: &Path, input: Stdio) -> Self {
        let call = NEXT.fetch_add(1, Ordering::Relaxed);
        let (out, err) = (
            dir.join(format!("{call}.out")),
            dir.join(format!("{call}.err")),
        );
        command.stdin(input);
        command.stdout(File::create(&out).expect("create a file for the output"));
        command.stderr(File::create(&err).expect("create a file for the errors"));
        let status = wait(command);
        Self {
            call: format!("{command:?}"),
            status,
            stdout: read(&out),
            stderr: read(&err),
        }
    }

    #[track_caller]
    pub fn ok(self) -> Self {
        assert!(self.status.success(), "expected success: {}", self.told());
        self
    }

    #[track_caller]
    pub fn code(self, code: i32) -> Self {
        assert_eq!(self.status.code(), Some(code), "{}", self.told());
        self
    }

    /// It failed, on purpose (no signal, no panic), and said something.
    #[track_caller]
    pub fn refused(self) -> Self {
        let code = self.status.code();
        let said = format!("{}{}", self.stderr, self.stdout);
        assert!(
            code.is_some_and(|code| code != 0),
            "expected an error: {}",
            self.told()
        );
        assert!(!said.contains("panicked"), "a panic: {}", self.told());
        assert!(
            !self.stderr.trim().is_empty(),
            "an error without words: {}",
            self.told()
        );
        self
    }

    /// It ended well, and this is all it printed, but for space around.
    #[track_caller]
    pub fn prints(self, expected: &str) -> Self {
        let outcome = self.ok();
        assert_eq!(outcome.stdout.trim(), expected, "{}", outcome.told());
        outcome
    }

    #[track_caller]
    pub fn shows(self, part: &str) -> Self {
        assert!(
            self.stdout.contains(part),
            "expected {part:?} in the output of {}",
            self.told()
        );
        self
    }

    #[track_caller]
    pub fn hides(self, part: &str) -> Self {
        assert!(
            !self.stdout.contains(part),
            "unexpected {part:?} in the output of {}",
            self.told()
        );
        self
    }

    #[track_caller]
    pub fn says(self, part: &str) -> Self {
        let said = self.stderr.to_lowercase();
        assert!(
            said.contains(&part.to_lowercase()),
            "expected {part:?} in the words of {}",
            self.told()
        );
        self
    }

    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        match serde_json::from_str(&self.stdout) {
            Ok(value) => value,
            Err(error) => panic!("not JSON ({error}): {}", self.told()),
        }
    }

    /// It ended by itself: not by a signal, and not as a shell tells of one.
    pub fn code_is_known(&self) -> bool {
        self.status
            .code()
            .is_some_and(|code| code < 128 || code == 255)
    }

    pub fn succeeded(&self) -> bool {
        self.status.success()
    }

    fn told(&self) -> String {
        let Self {
            call,
            status,
            stdout,
            stderr,
        } = self;
        format!(
            "{call}: {status}\n  stdout: {}\n  stderr: {}",
            stdout.trim(),
            stderr.trim()
        )
    }
}

/// The output file of a call that goes on, for as long as its container writes.
fn read(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}

#[track_caller]
fn wait(command: &mut Command) -> ExitStatus {
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => panic!("{command:?}: {error}"),
    };
    let end = Instant::now() + LIMIT;
    loop {
        if let Some(status) = child.try_wait().expect("a child can be waited for") {
            return status;
        }
        if Instant::now() > end {
            let _ = child.kill();
            let _ = child.wait();
            panic!("{command:?} hangs");
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}
