//! The agent's side of the conversation with a monitor: one connection a request.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncReadExt, Interest};
use tokio::net::UnixStream;

use crate::protocol::{Failure, MAX_FDS, MAX_FRAME, Reply, Request};
use crate::{ContainerId, Error, Result};

/// A monitor waits ten seconds for processes that it has killed.
const DESTROY_PATIENCE: Duration = Duration::from_secs(30);

/// Where a pod's monitor listens.
#[derive(Debug, Clone)]
pub struct Client {
    uid: String,
    socket: PathBuf,
}

/// One connection to a monitor.
#[derive(Debug)]
pub struct Connection {
    uid: String,
    stream: UnixStream,
}

impl Client {
    pub fn new(uid: &str, dir: &Path) -> Self {
        Self {
            uid: uid.to_owned(),
            socket: dir.join("monitor.sock"),
        }
    }

    pub async fn connect(&self) -> Result<Connection> {
        let connected = UnixStream::connect(&self.socket).await;
        let stream = connected.map_err(|e| match e.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => self.lost(e),
            // Our own trouble, such as too many open files, says nothing of the monitor.
            _ => Error::Node {
                what: format!("connect to the monitor of pod {}: {e}", self.uid),
            },
        })?;
        let peer = stream.peer_cred().map_err(|e| self.lost(e))?;
        if peer.uid() != nix::unistd::geteuid().as_raw() {
            return Err(self.lost(io::Error::from(io::ErrorKind::PermissionDenied)));
        }
        Ok(Connection {
            uid: self.uid.clone(),
            stream,
        })
    }

    /// Has the monitor end its pod and itself; one that does not answer is killed.
    pub async fn destroy(&self) -> Result<()> {
        let mut connection = match self.connect().await {
            Err(Error::Lost { .. }) => return Ok(()),
            connected => connected?,
        };
        let ask = async {
            connection.send(&Request::Destroy, &[]).await?;
            connection.reply().await
        };
        match tokio::time::timeout(DESTROY_PATIENCE, ask).await {
            Ok(Ok(Reply::Done) | Err(Error::Lost { .. })) => Ok(()),
            Ok(Ok(other)) => Err(connection.protocol(format!("{other:?}"))),
            Ok(Err(e)) => Err(e),
            Err(_) => connection.kill_monitor(),
        }
    }

    /// Sends one request and waits for its one answer.
    pub async fn call(&self, request: &Request) -> Result<Reply> {
        let mut connection = self.connect().await?;
        connection.send(request, &[]).await?;
        connection.reply().await
    }

    fn lost(&self, source: io::Error) -> Error {
        Error::Lost {
            uid: self.uid.clone(),
            source,
        }
    }
}

impl Connection {
    /// The monitor's process id: it is the one who listens (`SO_PEERCRED`, unix(7)).
    pub fn monitor_pid(&self) -> Option<u32> {
        self.stream.peer_cred().ok()?.pid()?.try_into().ok()
    }

    /// Its containers die with it; what they leave, goes with their groups.
    fn kill_monitor(&self) -> Result<()> {
        let pid = self.monitor_pid().and_then(|pid| i32::try_from(pid).ok());
        // One that never came to listen by itself left the socket with who made it: us.
        let ourselves = std::process::id();
        let Some(pid) = pid.filter(|pid| *pid > 1 && pid.unsigned_abs() != ourselves) else {
            return Ok(());
        };
        let killed = nix::sys::signal::kill(
            nix::unistd::Pid::from_raw(pid),
            nix::sys::signal::Signal::SIGKILL,
        );
        killed.map_err(|e| self.lost(e.into()))
    }

    pub async fn send(&mut self, request: &Request, fds: &[BorrowedFd<'_>]) -> Result<()> {
        let body = serde_json::to_vec(request).map_err(|e| self.protocol(e.to_string()))?;
        if body.len() > MAX_FRAME {
            return Err(self.protocol(format!(
                "request of {} bytes, at most {MAX_FRAME}",
                body.len()
            )));
        }
        let length = u32::try_from(body.len()).expect("MAX_FRAME fits 32 bits");
        let frame = [&length.to_le_bytes()[..], &body].concat();
        self.send_all(&frame, fds).await.map_err(|e| self.lost(e))
    }

    async fn send_all(&self, frame: &[u8], mut fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        let mut sent = 0;
        while sent < frame.len() {
            self.stream.writable().await?;
            let send = || sys::socket::send(self.stream.as_fd(), &frame[sent..], fds);
            match self.stream.try_io(Interest::WRITABLE, send) {
                Ok(n) => {
                    sent += n;
                    fds = &[];
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// The next reply that is no failure.
    pub async fn reply(&mut self) -> Result<Reply> {
        self.reply_with_fds().await.map(|(reply, _)| reply)
    }

    pub async fn reply_with_fds(&mut self) -> Result<(Reply, Vec<OwnedFd>)> {
        let (length, fds) = self.read_length().await.map_err(|e| self.lost(e))?;
        if length > MAX_FRAME {
            return Err(self.protocol(format!("answer of {length} bytes, at most {MAX_FRAME}")));
        }
        let mut body = vec![0; length];
        self.stream
            .read_exact(&mut body)
            .await
            .map_err(|e| self.lost(e))?;
        let reply = serde_json::from_slice(&body).map_err(|e| self.protocol(e.to_string()))?;
        Ok((reply, fds))
    }

    async fn read_length(&self) -> io::Result<(usize, Vec<OwnedFd>)> {
        let mut length = [0; 4];
        let mut filled = 0;
        let mut fds = Vec::new();
        while filled < length.len() {
            self.stream.readable().await?;
            let room = &mut length[filled..];
            let receive = || sys::socket::receive(self.stream.as_fd(), room, MAX_FDS);
            match self.stream.try_io(Interest::READABLE, receive) {
                Ok((0, _)) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok((n, came)) => {
                    filled += n;
                    fds.extend(came);
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(e) => return Err(e),
            }
        }
        Ok((u32::from_le_bytes(length) as usize, fds))
    }

    fn lost(&self, source: io::Error) -> Error {
        Error::Lost {
            uid: self.uid.clone(),
            source,
        }
    }

    pub fn protocol(&self, detail: String) -> Error {
        Error::Protocol {
            uid: self.uid.clone(),
            detail,
        }
    }
}

/// What a failed request about `id` means to the caller.
pub fn failure(uid: &str, id: &ContainerId, failure: Failure) -> Error {
    match failure {
        Failure::NotFound => Error::NotFound {
            uid: uid.to_owned(),
            id: id.clone(),
        },
        Failure::NotRunning => Error::NotRunning { id: id.clone() },
        Failure::Create(message) => Error::Create { message },
        Failure::Exec(message) => Error::Exec { message },
        Failure::Refused(message) => Error::Refused { message },
    }
}
