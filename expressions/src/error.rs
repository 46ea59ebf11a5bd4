//! Why an expression was refused or came to nothing, in Kubernetes' words.

use cel::{ExecutionError, Value};

/// The expression is no program; whoever wrote it has to change it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CompileError {
    /// The text is not CEL, or names or combines what it cannot.
    #[error("compilation failed: {0}")]
    Invalid(String),
    /// It compiles, and evaluates to something else than asked for.
    #[error("must evaluate to {0}")]
    Result(String),
    /// The text is longer or deeper than any program may be.
    #[error("compilation failed: ERROR: <input>:-1:0: {0}")]
    TooLarge(String),
}

/// An evaluation that came to no value.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum EvalError {
    /// What the expression asked for is not there or cannot be done.
    #[error("{0}")]
    Failed(String),
    /// The expression alone took more than any one may.
    #[error("operation cancelled: actual cost limit exceeded")]
    CallCost,
    /// What all expressions of this object together may take is used up.
    #[error(
        "validation failed due to running out of cost budget, no further validation rules will be run"
    )]
    Budget,
}

impl EvalError {
    /// What the interpreter said, in the words of Kubernetes' own.
    pub(crate) fn of(error: &ExecutionError) -> EvalError {
        use ExecutionError as E;
        let text = match error {
            E::NoSuchKey(key) => format!("no such key: {key}"),
            E::UndeclaredReference(name) => format!("no such attribute(s): {name}"),
            E::DivisionByZero(_) => "division by zero".to_owned(),
            E::RemainderByZero(_) => "modulus by zero".to_owned(),
            E::Overflow(_, Value::UInt(_), _) => "unsigned integer overflow".to_owned(),
            E::Overflow(..) => "integer overflow".to_owned(),
            E::IndexOutOfBounds(Value::Int(index)) => format!("index out of bounds: {index}"),
            E::IndexOutOfBounds(_) => "index out of bounds".to_owned(),
            E::FunctionError { message, .. } => message.clone(),
            E::DuplicateKey(_) => "Failed with repeated key".to_owned(),
            E::UnsupportedKeyType(_) => "unsupported key type".to_owned(),
            E::InternalError(what) => what.clone(),
            _ => "no such overload".to_owned(),
        };
        EvalError::Failed(text)
    }

    pub fn is_cost(&self) -> bool {
        matches!(self, EvalError::CallCost | EvalError::Budget)
    }
}
