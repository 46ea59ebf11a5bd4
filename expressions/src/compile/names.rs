//! Which variables a program names.

use cel::IdedExpr;
use cel::common::ast::Expr;

use super::depth::children;
use crate::program::Wanted;

/// The variables, and the fields of `variables`.
pub fn of(expression: &IdedExpr) -> (Vec<String>, Wanted) {
    let mut found = Found::default();
    found.look(expression);
    found.names.sort_unstable();
    found.names.dedup();
    let computed = match found.all {
        true => Wanted::All,
        false => Wanted::Some(found.computed),
    };
    (found.names, computed)
}

#[derive(Default)]
struct Found {
    names: Vec<String>,
    computed: Vec<String>,
    all: bool,
}

impl Found {
    fn look(&mut self, expression: &IdedExpr) {
        match &expression.expr {
            Expr::Ident(name) => self.name(name),
            Expr::Select(select) => {
                if let Expr::Ident(name) = &select.operand.expr {
                    if name.trim_start_matches('.') == "variables" {
                        self.names.push("variables".to_owned());
                        self.computed.push(select.field.clone());
                        return;
                    }
                    self.names.push(format!("{name}.{}", select.field));
                }
                self.look(&select.operand);
            }
            _ => {
                for child in children(expression) {
                    self.look(child);
                }
            }
        }
    }

    fn name(&mut self, name: &str) {
        let name = name.trim_start_matches('.');
        self.all |= name == "variables";
        self.names.push(name.to_owned());
    }
}
