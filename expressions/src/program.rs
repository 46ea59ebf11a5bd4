//! A compiled expression, and how it is run.

use std::fmt;
use std::panic::{self, AssertUnwindSafe};
use std::thread;

use cel::common::types::{CelBool, CelString};
use cel::common::value::Val;
use cel::{Context, ExecutionError, IdedExpr};
use serde_json::Value;

use crate::compile;
use crate::environment::Environment;
use crate::error::{CompileError, EvalError};
use crate::library;
use crate::meter::{self, Budget, Purse};
use crate::types::Type;
use crate::value::output;
use crate::variables::Variables;

/// Levels that fit on any thread's stack: one takes up to 32 KiB of it.
const SHALLOW: usize = 14;
const LEVEL: usize = 64 << 10;

/// An expression ready to run, as often and on as many threads as wanted.
pub struct Program {
    source: String,
    expression: IdedExpr,
    /// The levels of the expression.
    depth: usize,
    /// What it costs beside loops and sizes.
    base_cost: u64,
    result: Type,
    estimate: u64,
    warnings: Vec<String>,
    /// The variables it names.
    names: Vec<String>,
    /// The fields of `variables` it names, or all of them.
    computed: Wanted,
}

/// Which fields of `variables` an expression may look at.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Wanted {
    All,
    Some(Vec<String>),
}

/// What compiling found out.
pub(crate) struct Compiled {
    pub expression: IdedExpr,
    pub depth: usize,
    pub base_cost: u64,
    pub result: Type,
    pub estimate: u64,
    pub warnings: Vec<String>,
    pub names: Vec<String>,
    pub computed: Wanted,
}

impl Program {
    /// Parses and checks `source`.
    ///
    /// # Errors
    /// It is no CEL, is too large, names what the environment does not have, or comes to
    /// another type than the environment asks for.
    pub fn compile(source: &str, environment: &Environment) -> Result<Program, CompileError> {
        let compiled = compile::compile(source, environment)?;
        Ok(Program {
            source: source.to_owned(),
            expression: compiled.expression,
            depth: compiled.depth,
            base_cost: compiled.base_cost,
            result: compiled.result,
            estimate: compiled.estimate,
            warnings: compiled.warnings,
            names: compiled.names,
            computed: compiled.computed,
        })
    }

    pub fn source(&self) -> &str {
        &self.source
    }

    /// The type of what it comes to.
    pub fn result(&self) -> &Type {
        &self.result
    }

    /// The most it can cost given the sizes that the types of its variables admit.
    pub fn estimated_cost(&self) -> u64 {
        self.estimate
    }

    /// What a person should look at though it compiles.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Whether it names this variable.
    pub fn uses(&self, variable: &str) -> bool {
        self.names.iter().any(|name| name == variable)
    }

    /// What the expression comes to, as JSON.
    ///
    /// # Errors
    /// Something it asks for is missing or cannot be done, or it costs too much.
    pub fn evaluate(
        &self,
        variables: &mut Variables<'_>,
        budget: &mut Budget,
    ) -> Result<Value, EvalError> {
        self.run(variables, budget, output::to_json)
    }

    /// What a condition comes to.
    ///
    /// # Errors
    /// As [`Program::evaluate`]; also when it is no `bool`.
    pub fn evaluate_bool(
        &self,
        variables: &mut Variables<'_>,
        budget: &mut Budget,
    ) -> Result<bool, EvalError> {
        self.run(variables, budget, |value| {
            let truth = value.downcast_ref::<CelBool>().map(|truth| *truth.inner());
            truth.ok_or_else(|| wrong_type("bool", value))
        })
    }

