//! Who is who in a cluster: the certificate authority, the certificates it
//! issues, the key that signs service-account tokens, and kubeconfig files.
//!
//! Every private key is written 0600 by way of a temporary file and a rename,
//! so that a crash leaves either the old file or the new one. Nothing here
//! talks to the network or knows an API object.

mod authority;
mod changes;
mod error;
mod identity;
pub mod join;
pub mod kubeconfig;
pub mod private_file;
pub mod tls;
mod token;

pub use authority::{Authority, Issued, Request, Usage, fingerprint, make_csr};
pub use changes::Changes;
pub use error::Error;
pub use identity::load_or_issue;
pub use token::{BoundObject, Claims, KubernetesClaims, LegacyClaims, PublicKey, TokenKey};
