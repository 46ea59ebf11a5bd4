//! From text to a program: parse, check, put meters in.
//!
//! The parser recurses with the text and is somebody else's: it works on a thread with a
//! stack of its own, on text whose nesting was bounded beforehand, so that no text can
//! take the process down.

mod depth;
mod metering;
mod names;
mod nesting;
mod structs;

use std::thread;

use cel::IdedExpr;
use cel::common::ast::SourceInfo;

use crate::check;
use crate::environment::Environment;
use crate::error::CompileError;
use crate::library;
use crate::program::Compiled;
use crate::types::Type;

pub use metering::qualified;

/// The longest text, in code points.
const MAX_LENGTH: usize = 100_000;
/// Enough for what `nesting` and `depth` let through, many times over.
const STACK: usize = 64 << 20;

pub fn compile(source: &str, environment: &Environment) -> Result<Compiled, CompileError> {
    let length = source.chars().count();
    if length > MAX_LENGTH {
        let why =
            format!("expression code point size exceeds limit: size: {length}, limit {MAX_LENGTH}");
        return Err(CompileError::TooLarge(why));
    }
    nesting::check(source)?;
    let compiled = thread::scope(|scope| {
        let compiling = thread::Builder::new()
            .name("compile".to_owned())
            .stack_size(STACK)
            .spawn_scoped(scope, || compile_here(source, environment));
        compiling.ok().and_then(|thread| thread.join().ok())
    });
    // A panic of the parser, or no memory for its stack: there is no program either way.
    compiled.unwrap_or_else(|| Err(CompileError::Invalid("internal error".to_owned())))
}

fn compile_here(source: &str, environment: &Environment) -> Result<Compiled, CompileError> {
    let (mut expression, info) = parse(source)?;
    depth::check(&expression)?;
    if environment.builds_objects {
        structs::to_maps(&mut expression);
    }
    let checked = check::check(&expression, environment).map_err(|errors| {
        let texts = errors.iter().map(|(id, message)| {
            let start = info.offset_for(*id).map_or(0, |(start, _)| start as usize);
            describe(source, start, message)
        });
        CompileError::Invalid(texts.collect::<Vec<_>>().join("\n"))
    })?;
    check_result(&checked.result, &environment.results)?;
    let (names, computed) = names::of(&expression);
    let metered = metering::put_in(expression, &checked.types);
    Ok(Compiled {
        depth: depth::of(&metered.expression),
        expression: metered.expression,
        base_cost: metered.base_cost,
        result: checked.result,
        estimate: checked.estimate,
        warnings: Vec::new(),
        names,
        computed,
    })
}

fn check_result(result: &Type, wanted: &[Type]) -> Result<(), CompileError> {
    if wanted.is_empty()
        || wanted
            .iter()
            .any(|wanted| check::is_acceptable(result, wanted))
    {
        return Ok(());
    }
    Err(CompileError::Result(match wanted {
        [one] => one.to_string(),
        several => {
            let names: Vec<_> = several.iter().map(Type::to_string).collect();
            format!("one of [{}]", names.join(" "))
        }
    }))
}

fn parse(source: &str) -> Result<(IdedExpr, SourceInfo), CompileError> {
    let parser = library::environment()
        .parser()
        .max_recursion_depth(250)
        .enable_ident_escape_syntax(true);
    parser.parse_with_source_info(source).map_err(|errors| {
        let texts = errors.errors.iter().take(10).map(|error| {
            let line = usize::try_from(error.pos.0).unwrap_or(1).max(1);
            let column = usize::try_from(error.pos.1).unwrap_or(0);
            at(source, line, column, &error.msg)
        });
        CompileError::Invalid(texts.collect::<Vec<_>>().join("\n"))
    })
}

/// The message with the place it is about: `offset` is in code points.
fn describe(source: &str, offset: usize, message: &str) -> String {
    let before = source.chars().take(offset);
    let (line, column) = before.fold((1, 1), |(line, column), char| match char {
        '\n' => (line + 1, 1),
        _ => (line, column + 1),
    });
    at(source, line, column, message)
}

fn at(source: &str, line: usize, column: usize, message: &str) -> String {
    let text = source.lines().nth(line - 1).unwrap_or("");
    let dots = ".".repeat(column.saturating_sub(1).min(text.len()));
    format!("ERROR: <input>:{line}:{column}: {message}\n | {text}\n | {dots}^")
}
