//! Puts charges into a program, so that it pays for what the interpreter does with it.
//!
//! * Each turn of a loop pays for the nodes it evaluates, at a place where failing ends the
//!   loop and every loop around it: in the condition of `all` and `exists`, in the guard of
//!   `map` and `filter`.
//! * An operand whose handling depends on its size is wrapped in [`COPY`], which
//!   charges for it and hands it on.
//! * `==`, `!=` and `in` between anything but scalars become functions that charge first.
//!
//! What is not wrapped handles its arguments in constant time, or charges by itself.

use std::collections::HashMap;

use cel::IdedExpr;
use cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedEntryExpr, LiteralValue, operators,
};

use crate::library::names::{COPY, ELEMENTS, EQUALS, MEMBER, NOT_EQUALS, TURN};
use crate::library::{names, signatures};
use crate::types::Type;

/// Texts of a program up to here are copied for nothing.
const SHORT: usize = 64;

pub struct Metered {
    pub expression: IdedExpr,
    /// What one evaluation costs outside of loops, sizes aside.
    pub base_cost: u64,
}

pub fn put_in(expression: IdedExpr, types: &HashMap<u64, Type>) -> Metered {
    let mut meter = Meter { types, nodes: 0 };
    let expression = meter.put_in(expression);
    Metered {
        expression,
        base_cost: meter.nodes,
    }
}

struct Meter<'a> {
    types: &'a HashMap<u64, Type>,
    /// The nodes seen so far that are evaluated once per turn of the loop being looked at.
    nodes: u64,
}

impl Meter<'_> {
    fn put_in(&mut self, expression: IdedExpr) -> IdedExpr {
        let IdedExpr { id, expr } = expression;
        self.nodes += 1;
        let expr = match expr {
            Expr::Call(call) => self.call(call),
            Expr::Select(mut select) => {
                *select.operand = self.put_in(*select.operand);
                Expr::Select(select)
            }
            Expr::List(mut list) => {
                let elements = list.elements.into_iter();
                list.elements = elements.map(|item| self.paid(item, COPY)).collect();
                Expr::List(list)
            }
            Expr::Map(mut map) => {
                let entries = map.entries.into_iter();
                map.entries = entries.map(|entry| self.entry(entry)).collect();
                Expr::Map(map)
            }
            Expr::Comprehension(comprehension) => {
                Expr::Comprehension(Box::new(self.comprehension(*comprehension)))
            }
            other => other,
        };
        IdedExpr { id, expr }
    }

    fn entry(&mut self, entry: IdedEntryExpr) -> IdedEntryExpr {
        let expr = match entry.expr {
            EntryExpr::MapEntry(mut entry) => {
                entry.key = self.paid(entry.key, COPY);
                entry.value = self.paid(entry.value, COPY);
                EntryExpr::MapEntry(entry)
            }
            EntryExpr::StructField(mut field) => {
                field.value = self.paid(field.value, COPY);
                EntryExpr::StructField(field)
            }
        };
        IdedEntryExpr { id: entry.id, expr }
    }

    /// The expression, charged for its size by `how` unless that is nothing to speak of.
    fn paid(&mut self, expression: IdedExpr, how: &str) -> IdedExpr {
        let free = self.is_scalar(&expression) || is_short(&expression);
        let inner = self.put_in(expression);
        if free {
            return inner;
        }
        global(how, vec![inner])
    }

    fn is_scalar(&self, expression: &IdedExpr) -> bool {
        self.types.get(&expression.id).is_some_and(Type::is_scalar)
    }

    fn call(&mut self, call: CallExpr) -> Expr {
        match (call.func_name.as_str(), call.args.len()) {
            (operators::LOGICAL_AND | operators::LOGICAL_OR, 2)
            | (operators::CONDITIONAL, 3)
            | (operators::LOGICAL_NOT | operators::NOT_STRICTLY_FALSE, 1) => self.plain(call),
            (operators::INDEX | operators::OPT_INDEX | operators::OPT_SELECT, 2) => {
                self.index(call)
            }
            (operators::EQUALS, 2) => self.compare(call, EQUALS),
            (operators::NOT_EQUALS, 2) => self.compare(call, NOT_EQUALS),
            (operators::IN, 2) => self.replace(call, MEMBER),
            // What a loop gathers is appended to in place.
            (operators::ADD, 2) if is_gathered(&call.args[0]) => self.plain(call),
            _ => self.function(call),
        }
    }

    fn plain(&mut self, mut call: CallExpr) -> Expr {
        let args = call.args.into_iter();
        call.args = args.map(|arg| self.put_in(arg)).collect();
        Expr::Call(call)
    }

    fn index(&mut self, mut call: CallExpr) -> Expr {
        // The optional forms keep a copy of what they find.
        let whole = call.func_name == operators::INDEX;
        let args = std::mem::take(&mut call.args);
        for (place, arg) in args.into_iter().enumerate() {
            call.args.push(match place {
                0 if whole => self.put_in(arg),
                _ => self.paid(arg, COPY),
            });
        }
        Expr::Call(call)
    }

    fn compare(&mut self, call: CallExpr, function: &str) -> Expr {
        if call.args.iter().any(|arg| self.is_scalar(arg)) {
            return self.plain(call);
        }
        self.replace(call, function)
    }

    fn replace(&mut self, call: CallExpr, function: &str) -> Expr {
        let args = call.args.into_iter().map(|arg| self.put_in(arg)).collect();
        global(function, args).expr
    }

    fn function(&mut self, mut call: CallExpr) -> Expr {
        let space = call.target.as_ref().and_then(|target| qualified(target));
        let whole = space.map(|space| format!("{space}.{}", call.func_name));
        let whole = whole.filter(|whole| signatures::is_function(whole));
        let name = whole.as_ref().unwrap_or(&call.func_name);
        let pays_itself = signatures::pays_itself(name);
        let instead = names::instead_of(name);
        let args = call.args.into_iter();
        call.args = args
            .map(|arg| match pays_itself {
                true => self.put_in(arg),
                false => self.paid(arg, COPY),
            })
            .collect();
        if whole.is_none() {
            call.target = call.target.map(|target| {
                Box::new(match pays_itself {
                    true => self.put_in(*target),
                    false => self.paid(*target, COPY),
                })
            });
        } else if instead.is_some() {
            call.target = None;
        }
        if let Some(instead) = instead {
            instead.clone_into(&mut call.func_name);
        }
        Expr::Call(call)
    }

    fn comprehension(&mut self, mut c: ComprehensionExpr) -> ComprehensionExpr {
        if is_binding(&c) {
            c.accu_init = self.paid(c.accu_init, COPY);
            c.result = self.paid(c.result, COPY);
            return c;
        }
        let range = self.put_in(c.iter_range);
        c.iter_range = global(ELEMENTS, vec![range]);
        c.accu_init = self.put_in(c.accu_init);
        let outside = std::mem::take(&mut self.nodes);
        let gathers = is_gathering(&c);
        let cond = self.put_in(c.loop_cond);
        let step = self.put_in(c.loop_step);
        let turn = self.nodes;
        self.nodes = outside;
        if gathers {
            c.loop_cond = cond;
            c.loop_step = guarded(step, &c.accu_var, turn);
        } else {
            c.loop_cond = pay_turn(cond, turn);
            c.loop_step = step;
        }
        c.result = self.put_in(c.result);
        c
    }
}

