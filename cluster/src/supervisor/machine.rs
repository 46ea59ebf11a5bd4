//! One node as the supervisor knows it: on, off, or standing still.

mod files;

use std::fs::File;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use serde::Serialize;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::hub::Hub;
use crate::Place;
use crate::control::State;
use crate::error::{Error, Result, file, kernel};
use crate::groups::Groups;
use crate::launch::{COMMAND, Go, Setup};
use crate::plan::{Node, Plan};

/// For a node's skiff to end by itself; its store is closed by then.
const PATIENCE: Duration = Duration::from_secs(20);

pub struct Machine {
    node: Node,
    live: Option<Live>,
    is_paused: bool,
    /// The last one it had: it gets it again.
    address: Option<Ipv4Addr>,
}

/// The processes of a node that is on.
struct Live {
    /// Ends when the node's first process does.
    launcher: Child,
    pid: Pid,
    first: OwnedFd,
}

impl Machine {
    pub fn new(node: Node) -> Self {
        Self {
            node,
            live: None,
            is_paused: false,
            address: None,
        }
    }

    pub fn name(&self) -> &str {
        &self.node.name
    }

    pub fn address(&self) -> Option<Ipv4Addr> {
        self.address
    }

    pub fn state(&mut self) -> State {
        let has_ended = match &mut self.live {
            None => true,
            Some(live) => !matches!(live.launcher.try_wait(), Ok(None)),
        };
        if has_ended {
            self.live = None;
            self.is_paused = false;
        }
        match (&self.live, self.is_paused) {
            (None, _) => State::Stopped,
            (Some(_), true) => State::Paused,
            (Some(_), false) => State::Running,
        }
    }

    /// The node's network namespace, of a node that is on.
    pub fn network(&self) -> Result<Option<File>> {
        self.live
            .as_ref()
            .map(|live| network_of(live.pid))
            .transpose()
    }

    /// Switches the node on, with what `go` makes of its address.
    pub async fn start(
        &mut self,
        place: &Place,
        plan: &Plan,
        hub: &Hub,
        go: impl FnOnce(Ipv4Addr) -> Go,
    ) -> Result<Ipv4Addr> {
        if self.state() != State::Stopped {
            return Err(self.refuse("it runs already"));
        }
        self.groups(place)?.remove()?;
        files::prepare(place, plan, &self.node)?;
        let (mut launcher, mut talk) = self.launch(place)?;
        talk.tell(&self.setup(place))
            .await
            .map_err(kernel("talk to a new node"))?;
        let pid = talk
            .answer("pid ")
            .await
            .map_err(|what| self.refuse(what))?;
        let pid = Pid::from_raw(
            pid.parse()
                .map_err(|_| self.refuse("it has no process id"))?,
        );
        let first = sys::process::pidfd_open(pid).map_err(kernel("watch a new node"))?;
        let address = hub.attach(&self.node.name, network_of(pid)?).await?;
        talk.tell(&go(address))
            .await
            .map_err(kernel("talk to a new node"))?;
        if let Err(what) = talk.answer("started").await {
            let _ = launcher.kill().await;
            return Err(self.refuse(what));
        }
        self.address = Some(address);
        self.live = Some(Live {
            launcher,
            pid,
            first,
        });
        Ok(address)
    }

    fn launch(&self, place: &Place) -> Result<(Child, Talk)> {
        let program = place.program_dir().join("skiff");
        let mut launcher = Command::new(&program)
            .arg(COMMAND)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(file("run", &program))?;
        let (stdin, stdout) = (launcher.stdin.take(), launcher.stdout.take());
        let talk = Talk {
            stdin: stdin.expect("it is piped above"),
            lines: BufReader::new(stdout.expect("it is piped above")).lines(),
        };
        Ok((launcher, talk))
    }

    fn setup(&self, place: &Place) -> Setup {
        Setup {
            name: self.node.name.clone(),
            root: place.root(&self.node.name),
            program_dir: place.program_dir(),
            group: self.group(place),
            mounts: self.node.mounts.clone(),
            log: place.node_log(&self.node.name),
        }
    }

    /// Switches the node off: its skiff is told, its pods are not. Off is fine.
    pub async fn stop(&mut self, place: &Place) -> Result<()> {
        if let Some(mut live) = self.live.take() {
            if std::mem::take(&mut self.is_paused) {
                let _ = self.groups(place)?.freeze(false);
            }
            let signal =
                |signal: Signal| sys::process::pidfd_send(live.first.as_fd(), signal as i32);
            let _ = signal(Signal::SIGTERM);
            if tokio::time::timeout(PATIENCE, live.launcher.wait())
                .await
                .is_err()
            {
                let _ = signal(Signal::SIGKILL);
                let _ = live.launcher.wait().await;
            }
        }
        let groups = self.groups(place)?;
        let removed = tokio::task::spawn_blocking(move || groups.remove()).await;
        removed.unwrap_or(Ok(()))
    }

    /// Has the node's processes stand still, or go on.
    pub async fn pause(&mut self, place: &Place, is_to_stop: bool) -> Result<()> {
        match (self.state(), is_to_stop) {
            (State::Stopped, _) => return Err(self.refuse("it does not run")),
            (State::Paused, true) => return Err(self.refuse("it is paused already")),
            (State::Running, false) => return Err(self.refuse("it is not paused")),
            _ => {}
        }
        let groups = self.groups(place)?;
        let frozen = tokio::task::spawn_blocking(move || groups.freeze(is_to_stop)).await;
        frozen.unwrap_or(Ok(()))?;
        self.is_paused = is_to_stop;
        Ok(())
    }

    fn group(&self, place: &Place) -> PathBuf {
        place.group().join(&self.node.name)
    }

    fn groups(&self, place: &Place) -> Result<Groups> {
        Groups::at(&self.group(place))
    }

    fn refuse(&self, what: impl Into<String>) -> Error {
        Error::Node {
            node: self.node.name.clone(),
            what: what.into(),
        }
    }
}

fn network_of(pid: Pid) -> Result<File> {
    let path = PathBuf::from(format!("/proc/{pid}/ns/net"));
    File::open(&path).map_err(file("open", &path))
}

/// The conversation with a node that is being started.
struct Talk {
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Talk {
    async fn tell(&mut self, line: &impl Serialize) -> std::io::Result<()> {
        let mut line = serde_json::to_vec(line).expect("what a node is told is JSON");
        line.push(b'\n');
        self.stdin.write_all(&line).await
    }

    /// The rest of the next line, which begins with `word`; or what went wrong.
    async fn answer(&mut self, word: &str) -> std::result::Result<String, String> {
        let line = match self.lines.next_line().await {
            Ok(Some(line)) => line,
            Ok(None) => return Err("it ended before it was started".into()),
            Err(error) => return Err(error.to_string()),
        };
        match line.strip_prefix(word) {
            Some(rest) => Ok(rest.to_owned()),
            None => Err(line.strip_prefix("error: ").unwrap_or(&line).to_owned()),
        }
    }
}
