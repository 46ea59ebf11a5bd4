//! The cluster as the controllers see it: one informer a kind, shared.

use std::sync::Arc;

use events::Events;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use k8s_openapi::api::core::v1::{ConfigMap, Endpoints, Secret, ServiceAccount};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::ClusterRole;
use kube::Client;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::informer::{Informer, Object};
use crate::object::{ControllerRevision, DaemonSet, StatefulSet};
use crate::object::{
    CronJob, Deployment, Job, Lease, Namespace, Node, PersistentVolume, PersistentVolumeClaim, Pod,
    ReplicaSet, ReplicationController, Service, StorageClass,
};

/// Everything a controller may look at, and the client to change it with.
#[derive(Clone)]
pub struct Cluster {
    pub client: Client,
    pub events: Arc<Events>,
    pub namespaces: Arc<Informer<Namespace>>,
    pub nodes: Arc<Informer<Node>>,
    /// The leases by which nodes say that they live.
    pub node_leases: Arc<Informer<Lease>>,
    pub pods: Arc<Informer<Pod>>,
    pub replica_sets: Arc<Informer<ReplicaSet>>,
    pub replication_controllers: Arc<Informer<ReplicationController>>,
    pub jobs: Arc<Informer<Job>>,
    pub cron_jobs: Arc<Informer<CronJob>>,
    pub autoscalers: Arc<Informer<HorizontalPodAutoscaler>>,
    pub deployments: Arc<Informer<Deployment>>,
    pub stateful_sets: Arc<Informer<StatefulSet>>,
    pub daemon_sets: Arc<Informer<DaemonSet>>,
    pub controller_revisions: Arc<Informer<ControllerRevision>>,
    pub disruption_budgets: Arc<Informer<PodDisruptionBudget>>,
    pub services: Arc<Informer<Service>>,
    pub endpoints: Arc<Informer<Endpoints>>,
    pub endpoint_slices: Arc<Informer<EndpointSlice>>,
    /// Those named `default`.
    pub service_accounts: Arc<Informer<ServiceAccount>>,
    /// Those named `kube-root-ca.crt`.
    pub root_cas: Arc<Informer<ConfigMap>>,
    pub cluster_roles: Arc<Informer<ClusterRole>>,
    pub signing_requests: Arc<Informer<CertificateSigningRequest>>,
    pub bootstrap_tokens: Arc<Informer<Secret>>,
    pub persistent_volumes: Arc<Informer<PersistentVolume>>,
    pub claims: Arc<Informer<PersistentVolumeClaim>>,
    pub storage_classes: Arc<Informer<StorageClass>>,
}

impl Cluster {
    /// Informers that know nothing yet; handlers are added before `start`.
    pub fn new(client: Client) -> Self {
        Self {
            client,
            events: Events::new(),
            namespaces: Informer::new(),
            nodes: Informer::new(),
            node_leases: Informer::selecting("metadata.namespace=kube-node-lease"),
            pods: Informer::new(),
            replica_sets: Informer::new(),
            replication_controllers: Informer::new(),
            jobs: Informer::new(),
            cron_jobs: Informer::new(),
            autoscalers: Informer::new(),
            deployments: Informer::new(),
            stateful_sets: Informer::new(),
            daemon_sets: Informer::new(),
            controller_revisions: Informer::new(),
            disruption_budgets: Informer::new(),
            services: Informer::new(),
            endpoints: Informer::new(),
            endpoint_slices: Informer::new(),
            service_accounts: Informer::selecting("metadata.name=default"),
            root_cas: Informer::selecting("metadata.name=kube-root-ca.crt"),
            cluster_roles: Informer::new(),
            signing_requests: Informer::new(),
            bootstrap_tokens: Informer::selecting("type=bootstrap.kubernetes.io/token"),
            persistent_volumes: Informer::new(),
            claims: Informer::new(),
            storage_classes: Informer::new(),
        }
    }

    /// The pods on a node. Looks at all pods: for what is rare.
    pub fn pods_on(&self, node: &str) -> Vec<Arc<Pod>> {
        let mut pods = self.pods.all();
        pods.retain(|pod| pod.spec.node_name.as_deref() == Some(node));
        pods
    }

    /// Starts all informers; each controller waits for those it reads.
    pub fn start(&self, tasks: &mut JoinSet<()>, shutdown: &CancellationToken) {
        let events = self.events.clone();
        tasks.spawn(events.run(self.client.clone(), shutdown.clone()));
        let mut start = Starter {
            client: &self.client,
            tasks,
            shutdown,
        };
        start.informer(&self.namespaces);
        start.informer(&self.nodes);
        start.informer(&self.node_leases);
        start.informer(&self.pods);
        start.informer(&self.replica_sets);
        start.informer(&self.replication_controllers);
        start.informer(&self.jobs);
        start.informer(&self.cron_jobs);
        start.informer(&self.autoscalers);
        start.informer(&self.deployments);
        start.informer(&self.stateful_sets);
        start.informer(&self.daemon_sets);
        start.informer(&self.controller_revisions);
        start.informer(&self.disruption_budgets);
        start.informer(&self.services);
        start.informer(&self.endpoints);
        start.informer(&self.endpoint_slices);
        start.informer(&self.service_accounts);
        start.informer(&self.root_cas);
        start.informer(&self.cluster_roles);
        start.informer(&self.signing_requests);
        start.informer(&self.bootstrap_tokens);
        start.informer(&self.persistent_volumes);
        start.informer(&self.claims);
        start.informer(&self.storage_classes);
    }
}

struct Starter<'a> {
    client: &'a Client,
    tasks: &'a mut JoinSet<()>,
    shutdown: &'a CancellationToken,
}

impl Starter<'_> {
    fn informer<K: Object>(&mut self, informer: &Arc<Informer<K>>) {
        let informer = informer.clone();
        let running = informer.run(self.client.clone(), self.shutdown.clone());
        self.tasks.spawn(running);
    }
}
