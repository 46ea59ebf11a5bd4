//! The types of an expression, before anything runs: what is undeclared, undefined or
//! combined as it cannot be, and the most it can cost.
//!
//! A value of type `dyn` may be anything, so a program that passes can still fail on the
//! objects it meets.

mod cost;
mod literals;
mod matching;

use std::collections::HashMap;

use cel::IdedExpr;
use cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, ListExpr, LiteralValue, MapExpr, SelectExpr,
    operators,
};

use crate::compile::qualified;
use crate::environment::Environment;
use crate::library::signatures;
use crate::types::Type;

pub use matching::is_acceptable;
use matching::{join, resolve};

pub struct Checked {
    pub types: HashMap<u64, Type>,
    pub result: Type,
    /// The most one evaluation costs.
    pub estimate: u64,
}

/// Types every node.
///
/// # Errors
/// What is wrong, with the node it is wrong at.
pub fn check(
    expression: &IdedExpr,
    environment: &Environment,
) -> Result<Checked, Vec<(u64, String)>> {
    let mut checker = Checker {
        environment,
        scopes: Vec::new(),
        types: HashMap::new(),
        errors: Vec::new(),
        may_mix: environment.builds_objects,
    };
    let Typed { kind, cost } = checker.check(expression);
    if !checker.errors.is_empty() {
        return Err(checker.errors);
    }
    Ok(Checked {
        types: checker.types,
        result: kind,
        estimate: cost,
    })
}

/// A node's type and the most evaluating it costs.
struct Typed {
    kind: Type,
    cost: u64,
}

impl Typed {
    fn new(kind: Type, cost: u64) -> Self {
        Self { kind, cost }
    }
}

struct Checker<'a> {
    environment: &'a Environment,
    /// The variables of the loops around, innermost last.
    scopes: Vec<(String, Type)>,
    types: HashMap<u64, Type>,
    errors: Vec<(u64, String)>,
    /// Literals may hold values of several types: what is built is JSON, or formatted.
    may_mix: bool,
}

