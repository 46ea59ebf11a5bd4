//! `Object{spec: Object.spec{...}}` and `JSONPatch{...}`: maps with a name.

use cel::IdedExpr;
use cel::common::ast::{
    EntryExpr, Expr, IdedEntryExpr, LiteralValue, MapEntryExpr, MapExpr, StructFieldExpr,
};

use crate::value::names;

/// Replaces every object that may be written by the map of its fields.
pub fn to_maps(expression: &mut IdedExpr) {
    if let Expr::Struct(object) = &mut expression.expr
        && is_known(&object.type_name)
    {
        let entries = std::mem::take(&mut object.entries);
        let entries = entries.into_iter().map(to_entry).collect();
        expression.expr = Expr::Map(MapExpr { entries });
    }
    for child in children_mut(expression) {
        to_maps(child);
    }
}

fn is_known(name: &str) -> bool {
    let name = name.trim_start_matches('.');
    name == "Object" || name == "JSONPatch" || name.starts_with("Object.")
}

fn to_entry(entry: IdedEntryExpr) -> IdedEntryExpr {
    let EntryExpr::StructField(StructFieldExpr {
        field,
        value,
        optional,
    }) = entry.expr
    else {
        return entry;
    };
    let property = names::unescape(&field).into_owned();
    let key = IdedExpr {
        id: entry.id,
        expr: Expr::Literal(LiteralValue::String(property.into())),
    };
    IdedEntryExpr {
        id: entry.id,
        expr: EntryExpr::MapEntry(MapEntryExpr {
            key,
            value,
            optional,
        }),
    }
}

fn children_mut(expression: &mut IdedExpr) -> Vec<&mut IdedExpr> {
    match &mut expression.expr {
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => Vec::new(),
        Expr::Call(call) => {
            let target = call.target.iter_mut().map(AsMut::as_mut);
            target.chain(&mut call.args).collect()
        }
        Expr::Select(select) => vec![&mut select.operand],
        Expr::List(list) => list.elements.iter_mut().collect(),
        Expr::Map(map) => {
            let entries = map.entries.iter_mut();
            entries
                .flat_map(|entry| of_entry(&mut entry.expr))
                .collect()
        }
        Expr::Struct(object) => {
            let entries = object.entries.iter_mut();
            entries
                .flat_map(|entry| of_entry(&mut entry.expr))
                .collect()
        }
        Expr::Comprehension(c) => vec![
            &mut c.iter_range,
            &mut c.accu_init,
            &mut c.loop_cond,
            &mut c.loop_step,
            &mut c.result,
        ],
    }
}

fn of_entry(entry: &mut EntryExpr) -> Vec<&mut IdedExpr> {
    match entry {
        EntryExpr::MapEntry(entry) => vec![&mut entry.key, &mut entry.value],
        EntryExpr::StructField(field) => vec![&mut field.value],
    }
}
