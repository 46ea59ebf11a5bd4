//! Arbitrary expressions: whatever they are made of, they end in a value or an error.

use expressions::{Budget, Environment, EvalError, Program, Type, Variables};
use serde_json::json;

/// How many are made. A longer run finds more: 150,000 took three minutes and found nothing.
const COUNT: usize = 1_500;

#[rustfmt::skip]
const ATOMS: &[&str] = &[
    "object", "object.l", "object.s", "object.m", "object.n", "x", "y", "1", "-1", "0", "2u", "1.5",
    "9223372036854775807", "-9223372036854775808", "18446744073709551615u", "0.0/0.0", "1e308",
    "''", "'a'", "'é☃'", "b'a'", "true", "null", "[]", "{}", "[1,2]", "{'a':1}", "{1:2}", "int",
    "duration('1h')", "duration('-290y')", "timestamp('9999-12-31T23:59:59Z')", "optional.none()",
    "timestamp('0001-01-01T00:00:00Z')", "optional.of(null)", "quantity('1')", "ip('::1')",
    "quantity('9223372036854775807')", "cidr('::/0')", "semver('1.2.3')", "url('/a')",
    "format.uuid()",
];
#[rustfmt::skip]
const OPERATORS: &[&str] = &[
    "+", "-", "*", "/", "%", "==", "!=", "<", "<=", ">", ">=", "in", "&&", "||",
];
#[rustfmt::skip]
const FUNCTIONS: &[&str] = &[
    "size", "string", "int", "uint", "double", "bytes", "bool", "type", "duration", "timestamp",
    "quantity", "isQuantity", "ip", "cidr", "url", "semver", "math.abs", "math.ceil", "math.sign",
    "math.bitNot", "math.sqrt", "math.greatest", "optional.of", "optional.ofNonZeroValue",
    "base64.encode", "base64.decode", "strings.quote", "lists.range", "format.named",
];
#[rustfmt::skip]
const METHODS: [&[&str]; 3] = [
    &["size", "lowerAscii", "trim", "reverse", "isSorted", "sum", "min", "max", "flatten",
      "distinct", "sort", "join", "hasValue", "value", "getHours", "getMilliseconds", "sign",
      "getFullYear", "getDayOfYear", "asInteger", "family", "masked", "getQuery", "getPort"],
    &["contains", "startsWith", "matches", "charAt", "indexOf", "lastIndexOf", "split",
      "substring", "join", "find", "findAll", "format", "flatten", "orValue", "or", "add", "sub",
      "compareTo", "isLessThan", "containsIP", "containsCIDR", "validate", "getHours", "getDate"],
    &["replace", "substring", "indexOf", "lastIndexOf", "split", "slice", "findAll"],
];
const LOOPS: &[&str] = &[
    "map",
    "all",
    "exists",
    "filter",
    "exists_one",
    "sortBy",
    "optMap",
    "optFlatMap",
];
const LOOPS_OF_TWO: &[&str] = &[
    "transformList",
    "all",
    "exists",
    "transformMap",
    "transformMapEntry",
    "existsOne",
];

struct Maker(u64);

impl Maker {
    fn number(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).expect("below a usize")
    }

    fn one_of<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list[self.number(list.len())]
    }

    fn atom(&mut self) -> String {
        let atom = self.one_of(ATOMS);
        // What is dynamic gets past the checker.
        match self.number(4) {
            0 => atom.to_owned(),
            _ => format!("dyn({atom})"),
        }
    }

    fn method(&mut self, depth: usize) -> String {
        let count = self.number(METHODS.len());
        let name = self.one_of(METHODS[count]);
        let args: Vec<_> = (0..count).map(|_| self.make(depth)).collect();
        format!("({}).{name}({})", self.make(depth), args.join(", "))
    }

    fn make(&mut self, depth: usize) -> String {
        let Some(depth) = depth.checked_sub(1) else {
            return self.atom();
        };
        let (kind, a, b) = (self.number(13), self.make(depth), self.make(depth));
        match kind {
            0 | 1 => format!("({a} {} {b})", self.one_of(OPERATORS)),
            2 => format!("({} ? {a} : {b})", self.make(depth)),
            3 => format!("{}({a})", self.one_of(FUNCTIONS)),
            4 | 5 => self.method(depth),
            6 => format!("({a}).{}(x, {b})", self.one_of(LOOPS)),
            7 => format!("({a}).{}(x, y, {b})", self.one_of(LOOPS_OF_TWO)),
            8 => format!("({a})[{b}]"),
            9 => format!("({a})[?{b}].?a"),
            10 => format!("has(({a}).a) || {b}"),
            11 => format!("[{a}, ?{b}]"),
            _ => format!("{}{{{a}: {b}}}", self.one_of(&["!", "-", ""])),
        }
    }
}

#[test]
fn arbitrary_expressions_end_in_a_value_or_an_error() {
    let mut maker = Maker(0x2545_f491_4f6c_dd1d);
    let object = json!({ "l": [1, 2, 3], "s": "text é", "m": { "a": 1 }, "n": null });
    let environment = Environment::new()
        .with("object", Type::Dyn)
        .with("x", Type::Dyn)
        .with("y", Type::Dyn);
    let (mut compiled, mut valued) = (0, 0);
    for _ in 0..COUNT {
        let depth = maker.number(4);
        let source = maker.make(depth);
        let Ok(program) = Program::compile(&source, &environment) else {
            continue;
        };
        compiled += 1;
        let mut variables = Variables::new();
        for name in ["object", "x", "y"] {
            variables.bind(name, &object);
        }
        let outcome = program.evaluate(&mut variables, &mut Budget::default());
        valued += usize::from(outcome.is_ok());
        assert_ne!(
            outcome,
            Err(EvalError::Failed("internal error".to_owned())),
            "{source}"
        );
    }
    assert!(compiled > COUNT / 5, "{compiled} of {COUNT} were programs");
    assert!(valued > COUNT / 50, "{valued} of {COUNT} had a value");
}
