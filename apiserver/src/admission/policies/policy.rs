//! A policy, compiled once for as long as it stays as it is.

use std::sync::Arc;

use apimachinery::meta;
use expressions::{Environment, Program, Type, admission};
use serde_json::Value;

use super::super::evaluation::{Conditions, Weight};
use super::super::matching::Criteria;

pub struct Policy<R> {
    pub name: String,
    pub criteria: Criteria,
    /// `failurePolicy: Fail`: what cannot be evaluated is a no.
    pub fails_closed: bool,
    pub params: Option<ParamKind>,
    pub conditions: Conditions,
    pub variables: Vec<(String, Arc<Program>)>,
    pub rules: R,
    /// How long evaluating all of it may take.
    pub weight: Weight,
}

/// The kind of a policy's parameters.
pub struct ParamKind {
    pub group: String,
    pub version: String,
    pub kind: String,
}

/// What a policy does, read from its `spec`.
pub trait Rules: Send + Sync + 'static {
    fn read(spec: &Value, environment: &Environment) -> Self;
    /// What can be evaluated.
    fn programs(&self) -> Vec<&Program>;
}

/// An expression, or why there is none: it was stored where it could be compiled.
pub type Compiled = Result<Program, String>;

fn compile(source: &str, environment: &Environment) -> Compiled {
    Program::compile(source, environment).map_err(|error| error.to_string())
}

pub struct Validating {
    pub validations: Vec<Validation>,
    pub annotations: Vec<Annotation>,
}

pub struct Validation {
    pub expression: Compiled,
    /// As it is written.
    pub source: String,
    pub message: String,
    pub message_expression: Option<Compiled>,
    pub reason: String,
}

/// What is noted in the audit log.
pub struct Annotation {
    pub key: String,
    pub value: Compiled,
}

pub struct Mutating {
    pub mutations: Vec<Mutation>,
    /// Is asked again when the object changed since.
    pub reinvokes: bool,
}

pub enum Mutation {
    Configuration(Compiled),
    Patch(Compiled),
}

impl<R: Rules> Policy<R> {
    pub fn read(name: &str, policy: &Value) -> Self {
        let spec = &policy["spec"];
        let constraints = &spec["matchConstraints"];
        let params = spec["paramKind"]
            .is_object()
            .then(|| ParamKind::read(&spec["paramKind"]));
        let mut environment = admission::policy(params.is_some());
        let mut variables = Vec::new();
        for variable in meta::items(spec, "variables") {
            let name = meta::text(variable, "name");
            // One that does not compile is missing where it is asked for.
            if let Ok(program) = compile(meta::text(variable, "expression"), &environment) {
                environment.add_computed(name, program.result().clone());
                variables.push((name.to_owned(), Arc::new(program)));
            }
        }
        let conditions = Conditions::read(meta::items(spec, "matchConditions"), &environment);
        let rules = R::read(spec, &environment);
        let computed = variables.iter().map(|(_, program)| program.as_ref());
        let all = computed
            .chain(conditions.programs())
            .chain(rules.programs());
        Self {
            weight: Weight::of(all),
            name: name.to_owned(),
            criteria: Criteria::read(
                meta::items(constraints, "resourceRules"),
                meta::items(constraints, "excludeResourceRules"),
                constraints,
            ),
            fails_closed: meta::text(spec, "failurePolicy") != "Ignore",
            conditions,
            rules,
            params,
            variables,
        }
    }
}

impl ParamKind {
    pub fn read(kind: &Value) -> Self {
        let written = meta::text(kind, "apiVersion");
        let (group, version) = written.split_once('/').unwrap_or(("", written));
        Self {
            group: group.to_owned(),
            version: version.to_owned(),
            kind: meta::text(kind, "kind").to_owned(),
        }
    }
}

impl Rules for Validating {
    fn read(spec: &Value, environment: &Environment) -> Self {
        let validations = meta::items(spec, "validations").iter();
        let annotations = meta::items(spec, "auditAnnotations").iter();
        let text = environment
            .clone()
            .returning(Type::String)
            .returning(Type::Null);
        Self {
            validations: validations
                .map(|one| Validation::read(one, environment))
                .collect(),
            annotations: annotations
                .map(|one| Annotation {
                    key: meta::text(one, "key").to_owned(),
                    value: compile(meta::text(one, "valueExpression"), &text),
                })
                .collect(),
        }
    }

    fn programs(&self) -> Vec<&Program> {
        let validations = self.validations.iter().flat_map(Validation::programs);
        let annotations = self.annotations.iter();
        let annotations = annotations.filter_map(|one| one.value.as_ref().ok());
        validations.chain(annotations).collect()
    }
}

impl Validation {
    fn programs(&self) -> impl Iterator<Item = &Program> {
        let both = [Some(&self.expression), self.message_expression.as_ref()];
        both.into_iter()
            .flatten()
            .filter_map(|one| one.as_ref().ok())
    }

    fn read(validation: &Value, environment: &Environment) -> Self {
        let condition = environment.clone().returning(Type::Bool);
        let text = environment.clone().returning(Type::String);
        let source = meta::text(validation, "expression").trim();
        let message = meta::text(validation, "messageExpression");
        Self {
            expression: compile(source, &condition),
            source: source.to_owned(),
            message: meta::text(validation, "message").trim().to_owned(),
            message_expression: (!message.is_empty()).then(|| compile(message, &text)),
            reason: match meta::text(validation, "reason") {
                "" => "Invalid",
                reason => reason,
            }
            .to_owned(),
        }
    }
}

impl Rules for Mutating {
    fn read(spec: &Value, environment: &Environment) -> Self {
        let patch = admission::json_patch(environment.clone());
        let configuration = admission::apply_configuration(environment.clone());
        let mutations = meta::items(spec, "mutations").iter();
        Self {
            mutations: mutations
                .map(|one| match meta::text(one, "patchType") {
                    "JSONPatch" => {
                        Mutation::Patch(compile(meta::text(one, "jsonPatch.expression"), &patch))
                    }
                    _ => {
                        let source = meta::text(one, "applyConfiguration.expression");
                        Mutation::Configuration(compile(source, &configuration))
                    }
                })
                .collect(),
            reinvokes: meta::text(spec, "reinvocationPolicy") == "IfNeeded",
        }
    }

    fn programs(&self) -> Vec<&Program> {
        let compiled = self.mutations.iter().map(Mutation::compiled);
        compiled.filter_map(|one| one.as_ref().ok()).collect()
    }
}

impl Mutation {
    pub fn compiled(&self) -> &Compiled {
        let (Self::Configuration(compiled) | Self::Patch(compiled)) = self;
        compiled
    }
}
