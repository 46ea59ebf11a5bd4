//! Certificate signing requests: nodes' own are approved, what is approved is
//! signed by the cluster's authority, and what is old is removed.

mod asked;
mod keys;
mod permission;
mod rules;
mod upkeep;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::Ipv4Net;
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::certificates::v1::{
    CertificateSigningRequest, CertificateSigningRequestCondition,
};
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::cluster::Cluster;
use crate::controller::{self, Controller, Next};
use crate::error::Error;
use crate::key::Key;
use crate::queue::Queue;
use crate::run::Config;
use asked::Asked;
use keys::Known;
use rules::{Refusal, Signer};

const WORKERS: usize = 2;
/// The annotation of a request that says why nobody but a person approves it.
const WAITS: &str = "skiff.dev/waits-for-approval";

struct SigningRequests {
    cluster: Cluster,
    authority: Arc<pki::Authority>,
    longest: Duration,
    /// The pods' addresses: of no node.
    pods: Ipv4Net,
}

pub fn start(
    config: &Config,
    cluster: &Cluster,
    tasks: &mut JoinSet<()>,
    shutdown: &CancellationToken,
) {
    let queue = Queue::new();
    controller::notice(&cluster.signing_requests, &queue);
    let controller = SigningRequests {
        cluster: cluster.clone(),
        authority: config.authority.clone(),
        longest: config.longest_certificate,
        pods: config.cluster_cidr,
    };
    keys::start(cluster, &queue, tasks, shutdown);
    controller::start(tasks, controller, queue, WORKERS, shutdown);
}

fn has(request: &CertificateSigningRequest, type_: &str) -> bool {
    let conditions = request
        .status
        .as_ref()
        .and_then(|s| s.conditions.as_deref());
    conditions
        .unwrap_or_default()
        .iter()
        .any(|c| c.type_ == type_)
}

fn is_issued(request: &CertificateSigningRequest) -> bool {
    let status = request.status.as_ref();
    status
        .and_then(|s| s.certificate.as_ref())
        .is_some_and(|c| !c.0.is_empty())
}

/// The node that would act with the certificate.
fn node_of(signer: Signer, asked: &Asked) -> Option<&str> {
    asked.node_name().filter(|_| signer == Signer::NodeClient)
}

impl Controller for SigningRequests {
    const NAME: &'static str = "csr";

    async fn informed(&self) {
        self.cluster.signing_requests.synced().await;
        self.cluster.nodes.synced().await;
        self.cluster.services.synced().await;
        self.cluster.endpoints.synced().await;
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let Some(request) = self.cluster.signing_requests.get(key) else {
            return Ok(Next::WhenChanged);
        };
        let request = self.decide(key, request).await?;
        let end = upkeep::end(&request);
        let now = Timestamp::now();
        if end <= now {
            self.remove(key).await?;
            return Ok(Next::WhenChanged);
        }
        let wait = Duration::try_from(end.duration_since(now)).unwrap_or_default();
        Ok(Next::After(wait))
    }
}

impl SigningRequests {
    /// Approves and signs the request, if both may be done.
    async fn decide(
        &self,
        key: &Key,
        request: Arc<CertificateSigningRequest>,
    ) -> Result<Arc<CertificateSigningRequest>, Error> {
        let is_done = is_issued(&request) || has(&request, "Denied") || has(&request, "Failed");
        let Some(signer) = Signer::of(&request.spec.signer_name).filter(|_| !is_done) else {
            return Ok(request);
        };
        let asked = Asked::read(&request.spec.request.0);
        let checked = asked.and_then(|asked| signer.check(&request.spec, &asked).map(|()| asked));
        if has(&request, "Approved") {
            return match checked {
                Ok(asked) => {
                    if let Some(node) = node_of(signer, &asked) {
                        keys::put(&self.cluster, node, &asked.public_key).await?;
                    }
                    self.sign(key, &request, &asked).await
                }
                Err(refusal) => self.fail(key, &request, &refusal).await,
            };
        }
        let Ok(asked) = checked else {
            return Ok(request);
        };
        let is_trusted = signer.is_trusted(&request.spec, &asked, |ip| {
            self.belongs_to_others(ip, &asked)
        });
        let permissions = signer.permissions(&request.spec, &asked);
        if !is_trusted && !permission::is_held(&self.cluster, key, &request, permissions).await? {
            return Ok(request);
        }
        if let Some(node) = node_of(signer, &asked)
            && let Some(why) = self.belongs_to_another(&request, &asked, node).await?
        {
            return self.tell(key, request, &why).await;
        }
        let request = self.approve(key, &request, signer).await?;
        self.sign(key, &request, &asked).await
    }

    /// Why a machine does not get the client certificate of `node`: another is
    /// known by the name. If not, the machine is, from now on.
    async fn belongs_to_another(
        &self,
        request: &CertificateSigningRequest,
        asked: &Asked,
        node: &str,
    ) -> Result<Option<String>, Error> {
        let public = asked.public_key.as_str();
        let mut known = keys::look(&self.cluster, node, public).await?;
        if known == Known::Nobody {
            let is_itself = request.spec.username.as_deref() == Some(&asked.common_name);
            known = if !is_itself && self.is_there(node).await? {
                Known::Another
            } else {
                keys::claim(&self.cluster, node, public).await?
            };
        }
        Ok((known != Known::Asker).then(|| {
            format!(
                "the cluster knows node {node:?} by another key than that of the machine that asks; \
                 if this machine takes its place: kubectl delete node {node}"
            )
        }))
    }

