//! What an error of etcd means for the request that met it.

use std::error::Error as _;

use etcd_client::Error as Client;
use tonic::{Code, ConnectError, Status};

/// What is known of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It never left this machine, or a server said it did nothing with it
    /// because of its own state: another server may.
    NotDone,
    /// etcd did nothing with it, and no server would.
    Refused(Refusal),
    /// It may have been done, or may be done later.
    Unknown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    Compacted,
    Future,
    TooLarge,
    Other,
}

#[derive(Debug)]
pub struct Failure {
    pub fate: Fate,
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

impl Failure {
    pub fn unknown(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self {
            fate: Fate::Unknown,
            source: source.into(),
        }
    }

    /// An answer that this client refused to take in because of its size.
    pub fn is_answer_too_large(&self) -> bool {
        let client = self.source.downcast_ref::<Client>();
        matches!(client, Some(Client::GRpcStatus(status))
            if status.code() == Code::OutOfRange && status.message().contains("message length too large"))
    }
}

impl From<Client> for Failure {
    fn from(error: Client) -> Self {
        let fate = match &error {
            Client::GRpcStatus(status) => fate_of(status),
            Client::InvalidArgs(_) | Client::InvalidUri(_) => Fate::Refused(Refusal::Other),
            _ => Fate::Unknown,
        };
        Self {
            fate,
            source: Box::new(error),
        }
    }
}

/// Only what is known to be said before a request is proposed counts as not
/// done; everything else is doubt.
fn fate_of(status: &Status) -> Fate {
    if was_not_sent(status) {
        return Fate::NotDone;
    }
    let message = status.message();
    if let Some(said) = message.strip_prefix("etcdserver: ") {
        return fate_of_etcds(status.code(), said);
    }
    if message.starts_with("grpc: received message larger than max") {
        return Fate::Refused(Refusal::TooLarge);
    }
    match status.code() {
        Code::Unimplemented | Code::PermissionDenied | Code::Unauthenticated => {
            Fate::Refused(Refusal::Other)
        }
        _ => Fate::Unknown,
    }
}

/// The texts are those of etcd's `rpctypes`.
fn fate_of_etcds(code: Code, said: &str) -> Fate {
    match (code, said) {
        (_, "no leader" | "too many requests") => Fate::NotDone,
        (_, "mvcc: required revision has been compacted") => Fate::Refused(Refusal::Compacted),
        (_, "mvcc: required revision is a future revision") => Fate::Refused(Refusal::Future),
        (_, "request is too large") => Fate::Refused(Refusal::TooLarge),
        (
            Code::InvalidArgument
            | Code::FailedPrecondition
            | Code::OutOfRange
            | Code::ResourceExhausted
            | Code::PermissionDenied
            | Code::Unauthenticated
            | Code::Unimplemented,
            _,
        ) => Fate::Refused(Refusal::Other),
        _ => Fate::Unknown,
    }
}

fn was_not_sent(status: &Status) -> bool {
    let mut source = status.source();
    while let Some(error) = source {
        if error.is::<ConnectError>() {
            return true;
        }
        source = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fate(code: Code, message: &str) -> Fate {
        Failure::from(Client::GRpcStatus(Status::new(code, message))).fate
    }

    #[test]
    fn a_timeout_and_a_broken_connection_leave_a_write_in_doubt() {
        let timed_out = "etcdserver: request timed out, possibly due to previous leader failure";
        assert_eq!(fate(Code::Unavailable, timed_out), Fate::Unknown);
        assert_eq!(fate(Code::Unavailable, "transport error"), Fate::Unknown);
        // Ours, after etcd answered.
        let large = "Error, decoded message length too large: found 9 bytes, the limit is: 4 bytes";
        assert_eq!(fate(Code::OutOfRange, large), Fate::Unknown);
    }

    #[test]
    fn what_etcd_refuses_was_not_done() {
        let full = "etcdserver: mvcc: database space exceeded";
        assert_eq!(
            fate(Code::ResourceExhausted, full),
            Fate::Refused(Refusal::Other)
        );
        let compacted = "etcdserver: mvcc: required revision has been compacted";
        assert_eq!(
            fate(Code::OutOfRange, compacted),
            Fate::Refused(Refusal::Compacted)
        );
        assert_eq!(
            fate(Code::Unavailable, "etcdserver: no leader"),
            Fate::NotDone
        );
    }

    #[tokio::test]
    async fn a_request_that_met_no_server_was_not_done() {
        // A port nobody listens on: one that was free a moment ago.
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let endpoint = format!("http://127.0.0.1:{port}");
        let mut client = etcd_client::Client::connect([endpoint], None)
            .await
            .unwrap();
        let error = client.get("k", None).await.unwrap_err();
        assert_eq!(Failure::from(error).fate, Fate::NotDone);
    }
}
