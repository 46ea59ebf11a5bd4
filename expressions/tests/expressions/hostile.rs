//! Expressions that are out to do harm: they end soon, in little memory, with an error.

use std::time::{Duration, Instant};

use expressions::{Budget, EvalError, Program, Variables};
use serde_json::{Value, json};

use crate::run::{compile, environment};

/// Generous: these builds are slow, and machines busy.
const SOON: Duration = Duration::from_secs(20);

fn attack(source: &str, object: &Value) -> Result<Value, EvalError> {
    let begun = Instant::now();
    let program =
        Program::compile(source, &environment()).unwrap_or_else(|e| panic!("{source}: {e}"));
    let mut variables = Variables::new();
    variables.bind("object", object);
    let outcome = program.evaluate(&mut variables, &mut Budget::default());
    assert!(
        begun.elapsed() < SOON,
        "{source} took {:?}",
        begun.elapsed()
    );
    outcome
}

fn is_stopped(source: &str, object: &Value) {
    assert_eq!(attack(source, object), Err(EvalError::CallCost), "{source}");
}

fn numbers(count: usize) -> Value {
    json!({ "l": (0..count).collect::<Vec<_>>(), "s": "x".repeat(count) })
}

#[test]
fn loops_in_loops_are_stopped() {
    let object = numbers(1_000);
    for source in [
        "object.l.all(a, object.l.all(b, object.l.all(c, object.l.all(d, a + b + c + d >= 0))))",
        "object.l.exists(a, object.l.exists(b, object.l.exists(c, a + b + c < 0)))",
        "object.l.map(a, object.l.map(b, object.l.map(c, c)))",
        "object.l.filter(a, object.l.filter(b, object.l.exists(c, c < 0)).size() < 0)",
        "object.l.exists_one(a, object.l.exists_one(b, object.l.exists_one(c, c < 0)))",
        "object.l.all(i, a, object.l.all(j, b, object.l.all(k, c, true)))",
        "object.l.transformList(i, a, object.l.transformList(j, b, object.l))",
    ] {
        is_stopped(source, &object);
    }
}

#[test]
fn swallowing_the_error_does_not_help() {
    let object = numbers(1_000);
    let inner = "object.l.all(b, object.l.all(c, object.l.all(d, d >= 0)))";
    is_stopped(&format!("object.l.all(a, {inner} || true)"), &object);
    is_stopped(
        &format!("object.l.exists(a, ({inner} || true) && false) || true"),
        &object,
    );
    is_stopped(&format!("[{inner}] == [true] || true"), &object);
    is_stopped(
        &format!("optional.of({inner}).orValue(true) || true"),
        &object,
    );
}

#[test]
fn text_cannot_be_grown() {
    let object = numbers(10_000);
    let doubled = (0..14).fold("object.s".to_owned(), |inner, i| {
        format!("[{inner}].map(v{i}, v{i} + v{i})[0]")
    });
    is_stopped(&doubled, &object);
    let text = "object.s.replace('', object.s).replace('x', object.s)";
    is_stopped(text, &object);
    is_stopped("object.l.map(x, object.s + object.s)", &object);
    is_stopped("object.l.map(x, object.s).join(object.s)", &object);
    is_stopped("object.l.all(x, object.s.split('').size() > 0)", &object);
    is_stopped("object.l.all(x, object.s.contains(object.s))", &object);
    is_stopped(
        "object.l.map(x, '%s%s%s%s'.format([object.s, object.s, object.s, object.s]))",
        &object,
    );
    let long = "y".repeat(50_000);
    is_stopped(&format!("object.l.map(x, '{long}')"), &object);
}

#[test]
fn lists_cannot_be_grown() {
    let object = numbers(10_000);
    let doubled = (0..14).fold("object.l".to_owned(), |inner, i| {
        format!("[{inner}].map(v{i}, v{i} + v{i})[0]")
    });
    is_stopped(&doubled, &object);
    is_stopped("lists.range(1000000).map(x, lists.range(1000000))", &object);
    is_stopped("object.l.map(x, object.l.map(y, y)).size() > 0", &object);
    is_stopped("object.l.distinct() == object.l", &object);
    is_stopped("sets.equivalent(object.l, object.l)", &object);
    is_stopped("object.l.all(x, object.l == object.l)", &object);
    is_stopped("object.l.all(x, x in object.l)", &object);
    is_stopped("object.l.all(x, object.l.indexOf(x) >= 0)", &object);
    is_stopped(
        "[object.l.map(x, x)].map(big, object.l.all(y, big.size() > 0 && [big] != []))",
        &object,
    );
}

#[test]
fn regular_expressions_are_paid_for() {
    let object = numbers(10_000);
    is_stopped(
        "object.l.all(x, object.s.matches('(x+x+)+y') || true)",
        &object,
    );
    is_stopped(
        "object.l.all(x, 'a'.matches('^' + string(x) + '(a|b){50}') || true)",
        &object,
    );
}

