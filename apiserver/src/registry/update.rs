//! PUT, and the way that every change of an existing object takes. Some writes make the
//! object where there is none: whether there is one is looked at again after a lost race.

use apimachinery::field::{Error as FieldError, Path};
use apimachinery::{Status, meta, time};
use bytes::Bytes;
use jiff::Timestamp;
use kinds::core::pod;
use serde_json::Value;
use store::{Entry, Expect};

use super::create::check_unversioned;
use super::options::WriteOptions;
use super::{Registry, store_failure, versions};
use crate::admission::reservation::Outcome;

/// Writes that lost a race are tried again so often.
const ATTEMPTS: usize = 64;

/// Which part of an object a change is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Main,
    Status,
    /// A namespace's `spec.finalizers`.
    Finalize,
    /// A pod's ephemeral containers, which only this may add.
    EphemeralContainers,
    /// Like Main, by `/scale`.
    Scale,
    /// A pod's containers' resources.
    Resize,
    /// A pod's node, by the scheduler's binding.
    Binding,
    /// A certificate request's conditions.
    Approval,
}

impl Part {
    pub fn subresource(self) -> &'static str {
        match self {
            Self::Main => "",
            Self::Status => "status",
            Self::Finalize => "finalize",
            Self::EphemeralContainers => "ephemeralcontainers",
            Self::Scale => "scale",
            Self::Approval => "approval",
            Self::Resize => "resize",
            Self::Binding => "binding",
        }
    }

    /// Fields that a write of this part cannot come to own.
    fn reset(self) -> &'static [&'static [&'static str]] {
        match self {
            Self::Status | Self::Approval => &[&["spec"]],
            _ => &[&["status"]],
        }
    }
}

/// What a change made of the object.
pub struct Made {
    pub object: Value,
    /// `managedFields` are right already (server-side apply).
    pub is_owned: bool,
}

/// An object as it was stored, and whether the write created it.
pub struct Written {
    pub bytes: Bytes,
    pub created: bool,
}

