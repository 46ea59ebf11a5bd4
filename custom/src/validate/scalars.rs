//! Constraints on strings and numbers. Of a string's length and pattern only the first
//! that fails is told.

use apimachinery::field::{Error, Path};
use serde_json::{Number, Value};

use super::{Outcome, invalid, place};
use crate::go;
use crate::schema::{Bound, Schema};

pub(super) fn text(schema: &Schema, text: &str, path: &Path<'_>, outcome: &mut Outcome) {
    outcome.checks += 1;
    if let Some(error) = shape(schema, text, path) {
        outcome.push(error);
    }
    if let Some(format) = &schema.checks.format {
        outcome.checks += 1;
        if !(format.check)(text) {
            let why = format!("{path} in body must be of type {}: {text:?}", format.name);
            outcome.push(Error::type_invalid(&place(path), text, why));
        }
    }
}

fn shape(schema: &Schema, text: &str, path: &Path<'_>) -> Option<Error> {
    let checks = &schema.checks;
    let length = text.chars().count() as u64;
    if let Some(most) = checks.max_length.filter(|most| length > *most) {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        return Some(Error::too_long(&place(path), most));
    }
    if let Some(least) = checks.min_length.filter(|least| length < *least) {
        let why = format!("should be at least {least} chars long");
        return Some(invalid(path, text, &why));
    }
    let pattern = checks.pattern.as_ref()?;
    match &pattern.regex {
        Ok(regex) if regex.is_match(text) => None,
        Ok(_) => Some(invalid(
            path,
            text,
            &format!("should match '{}'", pattern.text),
        )),
        Err(why) => {
            let why = format!(
                "should match '{}, but pattern is invalid: {why}'",
                pattern.text
            );
            Some(invalid(path, text, &why))
        }
    }
}

pub(super) fn number(schema: &Schema, number: &Number, path: &Path<'_>, outcome: &mut Outcome) {
    outcome.checks += 1;
    let checks = &schema.checks;
    let mut refuse = |why: String| outcome.push(invalid(path, Value::Number(number.clone()), &why));
    if let Some(factor) = checks
        .multiple_of
        .as_ref()
        .filter(|f| !is_multiple(number, f))
    {
        refuse(format!("should be a multiple of {}", shown(factor, number)));
    }
    if let Some(Bound {
        limit,
        is_exclusive,
    }) = &checks.maximum
    {
        let order = compare(number, limit);
        if order.is_gt() || *is_exclusive && order.is_eq() {
            let or_equal = if *is_exclusive { "" } else { " or equal to" };
            refuse(format!(
                "should be less than{or_equal} {}",
                shown(limit, number)
            ));
        }
    }
    if let Some(Bound {
        limit,
        is_exclusive,
    }) = &checks.minimum
    {
        let order = compare(number, limit);
        if order.is_lt() || *is_exclusive && order.is_eq() {
            let or_equal = if *is_exclusive { "" } else { " or equal to" };
            refuse(format!(
                "should be greater than{or_equal} {}",
                shown(limit, number)
            ));
        }
    }
}

/// A limit is shown as a number of the kind it is compared with.
fn shown(limit: &Number, with: &Number) -> String {
    match limit.as_f64() {
        Some(float) if !with.is_f64() && limit.is_f64() && float.fract() == 0.0 => {
            format!("{float:.0}")
        }
        _ => go::number(limit),
    }
}

fn compare(a: &Number, b: &Number) -> std::cmp::Ordering {
    if let (Some(a), Some(b)) = (a.as_i64(), b.as_i64()) {
        return a.cmp(&b);
    }
    let (a, b) = (
        a.as_f64().unwrap_or(f64::NAN),
        b.as_f64().unwrap_or(f64::NAN),
    );
    a.total_cmp(&b)
}

fn is_multiple(number: &Number, factor: &Number) -> bool {
    if let (Some(number), Some(factor)) = (number.as_i64(), factor.as_i64()) {
        return number.checked_rem(factor).is_none_or(|rest| rest == 0) && factor != 0;
    }
    let (number, factor) = (
        number.as_f64().unwrap_or(0.0),
        factor.as_f64().unwrap_or(1.0),
    );
    let times = if factor < 1.0 {
        (1.0 / factor) * number
    } else {
        number / factor
    };
    times.fract() == 0.0
}
