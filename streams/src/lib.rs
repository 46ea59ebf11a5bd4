//! The streams of `exec`, `attach` and `port-forward`: both protocols that
//! Kubernetes clients speak, from the server's and from the client's side.
//!
//! [`negotiate`] reads an upgrade request and picks a [`Protocol`];
//! [`Protocol::response`] answers it; [`exec::serve`] and
//! [`port_forward::serve`] then run the streams over the upgraded connection,
//! whichever protocol it is. Every buffer is bounded: a reader that stops
//! reading stops its writer, and a frame over the limit ends the connection.
//!
//! This crate starts no process and dials no port: what flows through the
//! streams is the caller's.

pub mod exec;
mod negotiate;
mod pipe;
pub mod port_forward;
mod spdy;
mod websocket;

pub use negotiate::{Protocol, Purpose, Refusal, negotiate};
pub use pipe::{Duplex, Reader, Writer};

/// The connection ended, or the peer broke the protocol.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The peer closed the connection before it had opened what it asked for.
    #[error("the peer went away")]
    Gone,
    /// The peer asked for streams and did not open them in time.
    #[error("timed out waiting for client to create streams")]
    StreamsNotCreated,
    #[error("read or write the connection")]
    Io(#[from] std::io::Error),
    /// The peer sent what the protocol does not allow.
    #[error("{0}")]
    Protocol(&'static str),
}
