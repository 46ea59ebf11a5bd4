//! What the command line asks of the process that runs a cluster: one line of
//! JSON each way, over a socket in the cluster's directory, which is root's.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

use crate::Place;
use crate::error::{Error, Result, file};

const LONGEST_LINE: u64 = 1 << 20;

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Request {
    Status,
    /// End all nodes, and then the cluster's process itself.
    Stop,
    Node {
        name: String,
        action: Action,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Action {
    Start,
    Stop,
    Pause,
    Unpause,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// Where this machine reaches the API.
    pub api: SocketAddr,
    pub nodes: Vec<NodeStatus>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeStatus {
    pub name: String,
    pub state: State,
    /// Where the other nodes reach it.
    pub address: Option<Ipv4Addr>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum State {
    /// Off: no process of it is there; its disk is.
    Stopped,
    Running,
    /// All its processes stand still, as those of a machine that hangs.
    Paused,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Reply {
    Done(Status),
    Refused(String),
}

/// Asks the cluster's process, and waits until it is done.
///
/// # Errors
/// [`Error::NotRunning`] where there is none, [`Error::Refused`] with its words.
pub async fn ask(place: &Place, request: &Request) -> Result<Status> {
    let socket = place.socket();
    let mut stream = match UnixStream::connect(&socket).await {
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::NotFound | ErrorKind::ConnectionRefused
            ) =>
        {
            return Err(Error::NotRunning {
                name: place.name().to_owned(),
            });
        }
        stream => stream.map_err(file("connect to", &socket))?,
    };
    let mut line = serde_json::to_vec(request).expect("a request is JSON");
    line.push(b'\n');
    stream
        .write_all(&line)
        .await
        .map_err(file("write to", &socket))?;
    let answer = read_line(&mut stream)
        .await
        .map_err(file("read from", &socket))?;
    match serde_json::from_str(&answer) {
        Ok(Reply::Done(status)) => Ok(status),
        Ok(Reply::Refused(what)) => Err(Error::Refused { what }),
        Err(source) => Err(Error::Damaged {
            path: socket,
            source,
        }),
    }
}

pub(crate) async fn read_line(stream: &mut UnixStream) -> std::io::Result<String> {
    let mut line = String::new();
    BufReader::new(stream.take(LONGEST_LINE))
        .read_line(&mut line)
        .await?;
    Ok(line)
}
