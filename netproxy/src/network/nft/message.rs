//! Netlink messages of the nf_tables subsystem: attributes, batches, replies.

use std::io;

use rtnetlink::sys::protocols::NETLINK_NETFILTER;
use rtnetlink::sys::{Socket, SocketAddr};

const HEADER_LEN: usize = 16;
const FAMILY_LEN: usize = 4;
const ATTRIBUTE_HEADER_LEN: usize = 4;

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
const SUBSYSTEM_NFTABLES: u16 = 10;

const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_ACK: u16 = 0x4;
const NLM_F_DUMP: u16 = 0x300;
const NLM_F_CREATE: u16 = 0x400;
const NLM_F_APPEND: u16 = 0x800;

const NLA_F_NESTED: u16 = 0x8000;
const NLA_TYPE_MASK: u16 = 0x3fff;

const FAMILY_IPV4: u8 = 2;

/// The nf_tables commands used here (`enum nf_tables_msg_types`).
#[derive(Clone, Copy)]
pub enum Command {
    NewTable = 0,
    DeleteTable = 2,
    NewChain = 3,
    GetChain = 4,
    NewRule = 6,
}

/// What a command may do beside what it is.
#[derive(Clone, Copy)]
pub enum Flags {
    None,
    Create,
    Append,
}

/// A run of netlink attributes.
#[derive(Clone, Default)]
pub struct Attributes(Vec<u8>);

impl Attributes {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn bytes(mut self, kind: u16, value: &[u8]) -> Self {
        let length = u16::try_from(ATTRIBUTE_HEADER_LEN + value.len())
            .expect("our rules are far below 64 KiB");
        self.0.extend(length.to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        self.0.resize(align(self.0.len()), 0);
        self
    }

    /// nf_tables takes its numbers in network byte order.
    pub fn number(self, kind: u16, value: u32) -> Self {
        self.bytes(kind, &value.to_be_bytes())
    }

    pub fn text(self, kind: u16, value: &str) -> Self {
        self.bytes(kind, &[value.as_bytes(), b"\0"].concat())
    }

    #[cfg(test)]
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    pub fn nested(self, kind: u16, value: &Self) -> Self {
        self.bytes(kind | NLA_F_NESTED, &value.0)
    }
}

/// Commands that the kernel carries out together or not at all.
pub struct Batch {
    bytes: Vec<u8>,
    commands: u32,
}

impl Batch {
    pub fn new() -> Self {
        let mut batch = Self {
            bytes: Vec::new(),
            commands: 0,
        };
        batch.boundary(BATCH_BEGIN);
        batch
    }

    pub fn push(&mut self, command: Command, flags: Flags, attributes: &Attributes) {
        self.commands += 1;
        let flags = match flags {
            Flags::None => 0,
            Flags::Create => NLM_F_CREATE,
            Flags::Append => NLM_F_CREATE | NLM_F_APPEND,
        };
        let kind = message_type(command);
        let family = [FAMILY_IPV4, 0, 0, 0];
        let flags = flags | NLM_F_REQUEST | NLM_F_ACK;
        append(
            &mut self.bytes,
            kind,
            flags,
            self.commands,
            family,
            &attributes.0,
        );
    }

    /// Sends the batch; the first refusal is the error.
    pub fn commit(mut self) -> io::Result<()> {
        self.boundary(BATCH_END);
        let socket = send(&self.bytes)?;
        let mut acknowledged = 0;
        while acknowledged < self.commands {
            let (replies, _) = socket.recv_from_full()?;
            for (kind, payload) in messages(&replies) {
                if kind == NLMSG_ERROR {
                    refusal(payload)?;
                    acknowledged += 1;
                }
            }
        }
        Ok(())
    }

