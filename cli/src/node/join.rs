//! How a machine becomes a node of a cluster it knows only a token of, and stays
//! one.
//!
//! The token pins the cluster's authority: what a server says of it before it can
//! be trusted is believed only if its key has the token's fingerprint
//! ([`authority`]). Then the token's other half asks for a client certificate of
//! the node's own key, and that for a serving one; both keys are made here and
//! never leave the machine. The token is not needed again: certificates renew
//! each other ([`renew`]), and when they have ended the node proves by its key
//! that it is the one that joined.

pub mod authority;
pub mod renew;
mod request;

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use jiff::Timestamp;
use kube::Client;
use pki::join::JoinToken;
use pki::{Identity, Issued, NodeKey, Validity, kept, private_file};

use super::servers::{Auth, Servers};
use crate::identities::{node_client, node_serving};
use crate::instance::Instance;

const CLIENT: &str = "kubelet-client";
const SERVING: &str = "kubelet";
const AUTHORITY: &str = "ca.crt";
const PAUSE: Duration = Duration::from_secs(2);

/// A machine and the cluster it is, or becomes, a node of.
pub struct Machine {
    pub node: String,
    pub ip: Ipv4Addr,
    pub servers: Arc<Servers>,
    pub token: Option<JoinToken>,
    dir: PathBuf,
    key: NodeKey,
    ca_pem: String,
    /// It has been a node of the cluster: it need not be told a token.
    is_known: bool,
}

/// A node's identities while they are in use.
#[derive(Clone)]
pub struct Identities {
    pub ca_pem: String,
    /// As which it talks to the API server.
    pub client: Arc<Identity>,
    /// With which it serves the kubelet API.
    pub serving: Arc<Identity>,
}

impl Machine {
    /// What is known of this machine's cluster, or else found out by the token.
    pub async fn open(
        instance: &Instance,
        servers: Arc<Servers>,
        token: Option<JoinToken>,
        (node, ip): (String, Ipv4Addr),
    ) -> anyhow::Result<Self> {
        let dir = instance.pki_dir();
        private_file::make_dir(&dir)?;
        let known = private_file::read(&dir.join(AUTHORITY))?;
        let is_known = known.is_some();
        let ca_pem = match (known, &token) {
            (Some(ca_pem), Some(token)) => {
                check_cluster(&ca_pem, token)?;
                ca_pem
            }
            (Some(ca_pem), None) => ca_pem,
            (None, Some(token)) => authority::trusted(servers.told(), token).await?,
            (None, None) => bail!(
                "this machine has not joined a cluster yet: give --token, made on the server by `skiff token create`"
            ),
        };
        let key = NodeKey::load_or_create(&dir.join(format!("{CLIENT}.key")))?;
        Ok(Self {
            node,
            ip,
            servers,
            token,
            dir,
            key,
            ca_pem,
            is_known,
        })
    }

    /// The node's identities: those at hand as long as they are good, or new ones.
    pub async fn identities(&self) -> anyhow::Result<Identities> {
        let client = match self.kept_client()? {
            Some(kept) => kept,
            None => self.first_client().await?,
        };
        let client = Identity::new(&client)?;
        let serving = match self.kept_serving()? {
            Some(kept) => kept,
            None => self.patiently(|| self.new_serving(&client)).await?,
        };
        // Last: it says that the machine has joined.
        private_file::write_public(&self.dir.join(AUTHORITY), self.ca_pem.as_bytes())?;
        Ok(Identities {
            ca_pem: self.ca_pem.clone(),
            serving: Identity::new(&serving)?,
            client,
        })
    }

    /// A client of the cluster as the node.
    pub fn client(&self, identities: &Identities) -> anyhow::Result<Client> {
        let auth = Auth::Certificate(identities.client.clone());
        self.servers.client(&self.ca_pem, auth)
    }

    /// By what the machine has to show: its key, if the cluster may know that, and
    /// the token.
    async fn first_client(&self) -> anyhow::Result<Issued> {
        let mut refused = None;
        if self.is_known {
            let proved = self.patiently(|| async { self.new_client(self.proof()?).await });
            match proved.await {
                Err(error) if is_refusal(&error) => refused = Some(error),
                other => return other,
            }
        }
        match (&self.token, refused) {
            (Some(token), _) => self.new_client(Auth::Bearer(token.bearer())).await.context(
                "ask for a certificate by the token; it may have expired (make one with `skiff token create`)",
            ),
            (None, Some(refused)) => Err(refused.context(
                "this node's certificate has ended and the cluster does not know its key (any more): \
                 give a new --token, made on the server by `skiff token create`",
            )),
            (None, None) => bail!("give --token, made on the server by `skiff token create`"),
        }
    }

