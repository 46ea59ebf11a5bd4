//! A route-netlink connection into one network namespace.

use std::future::Future;
use std::io;
use std::os::fd::BorrowedFd;

use futures::{StreamExt, TryStreamExt};
use nix::sched::{CloneFlags, setns};
use rtnetlink::Handle;
use rtnetlink::packet_core::ErrorMessage;
use rtnetlink::packet_route::link::{LinkAttribute, LinkMessage};
use tokio::task::AbortHandle;

use crate::{Error, Result};

/// A connection; the kernel side of it stays in the namespace it was opened
/// in, whatever thread uses it.
pub struct Netlink {
    pub handle: Handle,
    reader: AbortHandle,
}

impl Drop for Netlink {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Netlink {
    /// Connects to the namespace of the calling thread.
    pub fn open() -> Result<Self> {
        let (connection, handle, _) = rtnetlink::new_connection().map_err(|source| {
            let place = "in this network namespace";
            Error::NetlinkSocket { place, source }
        })?;
        let reader = tokio::spawn(connection).abort_handle();
        Ok(Self { handle, reader })
    }

    /// Connects to the namespace behind `netns`. A thread of its own enters
    /// it: the runtime's threads must never be left in a pod's namespace.
    pub fn open_in(pod_uid: &str, netns: BorrowedFd<'_>) -> Result<Self> {
        let runtime = tokio::runtime::Handle::current();
        let entered = std::thread::scope(|scope| {
            let thread = scope.spawn(move || -> io::Result<_> {
                setns(netns, CloneFlags::CLONE_NEWNET)?;
                let _in_runtime = runtime.enter();
                let (connection, handle, _) = rtnetlink::new_connection()?;
                let reader = tokio::spawn(connection).abort_handle();
                Ok(Self { handle, reader })
            });
            thread.join().expect("entering a namespace does not panic")
        });
        entered.map_err(|source| Error::EnterNamespace {
            pod_uid: pod_uid.to_owned(),
            source,
        })
    }

    /// The link of that name, if there is one.
    pub async fn link(&self, name: &str) -> Result<Option<LinkMessage>> {
        let mut found = self.handle.link().get().match_name(name).execute();
        match found.try_next().await {
            Ok(link) => Ok(link),
            Err(error) if errno(&error) == Some(code::ENODEV) => Ok(None),
            Err(source) => Err(failed(format!("look up interface {name}"), source)),
        }
    }

    /// The links enslaved to the bridge with that index.
    pub async fn ports_of(&self, bridge: u32) -> Result<Vec<LinkMessage>> {
        let links = self.handle.link().get().execute();
        let ports = links.try_filter(|link| {
            let is_port = link.attributes.contains(&LinkAttribute::Controller(bridge));
            std::future::ready(is_port)
        });
        netlink("list interfaces", ports.try_collect()).await
    }

    /// Deletes a link by name; one already gone is no error.
    pub async fn delete_link(&self, name: &str) -> Result<()> {
        let Some(link) = self.link(name).await? else {
            return Ok(());
        };
        match self.handle.link().del(link.header.index).execute().await {
            Err(error) if errno(&error) == Some(code::ENODEV) => Ok(()),
            other => other.map_err(|source| failed(format!("delete interface {name}"), source)),
        }
    }

    /// All IPv4 addresses of this namespace with their interface's index.
    pub async fn addresses(&self) -> Result<Vec<(std::net::Ipv4Addr, u32)>> {
        use rtnetlink::packet_route::address::AddressAttribute;
        let mut found = Vec::new();
        let mut replies = self.handle.address().get().execute();
        while let Some(reply) = replies.next().await {
            let reply = reply.map_err(|source| failed("list addresses", source))?;
            for attribute in reply.attributes {
                if let AddressAttribute::Local(std::net::IpAddr::V4(ip)) = attribute {
                    found.push((ip, reply.header.index));
                }
            }
        }
        Ok(found)
    }
}

/// The errno values that are told apart here.
pub mod code {
    pub const ESRCH: i32 = nix::errno::Errno::ESRCH as i32;
    pub const EEXIST: i32 = nix::errno::Errno::EEXIST as i32;
    pub const ENODEV: i32 = nix::errno::Errno::ENODEV as i32;
    pub const EINVAL: i32 = nix::errno::Errno::EINVAL as i32;
}

/// Runs a netlink request, saying what it was for when it fails.
pub async fn netlink<T>(
    doing: impl Into<String>,
    request: impl Future<Output = Result<T, rtnetlink::Error>>,
) -> Result<T> {
    request.await.map_err(|source| failed(doing, source))
}

pub fn failed(doing: impl Into<String>, source: rtnetlink::Error) -> Error {
    let doing = doing.into();
    Error::Netlink { doing, source }
}

/// The positive errno the kernel answered with.
pub fn errno(error: &rtnetlink::Error) -> Option<i32> {
    match error {
        rtnetlink::Error::NetlinkError(ErrorMessage {
            code: Some(code), ..
        }) => Some(-code.get()),
        _ => None,
    }
}