    /// Whether there is a Node of this name, by the API's word: the watch trails.
    async fn is_there(&self, node: &str) -> Result<bool, Error> {
        let nodes: Api<Node> = Api::all(self.cluster.client.clone());
        let found = nodes.get_opt(node).await;
        let found = found.map_err(Error::api("read", "Node", &Key::new("", node)))?;
        Ok(found.is_some())
    }

    /// Notes on the request why it waits for somebody's approval.
    async fn tell(
        &self,
        key: &Key,
        request: Arc<CertificateSigningRequest>,
        why: &str,
    ) -> Result<Arc<CertificateSigningRequest>, Error> {
        let known = request.metadata.annotations.as_ref();
        if known.and_then(|known| known.get(WAITS)).is_some() {
            return Ok(request);
        }
        let api: Api<CertificateSigningRequest> = Api::all(self.cluster.client.clone());
        let patch = Patch::Merge(json!({ "metadata": { "annotations": { WAITS: why } } }));
        let told = api.patch(&key.name, &PatchParams::default(), &patch).await;
        let told = told.map_err(Error::api("note on", "CertificateSigningRequest", key))?;
        self.cluster.signing_requests.note(told.clone());
        Ok(Arc::new(told))
    }

    /// Whether somebody else than the node that asks is known by this address.
    fn belongs_to_others(&self, ip: IpAddr, asked: &Asked) -> bool {
        let is_it = |text: &str| text.parse::<IpAddr>() == Ok(ip);
        let own = asked.node_name();
        let other_node = self.cluster.nodes.all().into_iter().any(|node| {
            node.metadata.name.as_deref() != own
                && node.status.addresses.iter().any(|a| is_it(&a.address))
        });
        let services = self.cluster.services.all();
        let service = services
            .iter()
            .any(|s| s.spec.cluster_ip.as_deref().is_some_and(is_it));
        let api_server = self
            .cluster
            .endpoints
            .get(&Key::new("default", "kubernetes"));
        let subsets = api_server.as_ref().and_then(|e| e.subsets.as_ref());
        let mut addresses = subsets
            .into_iter()
            .flatten()
            .flat_map(|s| s.addresses.iter().flatten());
        let is_a_pods = matches!(ip, IpAddr::V4(ip) if self.pods.contains(&ip));
        is_a_pods || other_node || service || addresses.any(|a| is_it(&a.ip))
    }

    async fn approve(
        &self,
        key: &Key,
        request: &CertificateSigningRequest,
        signer: Signer,
    ) -> Result<Arc<CertificateSigningRequest>, Error> {
        let conditions = with_condition(
            request,
            "Approved",
            "AutoApproved",
            signer.approval().to_owned(),
        );
        let patch = json!({
            "metadata": { "resourceVersion": request.metadata.resource_version },
            "status": { "conditions": conditions },
        });
        self.write("approval", key, patch).await
    }

    async fn sign(
        &self,
        key: &Key,
        request: &CertificateSigningRequest,
        asked: &Asked,
    ) -> Result<Arc<CertificateSigningRequest>, Error> {
        let wanted = request.spec.expiration_seconds;
        let wanted = wanted
            .and_then(|s| u64::try_from(s).ok())
            .map(Duration::from_secs);
        let lifetime = wanted.unwrap_or(self.longest).min(self.longest);
        let grant = Signer::grant(&request.spec, asked, lifetime);
        match self.authority.sign_csr(&asked.pem, &grant) {
            Ok(pem) => {
                let patch = json!({
                    "metadata": { "resourceVersion": request.metadata.resource_version },
                    "status": { "certificate": ByteString(pem.into_bytes()) },
                });
                self.write("status", key, patch).await
            }
            Err(error) => {
                let refusal = Refusal::Unusable(error.to_string());
                self.fail(key, request, &refusal).await
            }
        }
    }

    async fn fail(
        &self,
        key: &Key,
        request: &CertificateSigningRequest,
        refusal: &Refusal,
    ) -> Result<Arc<CertificateSigningRequest>, Error> {
        let conditions = with_condition(
            request,
            "Failed",
            "SignerValidationFailure",
            refusal.to_string(),
        );
        let patch = json!({
            "metadata": { "resourceVersion": request.metadata.resource_version },
            "status": { "conditions": conditions },
        });
        self.write("status", key, patch).await
    }

    async fn write(
        &self,
        part: &str,
        key: &Key,
        patch: serde_json::Value,
    ) -> Result<Arc<CertificateSigningRequest>, Error> {
        let api: Api<CertificateSigningRequest> = Api::all(self.cluster.client.clone());
        let patched = api
            .patch_subresource(
                part,
                &key.name,
                &PatchParams::default(),
                &Patch::Merge(patch),
            )
            .await
            .map_err(Error::api("decide", "CertificateSigningRequest", key))?;
        self.cluster.signing_requests.note(patched.clone());
        Ok(Arc::new(patched))
    }

    async fn remove(&self, key: &Key) -> Result<(), Error> {
        let api: Api<CertificateSigningRequest> = Api::all(self.cluster.client.clone());
        match api.delete(&key.name, &DeleteParams::default()).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            Err(source) => Err(Error::api("remove", "CertificateSigningRequest", key)(
                source,
            )),
        }
    }
}

fn with_condition(
    request: &CertificateSigningRequest,
    type_: &str,
    reason: &str,
    message: String,
) -> Vec<CertificateSigningRequestCondition> {
    let known = request.status.as_ref().and_then(|s| s.conditions.clone());
    let mut conditions = known.unwrap_or_default();
    let now = Time(Timestamp::now());
    conditions.push(CertificateSigningRequestCondition {
        type_: type_.to_owned(),
        status: "True".to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message),
        last_update_time: Some(now.clone()),
        last_transition_time: Some(now),
    });
    conditions
}
