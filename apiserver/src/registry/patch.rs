//! PATCH: JSON patch, merge patch, strategic merge patch, server-side apply.

pub mod type_meta;

use apimachinery::field::{Error as FieldError, Path};
use apimachinery::{Status, meta, status, time};
use http::{HeaderMap, header};
use jiff::Timestamp;
use patch::Writer;
use schema::Problem;
use serde_json::Value;

use super::options::{FieldValidation, WriteOptions};
use super::update::{Made, Part, Written};
use super::{Registry, decode};
use crate::served::Served;

/// Operations in one JSON patch, as Kubernetes bounds them.
const JSON_OPERATIONS_MAX: usize = 10_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatchType {
    Json,
    Merge,
    Strategic,
    Apply,
}

impl PatchType {
    /// What the body is; custom kinds know no strategic merge patch.
    pub fn of(headers: &HeaderMap, kind: &Served) -> Result<Self, Status> {
        let value = headers
            .get(header::CONTENT_TYPE)
            .and_then(|v| v.to_str().ok());
        match value.unwrap_or("").split(';').next().unwrap_or("").trim() {
            "application/json-patch+json" => Ok(Self::Json),
            "application/merge-patch+json" => Ok(Self::Merge),
            "application/strategic-merge-patch+json" if !kind.is_custom() => Ok(Self::Strategic),
            "application/apply-patch+yaml" => Ok(Self::Apply),
            _ if kind.is_custom() => Err(Status::unsupported_media_type(&[
                "application/json-patch+json",
                "application/merge-patch+json",
                "application/apply-patch+yaml",
            ])),
            _ => Err(Status::unknown_media_type()),
        }
    }
}

impl Registry<'_> {
    pub async fn patch(
        &self,
        name: &str,
        part: Part,
        of: PatchType,
        body: &[u8],
        options: &WriteOptions,
    ) -> Result<Written, Status> {
        check_options(of, options)?;
        if of == PatchType::Apply {
            return self.apply(name, part, body, options).await;
        }
        let twice = twice(of, body);
        let bytes = self
            .change(name, part, options, |old| {
                let mut object = self.patched(old, of, body)?;
                check_name(&object, name)?;
                self.fit(&mut object, &twice, options)
                    .map_err(|why| self.misfit(old, of, body, why))?;
                Ok(Made {
                    object,
                    is_owned: false,
                })
            })
            .await?;
        Ok(Written {
            bytes,
            created: false,
        })
    }

    fn patched(&self, old: &Value, of: PatchType, body: &[u8]) -> Result<Value, Status> {
        let kind = self.kind;
        let done = match of {
            PatchType::Json => {
                check_operations(body)?;
                patch::json(old, body)
            }
            PatchType::Strategic => match kind.node() {
                // Kubernetes reads the result as what the object was, whatever it says.
                Some(node) => patch::strategic(old, body, node).map(|mut object| {
                    type_meta::restore(kind, &mut object);
                    object
                }),
                None => patch::merge(old, body),
            },
            PatchType::Merge | PatchType::Apply => patch::merge(old, body),
        };
        done.map_err(|error| self.patch_failure(error))
    }

    /// Fits the patched object to its schema; the client is warned of what does not fit,
    /// and of what the patch has twice.
    ///
    /// # Errors
    /// Why the patch is refused.
    fn fit(
        &self,
        object: &mut Value,
        twice: &[Problem],
        options: &WriteOptions,
    ) -> Result<(), String> {
        type_meta::check(self.kind, object)?;
        let mut found = decode::problems(self.kind.into(), object);
        if let Some(fatal) = found.iter().find(|p| p.is_fatal()) {
            return Err(fatal.to_string());
        }
        found.splice(..0, twice.iter().cloned());
        if options.field_validation == FieldValidation::Strict && !found.is_empty() {
            let text = schema::strict_text(&found);
            return Err(format!("strict decoding error: {text}"));
        }
        for warning in decode::warnings(&found, options.field_validation) {
            self.call.notes.warn(warning);
        }
        Ok(())
    }

    /// The refusal of a patch whose result does not fit; it is made once more to be shown
    /// as it was before it was fitted.
    fn misfit(&self, old: &Value, of: PatchType, body: &[u8], why: String) -> Status {
        let shown = match of {
            PatchType::Strategic => patch::go_text(body),
            _ => match self.patched(old, of, body) {
                Ok(object) => object.to_string(),
                Err(status) => return status,
            },
        };
        let error = FieldError::invalid(&Path::new("patch"), shown, why);
        Status::invalid("", "", "", &[error])
    }

    async fn apply(
        &self,
        name: &str,
        part: Part,
        body: &[u8],
        options: &WriteOptions,
    ) -> Result<Written, Status> {
        let applied = self.read_applied(name, body, options)?;
        self.may_be_here(&applied)?;
        self.change_or_create(name, part, options, |old| {
            if old.is_none() && part != Part::Main {
                return Err(Status::not_found(self.resource(), name));
            }
            let live = old.unwrap_or(&Value::Null);
            let object = self.applied(live, &applied, part, options)?;
            Ok(Made {
                object,
                is_owned: true,
            })
        })
        .await
    }

    fn read_applied(
        &self,
        name: &str,
        body: &[u8],
        options: &WriteOptions,
    ) -> Result<Value, Status> {
        let decoded = decode::applied(body, options.field_validation)?;
        let mut applied = decoded.object;
        for warning in decoded.warnings {
            self.call.notes.warn(warning);
        }
        if !applied.is_object() {
            return Err(Status::bad_request(
                "the applied configuration is no object",
            ));
        }
        if meta::get(&applied, "metadata.managedFields").is_some() {
            return Err(Status::bad_request("metadata.managedFields must be nil"));
        }
        let (given, expected) = (meta::api_version(&applied), self.kind.api_version());
        if given != expected {
            return Err(Status::bad_request(format!(
                "Incorrect version specified in apply patch. Specified patch version: {given}, expected: {expected}"
            )));
        }
        if meta::kind(&applied) != self.kind.kind() {
            let given = meta::kind(&applied);
            return Err(Status::bad_request(format!(
                "the kind in the data ({given}) does not match the expected kind ({})",
                self.kind.kind()
            )));
        }
        if meta::name(&applied).is_empty() {
            meta::set_meta(&mut applied, "name", name);
        }
        check_name(&applied, name)?;
        Ok(applied)
    }

    pub fn applied(
        &self,
        live: &Value,
        applied: &Value,
        part: Part,
        options: &WriteOptions,
    ) -> Result<Value, Status> {
        let kind = self.kind;
        let Some(node) = kind.node() else {
            return Err(Status::unsupported_media_type(&[
                "application/merge-patch+json",
            ]));
        };
        let writer = Writer {
            manager: &options.field_manager,
            api_version: &kind.api_version(),
            subresource: part.subresource(),
            time: &time::rfc3339(Timestamp::now()),
            reset: if part == Part::Status {
                &[&["spec"]]
            } else {
                &[&["status"]]
            },
        };
        patch::apply(live, applied, &writer, options.force, node)
            .map_err(|error| self.apply_failure(error, applied))
    }

    /// Schema errors name the object as the client named it.
    fn apply_failure(&self, error: patch::Error, applied: &Value) -> Status {
        match error {
            patch::Error::Schema(why) => Status::unclassified(format!(
                "failed to create typed patch object ({}/{}; {}, Kind={}): {why}",
                meta::namespace(applied),
                meta::name(applied),
                meta::api_version(applied),
                meta::kind(applied)
            )),
            other => self.patch_failure(other),
        }
    }

    pub fn patch_failure(&self, error: patch::Error) -> Status {
        match error {
            patch::Error::Internal(why) | patch::Error::Schema(why) => Status::unclassified(why),
            patch::Error::Malformed(why) => Status::bad_request(why),
            patch::Error::Unprocessable(why) => unprocessable(&why),
            patch::Error::Conflicts(ref conflicts) => {
                let cause = |c: &patch::Conflict| status::Cause {
                    reason: "FieldManagerConflict".into(),
                    message: c.message(),
                    field: c.field.clone(),
                };
                Status::apply_conflict(error.to_string(), conflicts.iter().map(cause).collect())
            }
        }
    }
}

