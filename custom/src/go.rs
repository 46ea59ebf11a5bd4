//! Values as Go prints and compares them.

use serde_json::{Number, Value};

/// `%v` of a number.
pub fn number(number: &Number) -> String {
    match (number.as_i64(), number.as_u64(), number.as_f64()) {
        (Some(n), _, _) => n.to_string(),
        (_, Some(n), _) => n.to_string(),
        (_, _, Some(n)) => float(n),
        _ => number.to_string(),
    }
}

/// `%v` of a float64.
pub fn float(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let exponential = format!("{value:e}");
    let (digits, exponent) = exponential.split_once('e').unwrap_or((&exponential, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..6).contains(&exponent) {
        return format!("{value}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

/// Floats without a fraction as Go writes them: without a point.
pub fn canonical_numbers(value: &mut Value) {
    const EXACT: f64 = 9_007_199_254_740_991.0;
    match value {
        Value::Number(number) if number.is_f64() => {
            let float = number.as_f64().unwrap_or(f64::NAN);
            if float.fract() == 0.0 && float.abs() <= EXACT {
                #[expect(clippy::cast_possible_truncation, reason = "exact up to 2^53")]
                let whole = float as i64;
                *number = whole.into();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(canonical_numbers),
        Value::Object(fields) => fields.values_mut().for_each(canonical_numbers),
        _ => {}
    }
}

/// Whether two values are equal; numbers by their value.
pub fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => {
            a == b || a.as_f64() == b.as_f64() && !both_integers(a, b)
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter()
                    .all(|(key, value)| b.get(key).is_some_and(|other| same(value, other)))
        }
        _ => a == b,
    }
}

fn both_integers(a: &Number, b: &Number) -> bool {
    !a.is_f64() && !b.is_f64()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_print_as_go_prints_them() {
        assert_eq!(float(10.0), "10");
        assert_eq!(float(0.5), "0.5");
        assert_eq!(float(1_000_000.0), "1e+06");
        assert_eq!(float(0.00001), "1e-05");
    }

    #[test]
    fn whole_floats_lose_their_point() {
        let mut value = json!({"a": [1.0, 1.5, -2.0, 1e300]});
        canonical_numbers(&mut value);
        assert_eq!(value, json!({"a": [1, 1.5, -2, 1e300]}));
    }

    #[test]
    fn equal_numbers_are_the_same_however_written() {
        assert!(same(&json!({"a": [1]}), &json!({"a": [1.0]})));
        assert!(!same(
            &json!(9007199254740993_i64),
            &json!(9007199254740992_i64)
        ));
    }
}
