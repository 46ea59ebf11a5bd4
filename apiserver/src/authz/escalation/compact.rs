//! Permissions that are missing, in as few words as Kubernetes has for them.

use std::collections::BTreeSet;

use crate::authz::rules::Rule;

/// One line a rule, sorted; atoms that differ in the verb only are one rule.
pub fn describe(atoms: Vec<Rule>) -> Vec<String> {
    let mut rules: Vec<Rule> = Vec::new();
    for atom in atoms {
        let like = |rule: &&mut Rule| {
            atom.paths.is_empty()
                && rule.groups == atom.groups
                && rule.resources == atom.resources
                && rule.names == atom.names
                && rule.paths.is_empty()
        };
        match rules.iter_mut().find(like) {
            Some(rule) => rule.verbs.extend(atom.verbs),
            None => rules.push(atom),
        }
    }
    let lines: BTreeSet<String> = rules.iter().map(line).collect();
    lines.into_iter().collect()
}

/// As Go prints a list of strings.
pub fn list(texts: &[String]) -> String {
    let quoted: Vec<String> = texts.iter().map(|text| format!("{text:?}")).collect();
    format!("[{}]", quoted.join(" "))
}

fn line(rule: &Rule) -> String {
    let parts = [
        ("APIGroups", &rule.groups),
        ("Resources", &rule.resources),
        ("NonResourceURLs", &rule.paths),
        ("ResourceNames", &rule.names),
        ("Verbs", &rule.verbs),
    ];
    let parts = parts.iter().filter(|(_, texts)| !texts.is_empty());
    let parts: Vec<String> = parts
        .map(|(label, texts)| format!("{label}:{}", list(texts)))
        .collect();
    format!("{{{}}}", parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbs_on_one_resource_are_one_line() {
        let own = |texts: &[&str]| texts.iter().map(|t| (*t).to_owned()).collect();
        let rule = Rule {
            verbs: own(&["get", "list"]),
            groups: own(&[""]),
            resources: own(&["secrets", "pods"]),
            ..Rule::default()
        };
        let lines = describe(rule.atoms());
        assert_eq!(
            lines,
            [
                r#"{APIGroups:[""], Resources:["pods"], Verbs:["get" "list"]}"#,
                r#"{APIGroups:[""], Resources:["secrets"], Verbs:["get" "list"]}"#,
            ]
        );
    }
}
