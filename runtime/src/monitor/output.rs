//! What containers print: into the log, and to whoever is attached.

use std::io::ErrorKind;
use std::os::fd::{AsFd, OwnedFd};

use jiff::Timestamp;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::Monitor;
use super::container::Container;
use super::log::Unfinished;
use super::poller::{Interest, Poller, Source, Stream, Token};
use crate::ContainerId;

/// With this much unread by an attached client, the container has to wait, as with any full pipe.
const MAX_PENDING: usize = 64 << 10;

/// Reads of what a container leaves behind: twice what the largest pipe holds (pipe(7)).
const MAX_LEFT: usize = (2 << 20) / super::SCRATCH;

/// One output stream of a container.
#[derive(Default)]
pub struct Output {
    /// Gone at its end.
    source: Option<OwnedFd>,
    /// None while a reader is behind.
    token: Option<Token>,
    unfinished: Unfinished,
    /// The last write to the log failed.
    is_failing: bool,
    readers: Vec<Reader>,
}

/// Somebody attached.
struct Reader {
    sink: OwnedFd,
    token: Token,
    pending: Vec<u8>,
}

impl Output {
    pub fn new(source: OwnedFd) -> Self {
        Self {
            source: Some(source),
            ..Self::default()
        }
    }

    /// Whether anything can still come.
    pub fn is_open(&self) -> bool {
        self.source.is_some()
    }

    /// Waits for output, unless a reader is behind.
    pub fn watch(&mut self, poller: &mut Poller, id: &ContainerId, stream: Stream) {
        let is_behind = self.readers.iter().any(|r| r.pending.len() > MAX_PENDING);
        match (&self.source, self.token) {
            (Some(source), None) if !is_behind => {
                self.token = poller
                    .add(source.as_fd(), Source::Output(id.clone(), stream))
                    .ok();
            }
            // Removed, not ignored: a hangup could not be ignored.
            (Some(source), Some(token)) if is_behind => {
                poller.remove(source.as_fd(), token);
                self.token = None;
            }
            _ => {}
        }
    }

    pub fn close(&mut self, poller: &mut Poller) {
        self.end(poller);
        self.drop_readers(poller, |_| true);
    }

    fn end(&mut self, poller: &mut Poller) {
        if let (Some(source), Some(token)) = (self.source.take(), self.token.take()) {
            poller.remove(source.as_fd(), token);
        }
        self.drop_readers(poller, |reader| reader.pending.is_empty());
    }

    fn drop_readers(&mut self, poller: &mut Poller, is_done: impl Fn(&Reader) -> bool) {
        for reader in self.readers.extract_if(.., |reader| is_done(reader)) {
            poller.remove(reader.sink.as_fd(), reader.token);
        }
    }

    /// Sends output on to a new reader; at the stream's end there is nothing to send.
    pub fn attach(
        &mut self,
        poller: &mut Poller,
        id: &ContainerId,
        stream: Stream,
        sink: OwnedFd,
    ) -> std::io::Result<()> {
        if self.is_open() {
            let source = Source::Reader(id.clone(), stream);
            let token = poller.add_for(sink.as_fd(), source, Interest::Hangup)?;
            self.readers.push(Reader {
                sink,
                token,
                pending: Vec::new(),
            });
        }
        Ok(())
    }

    fn deliver(&mut self, poller: &mut Poller, data: &[u8]) {
        for reader in &mut self.readers {
            reader.pending.extend_from_slice(data);
        }
        let tokens: Vec<Token> = self.readers.iter().map(|r| r.token).collect();
        tokens
            .into_iter()
            .for_each(|token| self.flush(poller, token));
    }

    fn flush(&mut self, poller: &mut Poller, token: Token) {
        let Some(index) = self.readers.iter().position(|r| r.token == token) else {
            return;
        };
        let is_open = self.is_open();
        let reader = &mut self.readers[index];
        if reader.flush(poller).is_err() || (!is_open && reader.pending.is_empty()) {
            let reader = self.readers.swap_remove(index);
            poller.remove(reader.sink.as_fd(), reader.token);
        }
    }
}

