//! What is checked and filled in with an eye on other objects: by plugins of our
//! own, one file each, and by webhooks that operators bring. This is their order.
//!
//! Two stages, as in Kubernetes. Before validation what may *change* the object:
//! plugins fill in, webhooks mutate; when a webhook changed something the plugins
//! look again. After validation what only says no.

mod certificates;
mod classes;
pub mod configuration;
mod dynamic;
mod evaluation;
mod limits;
pub mod matching;
mod namespaces;
pub mod node_restriction;
mod pod_security;
mod pods;
mod policies;
pub mod quota;
pub mod request;
pub mod reservation;
mod runtime_class;
mod service_accounts;
mod services;
mod token_secrets;
mod volume_claims;
mod webhooks;

use std::sync::Arc;

use apimachinery::{Status, meta};
use serde_json::Value;

use store::Revision;

use crate::authz::escalation;
use crate::mirror::{Mirror, Source};
use crate::registry::Registry;
use crate::registry::options::{DeleteOptions, WriteOptions};
use crate::registry::update::Part;
use crate::webhook;
use configuration::Configuration;
use policies::Policies;
use reservation::{GivesUp, Reservation};
use webhooks::Webhooks;

const RBAC: &str = "rbac.authorization.k8s.io";

/// The objects that plugins ask for, held in memory.
pub struct Admission {
    namespaces: Arc<Mirror>,
    service_accounts: Arc<Mirror>,
    priority_classes: Arc<Mirror>,
    runtime_classes: Arc<Mirror>,
    storage_classes: Arc<Mirror>,
    ingress_classes: Arc<Mirror>,
    limit_ranges: Arc<Mirror>,
    quotas: Arc<Mirror>,
    charges: quota::Charges,
    policies: Policies,
    pod_security: pod_security::Configuration,
    webhooks: Webhooks,
    pub webhook_metrics: webhook::metrics::Metrics,
}

impl Admission {
    pub async fn load(source: &Source, told: Configuration) -> Result<Self, store::Error> {
        Ok(Self {
            pod_security: told.pod_security,
            namespaces: source.mirror("namespaces").await?,
            service_accounts: source.mirror("serviceaccounts").await?,
            priority_classes: source.mirror("priorityclasses").await?,
            runtime_classes: source.mirror("runtimeclasses").await?,
            storage_classes: source.mirror("storageclasses").await?,
            ingress_classes: source.mirror("ingressclasses").await?,
            limit_ranges: source.mirror("limitranges").await?,
            quotas: source.mirror("resourcequotas").await?,
            charges: quota::Charges::default(),
            policies: Policies::load(source).await?,
            webhooks: Webhooks::load(source).await?,
            webhook_metrics: webhook::metrics::Metrics::default(),
        })
    }

    /// Before a new object has its uid and is validated.
    pub async fn create(
        &self,
        registry: &Registry<'_>,
        object: &mut Value,
        options: &WriteOptions,
    ) -> Result<(), Status> {
        self.check_namespace(registry, object).await?;
        self.fill_new(registry, object).await?;
        if self.has_mutators() {
            self.mutate_new(registry, object, options).await?;
        }
        check_escalation(registry, object, None).await?;
        self.policies.check_access(registry, object, None)?;
        node_restriction::check_create(registry, object)
    }

    /// What plugins of our own put into a new object. Done again after webhooks
    /// changed it: what is there stays.
    async fn fill_new(&self, registry: &Registry<'_>, object: &mut Value) -> Result<(), Status> {
        match (registry.kind.group(), registry.kind.plural()) {
            ("", "pods") => {
                self.add_service_account(registry, object).await?;
                self.add_priority(registry, object).await?;
                self.add_runtime_class(registry, object).await?;
                pods::add_tolerations(object);
                self.add_limits(registry, object);
            }
            ("", "nodes") => pods::taint_new_node(object),
            ("", "secrets") => token_secrets::fill(registry, object).await?,
            ("certificates.k8s.io", "certificatesigningrequests") => {
                certificates::note_requester(registry, object);
            }
            ("", "persistentvolumeclaims") => self.add_storage_class(registry, object)?,
            ("networking.k8s.io", "ingresses") => self.add_ingress_class(registry, object)?,
            _ => {}
        }
        Ok(())
    }

    /// After a new object was validated.
    pub async fn check_new(
        &self,
        registry: &Registry<'_>,
        object: &Value,
        options: &WriteOptions,
    ) -> Result<(), Status> {
        match (registry.kind.group(), registry.kind.plural()) {
            ("", "pods") => self.check_pod_limits(registry, object)?,
            ("", "persistentvolumeclaims") => {
                self.check_claim_limits(registry, object, &Value::Null)?;
            }
            ("certificates.k8s.io", "certificatesigningrequests") => {
                certificates::check_subject(registry, object)?;
            }
            ("certificates.k8s.io", "clustertrustbundles") => {
                certificates::check_attest(registry, object)?;
            }
            ("scheduling.k8s.io", "priorityclasses") => {
                self.check_priority_class(registry, object)?;
            }
            _ => {}
        }
        self.check_pod_security(registry, object, &Value::Null, Part::Main)
            .await?;
        if self.has_validators() {
            self.validate_new(registry, object, options).await?;
        }
        Ok(())
    }