/// The step of `map` or `filter`, whose guard pays for the turn.
fn guarded(step: IdedExpr, accumulator: &str, turn: u64) -> IdedExpr {
    let IdedExpr { id, expr } = step;
    let expr = match expr {
        Expr::Call(mut call) if call.func_name == operators::CONDITIONAL => {
            let guard = std::mem::take(&mut call.args[0]);
            call.args[0] = pay_turn(guard, turn);
            Expr::Call(call)
        }
        other => {
            let step = IdedExpr { id, expr: other };
            let always = literal(LiteralValue::Boolean(true.into()));
            let same = IdedExpr {
                id: 0,
                expr: Expr::Ident(accumulator.to_owned()),
            };
            let args = vec![pay_turn(always, turn), step, same];
            return global(operators::CONDITIONAL, args);
        }
    };
    IdedExpr { id, expr }
}

fn pay_turn(condition: IdedExpr, turn: u64) -> IdedExpr {
    let cost = i64::try_from(turn).unwrap_or(i64::MAX);
    let cost = literal(LiteralValue::Int(cost.into()));
    global(TURN, vec![condition, cost])
}

fn global(function: &str, args: Vec<IdedExpr>) -> IdedExpr {
    IdedExpr {
        id: 0,
        expr: Expr::Call(CallExpr {
            func_name: function.to_owned(),
            target: None,
            args,
        }),
    }
}

fn literal(value: LiteralValue) -> IdedExpr {
    IdedExpr {
        id: 0,
        expr: Expr::Literal(value),
    }
}

fn is_short(expression: &IdedExpr) -> bool {
    match &expression.expr {
        Expr::Literal(LiteralValue::String(text)) => text.inner().len() <= SHORT,
        Expr::Literal(LiteralValue::Bytes(bytes)) => bytes.inner().len() <= SHORT,
        Expr::Literal(_) => true,
        _ => false,
    }
}

/// Names with `@` are a macro's own; no text can write them.
fn is_gathered(expression: &IdedExpr) -> bool {
    matches!(&expression.expr, Expr::Ident(name) if name.starts_with('@'))
}

/// A name for a value, made of a loop over nothing.
fn is_binding(c: &ComprehensionExpr) -> bool {
    matches!(&c.iter_range.expr, Expr::List(list) if list.elements.is_empty())
        && matches!(&c.loop_cond.expr, Expr::Literal(LiteralValue::Boolean(go)) if !*go.inner())
}

/// `map` and `filter`: the result is what is appended to it, as the interpreter sees too.
fn is_gathering(c: &ComprehensionExpr) -> bool {
    matches!(&c.accu_init.expr, Expr::List(_)) && matches!(&c.loop_cond.expr, Expr::Literal(_))
}

/// The dotted name an expression spells.
pub fn qualified(expression: &IdedExpr) -> Option<String> {
    match &expression.expr {
        Expr::Ident(name) => Some(name.clone()),
        Expr::Select(select) if !select.test => {
            let before = qualified(&select.operand)?;
            Some(format!("{before}.{}", select.field))
        }
        _ => None,
    }
}
