//! `quantity("500m")`: amounts of resources.

use std::cmp::Ordering;

use apimachinery::Quantity;
use apimachinery::quantity::Format;
use cel::common::types::{CelDouble, INT_TYPE, STRING_TYPE, Type};
use cel::common::value::CowVal;
use cel::{DeclarationError, Env};

use super::args::{Args, Outcome, arg, failure, global, int, member, of_bool, of_int, text};
use super::kinds::{self, named, opaque};

#[derive(Clone, Debug)]
struct Amount(Quantity);

opaque!(Amount, kinds::QUANTITY, |a, b| a.0 == b.0);

const AMOUNT: Type = named(kinds::QUANTITY);

pub fn register(env: &mut Env) -> Result<(), DeclarationError> {
    global(env, "quantity", vec![STRING_TYPE], |args| {
        let amount = text(&args, 0)?.parse::<Quantity>();
        of_amount(amount.map_err(|error| failure("quantity", error))?)
    })?;
    global(env, "isQuantity", vec![STRING_TYPE], |args| {
        of_bool(text(&args, 0)?.parse::<Quantity>().is_ok())
    })?;
    member(env, "sign", AMOUNT, vec![], |args| {
        of_int(match amount(&args, 0)?.cmp(&Quantity::ZERO) {
            Ordering::Less => -1,
            Ordering::Equal => 0,
            Ordering::Greater => 1,
        })
    })?;
    member(env, "isInteger", AMOUNT, vec![], |args| {
        of_bool(whole(amount(&args, 0)?).is_some())
    })?;
    member(env, "asInteger", AMOUNT, vec![], |args| {
        let whole = whole(amount(&args, 0)?);
        of_int(whole.ok_or_else(|| failure("asInteger", "cannot convert value to integer"))?)
    })?;
    member(env, "asApproximateFloat", AMOUNT, vec![], |args| {
        Ok(CowVal::owned(CelDouble::from(amount(&args, 0)?.as_f64())))
    })?;
    for of in [AMOUNT, INT_TYPE] {
        member(env, "add", AMOUNT, vec![of], |args| {
            let mut sum = amount(&args, 0)?;
            sum += operand(&args)?;
            of_amount(sum)
        })?;
    }
    for of in [AMOUNT, INT_TYPE] {
        member(env, "sub", AMOUNT, vec![of], |args| {
            let mut difference = amount(&args, 0)?;
            difference -= operand(&args)?;
            of_amount(difference)
        })?;
    }
    comparisons(env)
}

fn comparisons(env: &mut Env) -> Result<(), DeclarationError> {
    member(env, "isGreaterThan", AMOUNT, vec![AMOUNT], |args| {
        of_bool(amount(&args, 0)? > amount(&args, 1)?)
    })?;
    member(env, "isLessThan", AMOUNT, vec![AMOUNT], |args| {
        of_bool(amount(&args, 0)? < amount(&args, 1)?)
    })?;
    member(env, "compareTo", AMOUNT, vec![AMOUNT], |args| {
        of_int(amount(&args, 0)?.cmp(&amount(&args, 1)?) as i64)
    })
}

fn amount(args: &Args<'_, '_>, place: usize) -> Result<Quantity, cel::ExecutionError> {
    arg::<Amount>(args, place).map(|amount| amount.0)
}

fn operand(args: &Args<'_, '_>) -> Result<Quantity, cel::ExecutionError> {
    match int(args, 1) {
        Ok(int) => Ok(Quantity::from_int(int, Format::DecimalSi)),
        Err(_) => amount(args, 1),
    }
}

fn whole(amount: Quantity) -> Option<i64> {
    amount.is_multiple_of_unit(1).then(|| amount.value())
}

fn of_amount<'b, 'v>(amount: Quantity) -> Outcome<'b, 'v> {
    Ok(CowVal::owned(Amount(amount)))
}
