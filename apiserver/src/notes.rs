//! What is noted on the way of a request, for its answer and for the audit log.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use http::Response;

use crate::body::Body;
use crate::respond;

/// All warnings of one answer together, in bytes, as Kubernetes bounds them.
const WARNINGS_MAX: usize = 4096;
/// One audit annotation's value.
const ANNOTATION_MAX: usize = 16 * 1024;

/// Costs nothing until something is noted.
#[derive(Debug, Default)]
pub struct Notes {
    warnings: Mutex<Vec<String>>,
    annotations: Mutex<BTreeMap<String, String>>,
}

impl Notes {
    /// Adds a `Warning` header to the answer, once.
    pub fn warn(&self, text: impl Into<String>) {
        let text = text.into();
        let mut warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        let size: usize = warnings.iter().map(String::len).sum();
        if !text.is_empty() && size + text.len() <= WARNINGS_MAX && !warnings.contains(&text) {
            warnings.push(text);
        }
    }

    /// Adds an annotation to the audit event; the first of a key counts.
    pub fn annotate(&self, key: impl Into<String>, value: impl Into<String>) {
        let value = value.into();
        if value.len() > ANNOTATION_MAX {
            return;
        }
        let mut annotations = self
            .annotations
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        annotations.entry(key.into()).or_insert(value);
    }

    /// The audit event's annotations so far.
    pub fn annotations(&self) -> BTreeMap<String, String> {
        let annotations = self
            .annotations
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        annotations.clone()
    }

    /// Puts the warnings on the answer.
    pub fn show(&self, response: &mut Response<Body>) {
        let warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        respond::warn(response, &warnings);
    }
}
