//! What is found before anything runs.

use expressions::{Budget, Environment, Program, Type, Variables};
use serde_json::json;

use crate::run::{compile, refused};

#[test]
fn what_is_not_declared_is_refused() {
    refused(
        "objekt.spec",
        "undeclared reference to 'objekt' (in container '')",
    );
    refused(
        "object.spec.frobnicate()",
        "undeclared reference to 'frobnicate' (in container '')",
    );
    refused("frobnicate(1)", "undeclared reference to 'frobnicate'");
    refused("[1].map(x, y)", "undeclared reference to 'y'");
    refused("Object{a: 1}", "undeclared reference to 'Object'");
}

#[test]
fn what_does_not_fit_is_refused() {
    refused(
        "1 + 'a'",
        "found no matching overload for '_+_' applied to '(int, string)'",
    );
    refused(
        "1 == 'a'",
        "found no matching overload for '_==_' applied to '(int, string)'",
    );
    refused(
        "'a'.startsWith(1)",
        "found no matching overload for 'startsWith' applied to 'string.(int)'",
    );
    refused("(1).foo", "type 'int' does not support field selection");
    refused("[1, 'a']", "expected type 'int' but found 'string'");
    refused("true ? 1 : 'a'", "found no matching overload for '_?_:_'");
    refused(
        "(1).all(x, true)",
        "expression of type 'int' cannot be range of a comprehension",
    );
    refused("object.", "Syntax error");
    refused("has(object)", "invalid argument to has() macro");
}

#[test]
fn a_mistake_is_shown_where_it_is() {
    let error = compile("object.spec == 1 &&\n  foo").expect_err("foo is unknown");
    let text = "compilation failed: ERROR: <input>:2:3: undeclared reference to 'foo' \
                (in container '')\n |   foo\n | ..^";
    assert_eq!(error.to_string(), text);
}

#[test]
fn a_program_must_come_to_what_is_asked_for() {
    let environment = Environment::new()
        .with("object", Type::Dyn)
        .returning(Type::Bool);
    for source in ["1", "'a'", "object.spec"] {
        let error = Program::compile(source, &environment).expect_err(source);
        assert_eq!(error.to_string(), "must evaluate to bool");
    }
    assert!(Program::compile("object.spec == 1", &environment).is_ok());
    let either = Environment::new()
        .returning(Type::String)
        .returning(Type::Null);
    assert!(Program::compile("null", &either).is_ok());
    assert!(Program::compile("true ? 'a' : null", &either).is_ok());
    let error = Program::compile("1", &either).expect_err("an int");
    assert_eq!(error.to_string(), "must evaluate to one of [string null]");
}

fn schema() -> serde_json::Value {
    json!({
        "type": "object",
        "properties": {
            "spec": {"type": "object", "properties": {
                "replicas": {"type": "integer"},
                "ratio": {"type": "number"},
                "name": {"type": "string", "maxLength": 10},
                "when": {"type": "string", "format": "date-time"},
                "wait": {"type": "string", "format": "duration"},
                "data": {"type": "string", "format": "byte"},
                "port": {"x-kubernetes-int-or-string": true},
                "x-y": {"type": "integer"},
                "items": {"type": "array", "maxItems": 5, "items": {"type": "string", "maxLength": 5}},
                "free": {"type": "array", "items": {"type": "string"}},
                "limits": {"type": "object", "additionalProperties": {"type": "integer"}},
                "open": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
            }},
        },
    })
}

