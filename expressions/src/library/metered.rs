//! The functions that programs pay with; see `compile::metering`.

use cel::common::types::{CelMap, CelString, DYN_TYPE, INT_TYPE};
use cel::common::value::Val;
use cel::{DeclarationError, Env, ExecutionError};

use super::args::{Args, Outcome, failure, global, int, of_bool};
use super::names::{COPY, ELEMENTS, EQUALS, MEMBER, NOT_EQUALS, TURN};
use crate::meter::{charge, charge_text};
use crate::value::size;

pub fn register(env: &mut Env) -> Result<(), DeclarationError> {
    global(env, COPY, vec![DYN_TYPE], copy)?;
    global(env, ELEMENTS, vec![DYN_TYPE], elements)?;
    global(env, TURN, vec![DYN_TYPE, INT_TYPE], turn)?;
    global(env, EQUALS, vec![DYN_TYPE, DYN_TYPE], equals)?;
    global(env, NOT_EQUALS, vec![DYN_TYPE, DYN_TYPE], not_equals)?;
    global(env, MEMBER, vec![DYN_TYPE, DYN_TYPE], member)
}

fn copy<'b, 'v>(mut args: Args<'b, 'v>) -> Outcome<'b, 'v> {
    size::charge_copy(args[0].as_ref())?;
    Ok(args.swap_remove(0))
}

fn elements<'b, 'v>(mut args: Args<'b, 'v>) -> Outcome<'b, 'v> {
    size::charge_elements(args[0].as_ref())?;
    Ok(args.swap_remove(0))
}

fn turn<'b, 'v>(mut args: Args<'b, 'v>) -> Outcome<'b, 'v> {
    charge(u64::try_from(int(&args, 1)?).unwrap_or(u64::MAX))?;
    Ok(args.swap_remove(0))
}

fn equals<'b, 'v>(args: Args<'b, 'v>) -> Outcome<'b, 'v> {
    of_bool(are_equal(args[0].as_ref(), args[1].as_ref())?)
}

fn not_equals<'b, 'v>(args: Args<'b, 'v>) -> Outcome<'b, 'v> {
    of_bool(!are_equal(args[0].as_ref(), args[1].as_ref())?)
}

/// Compares, having paid for going through the smaller of the two.
pub fn are_equal(a: &dyn Val, b: &dyn Val) -> Result<bool, ExecutionError> {
    charge(1)?;
    if a.get_type() != b.get_type() {
        return Ok(a.equals(b));
    }
    match (a.downcast_ref::<CelString>(), b.downcast_ref::<CelString>()) {
        (Some(a), Some(b)) => charge_text(a.inner().len().min(b.inner().len()))?,
        // Lists and maps of different sizes are not looked into.
        _ if a.as_sizer().is_some() && size::count(a) == size::count(b) => size::charge_walk(a)?,
        _ => {}
    }
    Ok(a.equals(b))
}

fn member<'b, 'v>(args: Args<'b, 'v>) -> Outcome<'b, 'v> {
    let (needle, haystack) = (args[0].as_ref(), args[1].as_ref());
    let container = haystack.as_container();
    let container = container.ok_or_else(|| failure("in", "no such overload"))?;
    if haystack.downcast_ref::<CelMap>().is_some() {
        size::charge_walk(needle)?;
        return of_bool(container.contains(needle)?);
    }
    // Every element may be compared with the whole needle.
    charge(size::count(haystack))?;
    if needle.as_sizer().is_some() {
        size::charge_walk(haystack)?;
    }
    of_bool(container.contains(needle)?)
}