    /// Before a changed object is prepared and validated.
    pub async fn update(
        &self,
        registry: &Registry<'_>,
        new: &mut Value,
        old: &Value,
        part: Part,
        options: &WriteOptions,
    ) -> Result<(), Status> {
        self.fill_change(registry, new, old, part);
        if self.has_mutators() {
            self.mutate_change(registry, new, old, part, options)
                .await?;
        }
        if registry.kind.group() == RBAC && new != old {
            check_escalation(registry, new, Some(old)).await?;
        }
        self.policies.check_access(registry, new, Some(old))
    }

    fn fill_change(&self, registry: &Registry<'_>, new: &mut Value, old: &Value, part: Part) {
        match (registry.kind.group(), registry.kind.plural(), part) {
            // A client that applies its own fields only has not named these.
            ("", "pods", Part::Main) => {
                Self::keep_priority(new, old);
                pods::add_tolerations(new);
            }
            ("", "services", Part::Main) => services::keep_given(new, old),
            _ => {}
        }
    }

    /// After a changed object was validated.
    pub async fn check_change(
        &self,
        registry: &Registry<'_>,
        new: &Value,
        old: &Value,
        part: Part,
        options: &WriteOptions,
    ) -> Result<(), Status> {
        node_restriction::check_update(registry, new, old, part)?;
        match (registry.kind.group(), registry.kind.plural()) {
            ("certificates.k8s.io", "certificatesigningrequests") => {
                certificates::check_change(registry, new, old, part)?;
            }
            ("certificates.k8s.io", "clustertrustbundles") => {
                certificates::check_attest(registry, new)?;
            }
            ("scheduling.k8s.io", "priorityclasses") => {
                self.check_priority_class(registry, new)?;
            }
            ("", "pods") if part == Part::Resize => self.check_pod_limits(registry, new)?,
            ("", "persistentvolumeclaims") if part == Part::Main => {
                self.check_claim_limits(registry, new, old)?;
            }
            _ => {}
        }
        self.check_claim_growth(registry, new, old, part)?;
        self.check_pod_security(registry, new, old, part).await?;
        if self.has_validators() {
            self.validate_change(registry, new, old, part, options)
                .await?;
        }
        Ok(())
    }

    /// Before an object's end.
    pub async fn delete(
        &self,
        registry: &Registry<'_>,
        old: &Value,
        options: &DeleteOptions,
    ) -> Result<(), Status> {
        node_restriction::check_delete(registry, old)?;
        if self.is_asked() {
            self.admit_end(registry, old, options).await?;
        }
        Ok(())
    }

    /// After an object is gone.
    pub async fn deleted(&self, registry: &Registry<'_>, old: &Value) {
        if is_service(registry) {
            registry.api.services.release(old, &Value::Null).await;
        }
    }

    /// The last step before a new object is stored: take what must not be taken twice.
    pub async fn reserve(
        &self,
        registry: &Registry<'_>,
        object: &mut Value,
        dry_run: bool,
    ) -> Result<Reservation, Status> {
        policies::check_types(registry, object);
        let mut reserved = Reservation {
            charge: self.charge_quota(registry, object, dry_run).await?,
            ..Reservation::default()
        };
        if is_service(registry) {
            let services = &registry.api.services;
            reserved
                .hold(services, object, &Value::Null, dry_run)
                .await?;
        }
        Ok(reserved)
    }

    pub async fn reserve_change(
        &self,
        registry: &Registry<'_>,
        new: &mut Value,
        old: &Value,
        stored: Revision,
        part: Part,
        dry_run: bool,
    ) -> Result<Reservation, Status> {
        if part == Part::Main {
            policies::check_types(registry, new);
        }
        let mut reserved = Reservation {
            charge: self
                .charge_quota_of_change(registry, new, old, stored, part, dry_run)
                .await?,
            ..Reservation::default()
        };
        if is_service(registry) && part == Part::Main {
            reserved
                .hold(&registry.api.services, new, old, dry_run)
                .await?;
            reserved.gives_up = (!dry_run).then(|| {
                Box::new(GivesUp {
                    services: registry.api.services.clone(),
                    old: old.clone(),
                    new: new.clone(),
                })
            });
        }
        Ok(reserved)
    }
}

async fn check_escalation(
    registry: &Registry<'_>,
    object: &Value,
    old: Option<&Value>,
) -> Result<(), Status> {
    if registry.kind.group() != RBAC {
        return Ok(());
    }
    let write = escalation::Write {
        resource: registry.kind.plural(),
        namespace: registry.namespace.unwrap_or(""),
        name: meta::name(object),
        object,
        old,
    };
    let api = registry.api;
    escalation::check(&api.authz, &api.store, &registry.call.user, &write).await
}

fn is_service(registry: &Registry<'_>) -> bool {
    registry.kind.group().is_empty() && registry.kind.plural() == "services"
}

/// A plugin's no. An object whose name is not drawn yet goes by what it starts with.
fn refusal(registry: &Registry<'_>, object: &Value, why: &str) -> Status {
    let name = match meta::name(object) {
        "" => meta::generate_name(object),
        name => name,
    };
    Status::forbidden(registry.resource(), name, why)
}
