//! The way of a write past those that operators bring: what they are shown of it,
//! and how often they are asked.

use apimachinery::gvk::GroupVersionKind;
use apimachinery::{Status, meta};
use kinds::scale::{self, ScalePaths};
use serde_json::Value;

use super::Admission;
use super::matching::{Criteria, is_exempt, is_namespaces, is_review};
use super::request::{Operation, Request};
use super::webhooks::Rounds;
use crate::keys;
use crate::registry::options::{DeleteOptions, WriteOptions};
use crate::registry::update::Part;
use crate::registry::{Registry, store_failure};

impl Admission {
    /// Whether anything but our own plugins may change writes.
    pub(super) fn has_mutators(&self) -> bool {
        self.policies.mutates() || self.webhooks.mutates()
    }

    /// Whether anything but our own plugins may refuse writes.
    pub(super) fn has_validators(&self) -> bool {
        self.policies.validates() || self.webhooks.validates()
    }

    pub(super) async fn mutate_new(
        &self,
        registry: &Registry<'_>,
        object: &mut Value,
        options: &WriteOptions,
    ) -> Result<(), Status> {
        let mut rounds = Rounds::default();
        loop {
            let request = Request::create(registry, object, options);
            self.mutate(registry, &request, object, &mut rounds).await?;
            if !rounds.wants_another() {
                return Ok(());
            }
            self.fill_new(registry, object).await?;
        }
    }

    pub(super) async fn validate_new(
        &self,
        registry: &Registry<'_>,
        object: &Value,
        options: &WriteOptions,
    ) -> Result<(), Status> {
        let request = Request::create(registry, object, options);
        self.validate(registry, &request, object).await
    }

    pub(super) async fn mutate_change(
        &self,
        registry: &Registry<'_>,
        new: &mut Value,
        old: &Value,
        part: Part,
        options: &WriteOptions,
    ) -> Result<(), Status> {
        let Some(view) = View::of(registry, part) else {
            return Ok(());
        };
        let shown_old = view.show(old);
        let request = view.request(registry, shown_old.get(old), part, options);
        let mut rounds = Rounds::default();
        loop {
            let mut object = view.show(new).get(new).clone();
            self.mutate(registry, &request, &mut object, &mut rounds)
                .await?;
            view.put(new, object);
            if !rounds.wants_another() {
                return Ok(());
            }
            self.fill_change(registry, new, old, part);
        }
    }

    pub(super) async fn validate_change(
        &self,
        registry: &Registry<'_>,
        new: &Value,
        old: &Value,
        part: Part,
        options: &WriteOptions,
    ) -> Result<(), Status> {
        let Some(view) = View::of(registry, part) else {
            return Ok(());
        };
        let (shown_old, shown) = (view.show(old), view.show(new));
        let request = view.request(registry, shown_old.get(old), part, options);
        self.validate(registry, &request, shown.get(new)).await
    }

    pub(super) async fn admit_end(
        &self,
        registry: &Registry<'_>,
        old: &Value,
        options: &DeleteOptions,
    ) -> Result<(), Status> {
        let request = Request::delete(registry, old, options);
        self.admit(registry, &request, &mut Value::Null).await
    }

    /// Whether anybody but our own plugins is asked about writes.
    pub fn is_asked(&self) -> bool {
        self.has_mutators() || self.has_validators()
    }

    /// A request that is not stored as it came: a Binding, an Eviction, the
    /// options of an exec.
    pub async fn admit_on_subresource(
        &self,
        registry: &Registry<'_>,
        operation: Operation,
        (name, subresource): (&str, &str),
        object: &mut Value,
        dry_run: bool,
    ) -> Result<(), Status> {
        if !self.is_asked() {
            return Ok(());
        }
        let request = Request::on_subresource(registry, operation, name, subresource, dry_run);
        self.admit(registry, &request, object).await
    }

    /// A review, which is answered and not stored.
    pub async fn admit_review(
        &self,
        registry: &Registry<'_>,
        review: &mut Value,
        options: &WriteOptions,
    ) -> Result<(), Status> {
        if !self.is_asked() {
            return Ok(());
        }
        let request = Request::create(registry, review, options);
        self.admit(registry, &request, review).await
    }

