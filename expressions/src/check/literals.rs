//! Texts that are read when an expression runs, and can be read before it does.

use cel::common::ast::{CallExpr, Expr, LiteralValue};
use chrono::DateTime;

use crate::library::{duration, regexes};

/// What is wrong with the text this function is called with, where it is written out.
pub fn mistake(name: &str, call: &CallExpr) -> Option<String> {
    let last = match name {
        "matches" if call.target.is_none() => call.args.get(1),
        _ => call.args.first(),
    };
    let Some(Expr::Literal(LiteralValue::String(text))) = last.map(|arg| &arg.expr) else {
        return None;
    };
    let text = text.inner();
    let is_fine = match name {
        "matches" | "find" | "findAll" => regexes::is_valid(text),
        "duration" => duration::parse(text).is_some(),
        "timestamp" => DateTime::parse_from_rfc3339(text).is_ok(),
        _ => true,
    };
    (!is_fine).then(|| format!("invalid {name} argument"))
}
