//! The sockets that Services are reached at, kept as the cluster wants them.

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use socket2::{Domain, SockAddr, Socket, Type};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::backends::{Backends, Choice};
use super::plan::{Binding, Frontend, bindings};
use super::worker::Workers;
use super::{tcp, udp};
use crate::Config;
use crate::cluster::{Index, ObjectName, Protocol};

const BACKLOG: i32 = 4096;

/// Open listeners by frontend, and which Service each belongs to.
pub struct Listeners {
    config: Config,
    workers: Workers,
    open: HashMap<Frontend, Listener>,
    of: HashMap<ObjectName, HashSet<Frontend>>,
    unserved: HashSet<ObjectName>,
}

struct Listener {
    choice: watch::Sender<Choice>,
    /// Ends accepting; what was accepted goes on.
    close: CancellationToken,
}

impl Listeners {
    pub fn new(config: Config, workers: Workers) -> Self {
        Self {
            config,
            workers,
            open: HashMap::new(),
            of: HashMap::new(),
            unserved: HashSet::new(),
        }
    }

    /// Services with an address that could not be listened on.
    pub fn unserved(&self) -> impl Iterator<Item = &ObjectName> {
        self.unserved.iter()
    }

    /// Makes the listeners of a Service what it asks for now.
    pub fn sync(&mut self, index: &Index, service: &ObjectName) {
        let affinity = index.service(service).and_then(|service| service.affinity);
        let wanted = bindings(&self.config, index, service);
        let frontends = wanted.iter().map(|binding| binding.frontend).collect();
        let mut held = self.of.remove(service).unwrap_or_default();
        for gone in held.difference(&frontends) {
            if let Some(listener) = self.open.remove(gone) {
                listener.close.cancel();
            }
        }
        held.retain(|frontend| frontends.contains(frontend));
        let was_unserved = self.unserved.remove(service);
        for Binding {
            frontend,
            endpoints,
        } in wanted
        {
            let choice = Choice {
                endpoints: endpoints.into(),
                affinity,
            };
            if held.contains(&frontend) {
                self.update(frontend, choice);
                continue;
            }
            match self.listen(frontend, choice) {
                Ok(()) => {
                    held.insert(frontend);
                }
                Err(error) => {
                    if !was_unserved {
                        warn_unserved(service, frontend, &error);
                    }
                    self.unserved.insert(service.clone());
                }
            }
        }
        if !held.is_empty() {
            self.of.insert(service.clone(), held);
        }
    }

    /// Ends all forwarding.
    pub async fn close(self) {
        self.workers.close().await;
    }

    fn update(&self, frontend: Frontend, choice: Choice) {
        let Some(listener) = self.open.get(&frontend) else {
            return;
        };
        listener.choice.send_if_modified(|current| {
            let is_new = *current != choice;
            *current = choice;
            is_new
        });
    }

    fn listen(&mut self, frontend: Frontend, choice: Choice) -> io::Result<()> {
        if self.open.contains_key(&frontend) {
            // Held by another Service: by the API's rules only for the moment
            // in which a port moves from one to the other.
            return Err(io::ErrorKind::AddrInUse.into());
        }
        let close = CancellationToken::new();
        let (choice, receiver) = watch::channel(choice);
        let backends = Arc::new(Backends::new(receiver));
        match frontend.protocol {
            Protocol::Tcp => self.listen_tcp(frontend, &backends, &close)?,
            Protocol::Udp => self.listen_udp(frontend, backends, close.clone())?,
        }
        self.open.insert(frontend, Listener { choice, close });
        Ok(())
    }

    /// One socket a thread: the kernel spreads the connections among them.
    fn listen_tcp(
        &self,
        frontend: Frontend,
        backends: &Arc<Backends>,
        close: &CancellationToken,
    ) -> io::Result<()> {
        let sockets = self.workers.all().iter().map(|_| tcp_socket(frontend));
        let sockets = sockets.collect::<io::Result<Vec<_>>>()?;
        for (worker, socket) in self.workers.all().iter().zip(sockets) {
            worker.spawn(tcp::accept(socket, backends.clone(), close.clone()));
        }
        Ok(())
    }

    fn listen_udp(
        &mut self,
        frontend: Frontend,
        backends: Arc<Backends>,
        close: CancellationToken,
    ) -> io::Result<()> {
        let socket = bound(frontend, Type::DGRAM)?;
        nix::sys::socket::setsockopt(&socket, nix::sys::socket::sockopt::Ipv4PacketInfo, &true)?;
        self.workers
            .next()
            .spawn(udp::serve(socket.into(), backends, close));
        Ok(())
    }
}

fn tcp_socket(frontend: Frontend) -> io::Result<std::net::TcpListener> {
    let socket = bound(frontend, Type::STREAM)?;
    tcp::prepare_listener(&socket)?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// A socket bound to the frontend. Shared ports let the threads have a socket
/// each, and let a NodePort on all addresses and a ClusterIP have one number.
fn bound(frontend: Frontend, kind: Type) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, kind, None)?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(kind == Type::STREAM)?;
    socket.set_reuse_port(true)?;
    socket.bind(&SockAddr::from(SocketAddr::V4(frontend.address)))?;
    Ok(socket)
}

fn warn_unserved(service: &ObjectName, frontend: Frontend, error: &io::Error) {
    let advice = if error.kind() == io::ErrorKind::AddrInUse {
        "another program listens there, maybe on all addresses: stop it or bind it to an address of its own"
    } else {
        "it is tried again as Services change"
    };
    tracing::warn!(%service, %error, "cannot listen on {frontend}: {advice}");
}