impl Registry<'_> {
    /// Replaces an object by the one a client sent; some kinds are made by that, too.
    pub async fn update(
        &self,
        name: &str,
        part: Part,
        sent: Value,
        options: &WriteOptions,
    ) -> Result<Written, Status> {
        let mut sent = sent;
        check_name(&mut sent, name)?;
        self.check_namespace(&mut sent)?;
        if meta::resource_version(&sent).is_empty() && self.kind.update_needs_version() {
            let path = Path::new("metadata.resourceVersion");
            let error = FieldError::invalid(&path, 0, "must be specified for an update");
            return Err(Status::invalid(
                self.kind.error_group(),
                self.kind.kind(),
                name,
                &[error],
            ));
        }
        let creates = part == Part::Main && self.kind.create_on_update();
        self.change_or_create(name, part, options, |old| {
            match old {
                None if creates => check_unversioned(&sent)?,
                None => return Err(Status::not_found(self.resource(), name)),
                Some(_) => {}
            }
            let object = sent.clone();
            Ok(Made {
                object,
                is_owned: false,
            })
        })
        .await
    }

    /// Reads the object, lets `make` change it, and stores the result; again when
    /// somebody else wrote in between.
    pub async fn change(
        &self,
        name: &str,
        part: Part,
        options: &WriteOptions,
        make: impl Fn(&Value) -> Result<Made, Status>,
    ) -> Result<Bytes, Status> {
        let written = self
            .change_or_create(name, part, options, |old| match old {
                Some(old) => make(old),
                None => Err(Status::not_found(self.resource(), name)),
            })
            .await?;
        Ok(written.bytes)
    }

    /// Like `change`, but where there is no object `make` may make one.
    pub(super) async fn change_or_create(
        &self,
        name: &str,
        part: Part,
        options: &WriteOptions,
        make: impl Fn(Option<&Value>) -> Result<Made, Status>,
    ) -> Result<Written, Status> {
        for _ in 0..ATTEMPTS {
            let found = self.find(name).await?;
            let created = found.is_none();
            let done = match found {
                Some(entry) => {
                    let old = versions::value(self.kind, &entry.value)?;
                    let made = make(Some(&old))?;
                    self.replace(&entry, &old, made, part, options).await?
                }
                None => self.create_made(make(None)?, options).await?,
            };
            if let Some(bytes) = done {
                return Ok(Written { bytes, created });
            }
        }
        Err(Status::stale(self.resource(), name))
    }

    /// None when the object was written in between.
    async fn replace(
        &self,
        entry: &Entry,
        old: &Value,
        made: Made,
        part: Part,
        options: &WriteOptions,
    ) -> Result<Option<Bytes>, Status> {
        let Made {
            object: mut new,
            is_owned,
        } = made;
        self.check_preconditions(&new, old)?;
        keep_identity(&mut new, old);
        self.kind.default(&mut new);
        if !is_owned {
            let now = time::rfc3339(Timestamp::now());
            self.own(
                Some(old),
                &mut new,
                options,
                part.subresource(),
                part.reset(),
                &now,
            );
        }
        let admission = &self.api.admission;
        admission.update(self, &mut new, old, part, options).await?;
        self.prepare(&mut new, old, part);
        self.check(&new, old, part)?;
        if part == Part::Main {
            for warning in self.kind.warnings(&new, Some(old)) {
                self.call.notes.warn(warning);
            }
        }
        admission
            .check_change(self, &new, old, part, options)
            .await?;
        let reserved = admission
            .reserve_change(self, &mut new, old, entry.modified, part, options.dry_run)
            .await?;
        let done = self.write(entry, new, old, options).await;
        reserved.settle(Outcome::of(&done)).await;
        done
    }

    fn prepare(&self, new: &mut Value, old: &Value, part: Part) {
        match part {
            Part::Main | Part::Scale => self.kind.prepare_update(new, old),
            Part::Resize => {
                keep_all_but(new, old, "spec");
                self.kind.prepare_update(new, old);
            }
            Part::Binding => {}
            Part::Status => self.kind.prepare_status_update(new, old),
            Part::Finalize => keep_all_but(new, old, "spec"),
            Part::EphemeralContainers => {
                let wanted = new["spec"]["ephemeralContainers"].take();
                keep_all_but(new, old, "");
                new["spec"]["ephemeralContainers"] = wanted;
            }
            Part::Approval => {
                let conditions = new["status"]["conditions"].take();
                keep_all_but(new, old, "");
                if !conditions.is_null() {
                    meta::set(new, "status.conditions", conditions);
                }
            }
        }
    }

    fn check(&self, new: &Value, old: &Value, part: Part) -> Result<(), Status> {
        let errors = match part {
            Part::Main | Part::Scale => self.kind.check_update(new, old),
            Part::Status | Part::Approval => self.kind.check_status_update(new, old),
            Part::Finalize | Part::Binding => Vec::new(),
            Part::Resize => pod::validate_resize(new, old),
            Part::EphemeralContainers => pod::validate_ephemeral_containers(new, old),
        };
        if errors.is_empty() {
            return Ok(());
        }
        Err(Status::invalid(
            self.kind.error_group(),
            self.kind.kind(),
            meta::name(old),
            &errors,
        ))
    }

    fn check_preconditions(&self, new: &Value, old: &Value) -> Result<(), Status> {
        let name = meta::name(old);
        let (uid, current) = (meta::uid(new), meta::uid(old));
        if !uid.is_empty() && uid != current {
            let key = String::from_utf8_lossy(&self.key(name)).into_owned();
            let why = format!(
                "StorageError: invalid object, Code: 4, Key: {key}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: {uid}, UID in object meta: {current}"
            );
            return Err(Status::conflict(self.resource(), name, &why));
        }
        let version = meta::resource_version(new);
        if !version.is_empty() && version != meta::resource_version(old) {
            return Err(Status::stale(self.resource(), name));
        }
        Ok(())
    }

    /// Whether the same object is to be written again, under a newer key.
    async fn is_stale(&self, entry: &Entry) -> Result<bool, Status> {
        let stale = self.api.store.is_stale(&entry.key).await;
        stale.map_err(store_failure)
    }

    /// None when the object was written in between.
    async fn write(
        &self,
        entry: &Entry,
        new: Value,
        old: &Value,
        options: &WriteOptions,
    ) -> Result<Option<Bytes>, Status> {
        if is_same(&new, old) && (options.dry_run || !self.is_stale(entry).await?) {
            return versions::encode(old).map(Some);
        }
        if options.dry_run {
            let mut shown = new;
            meta::set_meta(&mut shown, "resourceVersion", meta::resource_version(old));
            return versions::encode(&shown).map(Some);
        }
        let expect = Expect::At(entry.modified);
        if self.ends(&new, old) {
            return match self.api.store.delete(&entry.key, expect).await {
                Ok(_) => {
                    let mut last = new;
                    meta::set_meta(&mut last, "resourceVersion", meta::resource_version(old));
                    self.api.admission.deleted(self, old).await;
                    versions::encode(&last).map(Some)
                }
                Err(store::Error::Conflict { .. } | store::Error::NotFound) => Ok(None),
                Err(error) => Err(store_failure(error)),
            };
        }
        let value = self.api.to_stored(self.kind, &new).await?;
        drop(new);
        match self.api.store.put(&entry.key, value, expect).await {
            Ok(entry) => self.written(entry).await.map(Some),
            Err(store::Error::Conflict { .. }) => Ok(None),
            Err(error) => Err(store_failure(error)),
        }
    }

    /// Whether the change takes the last thing away that kept a deleted object.
    fn ends(&self, new: &Value, old: &Value) -> bool {
        if meta::deletion_timestamp(new).is_none() || meta::finalizers(new).next().is_some() {
            return false;
        }
        if self.kind.plural() == "namespaces" && self.kind.group().is_empty() {
            return meta::items(new, "spec.finalizers").is_empty();
        }
        meta::deletion_grace_period_seconds(old) == Some(0)
    }
}

