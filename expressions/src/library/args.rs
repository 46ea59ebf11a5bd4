//! Registering functions, and reading what they are called with.

use cel::common::functions::Function;
use cel::common::types::{CelBool, CelInt, CelList, CelString, Type};
use cel::common::value::{CowVal, FromVal, Val};
use cel::{DeclarationError, Env, ExecutionError};

pub type Args<'b, 'v> = Vec<CowVal<'b, 'v>>;
pub type Outcome<'b, 'v> = Result<CowVal<'b, 'v>, ExecutionError>;

/// Adds the function `name(args)`.
pub fn global(
    env: &mut Env,
    name: &str,
    args: Vec<Type>,
    function: Function,
) -> Result<(), DeclarationError> {
    env.add_overload(name, &id(name, &args), args, function)
}

/// Adds the function `receiver.name(args)`.
pub fn member(
    env: &mut Env,
    name: &str,
    receiver: Type,
    args: Vec<Type>,
    function: Function,
) -> Result<(), DeclarationError> {
    let id = format!("{}.{}", receiver.name(), id(name, &args));
    env.add_member_overload(name, &id, receiver, args, function)
}

fn id(name: &str, args: &[Type]) -> String {
    let args: Vec<_> = args.iter().map(Type::name).collect();
    format!("{name}({})", args.join(","))
}

pub fn failure(function: &str, message: impl ToString) -> ExecutionError {
    ExecutionError::function_error(function, message)
}

/// The argument as the type its overload was registered with.
pub fn arg<'b, 'v, T: FromVal<'b, 'v>>(
    args: &'b [CowVal<'_, 'v>],
    place: usize,
) -> Result<&'b T, ExecutionError> {
    let value = args.get(place).and_then(|value| value.downcast_ref::<T>());
    value.ok_or_else(|| failure("call", "no such overload"))
}

pub fn text<'a>(args: &'a [CowVal<'_, '_>], place: usize) -> Result<&'a str, ExecutionError> {
    arg::<CelString>(args, place).map(CelString::inner)
}

pub fn int(args: &[CowVal<'_, '_>], place: usize) -> Result<i64, ExecutionError> {
    arg::<CelInt>(args, place).map(|int| *int.inner())
}

pub fn truth(args: &[CowVal<'_, '_>], place: usize) -> Result<bool, ExecutionError> {
    arg::<CelBool>(args, place).map(|truth| *truth.inner())
}

/// The elements of a list argument.
pub fn elements<'a, 'v>(
    args: &'a [CowVal<'_, 'v>],
    place: usize,
) -> Result<Vec<&'a (dyn Val + 'v)>, ExecutionError> {
    let list = arg::<CelList>(args, place)?;
    Ok(list.inner().iter().map(AsRef::as_ref).collect())
}

pub fn of_bool<'b, 'v>(truth: bool) -> Outcome<'b, 'v> {
    Ok(CowVal::owned(CelBool::from(truth)))
}

pub fn of_int<'b, 'v>(int: i64) -> Outcome<'b, 'v> {
    Ok(CowVal::owned(CelInt::from(int)))
}

pub fn of_text<'b, 'v>(text: impl Into<String>) -> Outcome<'b, 'v> {
    Ok(CowVal::owned(CelString::from(text.into())))
}

pub fn of_list<'b, 'v>(items: Vec<Box<dyn Val + 'v>>) -> Outcome<'b, 'v> {
    Ok(CowVal::owned(CelList::from(items)))
}
