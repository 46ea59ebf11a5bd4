//! What expressions come to.

use crate::run::{check, fails, value};
use serde_json::json;

#[test]
fn the_language_works() {
    check(&[
        "1 + 2 * 3 == 7",
        "'a' + 'b' == 'ab'",
        "[1, 2] + [3] == [1, 2, 3]",
        "{'a': 1}.a == 1 && {'a': 1}['a'] == 1",
        "has({'a': 1}.a) && !has({'a': 1}.b)",
        "'b' in ['a', 'b'] && !('c' in ['a'])",
        "'a' in {'a': 1}",
        "1 < 2.5 && 2u > 1 && 1.0 <= 1u",
        "true ? 1 == 1 : false",
        "[1, 2, 3].all(x, x > 0) && [1, 2].exists(x, x == 2) && [1, 2].exists_one(x, x == 1)",
        "[1, 2, 3].map(x, x * 2) == [2, 4, 6] && [1, 2, 3].filter(x, x > 1) == [2, 3]",
        "[1, 2, 3].map(x, x > 1, x * 2) == [4, 6]",
        "[[1, 2], [3]].map(x, x.map(y, y + 1)) == [[2, 3], [4]]",
        "type(1) == int && type('') == string && type([]) == list",
        "size('äö') == 2 && [1].size() == 1 && size({}) == 0",
        "string(1) == '1' && int('2') == 2 && double('1.5') == 1.5 && bytes('a') == b'a'",
        "duration('1h') > duration('59m') && duration('90s').getMinutes() == 1",
        "timestamp('2020-01-01T00:00:00Z') + duration('1h') == timestamp('2020-01-01T01:00:00Z')",
        "timestamp('2020-01-01T00:00:00Z').getFullYear() == 2020",
        "[1, 2, 3][1] == 2 && [1, 2] != [2, 1]",
        "(1 / 0 == 1) || true",
        "'abc'.contains('b') && 'abc'.startsWith('a') && 'abc'.endsWith('c')",
        "'abc'.matches('^[a-c]+$') && matches('abc', 'b')",
        "math.greatest(1, 3, 2) == 3 && math.least([2, 1]) == 1 && math.abs(-1) == 1",
        "base64.encode(b'hello') == 'aGVsbG8=' && base64.decode('aGVsbG8=') == b'hello'",
    ]);
}

#[test]
fn optional_values_work() {
    check(&[
        "object.?spec.?missing.orValue('none') == 'none'",
        "object.?spec.?replicas.orValue(0) == 3",
        "optional.of(1).optMap(x, x + 1).value() == 2",
        "!optional.none().hasValue()",
        "optional.ofNonZeroValue('').or(optional.of('b')).value() == 'b'",
        "[1, ?optional.none(), 2] == [1, 2]",
        "object.spec[?'missing'].orValue(1) == 1",
        "object.spec.containers[?5].hasValue() == false",
    ]);
}

#[test]
fn loops_may_have_two_variables() {
    check(&[
        "[1, 2, 3].all(i, v, v == i + 1)",
        "{'a': 1}.exists(k, v, k == 'a' && v == 1)",
        "['a', 'b'].exists_one(i, v, i == 1)",
        "[1, 2].transformList(i, v, i * v) == [0, 2]",
        "[1, 2, 3].transformList(i, v, i > 0, v) == [2, 3]",
        "{'a': 1, 'b': 2}.transformMap(k, v, v * 2) == {'a': 2, 'b': 4}",
        "{'a': 1, 'b': 2}.transformMap(k, v, v > 1, v) == {'b': 2}",
        "{'a': 'x'}.transformMapEntry(k, v, {v: k}) == {'x': 'a'}",
        "object.metadata.labels.transformList(k, v, k + '=' + v) == ['app=web']",
        "object.spec.containers.all(i, c, !has(c.ports) || c.ports.all(j, p, i == 0 && p > j))",
    ]);
}

#[test]
fn json_is_seen_without_a_copy_and_compares_as_values_do() {
    check(&[
        "object.spec.replicas == 3",
        "object.spec == object.spec",
        "object.metadata.labels == {'app': 'web'} && {'app': 'web'} == object.metadata.labels",
        "object.spec.containers[0].ports == [80, 443] && [80, 443] == object.spec.containers[0].ports",
        "object.spec.containers[0].ports + [1] == [80, 443, 1]",
        "[1] + object.spec.containers[0].ports == [1, 80, 443]",
        "80 in object.spec.containers[0].ports && 'app' in object.metadata.labels",
        "object.spec.containers.map(c, c.image) == ['a:1', 'b:2']",
        "object.spec.containers.exists(c, c.name == 'two')",
        "object.metadata.labels.all(k, k == 'app')",
        "has(object.spec.containers) && !has(object.spec.other)",
        "object.spec.nothing == null && has(object.spec.nothing)",
        "type(object.spec.half) == double && object.spec.half == 0.5",
        "size(object.spec) == 6 && object.spec.containers.size() == 2",
        "object.metadata.annotations['a.b/c-d'] == 'x'",
        "object.metadata.annotations.a__dot__b__slash__c__dash__d == 'x'",
        "object.spec.__namespace__ == 'ns'",
        "object.spec.containers.filter(c, 'ports' in c).size() == 1",
        "oldObject == null",
        "object.spec.containers == [object.spec.containers[0], object.spec.containers[1]]",
    ]);
    fails("object.spec.missing == 1", "no such key: missing");
    fails("object.spec.containers[9] == 1", "index out of bounds: 9");
    fails("object.spec.containers.missing", "no such overload");
}

#[test]
fn errors_are_worded_as_kubernetes_words_them() {
    fails("1 / 0 == 1", "division by zero");
    fails("1 % 0 == 1", "modulus by zero");
    fails("9223372036854775807 + 1 == 0", "integer overflow");
    fails("int(object.spec.half) + dyn('a') == 1", "no such overload");
}

#[test]
fn values_become_json() {
    assert_eq!(
        value("{'a': [dyn(1), 2.5, true, null, 'x']}"),
        json!({"a": [1, 2.5, true, null, "x"]})
    );
    assert_eq!(
        value("timestamp('2020-01-01T00:00:00Z')"),
        json!("2020-01-01T00:00:00Z")
    );
    assert_eq!(value("duration('90m')"), json!("1h30m0s"));
    assert_eq!(value("b'hello'"), json!("aGVsbG8="));
    assert_eq!(
        value("{?'a': optional.none(), 'b': optional.of(1)}"),
        json!({"b": 1})
    );
    assert_eq!(
        value("object.spec.containers[1]"),
        json!({"name": "two", "image": "b:2"})
    );
    assert_eq!(value("int"), json!("int"));
}
