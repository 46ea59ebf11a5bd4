//! DELETE: at once, or in steps: graceful pods, finalizers, namespaces.

use apimachinery::{Status, meta, status, time};
use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use store::{Entry, Expect};

use super::options::{DeleteOptions, Propagation};
use super::{Registry, store_failure, versions};
use crate::custom;

pub const FOREGROUND: &str = "foregroundDeletion";
pub const ORPHAN: &str = "orphan";
const ATTEMPTS: usize = 64;

/// Kinds whose delete answers with the object rather than a Status.
const RETURN_OBJECT: &[&str] = &[
    "pods",
    "services",
    "serviceaccounts",
    "persistentvolumes",
    "persistentvolumeclaims",
    "podtemplates",
    "resourcequotas",
];
/// Kinds whose dependents stay behind unless the client says otherwise.
const ORPHAN_BY_DEFAULT: &[&str] = &["replicationcontrollers", "jobs"];
/// Namespaces the cluster cannot be without.
const IMMORTAL: &[&str] = &["default", "kube-system", "kube-public"];

/// What came of a delete.
pub enum Deleted {
    /// The object as it is now or was at its end.
    Object(Bytes),
    /// It is gone.
    Gone(Status),
}

/// The next step of an object's end.
enum Step {
    /// Nothing to do: it is ending already.
    Wait,
    /// Store it with its end noted.
    Mark(Value),
    /// Remove it; this is what it was.
    Remove(Value),
}

/// Whether a delete is still to be admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    Ask,
    /// It was, as something else: an Eviction.
    Done,
}

impl Registry<'_> {
    pub async fn delete(&self, name: &str, options: &DeleteOptions) -> Result<Deleted, Status> {
        self.end(name, options, Admission::Ask).await
    }

    pub async fn end(
        &self,
        name: &str,
        options: &DeleteOptions,
        admission: Admission,
    ) -> Result<Deleted, Status> {
        if self.is_namespaces() && IMMORTAL.contains(&name) {
            return Err(Status::forbidden(
                self.resource(),
                name,
                "this namespace may not be deleted",
            ));
        }
        for _ in 0..ATTEMPTS {
            let entry = self.entry(name).await?;
            let old = versions::value(self.kind, &entry.value)?;
            self.check_delete_preconditions(&old, options)?;
            let step = self.next_step(&old, options);
            // Who waits for an object that is ending already changes nothing.
            if admission == Admission::Ask && !matches!(step, Step::Wait) {
                self.api.admission.delete(self, &old, options).await?;
            }
            let done = match step {
                Step::Wait => Some(Deleted::Object(versions::encode(&old)?)),
                Step::Mark(new) => self.mark(&entry, new, options).await?,
                Step::Remove(last) => self.remove(&entry, &old, last, options).await?,
            };
            if let Some(done) = done {
                return Ok(done);
            }
        }
        Err(Status::stale(self.resource(), name))
    }

    fn is_namespaces(&self) -> bool {
        self.kind.plural() == "namespaces" && self.kind.group().is_empty()
    }

    /// # Errors
    /// 409 if the object is not the one that the options name.
    pub fn check_delete_preconditions(
        &self,
        old: &Value,
        options: &DeleteOptions,
    ) -> Result<(), Status> {
        let resource = status::Resource::new(self.kind.group(), self.kind.kind());
        let name = meta::name(old);
        let (uid, version) = (meta::uid(old), meta::resource_version(old));
        if let Some(wanted) = options.uid.as_deref().filter(|w| *w != uid) {
            let why = format!(
                "the UID in the precondition ({wanted}) does not match the UID in record ({uid}). The object might have been deleted and then recreated"
            );
            return Err(Status::conflict(resource, name, &why));
        }
        if let Some(wanted) = options
            .resource_version
            .as_deref()
            .filter(|w| *w != version)
        {
            let why = format!(
                "the ResourceVersion in the precondition ({wanted}) does not match the ResourceVersion in record ({version}). The object might have been modified"
            );
            return Err(Status::conflict(resource, name, &why));
        }
        Ok(())
    }

    fn next_step(&self, old: &Value, options: &DeleteOptions) -> Step {
        let mut new = old.clone();
        let mut finalizers = self.finalizers_after(old, options);
        custom::mark_ending(self.kind, &mut new, &mut finalizers);
        let finalizers_change = !finalizers
            .iter()
            .map(String::as_str)
            .eq(meta::finalizers(old));
        if finalizers_change {
            meta::set_meta(&mut new, "finalizers", finalizers.clone());
        }
        if self.is_namespaces() {
            return namespace_step(new, old, &finalizers);
        }
        if let Some(grace) = self.kind.grace_seconds(old, options.grace_seconds) {
            return graceful_step(new, old, grace, options, &finalizers);
        }
        if finalizers.is_empty() {
            return Step::Remove(new);
        }
        if meta::deletion_timestamp(old).is_some() && !finalizers_change {
            return Step::Wait;
        }
        mark_ending(&mut new, 0);
        Step::Mark(new)
    }

    /// The finalizers with those of the garbage collector put in or taken out.
    fn finalizers_after(&self, old: &Value, options: &DeleteOptions) -> Vec<String> {
        let has = |wanted: &str| meta::finalizers(old).any(|f| f == wanted);
        let default = || {
            ORPHAN_BY_DEFAULT
                .contains(&self.kind.plural())
                .then_some(Propagation::Orphan)
        };
        let policy = options.propagation.or_else(|| {
            if has(ORPHAN) {
                Some(Propagation::Orphan)
            } else if has(FOREGROUND) {
                Some(Propagation::Foreground)
            } else {
                default()
            }
        });
        let kept = meta::finalizers(old).filter(|f| *f != ORPHAN && *f != FOREGROUND);
        let mut finalizers: Vec<String> = kept.map(str::to_owned).collect();
        match policy {
            Some(Propagation::Orphan) => finalizers.push(ORPHAN.to_owned()),
            Some(Propagation::Foreground) => finalizers.push(FOREGROUND.to_owned()),
            _ => {}
        }
        finalizers
    }

    async fn mark(
        &self,
        entry: &Entry,
        new: Value,
        options: &DeleteOptions,
    ) -> Result<Option<Deleted>, Status> {
        if options.dry_run {
            return Ok(Some(Deleted::Object(versions::encode(&new)?)));
        }
        let value = self.api.to_stored(self.kind, &new).await?;
        match self
            .api
            .store
            .put(&entry.key, value, Expect::At(entry.modified))
            .await
        {
            Ok(entry) => Ok(Some(Deleted::Object(self.written(entry).await?))),
            Err(store::Error::Conflict { .. }) => Ok(None),
            Err(error) => Err(store_failure(error)),
        }
    }

    async fn remove(
        &self,
        entry: &Entry,
        old: &Value,
        last: Value,
        options: &DeleteOptions,
    ) -> Result<Option<Deleted>, Status> {
        if !options.dry_run {
            match self
                .api
                .store
                .delete(&entry.key, Expect::At(entry.modified))
                .await
            {
                Ok(_) => self.api.admission.deleted(self, old).await,
                Err(store::Error::Conflict { .. }) => return Ok(None),
                Err(store::Error::NotFound) => {
                    return Err(Status::not_found(self.resource(), meta::name(old)));
                }
                Err(error) => return Err(store_failure(error)),
            }
        }
        if RETURN_OBJECT.contains(&self.kind.plural()) {
            return Ok(Some(Deleted::Object(versions::encode(&last)?)));
        }
        Ok(Some(Deleted::Gone(Status::success(Some(
            status::Details {
                name: meta::name(old).to_owned(),
                group: self.kind.group().to_owned(),
                kind: self.kind.plural().to_owned(),
                uid: meta::uid(old).to_owned(),
                ..status::Details::default()
            },
        )))))
    }
}