impl Checker<'_> {
    fn check(&mut self, expression: &IdedExpr) -> Typed {
        let id = expression.id;
        let typed = match &expression.expr {
            Expr::Literal(literal) => Typed::new(of_literal(literal), 0),
            Expr::Ident(name) => self.ident(id, name),
            Expr::Select(select) => self.select(expression, select),
            Expr::Call(call) => self.call(id, call),
            Expr::List(list) => self.list(list),
            Expr::Map(map) => self.map(map),
            Expr::Comprehension(comprehension) => self.comprehension(id, comprehension),
            Expr::Struct(object) => {
                let name = &object.type_name;
                self.fail(
                    id,
                    format!("undeclared reference to '{name}' (in container '')"),
                )
            }
            Expr::Unspecified => self.fail(id, "unset expression".to_owned()),
        };
        self.types.insert(id, typed.kind.clone());
        typed
    }

    fn fail(&mut self, id: u64, message: String) -> Typed {
        self.errors.push((id, message));
        Typed::new(Type::Dyn, 0)
    }

    fn variable(&self, name: &str) -> Option<&Type> {
        let absolute = name.strip_prefix('.');
        let inner = self.scopes.iter().rev();
        let inner = inner.filter(|_| absolute.is_none());
        let local = inner
            .into_iter()
            .find(|(n, _)| n == name)
            .map(|(_, kind)| kind);
        local.or_else(|| self.environment.variables.get(absolute.unwrap_or(name)))
    }

    fn ident(&mut self, id: u64, name: &str) -> Typed {
        if let Some(kind) = self.variable(name) {
            return Typed::new(kind.clone(), 1);
        }
        if signatures::is_type(name) {
            return Typed::new(Type::Type, 1);
        }
        self.fail(
            id,
            format!("undeclared reference to '{name}' (in container '')"),
        )
    }

    fn select(&mut self, expression: &IdedExpr, select: &SelectExpr) -> Typed {
        if let Some(name) = qualified(expression) {
            if let Some(kind) = self.environment.variables.get(&name) {
                return Typed::new(kind.clone(), 1);
            }
            if signatures::is_type(&name) {
                return Typed::new(Type::Type, 1);
            }
        }
        let operand = self.check(&select.operand);
        let cost = operand.cost.saturating_add(1);
        match self.field(&operand.kind, &select.field) {
            Ok(_) if select.test => Typed::new(Type::Bool, cost),
            Ok(kind) => Typed::new(kind, cost),
            Err(message) => self.fail(expression.id, message),
        }
    }

    /// The type of a field of a value of this type.
    fn field(&self, kind: &Type, field: &str) -> Result<Type, String> {
        match kind.plain() {
            Type::Dyn => Ok(Type::Dyn),
            Type::Map(_, value) => Ok(value.as_ref().clone()),
            Type::Object(object) => match object.fields.get(field) {
                Some(kind) => Ok(kind.clone()),
                None => Err(format!("undefined field '{field}'")),
            },
            Type::Optional(inner) => {
                let inner = self.field(inner, field)?;
                Ok(match inner {
                    Type::Optional(_) => inner,
                    _ => Type::optional(inner),
                })
            }
            other => Err(format!("type '{other}' does not support field selection")),
        }
    }

    fn list(&mut self, list: &ListExpr) -> Typed {
        let mut item: Option<Type> = None;
        let mut cost = 10_u64;
        for (place, element) in list.elements.iter().enumerate() {
            let typed = self.check(element);
            cost = cost.saturating_add(typed.cost);
            let kind = match (list.optional_indices.contains(&place), typed.kind) {
                (true, Type::Optional(inner)) => inner.as_ref().clone(),
                (_, kind) => kind,
            };
            item = Some(self.agree(element.id, item, kind));
        }
        let kind = Type::list(item.unwrap_or(Type::Dyn));
        Typed::new(kind.at_most(list.elements.len() as u64), cost)
    }

    /// The elements of a literal must all be of one type.
    fn agree(&mut self, id: u64, known: Option<Type>, next: Type) -> Type {
        let Some(known) = known else {
            return next;
        };
        if let Some(both) = join(&known, &next) {
            return both;
        }
        if self.may_mix {
            return Type::Dyn;
        }
        self.errors
            .push((id, format!("expected type '{known}' but found '{next}'")));
        known
    }

    fn map(&mut self, map: &MapExpr) -> Typed {
        let (mut key, mut value) = (None, None);
        let mut cost = 30_u64;
        for entry in &map.entries {
            let EntryExpr::MapEntry(entry) = &entry.expr else {
                continue;
            };
            let of_key = self.check(&entry.key);
            let of_value = self.check(&entry.value);
            cost = cost
                .saturating_add(of_key.cost)
                .saturating_add(of_value.cost);
            key = Some(self.agree(entry.key.id, key, of_key.kind));
            let kind = match (entry.optional, of_value.kind) {
                (true, Type::Optional(inner)) => inner.as_ref().clone(),
                (_, kind) => kind,
            };
            value = Some(self.agree(entry.value.id, value, kind));
        }
        let (key, value) = (key.unwrap_or(Type::Dyn), value.unwrap_or(Type::Dyn));
        let kind = Type::Map(key.into(), value.into());
        Typed::new(kind.at_most(map.entries.len() as u64), cost)
    }

    fn call(&mut self, id: u64, call: &CallExpr) -> Typed {
        match (call.func_name.as_str(), call.args.as_slice()) {
            (operators::CONDITIONAL, [condition, then, otherwise]) => {
                self.conditional(id, condition, then, otherwise)
            }
            (operators::OPT_SELECT, [operand, field]) => self.optional_select(id, operand, field),
            _ => self.function(id, call),
        }
    }

    fn conditional(&mut self, id: u64, c: &IdedExpr, a: &IdedExpr, b: &IdedExpr) -> Typed {
        let (c, a, b) = (self.check(c), self.check(a), self.check(b));
        let cost = c.cost.saturating_add(a.cost.max(b.cost));
        let is_bool = matches!(c.kind.plain(), Type::Bool | Type::Dyn);
        match join(&a.kind, &b.kind) {
            Some(kind) if is_bool => Typed::new(kind, cost),
            _ => {
                let kinds = [&c.kind, &a.kind, &b.kind];
                self.fail(id, no_overload(operators::CONDITIONAL, None, &kinds))
            }
        }
    }

    fn optional_select(&mut self, id: u64, operand: &IdedExpr, field: &IdedExpr) -> Typed {
        let operand = self.check(operand);
        self.check(field);
        let Expr::Literal(LiteralValue::String(name)) = &field.expr else {
            return self.fail(id, "unsupported optional field selection".to_owned());
        };
        match self.field(&operand.kind, name.inner()) {
            Ok(kind @ Type::Optional(_)) => Typed::new(kind, operand.cost.saturating_add(1)),
            Ok(kind) => Typed::new(Type::optional(kind), operand.cost.saturating_add(1)),
            Err(message) => self.fail(id, message),
        }
    }

    fn function(&mut self, id: u64, call: &CallExpr) -> Typed {
        let mut name = call.func_name.clone();
        let mut receiver = None;
        if let Some(target) = &call.target {
            let whole = qualified(target).map(|space| format!("{space}.{name}"));
            match whole.filter(|whole| signatures::is_function(whole)) {
                Some(whole) => name = whole,
                None => receiver = Some(self.check(target)),
            }
        }
        let mixed = self.may_mix;
        self.may_mix |= name == "format";
        let args: Vec<Typed> = call.args.iter().map(|arg| self.check(arg)).collect();
        self.may_mix = mixed;
        let given: Vec<&Type> = receiver
            .iter()
            .chain(&args)
            .map(|typed| &typed.kind)
            .collect();
        let overloads = signatures::find(&name, receiver.is_some());
        if overloads.is_empty() {
            return self.fail(
                id,
                format!("undeclared reference to '{name}' (in container '')"),
            );
        }
        let Some(kind) = resolve(&overloads, &given) else {
            let member = receiver.as_ref().map(|typed| &typed.kind);
            let rest: Vec<&Type> = args.iter().map(|typed| &typed.kind).collect();
            return self.fail(id, no_overload(&name, member, &rest));
        };
        if let Some(message) = literals::mistake(&name, call) {
            return self.fail(id, message);
        }
        let spent = receiver.iter().chain(&args).map(|typed| typed.cost);
        let spent = spent.fold(0, u64::saturating_add);
        let cost = spent.saturating_add(cost::of_call(&name, &given));
        Typed::new(cost::bounded(&name, kind, &given), cost)
    }

    fn comprehension(&mut self, id: u64, c: &ComprehensionExpr) -> Typed {
        let range = self.check(&c.iter_range);
        let init = self.check(&c.accu_init);
        let item = match range.kind.plain() {
            Type::List(item) => item.as_ref().clone(),
            Type::Map(key, _) => key.as_ref().clone(),
            Type::Dyn => Type::Dyn,
            other => {
                let why = format!(
                    "expression of type '{other}' cannot be range of a comprehension \
                     (must be list, map, or dynamic)"
                );
                return self.fail(id, why);
            }
        };
        let depth = self.scopes.len();
        self.scopes.push((c.accu_var.clone(), init.kind.clone()));
        self.scopes.push((c.iter_var.clone(), item));
        let cond = self.check(&c.loop_cond);
        let step = self.check(&c.loop_step);
        self.scopes.truncate(depth);
        let turns = cost::elements(&range.kind);
        let gathered = match (init.kind.plain(), step.kind.plain()) {
            (Type::List(a), Type::List(_)) if **a == Type::Dyn => step.kind.plain().clone(),
            _ => join(&init.kind, &step.kind).unwrap_or(step.kind),
        };
        let gathered = match gathered.plain() {
            Type::List(_) => gathered.at_most(turns),
            _ => gathered,
        };
        self.scopes.push((c.accu_var.clone(), gathered));
        let result = self.check(&c.result);
        self.scopes.truncate(depth);
        let turn = cond.cost.saturating_add(step.cost);
        let cost = range
            .cost
            .saturating_add(init.cost)
            .saturating_add(result.cost);
        Typed::new(result.kind, cost.saturating_add(turns.saturating_mul(turn)))
    }
}

fn of_literal(literal: &LiteralValue) -> Type {
    match literal {
        LiteralValue::Boolean(_) => Type::Bool,
        LiteralValue::Bytes(bytes) => Type::Bytes.at_most(bytes.inner().len() as u64),
        LiteralValue::Double(_) => Type::Double,
        LiteralValue::Int(_) => Type::Int,
        LiteralValue::Null => Type::Null,
        LiteralValue::String(text) => Type::String.at_most(text.inner().chars().count() as u64),
        LiteralValue::UInt(_) => Type::Uint,
    }
}

fn no_overload(name: &str, receiver: Option<&Type>, args: &[&Type]) -> String {
    let args: Vec<_> = args.iter().map(|kind| kind.to_string()).collect();
    let args = args.join(", ");
    let receiver = receiver.map(|kind| format!("{kind}.")).unwrap_or_default();
    format!("found no matching overload for '{name}' applied to '{receiver}({args})'")
}