#[test]
fn all_evaluations_together_have_a_limit() {
    let object = numbers(1_000);
    let program = compile("object.l.all(a, object.l.filter(b, b < 0).size() == 0)").expect("fine");
    let mut variables = Variables::new();
    variables.bind("object", &object);
    let mut budget = Budget::new(1_500_000);
    let first = program.evaluate(&mut variables, &mut budget);
    assert_eq!(first, Err(EvalError::CallCost));
    let second = program.evaluate(&mut variables, &mut budget);
    assert_eq!(second, Err(EvalError::Budget));
    assert_eq!(budget.left(), 0);
}

#[test]
fn text_that_is_too_deep_or_too_long_is_refused() {
    for source in [
        "(".repeat(100_000),
        "[".repeat(50_000),
        "-".repeat(90_000),
        "!".repeat(90_000),
        format!("{}1{}", "(".repeat(2_000), ")".repeat(2_000)),
        format!("1{}", "+1".repeat(20_000)),
        format!("object{}", ".a".repeat(20_000)),
        format!("object{}", "[0]".repeat(20_000)),
        "a?b:".repeat(20_000),
        format!("{}true{}", "[1].all(x,".repeat(150), ")".repeat(150)),
        format!("{}true", "true == ".repeat(300)),
        "x".repeat(200_000),
        "'\\".repeat(1000),
        "\u{0}\u{feff}\u{202e}".repeat(100),
        "r'''".to_owned(),
        "1e999999999999999999".to_owned(),
        "0xffffffffffffffffffffff".to_owned(),
        "'\\ud800' == '\\uffff'".to_owned(),
        "b'\\xff' + b'\\400'".to_owned(),
    ] {
        let begun = Instant::now();
        let refused = compile(&source).is_err();
        let start: String = source.chars().take(20).collect();
        assert!(begun.elapsed() < SOON, "{start} took {:?}", begun.elapsed());
        assert!(refused, "{start}");
    }
}

/// As deep as is let through, and less deep: on a thread with half the stack that a
/// server's threads have.
#[test]
fn the_deepest_program_fits_on_a_stack() {
    let shapes: [(&str, &str, &str); 6] = [
        ("(1 + ", "1", ")"),
        ("[", "1", "]"),
        ("{'a': ", "1", "}"),
        ("[1].map(x, ", "1", ")"),
        ("[1].transformList(i, x, ", "1", ")"),
        ("size([", "1", "])"),
    ];
    let on_small_stack = std::thread::Builder::new()
        .stack_size(1 << 20)
        .spawn(move || {
            for (open, middle, close) in shapes {
                let mut deepest = 0;
                for depth in (1..30).chain([40, 60, 80, 90, 95, 96, 97, 98, 99, 100]) {
                    let source = format!("{}{middle}{}", open.repeat(depth), close.repeat(depth));
                    let Ok(program) = compile(&source) else { break };
                    let _ = program.evaluate(&mut Variables::new(), &mut Budget::default());
                    deepest = depth;
                }
                assert!(deepest > 10, "{open} only {deepest} deep");
            }
        });
    on_small_stack.expect("a thread").join().expect("no panic");
}

#[test]
fn values_nested_through_variables_are_stopped() {
    use std::sync::Arc;
    let mut environment = environment();
    let mut variables = Variables::new();
    let mut source = "[1]".to_owned();
    for i in 0..400 {
        let name = format!("v{i}");
        let program = Program::compile(&source, &environment).expect("fine");
        environment.add_computed(&name, expressions::Type::Dyn);
        variables.compute(&name, Arc::new(program));
        source = format!("[[variables.{name}]]");
    }
    let program = Program::compile("variables.v399 == variables.v398", &environment).expect("fine");
    assert!(
        program
            .evaluate(&mut variables, &mut Budget::default())
            .is_err()
    );
}

/// What arbitrary text is put together of.
#[rustfmt::skip]
const PIECES: [&str; 48] = [
    "object", "oldObject", ".spec", ".l", ".?x", "[0]", "[?1]", "['a']", "(", ")", "[", "]",
    "{", "}", "'a'", "\"\\u00e9\"", "1", "-1", "2u", "1.5", "0xff", "true", "null", " + ",
    " - ", " * ", " / ", " % ", " == ", " in ", " && ", " || ", "!", " ? ", " : ", ",",
    ".map(x, x)", ".all(x, x == 1)", ".size()", "size(", "duration('1h')", "r'\\'", "b'\\x00'",
    "has(", ".matches('a')", "é", "`a-b`", "//\n",
];

/// Arbitrary text never does more than be refused or fail.
#[test]
fn no_text_panics() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |limit: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % limit as u64).unwrap_or(0)
    };
    let object = numbers(5);
    let mut compiled = 0;
    for _ in 0..3_000 {
        let length = 1 + next(12);
        let source: String = (0..length).map(|_| PIECES[next(PIECES.len())]).collect();
        let Ok(program) = compile(&source) else {
            continue;
        };
        compiled += 1;
        let mut variables = Variables::new();
        variables.bind("object", &object);
        let _ = program.evaluate(&mut variables, &mut Budget::default());
    }
    assert!(compiled > 20, "only {compiled} were programs");
}
