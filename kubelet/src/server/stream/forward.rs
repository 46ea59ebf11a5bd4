//! Port-forwarding: connections made inside the pod's network namespace.

use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream as StdStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sched::{CloneFlags, setns};
use streams::port_forward::{Forward, Forwards};
use streams::{Duplex, Writer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::ReadHalf;

const PATIENCE: Duration = Duration::from_secs(10);
/// For what the client still has to say to a program that has said all it will.
const LAST_WORDS: Duration = Duration::from_millis(500);
const CHUNK: usize = 32 * 1024;

/// Serves connections until the client is gone.
pub async fn run(mut forwards: Forwards, netns: Option<PathBuf>) {
    while let Some(forward) = forwards.next().await {
        tokio::spawn(serve(forward, netns.clone()));
    }
}

async fn serve(forward: Forward, netns: Option<PathBuf>) {
    let port = forward.port;
    let mut stream = match connect(netns, port).await {
        Ok(stream) => stream,
        Err(e) => {
            let message = format!("failed to connect to localhost:{port} inside the pod: {e}");
            return forward.error.fail(&message).await;
        }
    };
    copy(forward.data, &mut stream).await;
}

/// Either side may close at any time. When the program has closed, this is over: not
/// every client can tell that it has closed too.
async fn copy(data: Duplex, stream: &mut TcpStream) {
    let (mut from_pod, mut to_pod) = stream.split();
    let Duplex {
        reader: mut from_client,
        writer: mut to_client,
    } = data;
    let sending = async {
        let _ = tokio::io::copy(&mut from_client, &mut to_pod).await;
        let _ = to_pod.shutdown().await;
    };
    let answering = answer(&mut from_pod, &mut to_client);
    tokio::pin!(sending, answering);
    tokio::select! {
        () = &mut answering => drop(tokio::time::timeout(LAST_WORDS, sending).await),
        () = &mut sending => answering.await,
    }
}

/// Copies until the program has said all, or the client takes no more: with a program
/// that keeps silent, no write would fail to tell of a client that is gone.
async fn answer(from_pod: &mut ReadHalf<'_>, to_client: &mut Writer) {
    let mut buffer = vec![0; CHUNK];
    loop {
        let count = tokio::select! {
            read = from_pod.read(&mut buffer) => read.unwrap_or(0),
            () = to_client.closed() => 0,
        };
        if count == 0 || to_client.write_all(&buffer[..count]).await.is_err() {
            break;
        }
    }
    let _ = to_client.shutdown().await;
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use streams::{Protocol, port_forward};
    use tokio::net::TcpListener;
    use tokio::time::timeout;

    #[tokio::test]
    async fn connection_to_a_silent_program_ends_with_its_client() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let protocol = Protocol::agreed(false, "portforward.k8s.io").unwrap();
        let (here, there) = tokio::io::duplex(64 * 1024);
        let (forwards, client) = tokio::join!(
            port_forward::serve(here, &protocol, &[]),
            port_forward::connect(there, &protocol)
        );
        let (mut forwards, client) = (forwards.unwrap(), client.unwrap());
        let _connected = client.open(port).await.unwrap();
        let forward = forwards.next().await.unwrap();
        let serving = tokio::spawn(super::serve(forward, None));
        let _program = listener.accept().await.unwrap();
        drop(client);
        let ended = timeout(Duration::from_secs(5), serving).await;
        ended.unwrap().unwrap();
    }
}
