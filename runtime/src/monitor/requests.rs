//! The monitor's answers.

use std::io::ErrorKind;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};

use super::Monitor;
use super::connection::{Connection, Incoming};
use super::poller::{Interest, Source, Token};
use crate::protocol::{Failure, Reply, Request};
use crate::{ContainerId, Event};

/// At most so many connections at once; more wait in the socket's queue.
const MAX_CONNECTIONS: usize = 256;

impl Monitor {
    pub(super) fn accept(&mut self) {
        while self.watch_listener() {
            let stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(e) if e.kind() == ErrorKind::WouldBlock => return,
                Err(e) => return eprintln!("accept a connection: {e}"),
            };
            let connection = match Connection::new(stream) {
                Ok(connection) => connection,
                Err(e) => {
                    eprintln!("a connection: {e}");
                    continue;
                }
            };
            if let Ok(token) = self
                .poller
                .add(connection.stream().as_fd(), Source::Connection)
            {
                self.connections.insert(token, connection);
            }
        }
    }

    /// Says whether there is room for one more; without, the next ones wait in the socket's queue.
    fn watch_listener(&mut self) -> bool {
        let has_room = self.connections.len() < MAX_CONNECTIONS;
        match self.listening {
            Some(token) if !has_room => {
                self.poller.remove(self.listener.as_fd(), token);
                self.listening = None;
            }
            None if has_room => {
                self.listening = self
                    .poller
                    .add(self.listener.as_fd(), Source::Listener)
                    .ok();
            }
            _ => {}
        }
        has_room
    }

    /// A connection has something to say, or can take more.
    pub(super) fn converse(&mut self, token: Token) {
        while self.poller.has(token) {
            let Some(connection) = self.connections.get_mut(&token) else {
                return;
            };
            if connection.has_unsent() {
                self.flush(token);
                return;
            }
            match connection.receive() {
                Incoming::Nothing => return,
                Incoming::Closed => self.close(token),
                Incoming::Request(request, fds) => self.answer(token, *request, fds),
            }
        }
    }

    fn answer(&mut self, token: Token, request: Request, fds: Vec<OwnedFd>) {
        let done = match request {
            // Answered when the program runs, or does not.
            Request::Start { id } => match self.start(&id, token) {
                Ok(()) => return,
                Err(failure) => Err(failure),
            },
            Request::Exec { id, exec } => match self.exec(&id, &exec, fds, token) {
                Ok(()) => return,
                Err(failure) => Err(failure),
            },
            Request::List => {
                let states = self.containers.iter().map(|(id, c)| c.state(id)).collect();
                return self.reply(token, &Reply::Containers(states), None);
            }
            Request::Subscribe => return self.subscribe(token),
            Request::Destroy => return self.destroy(token),
            Request::Signal { id, signal } => self.container(&id).and_then(|c| c.signal(signal)),
            Request::Remove { id } => self.remove(&id),
            Request::Acknowledge { id } => self.acknowledge(&id),
            Request::Attach { id, streams } => self.attach(&id, streams, fds),
            Request::Resize { id, width, height } => self.resize(&id, width, height),
            Request::ReopenLog { id } => self.container(&id).map(|_| ()).and_then(|()| {
                self.reopen_log(&id)
                    .map_err(|e| Failure::Refused(format!("reopen its log: {e}")))
            }),
            Request::Update { id, resources } => self.container(&id).and_then(|c| {
                c.group
                    .apply(&resources)
                    .map_err(|e| Failure::Refused(format!("set its limits: {e}")))
            }),
        };
        let reply = done.map_or_else(Reply::Failed, |()| Reply::Done);
        self.reply(token, &reply, None);
    }

    fn container(&self, id: &ContainerId) -> Result<&super::container::Container, Failure> {
        self.containers.get(id).ok_or(Failure::NotFound)
    }

    fn remove(&mut self, id: &ContainerId) -> Result<(), Failure> {
        let container = self.container(id)?;
        if container.exit.is_none() {
            return Err(Failure::Refused(format!(
                "container {id} is running: stop it first"
            )));
        }
        let refused = |e: crate::Error| Failure::Refused(format!("remove container {id}: {e}"));
        container.group.destroy().map_err(refused)?;
        let Some(mut container) = self.containers.remove(id) else {
            return Ok(());
        };
        container.stdout.close(&mut self.poller);
        container.stderr.close(&mut self.poller);
        Ok(())
    }

    fn acknowledge(&mut self, id: &ContainerId) -> Result<(), Failure> {
        let container = self.containers.get_mut(id).ok_or(Failure::NotFound)?;
        container.is_acknowledged = true;
        self.save(id);
        Ok(())
    }

    fn resize(&self, id: &ContainerId, width: u16, height: u16) -> Result<(), Failure> {
        let Some(tty) = &self.container(id)?.tty else {
            return Ok(());
        };
        sys::tty::resize(tty.as_fd(), width, height)
            .map_err(|e| Failure::Refused(format!("resize: {e}")))
    }

    fn subscribe(&mut self, token: Token) {
        self.subscribers.push(token);
        let events: Vec<Event> = self
            .containers
            .iter()
            .filter_map(|(id, c)| c.event(id))
            .collect();
        events
            .into_iter()
            .for_each(|event| self.reply(token, &Reply::Event(event), None));
    }

    pub(super) fn tell_subscribers(&mut self, event: Event) {
        let reply = Reply::Event(event);
        for token in self.subscribers.clone() {
            self.reply(token, &reply, None);
        }
    }

    /// Kills every container, waits for their ends, and makes this the last request.
    fn destroy(&mut self, token: Token) {
        for (id, container) in &self.containers {
            if let Err(e) = container.group.kill_all() {
                eprintln!("container {id}: {e}");
            }
            // Not running is as good.
            let _ = container.signal(libc::SIGKILL);
        }
        for starting in &self.starting {
            starting.kill();
        }
        self.pod.kill();
        wait_for_children(Duration::from_secs(10));
        self.reply(token, &Reply::Done, None);
        self.is_done = true;
    }

    pub(super) fn reply(&mut self, token: Token, reply: &Reply, fd: Option<&OwnedFd>) {
        let Some(connection) = self.connections.get_mut(&token) else {
            return;
        };
        match connection.send(reply, fd) {
            Ok(()) => self.flush(token),
            Err(_) => self.close(token),
        }
    }

    fn flush(&mut self, token: Token) {
        let Some(connection) = self.connections.get_mut(&token) else {
            return;
        };
        let flushed = connection.flush().and_then(|()| {
            let interest = if connection.has_unsent() {
                Interest::Write
            } else {
                Interest::Read
            };
            self.poller
                .change(connection.stream().as_fd(), token, interest)
        });
        if flushed.is_err() {
            self.close(token);
        }
    }

    fn close(&mut self, token: Token) {
        self.kill_exec_of(token);
        self.subscribers.retain(|&t| t != token);
        if let Some(connection) = self.connections.remove(&token) {
            self.poller.remove(connection.stream().as_fd(), token);
        }
        self.watch_listener();
    }
}

/// All were killed, so this is short unless the kernel is stuck with one.
fn wait_for_children(patience: Duration) {
    let step = Duration::from_millis(1);
    let steps = patience.as_millis() / step.as_millis();
    for _ in 0..steps {
        loop {
            match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Err(_) => return,
                Ok(WaitStatus::StillAlive) => break,
                Ok(_) => {}
            }
        }
        std::thread::sleep(step);
    }
}
