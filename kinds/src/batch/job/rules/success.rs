//! When a Job has succeeded, before all its indexes have.

use apimachinery::field::Error;

use super::is_indexed;
use crate::errors::Errors;
use crate::node::Node;

const RULES_MAX: usize = 20;
const INDEXES_MAX: usize = 64 * 1024;

pub fn validate(spec: &Node, errors: &mut Errors) {
    let policy = spec.at("successPolicy");
    if !policy.exists() {
        return;
    }
    if !is_indexed(spec) {
        return errors.invalid(&policy, "requires indexed completion mode");
    }
    let rules = policy.at("rules");
    let why = "at least one rules must be specified when the successPolicy is specified";
    errors.require_because(&rules, why);
    errors.at_most(&rules, RULES_MAX);
    for rule in rules.items() {
        self::rule(&rule, spec.at("completions").int().unwrap_or(0), errors);
    }
}

fn rule(rule: &Node, completions: i64, errors: &mut Errors) {
    let (count, indexes) = (rule.at("succeededCount"), rule.at("succeededIndexes"));
    if !count.exists() && !indexes.exists() {
        let why = "at least one of succeededCount or succeededIndexes must be specified";
        errors.required(rule, why);
    }
    let mut total = None;
    if indexes.len() > INDEXES_MAX {
        errors.push(Error::too_long(&indexes.path, INDEXES_MAX));
    } else if indexes.exists() {
        match count_indexes(indexes.text(), completions) {
            Ok(many) => total = Some(many),
            Err(why) => {
                errors.invalid(&indexes, format!("error parsing succeededIndexes: {why}"));
            }
        }
    }
    let Some(wanted) = count.int() else { return };
    errors.not_negative(&count);
    if wanted > completions {
        let why = format!(
            "must be less than or equal to {completions} (the number of specified completions)"
        );
        errors.invalid(&count, why);
    }
    if let Some(total) = total.filter(|total| wanted > *total) {
        let why = format!(
            "must be less than or equal to {total} (the number of indexes in the specified succeededIndexes field)"
        );
        errors.invalid(&count, why);
    }
}

/// How many indexes `0-2,5` names: in order, each once, all below `completions`.
pub fn count_indexes(text: &str, completions: i64) -> Result<i64, String> {
    let mut last: Option<i64> = None;
    let mut total = 0;
    for part in text.split(',').filter(|_| !text.is_empty()) {
        let (first, end) = part.split_once('-').unwrap_or((part, part));
        let number = |text: &str| match text.parse::<i64>() {
            Ok(index) if index >= completions => Err(format!("too large index: {text:?}")),
            Ok(index) => Ok(index),
            Err(_) => Err(format!(
                "cannot convert string to integer for index: {text:?}"
            )),
        };
        let (from, to) = (number(first)?, number(end)?);
        if part.contains('-') && from >= to {
            return Err(format!(
                "non-increasing order, previous: {from}, current: {to}"
            ));
        }
        if let Some(last) = last.filter(|last| *last >= from) {
            return Err(format!(
                "non-increasing order, previous: {last}, current: {from}"
            ));
        }
        total += to - from + 1;
        last = Some(to);
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_are_named_in_order_and_once() {
        assert_eq!(count_indexes("0-2,5", 6), Ok(4));
        assert_eq!(count_indexes("", 6), Ok(0));
        for bad in ["5,0", "0-0", "1,1", "6", "x", "2-"] {
            assert!(count_indexes(bad, 6).is_err(), "{bad}");
        }
    }
}
