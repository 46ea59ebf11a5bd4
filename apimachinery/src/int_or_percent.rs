//! A count given as a number or as a share of a total: `maxSurge: 25%`.

use serde_json::Value;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    Up,
    Down,
}

/// The count a value stands for; `None` for what is neither a number nor a percentage.
pub fn resolve(value: &Value, total: i64, rounding: Rounding) -> Option<i64> {
    if let Some(count) = value.as_i64() {
        return Some(count);
    }
    let share = percent(value.as_str()?)?.checked_mul(total)?;
    Some(match rounding {
        Rounding::Up => share.div_euclid(100) + i64::from(share.rem_euclid(100) != 0),
        Rounding::Down => share.div_euclid(100),
    })
}

/// `25%` is 25.
pub fn percent(text: &str) -> Option<i64> {
    let digits = text.strip_suffix('%')?;
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_percentage_is_rounded_the_way_asked() {
        assert_eq!(resolve(&json!("25%"), 10, Rounding::Up), Some(3));
        assert_eq!(resolve(&json!("25%"), 10, Rounding::Down), Some(2));
        assert_eq!(resolve(&json!(4), 10, Rounding::Down), Some(4));
        assert_eq!(resolve(&json!("lots"), 10, Rounding::Up), None);
    }
}
