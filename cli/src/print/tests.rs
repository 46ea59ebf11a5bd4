use serde_json::json;

use super::*;

fn table() -> Value {
    json!({ "columnDefinitions": [{ "name": "Name", "priority": 0 }, { "name": "IP", "priority": 1 }],
        "rows": [{ "cells": ["a", "10.0.0.1"], "object": { "metadata": { "namespace": "n", "labels": { "x/y": "z" } } } }] })
}

#[test]
fn wide_columns_are_shown_when_asked_for() {
    assert_eq!(rows(&table(), &Extra::default(), ""), "NAME\na\n");
    let wide = Extra {
        wide: true,
        ..Extra::default()
    };
    assert_eq!(rows(&table(), &wide, "pod/"), "NAME\tIP\npod/a\t10.0.0.1\n");
}

#[test]
fn namespace_goes_first_and_labels_last() {
    let extra = Extra {
        namespace: true,
        all_labels: true,
        labels: vec!["x/y".into()],
        ..Extra::default()
    };
    assert_eq!(
        rows(&table(), &extra, ""),
        "NAMESPACE\tNAME\tY\tLABELS\nn\ta\tz\tx/y=z\n"
    );
}

#[test]
fn cell_of_several_lines_shows_the_first() {
    assert_eq!(cell(&json!("a\tb\nc")), "a b...");
    assert_eq!(cell(&json!(3)), "3");
    assert_eq!(cell(&Value::Null), "<none>");
}

#[test]
fn own_columns_join_what_they_find_and_say_where_there_is_nothing() {
    let Output::Columns(columns) = output("custom-columns=N:.name,I:.list[*].i,X:nosuch").unwrap()
    else {
        panic!("these are columns");
    };
    let objects = [json!({ "name": "a", "list": [{ "i": 1 }, { "i": 2 }] })];
    assert_eq!(
        custom(&objects, &columns, false),
        "N     I     X\na     1,2   <none>\n"
    );
}

#[test]
fn unknown_form_says_which_there_are() {
    let error = output("foo").unwrap_err();
    assert!(
        error.contains("\"foo\"") && error.contains("jsonpath"),
        "{error}"
    );
    assert!(output("custom-columns=x").is_err());
    assert!(output("jsonpath={.a").is_err());
}

#[test]
fn managed_fields_are_left_out_also_of_items() {
    let list = json!({ "items": [{ "metadata": { "managedFields": [], "name": "a" } }] });
    let text = whole(&list, &Output::Yaml, false).unwrap();
    assert_eq!(text, "items:\n- metadata:\n    name: a\n");
}
