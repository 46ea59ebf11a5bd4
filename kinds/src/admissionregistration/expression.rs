//! Expressions of admission: they must compile where they are used.

use expressions::{Environment, Program, Type};

use crate::errors::{Errors, Seen};
use crate::node::Node;

/// As many match conditions as one list may have.
const MAX_CONDITIONS: usize = 64;

/// The program an expression is; what is no program is reported.
pub fn check(node: &Node, environment: &Environment, errors: &mut Errors) -> Option<Program> {
    let source = node.text();
    if source.trim().is_empty() {
        errors.required(node, "");
        return None;
    }
    match Program::compile(source, environment) {
        Ok(program) => Some(program),
        Err(error) => {
            errors.invalid_text(node, error.to_string());
            None
        }
    }
}

/// A list of named conditions.
pub fn check_conditions(conditions: &Node, environment: &Environment, errors: &mut Errors) {
    if !errors.at_most(conditions, MAX_CONDITIONS) {
        return;
    }
    let environment = environment.clone().returning(Type::Bool);
    let mut seen = Seen::new();
    for condition in conditions.items() {
        let name = condition.at("name");
        errors.require_name(&name, apimachinery::names::qualified);
        errors.unique(&name, &mut seen);
        check(&condition.at("expression"), &environment, errors);
    }
}
