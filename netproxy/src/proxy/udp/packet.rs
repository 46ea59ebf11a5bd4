//! Packets with the address they were sent to, which the answer must come
//! from: on a NodePort's socket any address of the node.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;

use nix::cmsg_space;
use nix::libc::{in_addr, in_pktinfo};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrIn, recvmsg, sendmsg,
};
use tokio::net::UdpSocket;

use super::Client;

/// No UDP packet is larger.
pub const LARGEST: usize = 65_536;

/// Receives one packet without waiting.
pub fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<(usize, Client)> {
    let mut control = cmsg_space!(in_pktinfo);
    let mut slices = [IoSliceMut::new(buffer)];
    let flags = MsgFlags::MSG_DONTWAIT;
    let fd = socket.as_raw_fd();
    let message = recvmsg::<SockaddrIn>(fd, &mut slices, Some(&mut control), flags)?;
    let asked = message.cmsgs()?.find_map(|control| match control {
        ControlMessageOwned::Ipv4PacketInfo(info) => Some(info.ipi_addr.s_addr),
        _ => None,
    });
    let (Some(from), Some(asked)) = (message.address, asked) else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    let asked = Ipv4Addr::from(asked.to_ne_bytes());
    Ok((
        message.bytes,
        Client {
            address: from.into(),
            asked,
        },
    ))
}

/// Sends to the client from the address it asked, without waiting.
pub fn answer(socket: &UdpSocket, client: Client, packet: &[u8]) -> io::Result<()> {
    let from = in_addr {
        s_addr: u32::from_ne_bytes(client.asked.octets()),
    };
    let info = in_pktinfo {
        ipi_ifindex: 0,
        ipi_spec_dst: from,
        ipi_addr: in_addr { s_addr: 0 },
    };
    let control = [ControlMessage::Ipv4PacketInfo(&info)];
    let to = SockaddrIn::from(client.address);
    let slices = [IoSlice::new(packet)];
    let flags = MsgFlags::MSG_DONTWAIT;
    sendmsg(socket.as_raw_fd(), &slices, &control, flags, Some(&to))?;
    Ok(())
}
