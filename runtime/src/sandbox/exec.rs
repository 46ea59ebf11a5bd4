//! A process run in a running container.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use crate::client::{Client, Connection, failure};
use crate::protocol::{Reply, Request};
use crate::{ContainerId, Error, Exec, Input, Output, Result};

/// A process of [`crate::Sandbox::exec`]. Dropping it kills the process.
#[derive(Debug)]
pub struct Running {
    pub stdin: Option<Input>,
    /// With a tty, all that is printed.
    pub stdout: Option<Output>,
    pub stderr: Option<Output>,
    /// In the host's pid namespace.
    pub pid: u32,
    tty: Option<OwnedFd>,
    connection: Connection,
}

impl Running {
    /// Waits for the process to end: its exit code, 128 + n after signal n.
    pub async fn wait(&mut self) -> Result<i32> {
        match self.connection.reply().await? {
            Reply::ExecExited { code, .. } => Ok(code),
            other => Err(self.connection.protocol(format!("{other:?}"))),
        }
    }

    /// Sets the size of the process's tty; without one, does nothing.
    pub fn resize(&self, width: u16, height: u16) -> Result<()> {
        let Some(tty) = &self.tty else { return Ok(()) };
        sys::tty::resize(tty.as_fd(), width, height).map_err(|e| pipe_error(&e))
    }
}

pub fn pipe_error(source: &io::Error) -> Error {
    Error::Node {
        what: format!("standard streams of a process: {source}"),
    }
}

/// The agent's and the process's ends of the three streams.
#[derive(Default)]
struct Ends {
    stdin: Option<(OwnedFd, OwnedFd)>,
    stdout: Option<(OwnedFd, OwnedFd)>,
    stderr: Option<(OwnedFd, OwnedFd)>,
}

impl Ends {
    fn open(exec: &Exec) -> io::Result<Self> {
        if exec.tty {
            return Ok(Self::default());
        }
        Ok(Self {
            stdin: exec.stdin.then(sys::pipe).transpose()?,
            stdout: exec.stdout.then(sys::pipe).transpose()?,
            stderr: exec.stderr.then(sys::pipe).transpose()?,
        })
    }

    fn remote(&self) -> impl Iterator<Item = &OwnedFd> {
        let read = self.stdin.as_ref().map(|p| &p.0);
        let write = [&self.stdout, &self.stderr]
            .into_iter()
            .filter_map(|p| p.as_ref().map(|p| &p.1));
        read.into_iter().chain(write)
    }
}

pub async fn start(client: &Client, uid: &str, id: &ContainerId, exec: Exec) -> Result<Running> {
    let wants = exec.clone();
    let ends = Ends::open(&exec).map_err(|e| pipe_error(&e))?;
    let mut connection = client.connect().await?;
    let fds: Vec<_> = ends.remote().map(AsFd::as_fd).collect();
    connection
        .send(
            &Request::Exec {
                id: id.clone(),
                exec,
            },
            &fds,
        )
        .await?;
    let (reply, mut came) = connection.reply_with_fds().await?;
    let pid = match reply {
        Reply::ExecStarted { pid } => pid,
        Reply::Failed(why) => return Err(failure(uid, id, why)),
        other => return Err(connection.protocol(format!("{other:?}"))),
    };
    let mut running = Running {
        stdin: None,
        stdout: None,
        stderr: None,
        pid,
        tty: None,
        connection,
    };
    if wants.tty {
        let master = came
            .pop()
            .ok_or_else(|| running.connection.protocol("no tty came".into()))?;
        running
            .open_tty(master, &wants)
            .map_err(|e| pipe_error(&e))?;
    } else {
        running.open_pipes(ends).map_err(|e| pipe_error(&e))?;
    }
    Ok(running)
}

impl Running {
    fn open_tty(&mut self, master: OwnedFd, wants: &Exec) -> io::Result<()> {
        self.stdin = wants
            .stdin
            .then(|| master.try_clone().and_then(Input::new))
            .transpose()?;
        self.stdout = Some(Output::new(master.try_clone()?)?);
        self.tty = Some(master);
        Ok(())
    }

    fn open_pipes(&mut self, ends: Ends) -> io::Result<()> {
        self.stdin = ends.stdin.map(|p| Input::new(p.1)).transpose()?;
        self.stdout = ends.stdout.map(|p| Output::new(p.0)).transpose()?;
        self.stderr = ends.stderr.map(|p| Output::new(p.0)).transpose()?;
        Ok(())
    }
}
