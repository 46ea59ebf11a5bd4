//! A conversation with systemd, over its private socket: no bus daemon takes part.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use super::wire::{
    ANSWER, ERROR, Message, PREFIX, Reader, SIGNAL, Value, Writer, call, damaged, rest_of,
};

/// For root only; signals of jobs come to everyone connected.
const SOCKET: &str = "/run/systemd/private";

/// A job waits for those before it.
const PATIENCE: Duration = Duration::from_secs(30);

const NO_SUCH_UNIT: &str = "org.freedesktop.systemd1.NoSuchUnit";

pub struct Bus {
    stream: UnixStream,
    serial: u32,
    /// Signals that came before the answer that tells what they are about.
    removed: Vec<(String, String)>,
    end: Instant,
}

impl Bus {
    pub fn connect() -> io::Result<Self> {
        let stream = UnixStream::connect(SOCKET)
            .map_err(|e| io::Error::new(e.kind(), format!("connect to {SOCKET}: {e}")))?;
        Self::over(stream)
    }

    fn over(mut stream: UnixStream) -> io::Result<Self> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let uid = nix::unistd::geteuid().to_string();
        let uid: String = uid.bytes().map(|b| format!("{b:02x}")).collect();
        stream.write_all(format!("\0AUTH EXTERNAL {uid}\r\n").as_bytes())?;
        let answer = read_line(&mut stream)?;
        if !answer.starts_with("OK ") {
            return Err(io::Error::other(format!("systemd refused us: {answer}")));
        }
        stream.write_all(b"BEGIN\r\n")?;
        Ok(Self {
            stream,
            serial: 0,
            removed: Vec::new(),
            end: Instant::now() + PATIENCE,
        })
    }

    /// Makes a unit of these properties, and waits until it is there.
    pub fn start_unit(&mut self, name: &str, properties: &[(&str, Value)]) -> io::Result<()> {
        let mut body = Writer::default();
        body.text(name);
        body.text("fail");
        body.properties(properties);
        body.array(8, |_| {});
        let answer = self.ask("StartTransientUnit", "ssa(sv)a(sa(sv))", body)?;
        self.wait_for_job(&answer)
    }

    /// Stops a unit, and waits until it is gone.
    pub fn stop_unit(&mut self, name: &str) -> io::Result<()> {
        let mut body = Writer::default();
        body.text(name);
        body.text("replace");
        match self.ask("StopUnit", "ss", body) {
            Ok(answer) => self.wait_for_job(&answer)?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(e),
        }
        let mut body = Writer::default();
        body.text(name);
        // One that ended well has nothing to reset.
        let _ = self.ask("ResetFailedUnit", "s", body);
        Ok(())
    }

    pub fn set_properties(&mut self, name: &str, properties: &[(&str, Value)]) -> io::Result<()> {
        let mut body = Writer::default();
        body.text(name);
        // Until it ends, and no longer.
        body.boolean(true);
        body.properties(properties);
        self.ask("SetUnitProperties", "sba(sv)", body).map(drop)
    }

    fn ask(&mut self, member: &str, signature: &str, body: Writer) -> io::Result<Message> {
        self.serial += 1;
        self.stream
            .write_all(&call(self.serial, member, signature, body))?;
        loop {
            let message = self.read()?;
            if message.answers != self.serial {
                continue;
            }
            return match message.kind {
                ANSWER => Ok(message),
                ERROR => Err(refusal(&message)),
                _ => Err(damaged()),
            };
        }
    }

    fn wait_for_job(&mut self, answer: &Message) -> io::Result<()> {
        let job = Reader::new(&answer.body).text()?;
        loop {
            if let Some((_, result)) = self.removed.iter().find(|(removed, _)| *removed == job) {
                return match result.as_str() {
                    "done" => Ok(()),
                    result => Err(io::Error::other(format!("its job ended as {result:?}"))),
                };
            }
            self.read()?;
        }
    }

    /// Reads one message; keeps the news of jobs.
    fn read(&mut self) -> io::Result<Message> {
        if Instant::now() > self.end {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let mut prefix = [0; PREFIX];
        self.stream.read_exact(&mut prefix)?;
        let mut rest = vec![0; rest_of(&prefix)?];
        self.stream.read_exact(&mut rest)?;
        let message = Message::parse(&prefix, &rest)?;
        if message.kind == SIGNAL && message.member == "JobRemoved" {
            // Of id, job, unit and result.
            let mut body = Reader::new(&message.body);
            body.u32()?;
            let (job, _, result) = (body.text()?, body.text()?, body.text()?);
            self.removed.push((job, result));
        }
        Ok(message)
    }
}

fn refusal(message: &Message) -> io::Error {
    let words = Reader::new(&message.body).text().unwrap_or_default();
    let kind = match message.error.as_str() {
        NO_SUCH_UNIT => io::ErrorKind::NotFound,
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, format!("{}: {words}", message.error))
}

/// Byte by byte: what comes after the line is a message.
fn read_line(stream: &mut UnixStream) -> io::Result<String> {
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") && line.len() < 512 {
        let mut byte = [0; 1];
        stream.read_exact(&mut byte)?;
        line.extend(byte);
    }
    Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
}