    /// Tries again while no server answers, once the machine is a node: servers
    /// may come later than nodes after a power failure.
    async fn patiently<F>(&self, ask: impl Fn() -> F) -> anyhow::Result<Issued>
    where
        F: Future<Output = anyhow::Result<Issued>>,
    {
        let mut is_told = false;
        loop {
            let answer = ask().await;
            match answer {
                Err(error) if self.is_known && !is_answer(&error) => {
                    if !is_told {
                        tracing::warn!(
                            "renew this node's certificates, again and again: {error:#}"
                        );
                    }
                    is_told = true;
                    tokio::time::sleep(PAUSE).await;
                }
                other => return other,
            }
        }
    }

    async fn new_client(&self, auth: Auth) -> anyhow::Result<Issued> {
        let client = self.servers.client(&self.ca_pem, auth)?;
        let csr = self.key.csr(&node_client(&self.node))?;
        let cert_pem = request::certificate(&client, request::CLIENT_SIGNER, &csr).await?;
        let issued = Issued {
            cert_pem,
            key_pem: self.key.pem().to_owned(),
        };
        kept::keep(&self.dir, CLIENT, &issued)?;
        Ok(issued)
    }

    async fn new_serving(&self, own: &Arc<Identity>) -> anyhow::Result<Issued> {
        let auth = Auth::Certificate(own.clone());
        let client = self.servers.client(&self.ca_pem, auth)?;
        let (csr, key_pem) = pki::make_csr(&node_serving(&self.node, self.ip))?;
        let cert_pem = request::certificate(&client, request::SERVING_SIGNER, &csr).await?;
        let issued = Issued { cert_pem, key_pem };
        kept::keep(&self.dir, SERVING, &issued)?;
        Ok(issued)
    }

    fn proof(&self) -> anyhow::Result<Auth> {
        let cluster = pki::fingerprint(&self.ca_pem)?;
        Ok(Auth::Bearer(self.key.proof(&self.node, &cluster)?))
    }

    /// None when there is none that is good, of this key and for this node.
    fn kept_client(&self) -> anyhow::Result<Option<Issued>> {
        let cert = private_file::read(&self.dir.join(format!("{CLIENT}.crt")))?;
        let name = format!("system:node:{}", self.node);
        Ok(cert
            .filter(|cert| is_good(cert) && pki::common_name(cert).as_deref() == Some(&name))
            .map(|cert_pem| Issued {
                cert_pem,
                key_pem: self.key.pem().to_owned(),
            })
            .filter(|issued| Identity::new(issued).is_ok()))
    }

    fn kept_serving(&self) -> anyhow::Result<Option<Issued>> {
        let read = |extension| private_file::read(&self.dir.join(format!("{SERVING}.{extension}")));
        let (Some(cert_pem), Some(key_pem)) = (read("crt")?, read("key")?) else {
            return Ok(None);
        };
        let issued = Issued { cert_pem, key_pem };
        let wanted = node_serving(&self.node, self.ip);
        let is_usable = is_good(&issued.cert_pem)
            && pki::covers(&issued.cert_pem, &wanted)
            && Identity::new(&issued).is_ok();
        Ok(is_usable.then_some(issued))
    }
}

fn is_good(cert_pem: &str) -> bool {
    Validity::of(cert_pem).is_ok_and(|validity| !validity.is_over(Timestamp::now()))
}

fn check_cluster(ca_pem: &str, token: &JoinToken) -> anyhow::Result<()> {
    let known = pki::fingerprint(ca_pem)?;
    ensure!(
        known == token.ca_fingerprint,
        "this machine is a node of another cluster than the one that the token is for \
         (its authority has {known}, the token {}): remove it from that one first, with `skiff reset`",
        token.ca_fingerprint
    );
    Ok(())
}

/// The server's own words, if it was a server's answer that ended it.
fn status(error: &anyhow::Error) -> Option<u16> {
    error.chain().find_map(|cause| match cause.downcast_ref() {
        Some(kube::Error::Api(status)) => Some(status.code),
        _ => None,
    })
}

/// The server knows no such user.
fn is_refusal(error: &anyhow::Error) -> bool {
    status(error) == Some(401)
}

fn is_answer(error: &anyhow::Error) -> bool {
    status(error).is_some_and(|code| code < 500)
}
