//! Which variables an expression may use, and what it must come to.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::library::kinds;
use crate::types::{Object, Type};

/// What there is when an expression runs. Built once a kind of use, cheap to extend.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    pub(crate) variables: BTreeMap<String, Type>,
    /// Any is fine where this is empty.
    pub(crate) results: Vec<Type>,
    /// `Object{...}` and `JSONPatch{...}` may be written.
    pub(crate) builds_objects: bool,
}

impl Environment {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn with(mut self, name: &str, kind: Type) -> Self {
        self.variables.insert(name.to_owned(), kind);
        self
    }

    /// `authorizer`, and `authorizer.requestResource`.
    pub fn with_authorizer(self) -> Self {
        self.with("authorizer", Type::Opaque(kinds::AUTHORIZER))
            .with(
                "authorizer.requestResource",
                Type::Opaque(kinds::RESOURCE_CHECK),
            )
    }

    /// Programs must evaluate to this type, or to another one named the same way.
    pub fn returning(mut self, result: Type) -> Self {
        self.results.push(result);
        self
    }

    /// Programs may write `Object{...}`, `Object.spec{...}` and `JSONPatch{...}`.
    pub fn building_objects(mut self) -> Self {
        self.builds_objects = true;
        self
    }

    /// Adds a field to the variable `variables`, for programs compiled from now on.
    pub fn add_computed(&mut self, name: &str, kind: Type) {
        let mut object = match self.variables.get("variables") {
            Some(Type::Object(object)) => Object::clone(object),
            _ => Object {
                name: "kubernetes.variables".to_owned(),
                ..Object::default()
            },
        };
        object.fields.insert(name.to_owned(), kind);
        let variables = Type::Object(Arc::new(object));
        self.variables.insert("variables".to_owned(), variables);
    }
}
