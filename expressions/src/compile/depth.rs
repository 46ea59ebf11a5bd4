//! How deep a tree is: everything that handles programs may recurse along it.

use cel::IdedExpr;
use cel::common::ast::{EntryExpr, Expr};

use crate::error::CompileError;

/// The deepest tree that becomes a program.
const MAX_DEPTH: usize = 100;

/// # Errors
/// The tree is deeper than that.
pub fn check(expression: &IdedExpr) -> Result<(), CompileError> {
    if of(expression) <= MAX_DEPTH {
        return Ok(());
    }
    let why = format!("expression recursion limit exceeded: {MAX_DEPTH}");
    Err(CompileError::TooLarge(why))
}

/// How many levels the tree has.
pub fn of(expression: &IdedExpr) -> usize {
    let below = children(expression).into_iter().map(of);
    1 + below.max().unwrap_or(0)
}

/// The expressions right below one.
pub fn children(expression: &IdedExpr) -> Vec<&IdedExpr> {
    match &expression.expr {
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => Vec::new(),
        Expr::Call(call) => call
            .target
            .iter()
            .map(AsRef::as_ref)
            .chain(&call.args)
            .collect(),
        Expr::Select(select) => vec![&select.operand],
        Expr::List(list) => list.elements.iter().collect(),
        Expr::Map(map) => map
            .entries
            .iter()
            .flat_map(|entry| of_entry(&entry.expr))
            .collect(),
        Expr::Struct(object) => {
            let entries = object.entries.iter();
            entries.flat_map(|entry| of_entry(&entry.expr)).collect()
        }
        Expr::Comprehension(c) => vec![
            &c.iter_range,
            &c.accu_init,
            &c.loop_cond,
            &c.loop_step,
            &c.result,
        ],
    }
}

fn of_entry(entry: &EntryExpr) -> Vec<&IdedExpr> {
    match entry {
        EntryExpr::MapEntry(entry) => vec![&entry.key, &entry.value],
        EntryExpr::StructField(field) => vec![&field.value],
    }
}
