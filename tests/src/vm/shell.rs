//! The serial line to a machine's shell (`image.sh` has the other end).

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::until;

/// Booting takes about ten seconds where nobody else has work to do.
const BOOT: Duration = Duration::from_secs(300);
/// No command takes longer, however busy the machines are.
const COMMAND: Duration = Duration::from_secs(600);
/// What the shell says when it has started.
const READY: &str = "ready";

pub struct Shell {
    line: UnixStream,
    read: Vec<u8>,
    last: u32,
}

/// What came of a script.
pub struct Answer {
    pub status: i32,
    pub text: String,
}

impl Shell {
    #[track_caller]
    pub fn connect(socket: &Path) -> Self {
        let line = until("QEMU listens", BOOT, || UnixStream::connect(socket).ok());
        line.set_read_timeout(Some(Duration::from_millis(200)))
            .expect("a socket takes a limit");
        Self {
            line,
            read: Vec::new(),
            last: 0,
        }
    }

    /// Waits until the machine has booted; what it said before that is dropped.
    pub fn wait_boot(&mut self) -> Result<(), String> {
        let end = Instant::now() + BOOT;
        while self.line(end)? != READY {}
        Ok(())
    }

    pub fn run(&mut self, script: &str) -> Result<Answer, String> {
        let end = Instant::now() + COMMAND;
        let id = self.send(script)?;
        loop {
            let line = self.line(end)?;
            if line == READY {
                return Err("the machine booted meanwhile".into());
            }
            let mut words = line.split(' ');
            if words.next() != Some(&id.to_string()) {
                continue;
            }
            let status = words.next().and_then(|status| status.parse().ok());
            return Ok(Answer {
                status: status.ok_or_else(|| format!("an answer of nonsense: {line}"))?,
                text: base64(&["-d"], words.next().unwrap_or_default().as_bytes())?,
            });
        }
    }

    /// Sends a script, and returns the id of its answer.
    pub fn send(&mut self, script: &str) -> Result<u32, String> {
        self.last += 1;
        let text = base64(&["-w0"], script.as_bytes())?;
        let sent = self
            .line
            .write_all(format!("{} {text}\n", self.last).as_bytes());
        sent.map_err(|error| format!("the line is dead: {error}"))?;
        Ok(self.last)
    }

    fn line(&mut self, end: Instant) -> Result<String, String> {
        loop {
            if let Some(at) = self.read.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.read.drain(..=at).collect();
                return Ok(String::from_utf8_lossy(&line).trim_end().to_owned());
            }
            let mut bytes = [0; 4096];
            match self.line.read(&mut bytes) {
                Ok(0) => return Err("the machine is off".into()),
                Ok(n) => self.read.extend_from_slice(&bytes[..n]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(format!("the line is dead: {error}")),
            }
            if Instant::now() > end {
                return Err("no answer".into());
            }
        }
    }
}

/// coreutils' base64, as on the other end.
fn base64(args: &[&str], input: &[u8]) -> Result<String, String> {
    let failed = |error| format!("base64: {error}");
    let mut command = Command::new("base64");
    command
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut child = command.spawn().map_err(failed)?;
    let mut stdin = child.stdin.take().ok_or("base64 has no input")?;
    std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(input));
        let output = child.wait_with_output().map_err(failed)?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    })
}
