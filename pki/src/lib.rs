//! Who is who in a cluster: the certificate authority, the certificates it
//! issues, the key that signs service-account tokens, and kubeconfig files.
//!
//! Every private key is written 0600 by way of a temporary file and a rename,
//! so that a crash leaves either the old file or the new one. Nothing here
//! talks to the network or knows an API object.

mod authority;
mod changes;
mod clock;
mod error;
mod identity;
pub mod join;
pub mod kept;
pub mod kubeconfig;
pub mod node_key;
pub mod private_file;
pub mod renewal;
mod subject;
pub mod tls;
mod token;
mod validity;

pub use authority::{Authority, Issued, Request, Usage, fingerprint, make_csr};
pub use changes::Changes;
pub use clock::{Clock, WallClock};
pub use error::Error;
pub use identity::Identity;
pub use kept::{common_name, covers, load_or_issue};
pub use node_key::NodeKey;
pub use token::{BoundObject, Claims, KubernetesClaims, LegacyClaims, PublicKey, TokenKey};
pub use validity::Validity;