#[test]
fn schemas_give_types_to_fields() {
    let kind = Type::of_root_schema(&schema());
    let environment = Environment::new().with("self", kind.clone());
    let object = json!({"metadata": {"name": "n"}, "spec": {
        "replicas": 3, "ratio": 2, "name": "n", "when": "2020-01-01T00:00:00Z", "wait": "1h",
        "data": "aGk=", "port": "http", "x-y": 1, "items": ["a"], "limits": {"a": 1},
        "open": {"anything": {"goes": 1}},
    }});
    for source in [
        "self.spec.replicas == 3 && self.spec.ratio == 2.0",
        "self.spec.when < timestamp('2021-01-01T00:00:00Z') && self.spec.wait == duration('60m')",
        "self.spec.data == b'hi'",
        "type(self.spec.port) == string || self.spec.port == 1",
        "self.spec.x__dash__y == 1 && has(self.spec.x__dash__y)",
        "self.spec.items.all(i, i.size() < 5) && self.spec.limits['a'] == 1",
        "!has(self.spec.free) && self.metadata.name == 'n'",
        "self.spec.open.anything.goes == 1",
    ] {
        let program =
            Program::compile(source, &environment).unwrap_or_else(|e| panic!("{source}: {e}"));
        let mut variables = Variables::new();
        variables.bind_typed("self", &object, &kind);
        let outcome = program.evaluate_bool(&mut variables, &mut Budget::default());
        assert_eq!(outcome, Ok(true), "{source}");
    }
    for (source, message) in [
        ("self.spec.missing == 1", "undefined field 'missing'"),
        ("self.metadata.labels == 1", "undefined field 'labels'"),
        (
            "self.spec.replicas == 'a'",
            "found no matching overload for '_==_' applied to '(int, string)'",
        ),
        ("self.spec.ratio == 1", "found no matching overload"),
    ] {
        let error = Program::compile(source, &environment)
            .expect_err(source)
            .to_string();
        assert!(error.contains(message), "{source}: {error}");
    }
}

#[test]
fn the_estimate_grows_with_what_the_schema_admits() {
    let environment = Environment::new().with("self", Type::of_root_schema(&schema()));
    let cost = |source: &str| {
        let program = Program::compile(source, &environment).expect(source);
        program.estimated_cost()
    };
    assert!(cost("self.spec.replicas > 1") < 10);
    assert!(cost("self.spec.items.all(i, i == 'a')") < 100);
    assert!(cost("self.spec.free.all(i, i == 'a')") > 1_000_000);
    let nested = "self.spec.free.all(x, self.spec.free.all(y, x == y))";
    assert!(cost(nested) > 100 * 10_000_000);
    assert!(cost("self.spec.items.all(x, self.spec.items.all(y, x == y))") < 1_000);
}

#[test]
fn computed_variables_are_found_out_when_asked_for() {
    use std::sync::Arc;
    let mut environment = Environment::new().with("object", Type::Dyn);
    let mut programs = Vec::new();
    for (name, source) in [
        ("one", "object.a + 1"),
        ("two", "variables.one * 2"),
        ("bad", "object.missing"),
        ("when", "timestamp('2020-01-01T00:00:00Z')"),
    ] {
        let program = Program::compile(source, &environment).expect(source);
        environment.add_computed(name, program.result().clone());
        programs.push((name, Arc::new(program)));
    }
    let object = json!({"a": 1});
    let mut variables = Variables::new();
    variables.bind("object", &object);
    for (name, program) in &programs {
        variables.compute(name, Arc::clone(program));
    }
    let mut evaluate = |source: &str| {
        let program = Program::compile(source, &environment).expect(source);
        program.evaluate_bool(&mut variables, &mut Budget::default())
    };
    assert_eq!(
        evaluate("variables.two == 4 && variables.one == 2"),
        Ok(true)
    );
    assert_eq!(evaluate("variables.when.getFullYear() == 2020"), Ok(true));
    assert_eq!(evaluate("true || variables.bad"), Ok(true));
    let error = evaluate("variables.bad == 1").expect_err("missing");
    let text = "composited variable \"bad\" fails to evaluate: no such key: missing";
    assert_eq!(error.to_string(), text);
    let unknown = Program::compile("variables.three", &environment).expect_err("unknown");
    assert!(unknown.to_string().contains("undefined field 'three'"));
}

#[test]
fn objects_can_be_built_where_that_is_asked_for() {
    let environment = Environment::new()
        .with("object", Type::Dyn)
        .building_objects()
        .returning(Type::object("Object", []));
    let source = "Object{spec: Object.spec{replicas: 3, list: [Object.spec.list{name: 'a'}]}}";
    let program = Program::compile(source, &environment).expect(source);
    let outcome = program.evaluate(&mut Variables::new(), &mut Budget::default());
    let expected = json!({"spec": {"replicas": 3, "list": [{"name": "a"}]}});
    assert_eq!(outcome, Ok(expected));
}
