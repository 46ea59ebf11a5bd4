//! What copying or walking through a value costs, charged while looking.

use cel::ExecutionError;
use cel::common::types::{CelBytes, CelList, CelMap, CelOptional, CelString};
use cel::common::value::Val;

use super::json;
use crate::meter::{charge, charge_text};

/// No value is nested deeper: everything that walks through values may recurse.
const MAX_DEPTH: usize = 160;

/// Pays for a copy of the value. What borrows the request's JSON is not copied deep.
pub fn charge_copy(value: &dyn Val) -> Result<(), ExecutionError> {
    charge_within(value, false, MAX_DEPTH)
}

/// Pays for going through the whole value.
pub fn charge_walk(value: &dyn Val) -> Result<(), ExecutionError> {
    charge_within(value, true, MAX_DEPTH)
}

/// Pays for the copies a loop makes of the elements it goes through.
pub fn charge_elements(value: &dyn Val) -> Result<(), ExecutionError> {
    if json::is_borrowed(value) {
        return charge(count(value));
    }
    charge_copy(value)
}

/// How many elements a list or map has.
pub fn count(value: &dyn Val) -> u64 {
    let size = value.as_sizer().map_or(0, |sizer| *sizer.size().inner());
    u64::try_from(size).unwrap_or(0)
}

fn charge_within(value: &dyn Val, into_json: bool, depth: usize) -> Result<(), ExecutionError> {
    let Some(depth) = depth.checked_sub(1) else {
        return Err(ExecutionError::function_error(
            "value",
            "value is nested too deeply",
        ));
    };
    if json::is_borrowed(value) && !into_json {
        return charge(1);
    }
    if let Some(text) = value.downcast_ref::<CelString>() {
        return charge_text(text.inner().len());
    }
    if let Some(bytes) = value.downcast_ref::<CelBytes>() {
        return charge_text(bytes.inner().len());
    }
    charge(1)?;
    if let Some(list) = value.downcast_ref::<CelList>() {
        for item in list.inner() {
            charge_within(item.as_ref(), into_json, depth)?;
        }
    } else if let Some(map) = value.downcast_ref::<CelMap>() {
        for (key, value) in map.inner() {
            charge_within(key.inner(), into_json, depth)?;
            charge_within(value.as_ref(), into_json, depth)?;
        }
    } else if let Some(inner) = value
        .downcast_ref::<CelOptional>()
        .and_then(CelOptional::option)
    {
        charge_within(inner, into_json, depth)?;
    }
    Ok(())
}
