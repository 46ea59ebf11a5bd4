use serde_json::json;

use super::read_yaml;

fn problems(text: &str) -> Vec<String> {
    let document = read_yaml(text.as_bytes()).expect("yaml");
    document
        .duplicates
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn the_last_of_two_values_counts_and_the_line_is_told() {
    let text = "data:\n  a: x\n  b: y\n  a: z\nl:\n- k: 1\n  k: 2\n";
    let document = read_yaml(text.as_bytes()).expect("yaml");
    assert_eq!(
        document.value,
        json!({"data": {"a": "z", "b": "y"}, "l": [{"k": 2}]})
    );
    assert_eq!(
        problems(text),
        [
            "line 4: key \"a\" already set in map",
            "line 7: key \"k\" already set in map"
        ]
    );
}

#[test]
fn a_key_given_thrice_is_told_twice() {
    assert_eq!(
        problems("a: 1\na: 2\na: 3\n"),
        [
            "line 2: key \"a\" already set in map",
            "line 3: key \"a\" already set in map"
        ]
    );
}

#[test]
fn keys_become_strings_and_json_reads_as_yaml() {
    let document = read_yaml(b"1: a\ntrue: b\n").expect("yaml");
    assert_eq!(document.value, json!({"1": "a", "true": "b"}));
    let document = read_yaml(br#"{"a":[1,-2,"3",null,1.5]}"#).expect("yaml");
    assert_eq!(document.value, json!({"a": [1, -2, "3", null, 1.5]}));
}

#[test]
fn a_mapping_takes_another_in() {
    let text = "base: &b\n  x: 1\n  y: 2\nmore:\n  <<: *b\n  y: 3\n";
    let document = read_yaml(text.as_bytes()).expect("yaml");
    assert_eq!(document.value["more"], json!({"x": 1, "y": 3}));
}

#[test]
fn only_the_first_document_is_read() {
    assert_eq!(
        read_yaml(b"a: 1\n---\na: 2\n").expect("yaml").value,
        json!({"a": 1})
    );
}

#[test]
fn broken_yaml_is_refused_in_the_words_of_go() {
    let refused = |text: &str| read_yaml(text.as_bytes()).expect_err("broken").to_string();
    assert_eq!(
        refused("a: b: c"),
        "mapping values are not allowed in this context"
    );
    assert_eq!(
        refused("x: 1\na: b: c"),
        "line 2: mapping values are not allowed in this context"
    );
    assert_eq!(
        refused("a: [1\nb: 2\n"),
        "line 1: did not find expected ',' or ']'"
    );
}