pub fn check_options(of: PatchType, options: &WriteOptions) -> Result<(), Status> {
    let refuse = |error| Err(Status::invalid("meta.k8s.io", "PatchOptions", "", &[error]));
    if of == PatchType::Apply {
        if options.field_manager.is_empty() {
            let path = Path::new("fieldManager");
            return refuse(FieldError::required(&path, "is required for apply patch"));
        }
    } else if options.force {
        let path = Path::new("force");
        return refuse(FieldError::forbidden(
            &path,
            "may not be specified for non-apply patch",
        ));
    }
    Ok(())
}

/// A patch that cannot be used on the object: 422 with the reason as its cause.
fn unprocessable(why: &str) -> Status {
    let mut status = Status::invalid("", "", "", &[]);
    status.message = "the server rejected our request due to an error in our request".into();
    status.details = Some(Box::new(status::Details {
        causes: vec![status::Cause {
            message: why.to_owned(),
            ..status::Cause::default()
        }],
        ..status::Details::default()
    }));
    status
}

/// The fields that the patch itself gives twice.
fn twice(of: PatchType, body: &[u8]) -> Vec<Problem> {
    let found = schema::read(body).map_or_else(|_| Vec::new(), |document| document.duplicates);
    let told = |problem: Problem| match of {
        PatchType::Json => Problem::Other(format!("json patch {problem}")),
        _ => problem,
    };
    found.into_iter().map(told).collect()
}

fn check_operations(body: &[u8]) -> Result<(), Status> {
    let operations: Vec<serde::de::IgnoredAny> = serde_json::from_slice(body).unwrap_or_default();
    if operations.len() > JSON_OPERATIONS_MAX {
        return Err(Status::too_large(format!(
            "The allowed maximum operations in a JSON patch is {JSON_OPERATIONS_MAX}, got {}",
            operations.len()
        )));
    }
    Ok(())
}

fn check_name(object: &Value, name: &str) -> Result<(), Status> {
    let given = meta::name(object);
    if given == name {
        return Ok(());
    }
    Err(Status::bad_request(format!(
        "the name of the object ({given}) does not match the name on the URL ({name})"
    )))
}
