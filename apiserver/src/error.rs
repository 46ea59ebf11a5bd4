//! What keeps the server from starting.

use std::net::SocketAddr;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Somebody else has the port; the operator stops them or picks another.
    #[error("port {} of {} is in use by another process: stop it (`ss -ltnp 'sport = :{}'` names it) or choose another port", address.port(), address.ip(), address.port())]
    PortInUse { address: SocketAddr },
    #[error("listen on {address}")]
    Listen {
        address: SocketAddr,
        source: std::io::Error,
    },
    #[error("read the {what} given to the API server")]
    Pem {
        what: &'static str,
        source: rustls::pki_types::pem::Error,
    },
    #[error("the {what} given to the API server holds no certificate")]
    NoCertificate { what: &'static str },
    #[error("use the {what} given to the API server")]
    Identity {
        what: &'static str,
        source: pki::Error,
    },
    #[error("set up TLS for the API server")]
    Tls { source: rustls::Error },
    #[error("use the client certificate authority given to the API server")]
    ClientAuthority {
        source: rustls::server::VerifierBuilderError,
    },
    #[error(
        "the service range {range} holds fewer than two addresses: give a larger one, as 10.96.0.0/12"
    )]
    ServiceRange { range: ipnet::IpNet },
    #[error("read the cluster's objects at start")]
    Load { source: store::Error },
    #[error("use the token webhook")]
    TokenWebhook {
        source: crate::webhook::kubeconfig::Error,
    },
    #[error("watch {} for changes", path.display())]
    WatchEncryption {
        path: std::path::PathBuf,
        source: std::io::Error,
    },
    #[error("use the authorization webhook")]
    AuthorizationWebhook {
        source: crate::webhook::kubeconfig::Error,
    },
    #[error("keep the audit log")]
    Audit { source: crate::audit::Error },
    #[error("use the admission configuration")]
    Admission {
        source: crate::admission::configuration::Error,
    },
    #[error("use the encryption configuration")]
    Encryption { source: encryption::Error },
    /// A built-in object could not be made; the message is the API's answer.
    #[error("create the built-in {what}: {message}")]
    Bootstrap { what: String, message: String },
}
