//! Compiling and running in one go, over an object to ask about.

use std::sync::LazyLock;

use expressions::{Budget, CompileError, Environment, EvalError, Program, Type, Variables};
use serde_json::{Value, json};

pub static OBJECT: LazyLock<Value> = LazyLock::new(|| {
    json!({
        "metadata": {
            "name": "web",
            "labels": {"app": "web"},
            "annotations": {"a.b/c-d": "x"},
        },
        "spec": {
            "replicas": 3,
            "half": 0.5,
            "nothing": null,
            "namespace": "ns",
            "containers": [
                {"name": "one", "image": "a:1", "ports": [80, 443]},
                {"name": "two", "image": "b:2"},
            ],
            "texts": ["b", "a"],
        },
    })
});

pub fn environment() -> Environment {
    Environment::new()
        .with("object", Type::Dyn)
        .with("oldObject", Type::Dyn)
}

pub fn compile(source: &str) -> Result<Program, CompileError> {
    Program::compile(source, &environment())
}

pub fn evaluate(source: &str) -> Result<Value, EvalError> {
    let program = compile(source).unwrap_or_else(|error| panic!("{source}: {error}"));
    run(&program)
}

pub fn run(program: &Program) -> Result<Value, EvalError> {
    let mut variables = Variables::new();
    variables.bind("object", &OBJECT);
    variables.bind_null("oldObject");
    program.evaluate(&mut variables, &mut Budget::default())
}

pub fn value(source: &str) -> Value {
    evaluate(source).unwrap_or_else(|error| panic!("{source}: {error}"))
}

/// Each comes to `true`.
pub fn check(sources: &[&str]) {
    for source in sources {
        assert_eq!(evaluate(source), Ok(json!(true)), "{source}");
    }
}

#[track_caller]
pub fn fails(source: &str, message: &str) {
    assert_eq!(
        evaluate(source),
        Err(EvalError::Failed(message.to_owned())),
        "{source}"
    );
}

/// The text names a mistake that is found before anything runs.
#[track_caller]
pub fn refused(source: &str, message: &str) {
    let error = compile(source).expect_err(source).to_string();
    assert!(error.contains(message), "{source}: {error}");
}
