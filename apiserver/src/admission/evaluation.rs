//! What expressions of policies and match conditions see of a write.

use std::borrow::Cow;
use std::sync::Arc;

use apimachinery::{Status, meta};
use expressions::{
    Authorizer, Budget, Check, Decision, Environment, EvalError, Program, Type, Variables,
};
use serde_json::{Value, json};
use tokio::runtime::{Handle, RuntimeFlavor};

use super::matching::Matched;
use super::request::{Request, kind_of, kind_value, resource_of};
use crate::authz::{self, Action, Attributes};
use crate::registry::Registry;
use crate::user::User;

/// A write as expressions see it: `object`, `oldObject`, `request`, `authorizer`.
pub struct Shown<'a> {
    object: Cow<'a, Value>,
    old: Cow<'a, Value>,
    request: Value,
    asker: Arc<Asker>,
    subject: Check,
}

impl<'a> Shown<'a> {
    /// `object` as the rules matched it: perhaps in another version.
    pub async fn new(
        registry: &Registry<'_>,
        request: &Request<'a>,
        object: &'a Value,
        matched: &Matched,
    ) -> Result<Self, Status> {
        let mut shown = request.to_value();
        let (mut object, mut old) = (Cow::Borrowed(object), Cow::Borrowed(request.old));
        if let Some(other) = matched.conversion(request, registry.kind) {
            for seen in [&mut object, &mut old] {
                let converted = registry.api.converted(registry.kind, other, seen).await?;
                *seen = Cow::Owned(converted);
            }
            shown["kind"] = kind_value(&kind_of(other));
        }
        if let Matched::As(other) = matched {
            shown["resource"] = resource_of(other).to_value();
        }
        Ok(Self {
            object,
            old,
            request: shown,
            asker: Arc::new(Asker {
                authz: Arc::clone(&registry.api.authz),
                user: Arc::clone(&registry.call.user),
            }),
            subject: Check {
                group: request.resource.group.clone(),
                resource: request.resource.resource.clone(),
                subresource: request.subresource.to_owned(),
                namespace: request.namespace.clone(),
                name: request.name.clone(),
                ..Check::default()
            },
        })
    }

    /// The same write of another object, which is in the version that is shown.
    pub fn with_object<'b>(&'b self, object: &'b Value) -> Shown<'b> {
        Shown {
            object: Cow::Borrowed(object),
            old: Cow::Borrowed(&*self.old),
            request: self.request.clone(),
            asker: self.asker.clone(),
            subject: self.subject.clone(),
        }
    }

    pub fn object(&self) -> &Value {
        &self.object
    }

    /// What every expression may ask; policies add to it.
    pub fn variables(&self) -> Variables<'_> {
        let mut variables = Variables::new();
        variables.bind("object", &self.object);
        variables.bind("oldObject", &self.old);
        variables.bind("request", &self.request);
        let asker: Arc<dyn Authorizer> = self.asker.clone();
        variables.bind_authorizer(asker, self.subject.clone());
        variables
    }
}

/// What programs may cost together before they are kept from holding up others.
/// A loop over what may be any list counts as more.
const LIGHT: u64 = 1_000_000;

/// How long evaluations may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// Microseconds.
    Light,
    /// They may use up a budget: a second or so, while this thread answers nobody.
    Heavy,
}

impl Weight {
    pub fn of<'p>(programs: impl IntoIterator<Item = &'p Program>) -> Self {
        let costs = programs.into_iter().map(Program::estimated_cost);
        match costs.fold(0, u64::saturating_add) {
            0..LIGHT => Self::Light,
            _ => Self::Heavy,
        }
    }

    /// Runs `work`, with the other tasks of this thread moved elsewhere if it may take long.
    pub fn run<T>(self, work: impl FnOnce() -> T) -> T {
        let runtime = Handle::try_current().map(|runtime| runtime.runtime_flavor());
        match (self, runtime) {
            (Self::Heavy, Ok(RuntimeFlavor::MultiThread)) => tokio::task::block_in_place(work),
            _ => work(),
        }
    }
}

