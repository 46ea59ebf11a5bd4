//! `x-kubernetes-validations`.

use std::sync::Arc;

use apimachinery::field::Error;
use serde_json::Value;

use crate::schema::Schema;
use crate::version::Version;

#[derive(Debug)]
pub struct Rules;

impl Rules {
    pub fn compile(_: &Value, _: bool) -> Option<Arc<Self>> {
        None
    }
}

impl Version {
    pub(crate) fn check_rules(&self, _: &Value, _: Option<&Value>, _: &mut Vec<Error>) {}
}

pub(crate) fn has_any(schema: &Schema) -> bool {
    schema.rules.is_some()
}
