//! Port-forwarding: connections made inside the pod's network namespace.

use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream as StdStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sched::{CloneFlags, setns};
use streams::Duplex;
use streams::port_forward::{Forward, Forwards};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

const PATIENCE: Duration = Duration::from_secs(10);
/// For what the client still has to say to a program that has said all it will.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Serves connections until the client is gone.
pub async fn run(mut forwards: Forwards, netns: Option<PathBuf>) {
    while let Some(forward) = forwards.next().await {
        tokio::spawn(serve(forward, netns.clone()));
    }
}

async fn serve(mut forward: Forward, netns: Option<PathBuf>) {
    let port = forward.port;
    let mut stream = match connect(netns, port).await {
        Ok(stream) => stream,
        Err(e) => {
            let message = format!("failed to connect to localhost:{port} inside the pod: {e}");
            return forward.error.fail(&message).await;
        }
    };
    copy(&mut forward.data, &mut stream).await;
}

/// Either side may close at any time. When the program has closed, this is over: not
/// every client can tell that it has closed too.
async fn copy(data: &mut Duplex, stream: &mut TcpStream) {
    let (mut from_pod, mut to_pod) = stream.split();
    let (mut from_client, mut to_client) = tokio::io::split(data);
    let sending = async {
        let _ = tokio::io::copy(&mut from_client, &mut to_pod).await;
        let _ = to_pod.shutdown().await;
    };
    let answering = async {
        let _ = tokio::io::copy(&mut from_pod, &mut to_client).await;
        let _ = to_client.shutdown().await;
    };
    tokio::pin!(sending, answering);
    tokio::select! {
        () = &mut answering => drop(tokio::time::timeout(LAST_WORDS, sending).await),
        () = &mut sending => answering.await,
    }
}

/// Connects to `localhost:port` in the namespace. A thread of its own does it:
/// setns(2) changes the thread that calls it, and that thread must not go on
/// to serve others.
async fn connect(netns: Option<PathBuf>, port: u16) -> io::Result<TcpStream> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    std::thread::Builder::new()
        .name("port-forward".to_owned())
        .spawn(move || {
            // Nobody waits any more if the client is gone.
            let _ = sender.send(connect_inside(netns.as_deref(), port));
        })?;
    let connected = receiver
        .await
        .map_err(|_| io::Error::other("the connecting thread ended"))??;
    connected.set_nonblocking(true)?;
    TcpStream::from_std(connected)
}

fn connect_inside(netns: Option<&Path>, port: u16) -> io::Result<StdStream> {
    if let Some(path) = netns {
        setns(File::open(path)?, CloneFlags::CLONE_NEWNET)?;
    }
    let v4 = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let v6 = SocketAddr::from((Ipv6Addr::LOCALHOST, port));
    StdStream::connect_timeout(&v4, PATIENCE)
        .or_else(|e| StdStream::connect_timeout(&v6, PATIENCE).map_err(|_| e))
}