pub(super) fn check_name(sent: &mut Value, name: &str) -> Result<(), Status> {
    let given = meta::name(sent);
    if given.is_empty() {
        meta::set_meta(sent, "name", name);
        return Ok(());
    }
    if given != name {
        return Err(Status::bad_request(format!(
            "the name of the object ({given}) does not match the name on the URL ({name})"
        )));
    }
    Ok(())
}

/// What a client may leave out, and what it may never take away.
fn keep_identity(new: &mut Value, old: &Value) {
    for key in ["uid", "creationTimestamp", "generation"] {
        if new["metadata"].get(key).is_none_or(Value::is_null) {
            copy_meta(new, old, key);
        }
    }
    for key in ["deletionTimestamp", "deletionGracePeriodSeconds"] {
        if !old["metadata"][key].is_null() {
            copy_meta(new, old, key);
        }
    }
    meta::remove_meta(new, "selfLink");
    copy_meta(new, old, "resourceVersion");
}

fn copy_meta(new: &mut Value, old: &Value, key: &str) {
    if let Some(value) = old["metadata"].get(key) {
        meta::set_meta(new, key, value.clone());
    }
}

/// Makes `new` what `old` is, but for one field and `managedFields`.
fn keep_all_but(new: &mut Value, old: &Value, field: &str) {
    let wanted = new.get(field).cloned();
    let managed = new["metadata"]["managedFields"].take();
    *new = old.clone();
    if let Some(wanted) = wanted {
        new[field] = wanted;
    }
    if !managed.is_null() {
        meta::set_meta(new, "managedFields", managed);
    }
}

/// A write that would change nothing but the times in `managedFields` is none.
fn is_same(new: &Value, old: &Value) -> bool {
    let (Value::Object(a), Value::Object(b)) = (new, old) else {
        return new == old;
    };
    a.len() == b.len()
        && a.iter().all(|(key, value)| match b.get(key) {
            Some(other) if key == "metadata" => same_metadata(value, other),
            other => other == Some(value),
        })
}

fn same_metadata(new: &Value, old: &Value) -> bool {
    let (Value::Object(a), Value::Object(b)) = (new, old) else {
        return new == old;
    };
    a.len() == b.len()
        && a.iter().all(|(key, value)| match b.get(key) {
            Some(other) if key == "managedFields" => same_owners(value, other),
            other => other == Some(value),
        })
}

fn same_owners(new: &Value, old: &Value) -> bool {
    let (Value::Array(a), Value::Array(b)) = (new, old) else {
        return new == old;
    };
    let timeless = |entry: &Value| {
        let mut entry = entry.clone();
        if let Some(fields) = entry.as_object_mut() {
            fields.remove("time");
        }
        entry
    };
    a.len() == b.len() && a.iter().zip(b).all(|(x, y)| timeless(x) == timeless(y))
}
