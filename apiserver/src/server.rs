//! The running server: what it is made of, and how it ends.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;

use ipnet::IpNet;
use store::Store;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::access::Access;
use crate::admission::{Admission, configuration, quota};
use crate::aggregation::{self, Aggregation};
use crate::api::Api;
use crate::audit::Auditor;
use crate::authn::{Authenticator, StaticToken, node_key, service_account};
use crate::authz::Authorizer;
use crate::authz::webhook::Asker;
use crate::bounds::Bounds;
use crate::discovery::Discovery;
use crate::inprocess::InProcess;
use crate::masters::Masters;
use crate::metrics::Metrics;
use crate::mirror::Source;
use crate::openapi::OpenApi;
use crate::proxy::Kubelets;
use crate::resources::Resources;
use crate::service_range::Services;
use crate::user::User;
use crate::{
    Error, bootstrap, connection, custom, events, sealed, service_range, tls, traced, webhook,
};

/// A certificate and its key, in PEM.
#[derive(Clone)]
pub struct KeyPair {
    pub cert_pem: String,
    pub key_pem: String,
}

impl From<pki::Issued> for KeyPair {
    fn from(issued: pki::Issued) -> Self {
        let pki::Issued { cert_pem, key_pem } = issued;
        Self { cert_pem, key_pem }
    }
}

impl KeyPair {
    fn identity(self, what: &'static str) -> Result<Arc<pki::Identity>, Error> {
        let Self { cert_pem, key_pem } = self;
        pki::Identity::new(&pki::Issued { cert_pem, key_pem })
            .map_err(|source| Error::Identity { what, source })
    }
}

/// The certificates that a running server shows; each may be replaced.
#[derive(Clone)]
pub struct Certificates {
    pub serving: Arc<pki::Identity>,
    /// To kubelets.
    pub kubelet_client: Option<Arc<pki::Identity>>,
    /// To extension API servers.
    pub front_proxy: Option<Arc<pki::Identity>>,
}

impl Certificates {
    fn of(config: &Config) -> Result<Self, Error> {
        let kubelet = config.kubelet.as_ref().map(|k| k.client.clone());
        let proxy = config.access.aggregator.as_ref().map(|a| a.client.clone());
        let read = |pair: KeyPair, what| pair.identity(what);
        Ok(Self {
            serving: read(config.serving.clone(), "serving certificate")?,
            kubelet_client: kubelet
                .map(|pair| read(pair, "kubelet client certificate"))
                .transpose()?,
            front_proxy: proxy
                .map(|pair| read(pair, "front proxy certificate"))
                .transpose()?,
        })
    }
}

/// How kubelets are reached.
#[derive(Clone)]
pub struct KubeletAccess {
    /// What the API server shows to kubelets.
    pub client: KeyPair,
    /// Who signed the kubelets' certificates.
    pub ca_pem: String,
}

pub struct Config {
    /// Port 0 takes a free one.
    pub listen: SocketAddr,
    pub serving: KeyPair,
    /// Client certificates of this authority are taken for what they say.
    pub client_ca_pem: String,
    pub kubelet: Option<KubeletAccess>,
    pub token_key: Arc<pki::TokenKey>,
    /// The `iss` of service-account tokens, and their audience.
    pub issuer: String,
    pub store: Arc<dyn Store>,
    pub service_range: IpNet,
    pub node_ports: RangeInclusive<u16>,
    /// Tokens known beforehand, as the administrator's.
    pub tokens: Vec<StaticToken>,
    /// Where the cluster reaches this server: the endpoints of Service
    /// `kubernetes`. None takes the listening address.
    pub advertise: Option<SocketAddr>,
    /// Who else is believed, and what is noted.
    pub access: Access,
}

impl Config {
    pub const ISSUER: &str = "https://kubernetes.default.svc";
    pub const NODE_PORTS: RangeInclusive<u16> = 30000..=32767;
}

