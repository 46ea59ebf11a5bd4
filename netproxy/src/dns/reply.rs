//! Replies as bytes, of a size the asker takes.

use hickory_proto::op::{Edns, Message, OpCode, ResponseCode};

/// A packet that need not be split on the way; what DNS operators agreed on.
const MAX_UDP: u16 = 1232;

const HEADER_LEN: usize = 12;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    Udp,
    Tcp,
}

impl Transport {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
        }
    }
}

/// An empty reply to the question.
pub fn begin(question: &Message) -> Message {
    let mut reply = Message::response(question.metadata.id, question.metadata.op_code);
    reply.metadata.recursion_desired = question.metadata.recursion_desired;
    reply.metadata.checking_disabled = question.metadata.checking_disabled;
    reply.metadata.recursion_available = true;
    reply.add_queries(question.queries.iter().cloned());
    if question.edns.is_some() {
        let mut edns = Edns::new();
        edns.set_max_payload(MAX_UDP);
        reply.set_edns(edns);
    }
    reply
}

/// The reply's bytes; over UDP answers that do not fit are left out, and the
/// asker is told to ask by TCP.
pub fn encode(mut reply: Message, question: &Message, transport: Transport) -> Vec<u8> {
    let limit = match transport {
        Transport::Udp => usize::from(question.max_payload().min(MAX_UDP)),
        Transport::Tcp => usize::from(u16::MAX),
    };
    loop {
        let encoded = reply.to_vec().unwrap_or_default();
        if !encoded.is_empty() && encoded.len() <= limit {
            return encoded;
        }
        // Addresses of targets are a courtesy; answers are not.
        if !reply.additionals.is_empty() {
            reply.additionals.clear();
            continue;
        }
        if reply.answers.is_empty() && reply.authorities.is_empty() {
            return encoded;
        }
        reply.metadata.truncation = true;
        reply.authorities.clear();
        reply.answers.truncate(reply.answers.len() / 2);
    }
}

/// The reply to what could not be read, if at least an id could.
pub fn format_error(packet: &[u8]) -> Option<Vec<u8>> {
    error(packet, ResponseCode::FormErr)
}

/// The reply where no resolver answered.
pub fn server_failure(packet: &[u8]) -> Option<Vec<u8>> {
    let Ok(question) = Message::from_vec(packet) else {
        return error(packet, ResponseCode::ServFail);
    };
    let mut reply = begin(&question);
    reply.metadata.response_code = ResponseCode::ServFail;
    reply.to_vec().ok()
}

fn error(packet: &[u8], code: ResponseCode) -> Option<Vec<u8>> {
    let header: &[u8; HEADER_LEN] = packet.first_chunk()?;
    let is_response = header[2] & 0x80 != 0;
    if is_response {
        return None;
    }
    let id = u16::from_be_bytes([header[0], header[1]]);
    Message::error_msg(id, OpCode::Query, code).to_vec().ok()
}
