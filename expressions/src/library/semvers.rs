//! `semver("1.2.3")`: versions and their order.

use std::cmp::Ordering;

use cel::common::types::{BOOL_TYPE, STRING_TYPE, Type};
use cel::common::value::CowVal;
use cel::{DeclarationError, Env, ExecutionError};
use semver::Version;

use super::args::{Args, arg, failure, global, member, of_bool, of_int, text, truth};
use super::kinds::{self, named, opaque};

#[derive(Clone, Debug)]
struct Semver(Version);

opaque!(Semver, kinds::SEMVER, |a, b| order(a, b) == Ordering::Equal);

const SEMVER: Type = named(kinds::SEMVER);

pub fn register(env: &mut Env) -> Result<(), DeclarationError> {
    for args in [vec![STRING_TYPE], vec![STRING_TYPE, BOOL_TYPE]] {
        global(env, "semver", args, |args| {
            let version = parse(&args)?.map_err(|error| failure("semver", error))?;
            Ok(CowVal::owned(Semver(version)))
        })?;
    }
    for args in [vec![STRING_TYPE], vec![STRING_TYPE, BOOL_TYPE]] {
        global(env, "isSemver", args, |args| of_bool(parse(&args)?.is_ok()))?;
    }
    member(env, "isGreaterThan", SEMVER, vec![SEMVER], |args| {
        of_bool(compare(&args)? == Ordering::Greater)
    })?;
    member(env, "isLessThan", SEMVER, vec![SEMVER], |args| {
        of_bool(compare(&args)? == Ordering::Less)
    })?;
    member(env, "compareTo", SEMVER, vec![SEMVER], |args| {
        of_int(compare(&args)? as i64)
    })?;
    member(env, "major", SEMVER, vec![], |args| {
        of_part(version(&args, 0)?.0.major)
    })?;
    member(env, "minor", SEMVER, vec![], |args| {
        of_part(version(&args, 0)?.0.minor)
    })?;
    member(env, "patch", SEMVER, vec![], |args| {
        of_part(version(&args, 0)?.0.patch)
    })
}

/// The version a text is; with `true` beside it, also one with a `v`, leading zeros or
/// parts missing.
fn parse(args: &Args<'_, '_>) -> Result<Result<Version, semver::Error>, ExecutionError> {
    let written = text(args, 0)?;
    if args.len() > 1 && truth(args, 1)? {
        return Ok(Version::parse(&normal(written)));
    }
    Ok(Version::parse(written))
}

fn normal(written: &str) -> String {
    let written = written.strip_prefix('v').unwrap_or(written);
    let end = written.find(['-', '+']).unwrap_or(written.len());
    let (core, rest) = written.split_at(end);
    let mut parts: Vec<&str> = core.split('.').map(without_zeros).collect();
    while parts.len() < 3 {
        parts.push("0");
    }
    format!("{}{rest}", parts.join("."))
}

fn without_zeros(part: &str) -> &str {
    let short = part.trim_start_matches('0');
    if short.is_empty() && !part.is_empty() {
        "0"
    } else {
        short
    }
}

/// What was built when does not count.
fn order(a: &Semver, b: &Semver) -> Ordering {
    a.0.cmp_precedence(&b.0)
}

fn version<'a>(args: &'a Args<'_, '_>, place: usize) -> Result<&'a Semver, ExecutionError> {
    arg::<Semver>(args, place)
}

fn compare(args: &Args<'_, '_>) -> Result<Ordering, ExecutionError> {
    Ok(order(version(args, 0)?, version(args, 1)?))
}

fn of_part<'b, 'v>(part: u64) -> super::args::Outcome<'b, 'v> {
    of_int(i64::try_from(part).unwrap_or(i64::MAX))
}