/// A namespace stays until its contents are gone and its finalizers with them.
fn namespace_step(mut new: Value, old: &Value, finalizers: &[String]) -> Step {
    let spec_finalizers = meta::items(old, "spec.finalizers");
    if meta::deletion_timestamp(old).is_some() {
        let is_done = spec_finalizers.is_empty() && finalizers.is_empty();
        return if is_done {
            Step::Remove(new)
        } else {
            Step::Wait
        };
    }
    meta::set_meta(
        &mut new,
        "deletionTimestamp",
        time::rfc3339(Timestamp::now()),
    );
    meta::set(&mut new, "status.phase", "Terminating");
    Step::Mark(new)
}

/// Pods: told first, removed when their node says so or the grace is over.
fn graceful_step(
    mut new: Value,
    old: &Value,
    grace: i64,
    options: &DeleteOptions,
    finalizers: &[String],
) -> Step {
    if meta::deletion_timestamp(old).is_some() {
        let left = meta::deletion_grace_period_seconds(old).unwrap_or(0);
        // The grace can only become shorter, and only when asked.
        let wanted = if options.grace_seconds.is_some() {
            grace
        } else {
            left
        };
        if wanted >= left && left > 0 {
            return Step::Wait;
        }
        if wanted < left {
            shorten(&mut new, left, wanted);
        }
        if wanted > 0 {
            return Step::Mark(new);
        }
        return end_or_wait(new, old, finalizers);
    }
    mark_ending(&mut new, grace);
    if grace > 0 || !finalizers.is_empty() {
        return Step::Mark(new);
    }
    Step::Remove(new)
}

fn end_or_wait(new: Value, old: &Value, finalizers: &[String]) -> Step {
    if finalizers.is_empty() {
        return Step::Remove(new);
    }
    if new == *old {
        Step::Wait
    } else {
        Step::Mark(new)
    }
}

fn shorten(new: &mut Value, left: i64, wanted: i64) {
    let ends = meta::deletion_timestamp(new).and_then(time::parse);
    let sooner = ends.and_then(|t| t.checked_sub(SignedDuration::from_secs(left - wanted)).ok());
    if let Some(sooner) = sooner {
        meta::set_meta(new, "deletionTimestamp", time::rfc3339(sooner));
    }
    meta::set_meta(new, "deletionGracePeriodSeconds", wanted);
}

fn mark_ending(object: &mut Value, grace: i64) {
    if meta::deletion_timestamp(object).is_none() {
        let now = Timestamp::now();
        let ends = now
            .checked_add(SignedDuration::from_secs(grace))
            .unwrap_or(now);
        meta::set_meta(object, "deletionTimestamp", time::rfc3339(ends));
        let generation = meta::generation(object);
        if generation > 0 {
            meta::set_meta(object, "generation", generation + 1);
        }
    }
    meta::set_meta(object, "deletionGracePeriodSeconds", grace);
}
