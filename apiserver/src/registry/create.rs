//! POST: a new object.

use std::borrow::Cow;

use apimachinery::{Status, meta, random, time};
use bytes::Bytes;
use jiff::Timestamp;
use patch::Writer;
use serde_json::Value;
use store::Expect;

use super::options::WriteOptions;
use super::update::Made;
use super::{Registry, store_failure, versions};
use crate::admission::reservation::Outcome;
use crate::authz::Attributes;
use crate::route::Verb;
use crate::served::Served;
use crate::traced;

/// How often a taken generated name is drawn anew.
const NAME_ATTEMPTS: usize = 8;
const NOT_IN_MAIN: &[&[&str]] = &[&["status"]];

/// # Errors
/// 405 while the kind's definition is being deleted: no object may come any more.
pub fn check_not_ending(kind: &Served) -> Result<(), Status> {
    if !kind.is_ending() {
        return Ok(());
    }
    let mut status = Status::method_not_supported(kind.resource(), "create");
    status.message = "create not allowed while custom resource definition is terminating".into();
    Err(status)
}

/// What only the server sets must not come from the client.
pub(super) fn check_unversioned(object: &Value) -> Result<(), Status> {
    if meta::resource_version(object).is_empty() {
        return Ok(());
    }
    Err(Status::unclassified(
        "resourceVersion should not be set on objects to be created",
    ))
}

impl Registry<'_> {
    /// Creates what a client sent.
    pub async fn create(&self, mut object: Value, options: &WriteOptions) -> Result<Bytes, Status> {
        check_unversioned(&object)?;
        self.check_namespace(&mut object)?;
        let name = meta::name(&object).to_owned();
        let made = Made {
            object,
            is_owned: false,
        };
        let stored = self.insert(made, options).await?;
        stored.ok_or_else(|| Status::already_exists(self.resource(), &name))
    }

    /// Creates what a change made where nothing is. Who may change an object may not
    /// for that make one. None when somebody else made it in between.
    pub(super) async fn create_made(
        &self,
        mut made: Made,
        options: &WriteOptions,
    ) -> Result<Option<Bytes>, Status> {
        self.may_create().await?;
        self.check_namespace(&mut made.object)?;
        self.insert(made, options).await
    }

    /// # Errors
    /// 403 if the user may not create what the path names; 405 if its kind is ending.
    async fn may_create(&self) -> Result<(), Status> {
        check_not_ending(self.kind)?;
        let asked = Attributes {
            verb: Verb::Create.as_str(),
            ..Attributes::of(&self.call.route)
        };
        self.api.authz.check(&self.call.user, &asked).await
    }

    /// Puts the object into the path's namespace, if it may be there.
    pub(super) fn check_namespace(&self, object: &mut Value) -> Result<(), Status> {
        self.may_be_here(object)?;
        match self.namespace {
            Some(wanted) => meta::set_meta(object, "namespace", wanted),
            None => drop(meta::remove_meta(object, "namespace")),
        }
        Ok(())
    }

    /// Refuses an object of another namespace than the path's.
    pub(super) fn may_be_here(&self, object: &Value) -> Result<(), Status> {
        let given = meta::namespace(object);
        match self.namespace {
            Some(wanted) if !given.is_empty() && given != wanted => Err(Status::bad_request(
                "the namespace of the provided object does not match the namespace sent on the request",
            )),
            None if self.kind.is_namespaced() => Err(Status::bad_request(
                "an empty namespace may not be set during creation",
            )),
            _ => Ok(()),
        }
    }

    /// Notes in `managedFields` who set what.
    pub(super) fn own(
        &self,
        live: Option<&Value>,
        object: &mut Value,
        options: &WriteOptions,
        subresource: &str,
        reset: &[&[&str]],
        now: &str,
    ) {
        let kind = self.kind;
        let Some(node) = kind.node() else {
            return;
        };
        let manager =
            patch::managed::manager_or_agent(&options.field_manager, self.call.user_agent());
        let writer = Writer {
            manager,
            api_version: &kind.api_version(),
            subresource,
            time: now,
            reset,
        };
        patch::managed::update(live, object, &writer, node);
    }

    /// Stores a new object. None when its name is taken.
    async fn insert(&self, made: Made, options: &WriteOptions) -> Result<Option<Bytes>, Status> {
        let Made {
            mut object,
            is_owned,
        } = made;
        self.kind.default(&mut object);
        if !is_owned {
            let now = time::rfc3339(Timestamp::now());
            self.own(None, &mut object, options, "", NOT_IN_MAIN, &now);
        }
        let generated = meta::name(&object).is_empty();
        let admission = &self.api.admission;
        admission.create(self, &mut object, options).await?;
        // Webhooks and policies may have moved it: it would be stored under this
        // namespace's key all the same.
        self.check_namespace(&mut object)?;
        self.stamp(&mut object);
        self.kind.prepare_create(&mut object);
        let errors = self.kind.check_create(&object);
        if !errors.is_empty() {
            let name = meta::name(&object);
            return Err(Status::invalid(
                self.kind.error_group(),
                self.kind.kind(),
                name,
                &errors,
            ));
        }
        for warning in self.kind.warnings(&object, None) {
            self.call.notes.warn(warning);
        }
        admission.check_new(self, &object, options).await?;
        let reserved = self
            .api
            .admission
            .reserve(self, &mut object, options.dry_run)
            .await?;
        let stored = self.put_new(object, generated, options).await;
        reserved.settle(Outcome::of(&stored)).await;
        stored
    }

    /// Gives the object its identity.
    fn stamp(&self, object: &mut Value) {
        let prefix = meta::generate_name(object);
        if meta::name(object).is_empty() && !prefix.is_empty() {
            let name = random::name(prefix);
            meta::set_meta(object, "name", name);
        }
        meta::set_meta(object, "uid", random::uid());
        meta::set_meta(object, "creationTimestamp", time::rfc3339(Timestamp::now()));
        for server_owned in [
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
            "selfLink",
        ] {
            meta::remove_meta(object, server_owned);
        }
        if traces::is_on() && self.kind.is("", "pods") {
            traced::note(object);
        }
    }

    /// None when the name is taken, and was not generated.
    async fn put_new(
        &self,
        mut object: Value,
        generated: bool,
        options: &WriteOptions,
    ) -> Result<Option<Bytes>, Status> {
        if !generated {
            return self.put_once(Cow::Owned(object), options).await;
        }
        for _ in 0..NAME_ATTEMPTS {
            let stored = self.put_once(Cow::Borrowed(&object), options).await?;
            if stored.is_some() {
                return Ok(stored);
            }
            let name = random::name(meta::generate_name(&object));
            meta::set_meta(&mut object, "name", name);
        }
        Err(Status::generate_name_conflict(
            self.resource(),
            meta::name(&object),
        ))
    }

    /// None when the name is taken.
    async fn put_once(
        &self,
        object: Cow<'_, Value>,
        options: &WriteOptions,
    ) -> Result<Option<Bytes>, Status> {
        let name = meta::name(&object).to_owned();
        if options.dry_run {
            let is_taken = self.find(&name).await?.is_some();
            return (!is_taken).then(|| versions::encode(&object)).transpose();
        }
        let value = self.api.to_stored(self.kind, &object).await?;
        // Many wait for the disk together: what they hold meanwhile pushes each
        // other's out of the processor's caches.
        drop(object);
        let key = self.key(&name);
        match self.api.store.put(&key, value, Expect::Absent).await {
            Ok(entry) => self.written(entry).await.map(Some),
            Err(store::Error::Conflict { .. }) => Ok(None),
            Err(error) => Err(store_failure(error)),
        }
    }
}