    async fn admit(
        &self,
        registry: &Registry<'_>,
        request: &Request<'_>,
        object: &mut Value,
    ) -> Result<(), Status> {
        let mut rounds = Rounds::default();
        loop {
            self.mutate(registry, request, object, &mut rounds).await?;
            if !rounds.wants_another() {
                break;
            }
        }
        self.validate(registry, request, object).await
    }

    /// One round of those that change.
    async fn mutate(
        &self,
        registry: &Registry<'_>,
        request: &Request<'_>,
        object: &mut Value,
        rounds: &mut Rounds,
    ) -> Result<(), Status> {
        let Some(context) = Context::of(self, registry, request) else {
            return Ok(());
        };
        if !is_review(request) {
            self.policies.mutate(context, object, rounds).await?;
        }
        self.webhooks.mutate(context, object, rounds).await
    }

    async fn validate(
        &self,
        registry: &Registry<'_>,
        request: &Request<'_>,
        object: &Value,
    ) -> Result<(), Status> {
        let Some(context) = Context::of(self, registry, request) else {
            return Ok(());
        };
        if !is_review(request) {
            self.policies.validate(context, object).await?;
        }
        self.webhooks.validate(context, object).await
    }
}

/// One write before those that operators bring.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    pub admission: &'a Admission,
    pub registry: &'a Registry<'a>,
    pub request: &'a Request<'a>,
}

impl<'a> Context<'a> {
    /// None: nobody is asked about such a write.
    fn of(
        admission: &'a Admission,
        registry: &'a Registry<'a>,
        request: &'a Request<'a>,
    ) -> Option<Self> {
        (!is_exempt(request)).then_some(Self {
            admission,
            registry,
            request,
        })
    }

    /// Whether the selectors of `criteria` select the object.
    pub async fn selects(&self, criteria: &Criteria, object: &Value) -> Result<bool, Status> {
        if !criteria.selects_object(object, self.request.old) {
            return Ok(false);
        }
        if !criteria.selects_by_namespace(self.request) {
            return Ok(true);
        }
        let namespace = self.namespace(object).await?;
        Ok(criteria.selects_namespace(&namespace))
    }

    /// The Namespace whose labels speak for the request's object.
    pub async fn namespace(&self, object: &Value) -> Result<Value, Status> {
        let request = self.request;
        let is_namespace = is_namespaces(&request.resource);
        if is_namespace && request.subresource.is_empty() && object.is_object() {
            return Ok(object.clone());
        }
        if let Some(known) = self.admission.namespaces.get(&request.namespace) {
            return Ok(Value::clone(&known));
        }
        let key = keys::object("namespaces", None, &request.namespace);
        let store = &self.registry.api.store;
        match store.get(&key).await.map_err(store_failure)? {
            Some(entry) => serde_json::from_slice(&entry.value).map_err(Status::internal),
            None => Ok(Value::Null),
        }
    }
}

/// How a change of a part of an object is shown.
enum View<'a> {
    Whole,
    Scale(ScalePaths<'a>),
}

/// The object itself, or what was made of it.
struct Seen(Option<Value>);

impl Seen {
    fn get<'s>(&'s self, whole: &'s Value) -> &'s Value {
        self.0.as_ref().unwrap_or(whole)
    }
}

impl<'a> View<'a> {
    /// None: the change was admitted as something else (a Binding).
    fn of(registry: &Registry<'a>, part: Part) -> Option<Self> {
        match part {
            Part::Binding => None,
            Part::Scale => Some(registry.kind.scale().map_or(Self::Whole, Self::Scale)),
            _ => Some(Self::Whole),
        }
    }

    fn show(&self, object: &Value) -> Seen {
        match self {
            Self::Whole => Seen(None),
            Self::Scale(paths) => Seen(Some(scale::read(paths, object))),
        }
    }

    fn put(&self, whole: &mut Value, shown: Value) {
        match self {
            Self::Whole => *whole = shown,
            Self::Scale(paths) => scale::write(paths, whole, &shown),
        }
    }

    fn request<'r>(
        &self,
        registry: &Registry<'r>,
        old: &'r Value,
        part: Part,
        options: &WriteOptions,
    ) -> Request<'r> {
        let mut request = Request::update(registry, old, part, options);
        if matches!(self, Self::Scale(_)) {
            request.kind = GroupVersionKind::new("autoscaling", "v1", "Scale");
            request.name = meta::name(old).to_owned();
        }
        request
    }
}