    fn boundary(&mut self, kind: u16) {
        let [high, low] = SUBSYSTEM_NFTABLES.to_be_bytes();
        append(
            &mut self.bytes,
            kind,
            NLM_F_REQUEST,
            0,
            [0, 0, high, low],
            &[],
        );
    }
}

/// The attributes of every object that `command` lists, in all families.
pub fn dump(command: Command) -> io::Result<Vec<Vec<u8>>> {
    let mut request = Vec::new();
    let flags = NLM_F_REQUEST | NLM_F_DUMP;
    append(
        &mut request,
        message_type(command),
        flags,
        1,
        [0; FAMILY_LEN],
        &[],
    );
    let socket = send(&request)?;
    let mut found = Vec::new();
    loop {
        let (replies, _) = socket.recv_from_full()?;
        for (kind, payload) in messages(&replies) {
            match kind {
                NLMSG_DONE => return Ok(found),
                NLMSG_ERROR => refusal(payload)?,
                _ => found.push(payload.get(FAMILY_LEN..).unwrap_or_default().to_vec()),
            }
        }
    }
}

/// The value of the first attribute of that kind.
pub fn attribute(mut attributes: &[u8], wanted: u16) -> Option<&[u8]> {
    while let Some((&[l0, l1, k0, k1], _)) = attributes.split_first_chunk() {
        let length = usize::from(u16::from_ne_bytes([l0, l1]));
        let value = attributes.get(ATTRIBUTE_HEADER_LEN..length)?;
        if u16::from_ne_bytes([k0, k1]) & NLA_TYPE_MASK == wanted {
            return Some(value);
        }
        attributes = attributes.get(align(length)..)?;
    }
    None
}

/// The value of the first attribute of that kind, as a number.
pub fn number(attributes: &[u8], wanted: u16) -> Option<u32> {
    let value = attribute(attributes, wanted)?;
    Some(u32::from_be_bytes(value.try_into().ok()?))
}

fn message_type(command: Command) -> u16 {
    (SUBSYSTEM_NFTABLES << 8) | command as u16
}

fn append(
    to: &mut Vec<u8>,
    kind: u16,
    flags: u16,
    sequence: u32,
    family: [u8; FAMILY_LEN],
    attributes: &[u8],
) {
    let length = u32::try_from(HEADER_LEN + FAMILY_LEN + attributes.len())
        .expect("our rules are far below 4 GiB");
    to.extend(length.to_ne_bytes());
    to.extend(kind.to_ne_bytes());
    to.extend(flags.to_ne_bytes());
    to.extend(sequence.to_ne_bytes());
    to.extend([0; 4]);
    to.extend(family);
    to.extend(attributes);
}

/// The kernel handles a request while it is sent, so its answers are there
/// when this returns, and reading further than they go is an error, not a hang.
fn send(request: &[u8]) -> io::Result<Socket> {
    let mut socket = Socket::new(NETLINK_NETFILTER)?;
    socket.bind_auto()?;
    socket.set_non_blocking(true)?;
    socket.send_to(request, &SocketAddr::new(0, 0), 0)?;
    Ok(socket)
}

fn messages(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_ne_bytes(*length)).ok()?;
        let kind = u16::from_ne_bytes(*rest.first_chunk::<2>()?);
        let payload = bytes.get(HEADER_LEN..length)?;
        bytes = bytes.get(align(length)..).unwrap_or_default();
        Some((kind, payload))
    })
}

fn refusal(payload: &[u8]) -> io::Result<()> {
    match payload
        .first_chunk::<4>()
        .map(|code| i32::from_ne_bytes(*code))
    {
        Some(0) => Ok(()),
        Some(code) => Err(io::Error::from_raw_os_error(-code)),
        None => Err(io::ErrorKind::InvalidData.into()),
    }
}

const fn align(length: usize) -> usize {
    length.next_multiple_of(4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attribute_is_found_behind_one_of_odd_length() {
        let attributes = Attributes::new().text(3, "ab").number(5, 7).0;
        assert_eq!(number(&attributes, 5), Some(7));
        assert_eq!(attribute(&attributes, 3), Some(&b"ab\0"[..]));
        assert_eq!(attribute(&attributes, 4), None);
    }

    #[test]
    fn attribute_that_claims_more_than_is_there_is_not_read() {
        let mut attributes = Attributes::new().number(5, 7).0;
        attributes[0] = 200;
        assert_eq!(attribute(&attributes, 5), None);
    }

    #[test]
    fn message_of_length_zero_ends_the_reading() {
        assert_eq!(messages(&[0; 64]).count(), 0);
    }
}
