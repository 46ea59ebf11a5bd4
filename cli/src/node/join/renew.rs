//! A node's certificates are replaced before they end, by new requests.

use std::sync::Arc;

use jiff::Timestamp;
use pki::{Identity, Issued, WallClock, renewal};

use super::{Identities, Machine};
use crate::node::servers::Auth;

/// Renews both for as long as it is polled.
pub async fn keep(machine: &Machine, identities: &Identities) {
    let (client, serving) = (&identities.client, &identities.serving);
    tokio::join!(
        renewal::keep("the node's client certificate", client, &WallClock, || {
            machine.renew_client(client)
        }),
        renewal::keep(
            "the kubelet's serving certificate",
            serving,
            &WallClock,
            || { machine.new_serving(client) }
        ),
    );
}

impl Machine {
    /// By the certificate that is renewed, or by the key once that has ended (the
    /// machine slept, or no server was there).
    async fn renew_client(&self, own: &Arc<Identity>) -> anyhow::Result<Issued> {
        let auth = if own.validity().is_over(Timestamp::now()) {
            self.proof()?
        } else {
            Auth::Certificate(own.clone())
        };
        self.new_client(auth).await
    }
}