    /// What a message comes to; `None` stands for `null`.
    ///
    /// # Errors
    /// As [`Program::evaluate`]; also when it is neither `string` nor `null`.
    pub fn evaluate_text(
        &self,
        variables: &mut Variables<'_>,
        budget: &mut Budget,
    ) -> Result<Option<String>, EvalError> {
        self.run(variables, budget, |value| {
            if value.get_type().name() == "null_type" {
                return Ok(None);
            }
            let text = value.downcast_ref::<CelString>();
            let text = text.map(|text| text.inner().to_owned());
            text.map(Some).ok_or_else(|| wrong_type("string", value))
        })
    }

    fn run<'v, T: Send>(
        &self,
        variables: &mut Variables<'v>,
        budget: &mut Budget,
        convert: impl FnOnce(&(dyn Val + 'v)) -> Result<T, EvalError> + Send,
    ) -> Result<T, EvalError> {
        self.prepare(variables, budget)?;
        self.metered(variables, budget, |context| {
            let value = cel::Value::resolve_val(&self.expression, context)?;
            Ok(convert(value.as_ref()))
        })?
    }

    /// Computes the `variables.*` the program asks for, and those these ask for.
    fn prepare(&self, variables: &mut Variables<'_>, budget: &mut Budget) -> Result<(), EvalError> {
        let wanted = match &self.computed {
            Wanted::All => &variables.computed_names(),
            Wanted::Some(names) => names,
        };
        for name in wanted {
            let Some(program) = variables.uncomputed(name) else {
                continue;
            };
            // Only variables declared before it are in its environment, so this ends.
            program.prepare(variables, budget)?;
            let result = program.metered(variables, budget, |context| {
                let value = cel::Value::resolve_val(&program.expression, context)?;
                Ok(value.into_owned())
            });
            if let Err(error) = &result
                && error.is_cost()
            {
                return Err(error.clone());
            }
            variables.keep(name, result);
        }
        Ok(())
    }

    fn metered<'v, T>(
        &self,
        variables: &Variables<'v>,
        budget: &mut Budget,
        evaluate: impl FnOnce(&Context<'_, 'v>) -> Result<T, ExecutionError> + Send,
    ) -> Result<T, EvalError>
    where
        T: Send,
    {
        let limit = budget.next_call();
        let (result, spent, empty) = self.on_enough_stack(|| {
            let purse = Purse::open(limit);
            let context = self.context(variables);
            let result = meter::charge(self.base_cost).and_then(|()| evaluate(&context));
            (result, purse.spent(), purse.is_empty())
        })?;
        let last = limit == budget.left();
        budget.spend(spent);
        match result {
            _ if empty && last => Err(EvalError::Budget),
            _ if empty => Err(EvalError::CallCost),
            Ok(value) => Ok(value),
            Err(error) => Err(EvalError::of(&error)),
        }
    }

    /// The interpreter recurses along the expression, in large steps: a deep one gets a
    /// stack of its own, for nobody knows how much is left of this one.
    fn on_enough_stack<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, EvalError> {
        let failed = || EvalError::Failed("internal error".to_owned());
        if self.depth <= SHALLOW {
            // What the interpreter did not expect is this expression's failure, no more.
            let done = panic::catch_unwind(AssertUnwindSafe(work));
            return done.map_err(|_| failed());
        }
        thread::scope(|scope| {
            let worker = thread::Builder::new()
                .name("expression".to_owned())
                .stack_size(self.depth * LEVEL)
                .spawn_scoped(scope, work);
            let done = worker.ok().and_then(|worker| worker.join().ok());
            done.ok_or_else(failed)
        })
    }

    fn context<'p, 'v>(&self, variables: &Variables<'v>) -> Context<'p, 'v> {
        let mut context = Context::with_env(library::environment());
        for name in &self.names {
            if let Some(value) = variables.value(name) {
                context.add_variable_as_val(name, value);
            }
        }
        context
    }
}

fn wrong_type(wanted: &str, value: &dyn Val) -> EvalError {
    let got = value.get_type().name();
    EvalError::Failed(format!("cel expression evaluated to {got}, not {wanted}"))
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Program").field(&self.source).finish()
    }
}