/// `namespaceObject`: of a Namespace what is told of it; `null` in the whole cluster.
pub fn namespace_object(namespace: &Value) -> Value {
    if !namespace.is_object() {
        return Value::Null;
    }
    let mut shown = json!({ "apiVersion": "v1", "kind": "Namespace" });
    for field in ["metadata", "spec", "status"] {
        if let Some(part) = namespace.get(field) {
            shown[field] = part.clone();
        }
    }
    meta::remove_meta(&mut shown, "managedFields");
    shown
}

/// Answers `authorizer` for the user who makes the request.
struct Asker {
    authz: Arc<authz::Authorizer>,
    user: Arc<User>,
}

impl Asker {
    fn decide(&self, user: &User, check: &Check) -> Decision {
        let target = match &check.path {
            Some(path) => Action::Path(path),
            None => Action::Resource {
                group: &check.group,
                resource: &check.resource,
                subresource: &check.subresource,
                namespace: &check.namespace,
                name: &check.name,
            },
        };
        let decided = self
            .authz
            .decide_blocking(user, &Attributes::new(&check.verb, target));
        Decision {
            allowed: decided.is_ok(),
            reason: decided.unwrap_or_else(|why| why),
            error: None,
        }
    }
}

impl Authorizer for Asker {
    fn check(&self, check: &Check) -> Decision {
        self.decide(&self.user, check)
    }

    fn check_service_account(&self, namespace: &str, name: &str, check: &Check) -> Decision {
        self.decide(&User::service_account(namespace, name, ""), check)
    }
}

/// `matchConditions`: all must hold.
#[derive(Debug, Default)]
pub struct Conditions(Vec<Condition>);

#[derive(Debug)]
struct Condition {
    name: String,
    /// Why there is none: it was stored by a server with another language.
    program: Result<Program, String>,
}

/// What conditions come to.
#[derive(Debug, PartialEq)]
pub enum Outcome {
    Hold,
    /// The first that does not.
    Fails(String),
    /// None is false, and these could not be evaluated.
    Unclear(String),
}

impl Conditions {
    pub fn read(conditions: &[Value], environment: &Environment) -> Self {
        let environment = environment.clone().returning(Type::Bool);
        let conditions = conditions.iter().map(|condition| Condition {
            name: meta::text(condition, "name").to_owned(),
            program: Program::compile(meta::text(condition, "expression"), &environment)
                .map_err(|error| error.to_string()),
        });
        Self(conditions.collect())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn programs(&self) -> impl Iterator<Item = &Program> {
        self.0.iter().filter_map(|one| one.program.as_ref().ok())
    }

    pub fn weight(&self) -> Weight {
        Weight::of(self.programs())
    }

    /// A condition that is false decides, whatever else cannot be evaluated.
    pub fn evaluate(&self, variables: &mut Variables<'_>) -> Outcome {
        let mut budget = Budget::new(Budget::MATCH_CONDITIONS);
        let mut errors = Vec::new();
        for condition in &self.0 {
            let held = match &condition.program {
                Ok(program) => program.evaluate_bool(variables, &mut budget),
                Err(why) => Err(EvalError::Failed(why.clone())),
            };
            match held {
                Ok(true) => {}
                Ok(false) => return Outcome::Fails(condition.name.clone()),
                Err(error) => {
                    let over = error == EvalError::Budget;
                    errors.push(match &condition.program {
                        Ok(program) => {
                            format!(
                                "expression '{}' resulted in error: {error}",
                                program.source()
                            )
                        }
                        Err(_) => error.to_string(),
                    });
                    if over {
                        break;
                    }
                }
            }
        }
        match errors.as_slice() {
            [] => Outcome::Hold,
            [one] => Outcome::Unclear(one.clone()),
            several => Outcome::Unclear(format!("[{}]", several.join(", "))),
        }
    }
}
