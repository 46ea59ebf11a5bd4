//! Lists as sets: their order and repetitions do not count.

use cel::common::types::LIST_TYPE;
use cel::common::value::Val;
use cel::{DeclarationError, Env, ExecutionError};

use super::args::{Args, Outcome, elements, global, of_bool};
use super::metered::are_equal;

pub fn register(env: &mut Env) -> Result<(), DeclarationError> {
    let two = || vec![LIST_TYPE, LIST_TYPE];
    global(env, "sets.contains", two(), contains)?;
    global(env, "sets.equivalent", two(), equivalent)?;
    global(env, "sets.intersects", two(), intersects)
}

fn has(list: &[&dyn Val], wanted: &dyn Val) -> Result<bool, ExecutionError> {
    for item in list {
        if are_equal(*item, wanted)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn has_all(list: &[&dyn Val], wanted: &[&dyn Val]) -> Result<bool, ExecutionError> {
    for one in wanted {
        if !has(list, *one)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn contains<'b, 'v>(args: Args<'b, 'v>) -> Outcome<'b, 'v> {
    let (a, b) = (elements(&args, 0)?, elements(&args, 1)?);
    of_bool(has_all(&a, &b)?)
}

fn equivalent<'b, 'v>(args: Args<'b, 'v>) -> Outcome<'b, 'v> {
    let (a, b) = (elements(&args, 0)?, elements(&args, 1)?);
    of_bool(has_all(&a, &b)? && has_all(&b, &a)?)
}

fn intersects<'b, 'v>(args: Args<'b, 'v>) -> Outcome<'b, 'v> {
    let (a, b) = (elements(&args, 0)?, elements(&args, 1)?);
    for one in &b {
        if has(&a, *one)? {
            return of_bool(true);
        }
    }
    of_bool(false)
}
