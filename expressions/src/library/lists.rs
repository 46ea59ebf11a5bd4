//! Functions on lists: order, sum, search.

use std::cmp::Ordering;

use cel::common::types::{
    CelBool, CelBytes, CelDouble, CelDuration, CelInt, CelString, CelTimestamp, CelUInt, DYN_TYPE,
    INT_TYPE, LIST_TYPE,
};
use cel::common::value::{CowVal, Val};
use cel::{DeclarationError, Env, ExecutionError};

use super::args::{
    Args, Outcome, elements, failure, global, int, member, of_bool, of_int, of_list,
};
use super::metered::are_equal;
use crate::meter::charge;
use crate::value::size::{charge_copy, charge_walk};

/// The most elements `lists.range` makes.
const MAX_RANGE: i64 = 1_000_000;

pub fn register(env: &mut Env) -> Result<(), DeclarationError> {
    member(env, "isSorted", LIST_TYPE, vec![], is_sorted)?;
    member(env, "sum", LIST_TYPE, vec![], sum)?;
    member(env, "min", LIST_TYPE, vec![], |args| {
        extreme(args, Ordering::Less, "min")
    })?;
    member(env, "max", LIST_TYPE, vec![], |args| {
        extreme(args, Ordering::Greater, "max")
    })?;
    member(env, "indexOf", LIST_TYPE, vec![DYN_TYPE], |args| {
        find(args, false)
    })?;
    member(env, "lastIndexOf", LIST_TYPE, vec![DYN_TYPE], |args| {
        find(args, true)
    })?;
    member(env, "@distinct", LIST_TYPE, vec![], distinct)?;
    global(env, "@range", vec![INT_TYPE], range)
}

fn compare(a: &dyn Val, b: &dyn Val) -> Result<Ordering, ExecutionError> {
    let comparer = a.as_comparer();
    let comparer = comparer.ok_or_else(|| failure("list", "no such overload"))?;
    comparer.compare(b)
}

fn is_sorted<'b, 'v>(args: Args<'b, 'v>) -> Outcome<'b, 'v> {
    charge_walk(args[0].as_ref())?;
    for pair in elements(&args, 0)?.windows(2) {
        if compare(pair[0], pair[1])? == Ordering::Greater {
            return of_bool(false);
        }
    }
    of_bool(true)
}

fn extreme<'b, 'v>(args: Args<'b, 'v>, wanted: Ordering, name: &str) -> Outcome<'b, 'v> {
    charge_walk(args[0].as_ref())?;
    let mut best: Option<&dyn Val> = None;
    for item in elements(&args, 0)? {
        if best.is_none_or(|best| compare(item, best).is_ok_and(|order| order == wanted)) {
            best = Some(item);
        }
    }
    let best = best.map(|best| -> Result<CowVal<'b, 'v>, ExecutionError> { owned(best) });
    best.unwrap_or_else(|| Err(failure(name, format!("{name} called on empty list"))))
}

/// A scalar that depends on nothing else.
fn owned<'b, 'v>(value: &dyn Val) -> Outcome<'b, 'v> {
    if let Some(text) = value.downcast_ref::<CelString>() {
        return Ok(CowVal::owned(CelString::from(text.inner().to_owned())));
    }
    if let Some(bytes) = value.downcast_ref::<CelBytes>() {
        return Ok(CowVal::owned(CelBytes::from(bytes.inner().to_vec())));
    }
    macro_rules! copied {
        ($($kind:ty),*) => {
            $(if let Some(value) = value.downcast_ref::<$kind>() {
                return Ok(CowVal::owned(value.clone()));
            })*
        };
    }
    copied!(
        CelInt,
        CelUInt,
        CelDouble,
        CelBool,
        CelTimestamp,
        CelDuration
    );
    Err(failure("list", "no such overload"))
}

fn sum<'b, 'v>(args: Args<'b, 'v>) -> Outcome<'b, 'v> {
    charge_walk(args[0].as_ref())?;
    let items = elements(&args, 0)?;
    let Some((first, rest)) = items.split_first() else {
        return of_int(0);
    };
    // Texts add up too, and are no numbers.
    if first.downcast_ref::<CelString>().is_some() || first.downcast_ref::<CelBytes>().is_some() {
        return Err(failure("sum", "no such overload"));
    }
    let mut total = owned(*first)?.into_owned();
    for item in rest {
        let next = {
            let adder = total.as_adder();
            let adder = adder.ok_or_else(|| failure("sum", "no such overload"))?;
            adder.add(*item)?.into_owned()
        };
        total = next;
    }
    Ok(CowVal::Owned(total))
}

fn find<'b, 'v>(args: Args<'b, 'v>, from_end: bool) -> Outcome<'b, 'v> {
    let items = elements(&args, 0)?;
    let mut found = -1;
    for (place, item) in (0_i64..).zip(items) {
        if are_equal(item, args[1].as_ref())? {
            found = place;
            if !from_end {
                break;
            }
        }
    }
    of_int(found)
}

fn distinct<'b, 'v>(args: Args<'b, 'v>) -> Outcome<'b, 'v> {
    let mut unique: Vec<Box<dyn Val + 'v>> = Vec::new();
    for item in elements(&args, 0)? {
        let mut is_new = true;
        for seen in &unique {
            if are_equal(item, seen.as_ref())? {
                is_new = false;
                break;
            }
        }
        if is_new {
            charge_copy(item)?;
            unique.push(item.clone_as_boxed());
        }
    }
    of_list(unique)
}

fn range<'b, 'v>(args: Args<'b, 'v>) -> Outcome<'b, 'v> {
    let count = int(&args, 0)?;
    if !(0..=MAX_RANGE).contains(&count) {
        let why = format!("lists.range() size {count} out of range [0, {MAX_RANGE}]");
        return Err(failure("lists.range", why));
    }
    charge(count.unsigned_abs())?;
    of_list(
        (0..count)
            .map(|i| Box::new(CelInt::from(i)) as Box<dyn Val + 'v>)
            .collect(),
    )
}