/// A server that answers requests. Dropping it without `stop` leaves its
/// connections to end by themselves.
pub struct Server {
    api: Arc<Api>,
    address: SocketAddr,
    certificates: Certificates,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Server {
    /// Binds, loads what it keeps in memory, creates what every cluster has,
    /// then answers.
    pub async fn start(mut config: Config) -> Result<Self, Error> {
        let listener = connection::bind(config.listen).await?;
        let listen = config.listen;
        let address = listener.local_addr().map_err(|source| Error::Listen {
            address: listen,
            source,
        })?;
        let proxy_ca = config.access.front_proxy.as_ref().map(|p| &*p.ca_pem);
        let certificates = Certificates::of(&config)?;
        let serving = certificates.serving.clone();
        let tls = tls::server(serving, &config.client_ca_pem, proxy_ca)?;
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let reload = sealed::Reload {
            stop: &stop,
            tasks: &tasks,
        };
        config.store = sealed::layer(config.store, &config.access, reload).await?;
        config.store = traced::layer(config.store);
        let advertise = config.advertise.unwrap_or(address);
        let advertise = SocketAddr::new(
            advertise.ip(),
            if advertise.port() == 0 {
                address.port()
            } else {
                advertise.port()
            },
        );
        let source = Source {
            store: config.store.clone(),
            tasks: tasks.clone(),
            stop: stop.clone(),
        };
        let client_ca = config.client_ca_pem.clone();
        let aggregator = config.access.aggregator.clone();
        let api = Arc::new(build(config, &certificates, &source, (address, advertise)).await?);
        tasks.spawn(service_range::repair::run(api.clone(), stop.clone()));
        bootstrap::run(&api, advertise).await?;
        if let Some(masters) = Masters::announce(&api, advertise).await? {
            tasks.spawn(masters.keep(stop.clone()));
        }
        aggregation::publish(&api, &client_ca, aggregator.as_ref()).await?;
        let defined = custom::start(&api, &tasks).await;
        defined.map_err(|source| Error::Load { source })?;
        tasks.spawn(quota::status::run(api.clone(), stop.clone()));
        tasks.spawn(aggregation::local::run(api.clone(), stop.clone()));
        tasks.spawn(aggregation::availability::run(api.clone(), stop.clone()));
        tasks.spawn(events::expire(api.store.clone(), stop.clone()));
        tasks.spawn(crate::storage::compact(api.store.clone(), stop.clone()));
        tasks.spawn(connection::serve(listener, tls, api.clone(), stop.clone()));
        Ok(Self {
            api,
            address,
            certificates,
            stop,
            tasks,
        })
    }

    /// What the server shows to others, to be renewed while it runs.
    pub fn certificates(&self) -> &Certificates {
        &self.certificates
    }

    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// A client in this process that may do everything.
    pub fn client(&self) -> kube::Client {
        self.client_as(User::admin("system:admin"))
    }

    /// A client in this process that is `user`.
    pub fn client_as(&self, user: User) -> kube::Client {
        InProcess::new(self.api.clone(), user, None).client()
    }

    /// Makes clients that are `user` while it holds an office: of each what is
    /// written is refused once another server holds that.
    pub fn clients_within(
        &self,
        user: User,
    ) -> impl Fn(Option<store::Fence>) -> kube::Client + Send + Sync + 'static {
        let api = self.api.clone();
        move |fence| InProcess::new(api.clone(), user.clone(), fence).client()
    }

    /// Takes no more connections, ends watches, lets other requests finish.
    pub async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        if let Some(auditor) = self.api.auditor.clone() {
            let _ = tokio::task::spawn_blocking(move || auditor.flush()).await;
        }
    }
}

async fn build(
    config: Config,
    certificates: &Certificates,
    source: &Source,
    (address, advertise): (SocketAddr, SocketAddr),
) -> Result<Api, Error> {
    let load = |source| Error::Load { source };
    let store = config.store;
    let services = Services::load(config.service_range, config.node_ports, source).await?;
    let access = config.access;
    let verifier = service_account::Verifier::new(
        config.token_key,
        store.clone(),
        &config.issuer,
        access.audiences.clone(),
    );
    let cluster = pki::fingerprint(&config.client_ca_pem).unwrap_or_default();
    let nodes = node_key::Verifier::new(store.clone(), cluster);
    let verifiers = (verifier, nodes);
    let authn = Authenticator::new(&config.tokens, verifiers, &access, store.clone());
    let asker = access.authorization_webhook.as_ref().map(|told| {
        let server = webhook::plain::Server::read(&told.config)?;
        let caller = Arc::new(webhook::Caller::new(store.clone()));
        Ok(Asker::new(server, caller, told.clone()))
    });
    let asker = asker.transpose();
    let asker = asker.map_err(|source| Error::AuthorizationWebhook { source })?;
    let told = match &access.admission {
        Some(path) => configuration::Configuration::read(path)
            .map_err(|source| Error::Admission { source })?,
        None => configuration::Configuration::default(),
    };
    let auditor = access.audit.as_ref().map(Auditor::open).transpose();
    let auditor = auditor.map_err(|source| Error::Audit { source })?;
    let kubelet_tls = config
        .kubelet
        .zip(certificates.kubelet_client.clone())
        .map(|(access, identity)| tls::client(identity, &access.ca_pem))
        .transpose()?;
    Ok(Api {
        authn: authn.map_err(|source| Error::TokenWebhook { source })?,
        auditor: auditor.map(Arc::new),
        authz: Arc::new(Authorizer::load(source, asker).await.map_err(load)?),
        admission: Admission::load(source, told).await.map_err(load)?,
        services,
        resources: Resources::new(kinds::all()),
        discovery: Discovery::new(advertise.to_string()),
        openapi: OpenApi::default(),
        kubelets: Kubelets::new(kubelet_tls, address.port()),
        webhooks: webhook::Caller::new(store.clone()),
        aggregation: Aggregation::load(source, certificates.front_proxy.clone())
            .await
            .map_err(load)?,
        metrics: Metrics::default(),
        bounds: Bounds::default(),
        watch_pace: Arc::default(),
        stop: source.stop.clone(),
        store,
    })
}
