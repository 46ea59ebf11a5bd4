//! The options of writes, from query strings and `DeleteOptions` bodies.

use apimachinery::field::{Error as FieldError, Path};
use apimachinery::{Status, meta};
use schema::protobuf;
use serde_json::Value;

use super::decode::{self, Wanted};
use crate::query::Query;

const GROUP: &str = "meta.k8s.io";
const MANAGER_MAX: usize = 128;
const DELETE_OPTIONS: Wanted<'static> = Wanted::built_in("", "v1", "DeleteOptions");

/// What is done about fields that the schema lacks or that come twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldValidation {
    Ignore,
    Warn,
    Strict,
}

/// The options of create, update and patch.
#[derive(Debug, Clone)]
pub struct WriteOptions {
    pub dry_run: bool,
    pub field_manager: String,
    pub field_validation: FieldValidation,
    /// Apply: take fields from other managers.
    pub force: bool,
}

impl WriteOptions {
    /// `kind` is `CreateOptions`, `UpdateOptions` or `PatchOptions`.
    pub fn read(query: &Query, kind: &str) -> Result<Self, Status> {
        let mut errors = Vec::new();
        let dry_run = read_dry_run(query.all("dryRun"), &mut errors);
        let field_manager = query.get("fieldManager").unwrap_or("").to_owned();
        if field_manager.len() > MANAGER_MAX {
            errors.push(FieldError::too_long(
                &Path::new("fieldManager"),
                MANAGER_MAX,
            ));
        }
        let field_validation = read_field_validation(query, &mut errors);
        refuse(kind, &errors)?;
        Ok(Self {
            dry_run,
            field_manager,
            field_validation,
            force: query.flag("force"),
        })
    }
}

fn read_field_validation(query: &Query, errors: &mut Vec<FieldError>) -> FieldValidation {
    match query.text("fieldValidation") {
        None | Some("Warn") => FieldValidation::Warn,
        Some("Ignore") => FieldValidation::Ignore,
        Some("Strict") => FieldValidation::Strict,
        Some(other) => {
            let path = Path::new("fieldValidation");
            errors.push(FieldError::not_supported(
                &path,
                other,
                &["Ignore", "Strict", "Warn"],
            ));
            FieldValidation::Warn
        }
    }
}

fn read_dry_run<'a>(values: impl Iterator<Item = &'a str>, errors: &mut Vec<FieldError>) -> bool {
    let values: Vec<&str> = values.filter(|v| !v.is_empty()).collect();
    if let Some(bad) = values.iter().find(|v| **v != "All") {
        errors.push(FieldError::not_supported(
            &Path::new("dryRun"),
            *bad,
            &["All"],
        ));
    }
    !values.is_empty()
}

fn refuse(kind: &str, errors: &[FieldError]) -> Result<(), Status> {
    if errors.is_empty() {
        return Ok(());
    }
    Err(Status::invalid(GROUP, kind, "", errors))
}

/// Who cleans up an object's dependents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Propagation {
    Background,
    Foreground,
    Orphan,
}

/// The options of deletes.
#[derive(Debug, Clone, Default)]
pub struct DeleteOptions {
    pub dry_run: bool,
    pub grace_seconds: Option<i64>,
    pub propagation: Option<Propagation>,
    pub uid: Option<String>,
    pub resource_version: Option<String>,
}

impl DeleteOptions {
    /// From the body if there is one, else from the query.
    pub fn read(query: &Query, body: &[u8]) -> Result<Self, Status> {
        if body.is_empty() {
            Self::of_query(query)
        } else {
            Self::of_body(query, body)
        }
    }

    fn of_query(query: &Query) -> Result<Self, Status> {
        let grace = query.text("gracePeriodSeconds").map(|text| {
            text.parse().map_err(|_| {
                Status::bad_request(format!(
                    "strconv.ParseInt: parsing {text:?}: invalid syntax"
                ))
            })
        });
        let mut errors = Vec::new();
        let dry_run = read_dry_run(query.all("dryRun"), &mut errors);
        let orphan = query
            .get("orphanDependents")
            .map(|_| query.flag("orphanDependents"));
        let propagation = read_propagation(query.text("propagationPolicy"), orphan, &mut errors);
        refuse("DeleteOptions", &errors)?;
        Ok(Self {
            dry_run,
            grace_seconds: grace.transpose()?,
            propagation,
            uid: None,
            resource_version: None,
        })
    }

    fn of_body(query: &Query, body: &[u8]) -> Result<Self, Status> {
        let options = read_body(body)?;
        let text = |path: &str| {
            let found = meta::text(&options, path);
            (!found.is_empty()).then(|| found.to_owned())
        };
        let mut errors = Vec::new();
        let dry_run = meta::items(&options, "dryRun")
            .iter()
            .filter_map(Value::as_str);
        let dry_run = read_dry_run(dry_run.chain(query.all("dryRun")), &mut errors);
        let orphan = options["orphanDependents"].as_bool();
        let propagation =
            read_propagation(text("propagationPolicy").as_deref(), orphan, &mut errors);
        refuse("DeleteOptions", &errors)?;
        Ok(Self {
            dry_run,
            grace_seconds: meta::int(&options, "gracePeriodSeconds"),
            propagation,
            uid: text("preconditions.uid"),
            resource_version: text("preconditions.resourceVersion"),
        })
    }
}

fn read_propagation(
    policy: Option<&str>,
    orphan: Option<bool>,
    errors: &mut Vec<FieldError>,
) -> Option<Propagation> {
    let path = Path::new("propagationPolicy");
    if let (Some(policy), Some(_)) = (policy, orphan) {
        let why = "orphanDependents and deletionPropagation cannot be both set";
        errors.push(FieldError::invalid(&path, policy, why));
        return None;
    }
    match (policy, orphan) {
        (Some("Background"), _) | (None, Some(false)) => Some(Propagation::Background),
        (Some("Foreground"), _) => Some(Propagation::Foreground),
        (Some("Orphan"), _) | (None, Some(true)) => Some(Propagation::Orphan),
        (None, None) => None,
        (Some(other), _) => {
            let known = ["Foreground", "Background", "Orphan", "nil"];
            errors.push(FieldError::not_supported(&path, other, &known));
            None
        }
    }
}

/// JSON, YAML or protobuf: the last one says so itself.
fn read_body(body: &[u8]) -> Result<Value, Status> {
    if body.starts_with(protobuf::MAGIC) {
        return decode::kubernetes_protobuf(DELETE_OPTIONS, body);
    }
    serde_json::from_slice(body)
        .or_else(|_| serde_yaml::from_slice(body))
        .map_err(|error| Status::bad_request(format!("the delete options cannot be read: {error}")))
}
