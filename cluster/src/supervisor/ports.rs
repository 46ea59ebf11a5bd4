//! The sockets of this machine that lead into a cluster.
//!
//! They are all opened before a node is started, by the process that stays in
//! the machine's own network; a port left open by the plan is chosen here and
//! written down, so that the cluster has it again after a restart.

use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};

use crate::error::{Error, Result};
use crate::plan::{Plan, Protocol};

/// One socket each, and which node's port it leads to.
pub struct Ports {
    pub api: TcpListener,
    pub extra: Vec<Extra>,
}

pub struct Extra {
    pub node: String,
    pub port: u16,
    pub socket: Socket,
}

pub enum Socket {
    Tcp(TcpListener),
    Udp(UdpSocket),
}

impl Ports {
    pub fn listen(plan: &mut Plan) -> Result<Self> {
        let api = tcp(plan.api_address, &mut plan.api_port, "the Kubernetes API")?;
        let mut extra = Vec::new();
        for node in &mut plan.nodes {
            for port in &mut node.ports {
                let what = format!("port {} of {}", port.node_port, node.name);
                let socket = match port.protocol {
                    Protocol::Tcp => Socket::Tcp(tcp(port.address, &mut port.host_port, &what)?),
                    Protocol::Udp => Socket::Udp(udp(port.address, &mut port.host_port, &what)?),
                };
                extra.push(Extra {
                    node: node.name.clone(),
                    port: port.node_port,
                    socket,
                });
            }
        }
        Ok(Self { api, extra })
    }
}

fn tcp(address: IpAddr, port: &mut u16, what: &str) -> Result<TcpListener> {
    let wanted = SocketAddr::new(address, *port);
    let failed = refused(wanted, what);
    let bound = TcpListener::bind(wanted).and_then(|listener| {
        listener.set_nonblocking(true)?;
        *port = listener.local_addr()?.port();
        Ok(listener)
    });
    bound.map_err(failed)
}

fn udp(address: IpAddr, port: &mut u16, what: &str) -> Result<UdpSocket> {
    let wanted = SocketAddr::new(address, *port);
    let failed = refused(wanted, what);
    let bound = UdpSocket::bind(wanted).and_then(|socket| {
        socket.set_nonblocking(true)?;
        *port = socket.local_addr()?.port();
        Ok(socket)
    });
    bound.map_err(failed)
}

fn refused(address: SocketAddr, what: &str) -> impl FnOnce(std::io::Error) -> Error {
    let (address, what) = (address.to_string(), what.to_owned());
    move |source| Error::Listen {
        address,
        what,
        source,
    }
}
