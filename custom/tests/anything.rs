//! Whatever a definition says and whatever an object is: an answer, and no panic.

use apimachinery::field::Path;
use custom::{Definition, structural};
use serde_json::{Map, Value, json};

/// A small generator: the same sequence for the same seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        usize::try_from(self.0 >> 33).unwrap_or(0) % sides
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.roll(from.len())]
    }

    fn value(&mut self, depth: usize) -> Value {
        match self.roll(if depth == 0 { 8 } else { 10 }) {
            0 => Value::Null,
            1 => (self.roll(2) == 0).into(),
            2 => i64::MIN.into(),
            3 => u64::MAX.into(),
            4 => 0.5.into(),
            5 => self
                .pick(&["", "a", "50%", "2024-01-01T00:00:00Z", "é\u{0}"])
                .into(),
            6 => (-1).into(),
            7 => 3.into(),
            8 => (0..self.roll(4)).map(|_| self.value(depth - 1)).collect(),
            _ => {
                let mut fields = Map::new();
                for _ in 0..self.roll(4) {
                    let name = self.pick(&["a", "b", "spec", "kind", "metadata", "x y"]);
                    fields.insert(name.to_owned(), self.value(depth - 1));
                }
                Value::Object(fields)
            }
        }
    }

    fn schema(&mut self, depth: usize) -> Value {
        let mut schema = json!({});
        for _ in 0..=self.roll(6) {
            let word = self.pick(WORDS);
            schema[word] = match word {
                "type" => self
                    .pick(&[
                        "object", "array", "string", "integer", "number", "boolean", "null", "z",
                    ])
                    .into(),
                "items" | "not" | "additionalProperties" if depth > 0 => self.schema(depth - 1),
                "anyOf" | "oneOf" | "allOf" if depth > 0 => {
                    json!([self.schema(depth - 1), self.schema(depth - 1)])
                }
                "properties" if depth > 0 => {
                    json!({ "a": self.schema(depth - 1), "metadata": self.schema(depth - 1), "b": self.schema(depth - 1) })
                }
                "pattern" => self.pick(&["^a+$", "(", "[", "a{2}", "{", "\\"]).into(),
                "format" => self
                    .pick(&["date", "uuid4", "isbn", "mac", "duration", "cidr", "?"])
                    .into(),
                "x-kubernetes-validations" => {
                    json!([{ "rule": self.pick(&["self == self", "oldSelf == self", "self.a > 1", "(", ""]) }])
                }
                "x-kubernetes-list-type" => self.pick(&["map", "set", "atomic", "z"]).into(),
                "x-kubernetes-list-map-keys" => json!(["a", "b"]),
                "required" => json!(["a", "z"]),
                word if word.starts_with("x-") || word == "nullable" => true.into(),
                _ => self.value(1),
            };
        }
        schema
    }
}

const WORDS: &[&str] = &[
    "type",
    "type",
    "type",
    "items",
    "properties",
    "properties",
    "additionalProperties",
    "not",
    "anyOf",
    "oneOf",
    "allOf",
    "default",
    "enum",
    "pattern",
    "format",
    "minimum",
    "maximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "required",
    "nullable",
    "x-kubernetes-validations",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-embedded-resource",
    "x-kubernetes-int-or-string",
];

#[test]
fn any_schema_and_any_object_come_to_an_answer() {
    let mut dice = Dice(20_261_123);
    for _ in 0..1500 {
        let schema = dice.schema(3);
        let _ = structural::check(&schema, &Path::new("schema"));
        let definition = Definition::compile(&json!({
            "metadata": { "name": "as.b.c" },
            "spec": { "group": "b.c", "versions": [{ "name": "v1", "schema": { "openAPIV3Schema": schema },
                "subresources": { "scale": { "specReplicasPath": ".spec.a" } },
                "additionalPrinterColumns": [{ "name": "A", "type": "integer", "jsonPath": ".spec.a" }] }] },
        }));
        let version = &definition.versions[0];
        for _ in 0..4 {
            let (mut new, mut old) = (dice.value(4), dice.value(4));
            version.fit(&mut new);
            version.fit(&mut old);
            version.default(&mut new);
            let mut again = new.clone();
            version.default(&mut again);
            assert_eq!(again, new, "defaults settle");
            let _ = version.check(&new);
            let _ = version.check_change(&new, &old);
        }
    }
}
