//! What an expression's variables stand for in one evaluation.

use std::collections::BTreeMap;
use std::sync::Arc;

use cel::ExecutionError;
use cel::common::traits::{Container, Indexer};
use cel::common::types::{CelNull, CelOptional, CelString, Type as CelType};
use cel::common::value::{CowVal, Val};
use serde_json::Value;

use crate::authorizer::{Authorizer, Check};
use crate::error::EvalError;
use crate::library::authorizer::{AuthorizerVal, ResourceCheck};
use crate::program::Program;
use crate::types::Type;
use crate::value::json;

/// The variables of one request. Borrows what it is given; programs of the same request
/// share it, and what they compute.
#[derive(Default)]
pub struct Variables<'v> {
    values: BTreeMap<String, Box<dyn Val + 'v>>,
    computed: BTreeMap<String, Arc<Program>>,
    results: Results<'v>,
}

/// What `variables.<name>` has come to, or why it came to nothing.
type Results<'v> = BTreeMap<String, Result<Arc<dyn Val + 'v>, EvalError>>;

impl<'v> Variables<'v> {
    pub fn new() -> Self {
        Self::default()
    }

    /// JSON whose shape is not known.
    pub fn bind(&mut self, name: &str, value: &'v Value) {
        self.bind_typed(name, value, &Type::Dyn);
    }

    /// JSON read as its schema says: dates are timestamps, properties have escaped names.
    pub fn bind_typed(&mut self, name: &str, value: &'v Value, kind: &'v Type) {
        self.values
            .insert(name.to_owned(), json::to_val(value, kind));
    }

    /// A value that may be missing: `optional_type(kind)`.
    pub fn bind_optional(&mut self, name: &str, value: Option<&'v Value>, kind: &'v Type) {
        let optional = match value {
            Some(value) => CelOptional::of(json::to_val(value, kind)),
            None => CelOptional::none(),
        };
        self.values.insert(name.to_owned(), Box::new(optional));
    }

    pub fn bind_null(&mut self, name: &str) {
        self.values.insert(name.to_owned(), Box::new(CelNull));
    }

    /// `authorizer`, and `authorizer.requestResource` for what the request itself is about.
    pub fn bind_authorizer(&mut self, authorizer: Arc<dyn Authorizer>, request: Check) {
        let resource = ResourceCheck::new(Arc::clone(&authorizer), request);
        let name = "authorizer.requestResource".to_owned();
        self.values.insert(name, Box::new(resource));
        let all = AuthorizerVal::new(authorizer);
        self.values.insert("authorizer".to_owned(), Box::new(all));
    }

    /// `variables.<name>` is what this program comes to, found out when first asked for.
    pub fn compute(&mut self, name: &str, program: Arc<Program>) {
        self.computed.insert(name.to_owned(), program);
    }

    pub(crate) fn value(&self, name: &str) -> Option<Box<dyn Val + 'v>> {
        if name == "variables" {
            let results = self.results.clone();
            return Some(Box::new(Computed(Arc::new(results))));
        }
        self.values.get(name).cloned()
    }

    /// The program of `variables.<name>`, while nobody asked for it yet.
    pub(crate) fn uncomputed(&self, name: &str) -> Option<Arc<Program>> {
        if self.results.contains_key(name) {
            return None;
        }
        self.computed.get(name).cloned()
    }

    pub(crate) fn computed_names(&self) -> Vec<String> {
        self.computed.keys().cloned().collect()
    }

    pub(crate) fn keep(&mut self, name: &str, result: Result<Box<dyn Val + 'v>, EvalError>) {
        self.results.insert(name.to_owned(), result.map(Arc::from));
    }
}

/// The value of `variables`.
#[derive(Clone, Debug)]
struct Computed<'v>(Arc<Results<'v>>);

static COMPUTED: CelType = CelType::new_unspecified_type("kubernetes.variables");

impl Val for Computed<'_> {
    fn get_type(&self) -> &CelType {
        &COMPUTED
    }

    fn cel_type() -> &'static CelType {
        &COMPUTED
    }

    fn as_indexer<'b, 'v>(&'b self) -> Option<&'b (dyn Indexer + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }

    fn as_container(&self) -> Option<&dyn Container> {
        Some(self)
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
    where
        Self: 'v,
    {
        Box::new(Computed(Arc::clone(&self.0)))
    }
}

impl Container for Computed<'_> {
    fn contains(&self, key: &dyn Val) -> Result<bool, ExecutionError> {
        let key = key.downcast_ref::<CelString>();
        Ok(key.is_some_and(|key| self.0.contains_key(key.inner())))
    }
}

impl Indexer for Computed<'_> {
    fn get<'b, 'v>(&'b self, key: &dyn Val) -> Result<CowVal<'b, 'v>, ExecutionError>
    where
        Self: 'v,
    {
        let name = key
            .downcast_ref::<CelString>()
            .map_or("", |key| key.inner());
        match self.0.get(name) {
            Some(Ok(value)) => Ok(CowVal::Borrowed(value.as_ref())),
            Some(Err(error)) => {
                let message = format!("composited variable \"{name}\" fails to evaluate: {error}");
                Err(ExecutionError::function_error("variables", message))
            }
            None => Err(ExecutionError::no_such_key(name)),
        }
    }

    fn steal<'v>(self: Box<Self>, key: &dyn Val) -> Result<Box<dyn Val + 'v>, ExecutionError>
    where
        Self: 'v,
    {
        self.get(key).map(CowVal::into_owned)
    }
}