impl Reader {
    /// Asked of the kernel: an event may be of a time when there was no room, which
    /// output that came before it in the same batch has since found.
    fn is_gone(&self) -> bool {
        let mut sink = [PollFd::new(self.sink.as_fd(), PollFlags::empty())];
        let is_ready = poll(&mut sink, PollTimeout::ZERO).is_ok_and(|count| count > 0);
        is_ready && sink[0].any().unwrap_or(true)
    }

    /// # Errors
    /// It is gone.
    fn flush(&mut self, poller: &Poller) -> nix::Result<()> {
        while !self.pending.is_empty() {
            match nix::unistd::write(&self.sink, &self.pending) {
                Ok(n) => drop(self.pending.drain(..n)),
                Err(Errno::EAGAIN) => break,
                Err(e) => return Err(e),
            }
        }
        let interest = if self.pending.is_empty() {
            Interest::Hangup
        } else {
            Interest::Write
        };
        poller
            .change(self.sink.as_fd(), self.token, interest)
            .map_err(|_| Errno::EIO)
    }
}

impl Container {
    /// Reads once from a stream; says whether there may be more.
    fn pump(
        &mut self,
        id: &ContainerId,
        stream: Stream,
        poller: &mut Poller,
        scratch: &mut [u8],
    ) -> bool {
        let Some(source) = &self.output(stream).source else {
            return false;
        };
        match nix::unistd::read(source, scratch) {
            Err(Errno::EAGAIN | Errno::EINTR) => false,
            // EIO: a terminal whose last holder is gone.
            Ok(0) | Err(_) => {
                self.end_stream(id, stream, poller);
                false
            }
            Ok(n) => {
                self.write_log(id, stream, &scratch[..n]);
                let output = self.output(stream);
                output.deliver(poller, &scratch[..n]);
                output.watch(poller, id, stream);
                true
            }
        }
    }

    /// Reads what a container that has ended left behind: as much as pipes hold
    /// and no more, for another container of the pod may go on writing to them.
    pub fn drain(&mut self, id: &ContainerId, poller: &mut Poller, scratch: &mut [u8]) {
        for stream in [Stream::Stdout, Stream::Stderr] {
            for _ in 0..MAX_LEFT {
                if !self.pump(id, stream, poller, scratch) {
                    break;
                }
            }
        }
    }

    fn write_log(&mut self, id: &ContainerId, stream: Stream, data: &[u8]) {
        let Some(mut log) = self.log.take() else {
            return;
        };
        let output = self.output(stream);
        let written = log.write(stream, &mut output.unfinished, data, Timestamp::now());
        // Once until it works again: on a full disk this file would fill another.
        if let Err(e) = &written
            && !output.is_failing
        {
            eprintln!("container {id}: its {stream:?} does not reach its log: {e}");
        }
        output.is_failing = written.is_err();
        self.log = Some(log);
    }

    fn end_stream(&mut self, id: &ContainerId, stream: Stream, poller: &mut Poller) {
        if let Some(mut log) = self.log.take() {
            let unfinished = &mut self.output(stream).unfinished;
            if let Err(e) = log.finish(stream, unfinished, Timestamp::now()) {
                eprintln!("container {id}: the end of its {stream:?} did not reach its log: {e}");
            }
            self.log = Some(log);
        }
        self.output(stream).end(poller);
        let is_over = !self.stdout.is_open() && !self.stderr.is_open();
        if is_over && self.exit.is_some() {
            self.log = None;
        }
    }
}

impl Monitor {
    pub(super) fn pump(&mut self, id: &ContainerId, stream: Stream) {
        let Self {
            containers,
            poller,
            scratch,
            ..
        } = self;
        if let Some(container) = containers.get_mut(id) {
            container.pump(id, stream, poller, scratch);
        }
    }

    /// A reader can take more, or is gone.
    pub(super) fn feed_reader(&mut self, id: &ContainerId, stream: Stream, token: Token) {
        let Self {
            containers, poller, ..
        } = self;
        let Some(container) = containers.get_mut(id) else {
            return;
        };
        let output = container.output(stream);
        output.drop_readers(poller, |r| r.token == token && r.is_gone());
        output.flush(poller, token);
        output.watch(poller, id, stream);
    }

    pub(super) fn reopen_log(&mut self, id: &ContainerId) -> std::io::Result<()> {
        let log = self.containers.get_mut(id).and_then(|c| c.log.as_mut());
        log.map_or(Err(ErrorKind::NotFound.into()), super::log::Log::reopen)
    }
}
