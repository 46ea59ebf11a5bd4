//! RBAC rules and what they cover.

use serde_json::Value;

use super::{Action, Attributes, full_resource};

/// One `PolicyRule`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rule {
    pub verbs: Vec<String>,
    pub groups: Vec<String>,
    pub resources: Vec<String>,
    pub names: Vec<String>,
    pub paths: Vec<String>,
}

impl Rule {
    /// Reads a rule of a Role; fields that are missing allow nothing.
    pub fn read(rule: &Value) -> Self {
        Self {
            verbs: strings(&rule["verbs"]),
            groups: strings(&rule["apiGroups"]),
            resources: strings(&rule["resources"]),
            names: strings(&rule["resourceNames"]),
            paths: strings(&rule["nonResourceURLs"]),
        }
    }

    pub fn read_all(role: &Value) -> Vec<Self> {
        let rules = role["rules"].as_array();
        rules.into_iter().flatten().map(Self::read).collect()
    }

    /// Everything that can be done to resources.
    pub fn all_resources() -> Self {
        let star = || vec!["*".to_owned()];
        Self {
            verbs: star(),
            groups: star(),
            resources: star(),
            ..Self::default()
        }
    }

    pub fn allows(&self, asked: &Attributes<'_>) -> bool {
        if !has(&self.verbs, asked.verb) {
            return false;
        }
        match asked.target {
            Action::Path(path) => self.paths.iter().any(|p| path_covers(p, path)),
            Action::Resource {
                group,
                resource,
                subresource,
                name,
                ..
            } => {
                has(&self.groups, group)
                    && covers_resource(&self.resources, resource, subresource)
                    && (self.names.is_empty() || self.names.iter().any(|n| n == name))
            }
        }
    }

    /// Every single permission of the rule: one verb on one thing.
    pub fn atoms(&self) -> Vec<Rule> {
        let mut out = Vec::new();
        for verb in &self.verbs {
            for path in &self.paths {
                out.push(Rule {
                    verbs: vec![verb.clone()],
                    paths: vec![path.clone()],
                    ..Rule::default()
                });
            }
            for group in &self.groups {
                for resource in &self.resources {
                    out.extend(self.atoms_of(verb, group, resource));
                }
            }
        }
        out
    }

    fn atoms_of(&self, verb: &str, group: &str, resource: &str) -> Vec<Rule> {
        let one = |names: Vec<String>| Rule {
            verbs: vec![verb.to_owned()],
            groups: vec![group.to_owned()],
            resources: vec![resource.to_owned()],
            names,
            paths: Vec::new(),
        };
        if self.names.is_empty() {
            return vec![one(Vec::new())];
        }
        self.names
            .iter()
            .map(|name| one(vec![name.clone()]))
            .collect()
    }

    /// Whether this rule grants all that `atom` (from `atoms`) does.
    pub fn covers(&self, atom: &Rule) -> bool {
        let all = |mine: &[String], theirs: &[String]| theirs.iter().all(|t| has(mine, t));
        let resources = atom.resources.iter().all(|r| {
            let (resource, sub) = r.split_once('/').unwrap_or((r, ""));
            covers_resource(&self.resources, resource, sub)
        });
        let names = self.names.is_empty()
            || !atom.names.is_empty() && atom.names.iter().all(|n| self.names.contains(n));
        let paths = atom
            .paths
            .iter()
            .all(|p| self.paths.iter().any(|mine| path_covers(mine, p)));
        all(&self.verbs, &atom.verbs)
            && all(&self.groups, &atom.groups)
            && resources
            && names
            && paths
    }
}

fn strings(value: &Value) -> Vec<String> {
    let items = value.as_array();
    let texts = items.into_iter().flatten().filter_map(Value::as_str);
    texts.map(str::to_owned).collect()
}

fn has(list: &[String], wanted: &str) -> bool {
    list.iter().any(|one| one == "*" || one == wanted)
}

/// `pods`, `pods/log`, `*/scale` and `*` are what a rule may say.
fn covers_resource(list: &[String], resource: &str, subresource: &str) -> bool {
    if subresource.is_empty() {
        return has(list, resource);
    }
    let full = full_resource(resource, subresource);
    list.iter().any(|one| {
        one == "*" || *one == full || one.strip_prefix("*/").is_some_and(|sub| sub == subresource)
    })
}

fn path_covers(rule: &str, path: &str) -> bool {
    match rule.strip_suffix('*') {
        Some(start) => path.starts_with(start),
        None => rule == path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(resources: &[&str], verbs: &[&str]) -> Rule {
        let own = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect();
        Rule {
            verbs: own(verbs),
            groups: vec![String::new()],
            resources: own(resources),
            ..Rule::default()
        }
    }

    fn asks(
        verb: &'static str,
        resource: &'static str,
        subresource: &'static str,
    ) -> Attributes<'static> {
        let target = Action::Resource {
            group: "",
            resource,
            subresource,
            namespace: "g",
            name: "p",
        };
        Attributes::new(verb, target)
    }

    #[test]
    fn a_resource_does_not_include_its_subresources() {
        let pods = rule(&["pods"], &["get"]);
        assert!(pods.allows(&asks("get", "pods", "")));
        assert!(!pods.allows(&asks("get", "pods", "log")));
        assert!(rule(&["*/scale"], &["get"]).allows(&asks("get", "deployments", "scale")));
    }

    #[test]
    fn a_star_path_covers_what_starts_so() {
        let paths = Rule {
            verbs: vec!["get".into()],
            paths: vec!["/healthz/*".into()],
            ..Rule::default()
        };
        assert!(paths.allows(&Attributes::new("get", Action::Path("/healthz/etcd"))));
        assert!(!paths.allows(&Attributes::new("get", Action::Path("/metrics"))));
    }

    #[test]
    fn rules_for_named_objects_do_not_cover_all_of_them() {
        let named = Rule {
            names: vec!["a".into()],
            ..rule(&["secrets"], &["get"])
        };
        let all = rule(&["secrets"], &["get"]);
        assert!(all.covers(&named.atoms()[0]));
        assert!(!named.covers(&all.atoms()[0]));
    }
}
