use super::*;

/// What Kubernetes 1.23's OpenAPI document says of its stable kinds, one row a
/// field that has an extension: definition, field (or `.`), extensions.
const RECORDED: &str = include_str!("kubernetes-1.23.txt");

/// Rows where a newer Kubernetes differs.
const CHANGED: &[(&str, &str)] = &[
    // The tag sat on a scalar, where it had no meaning.
    (
        "apimachinery.pkg.apis.meta.v1.LabelSelectorRequirement",
        "key",
    ),
];

fn recorded() -> impl Iterator<
    Item = (
        &'static str,
        &'static str,
        Vec<(&'static str, &'static str)>,
    ),
> {
    RECORDED.lines().map(|line| {
        let mut words = line.split(' ');
        let (Some(definition), Some(field)) = (words.next(), words.next()) else {
            panic!("row {line:?}");
        };
        let facts = words
            .map(|w| w.split_once('=').expect("key=value"))
            .collect();
        (definition, field, facts)
    })
}

fn fact<'a>(facts: &[(&str, &'a str)], name: &str) -> Option<&'a str> {
    facts.iter().find(|f| f.0 == name).map(|f| f.1)
}

#[test]
fn rows_are_sorted_so_that_they_are_found() {
    assert!(FIELDS.is_sorted_by_key(|row| (row.0, row.1)));
    assert!(ATOMIC.is_sorted());
}

#[test]
fn patch_strategies_and_merge_keys_are_as_kubernetes_1_23_has_them() {
    for (definition, name, facts) in recorded() {
        if name == "." || CHANGED.contains(&(definition, name)) {
            continue;
        }
        let known = field(&format!("io.k8s.{definition}"), name);
        let strategy = known.map_or(NO_STRATEGY, |e| e.strategy);
        let wanted = fact(&facts, "strategy").unwrap_or_default();
        let has = |word: &str| wanted.split(',').any(|w| w == word);
        assert_eq!(strategy.merge, has("merge"), "{definition} {name}");
        assert_eq!(strategy.replace, has("replace"), "{definition} {name}");
        assert_eq!(
            strategy.retain_keys,
            has("retainKeys"),
            "{definition} {name}"
        );
        let merge_key = known.and_then(|e| e.merge_key);
        // Of newer tags the table knows more, never less.
        if let Some(wanted) = fact(&facts, "merge") {
            assert_eq!(merge_key, Some(wanted), "{definition} {name}");
        }
    }
}

#[test]
fn list_types_and_keys_are_as_kubernetes_1_23_has_them() {
    for (definition, name, facts) in recorded() {
        let shape = field(&format!("io.k8s.{definition}"), name).map_or(Shape::Plain, |e| e.shape);
        match fact(&facts, "list") {
            Some("set") => assert_eq!(shape, Shape::Set, "{definition} {name}"),
            Some("atomic") => assert_eq!(shape, Shape::Plain, "{definition} {name}"),
            Some("map") => {
                let Shape::Keyed(keys) = shape else {
                    panic!("{definition} {name} is no list map");
                };
                let names: Vec<_> = keys.iter().map(|k| k.split('=').next()).collect();
                let wanted = fact(&facts, "keys").unwrap_or_default();
                assert_eq!(
                    names,
                    wanted.split(',').map(Some).collect::<Vec<_>>(),
                    "{definition} {name}"
                );
            }
            _ => {}
        }
        if fact(&facts, "map") == Some("atomic") {
            match name {
                "." => assert!(is_atomic(&format!("io.k8s.{definition}")), "{definition}"),
                _ => assert_eq!(shape, Shape::AtomicMap, "{definition} {name}"),
            }
        }
    }
}
