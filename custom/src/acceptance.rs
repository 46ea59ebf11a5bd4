//! Which names a definition gets: what others of its group have is taken.

use std::collections::HashSet;

use apimachinery::meta;
use serde_json::{Value, json};

use crate::definition::has_condition;

/// The finalizer that keeps a definition until its objects are gone.
pub const CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";

/// The definition with its names accepted or refused, and established once they are
/// accepted. None when nothing has to change. `others` are the definitions of its group.
pub fn settle<'a>(
    definition: &Value,
    others: impl Iterator<Item = &'a Value>,
    now: &str,
) -> Option<Value> {
    let decision = decide(definition, &Taken::by(others));
    // Only the status can change: the schemas are large, and this runs often.
    let mut new = json!({ "status": definition["status"] });
    meta::entry(&mut new, "status")["acceptedNames"] = decision.names;
    let is_accepted = decision.conflict.is_none();
    let (reason, message) = decision
        .conflict
        .unwrap_or(("NoConflicts", "no conflicts found".to_owned()));
    set_condition(
        &mut new,
        "NamesAccepted",
        is_accepted,
        reason,
        &message,
        now,
    );
    if !has_condition(definition, "Established") {
        let (reason, message) = match is_accepted {
            true => (
                "InitialNamesAccepted",
                "the initial names have been accepted",
            ),
            false => ("NotAccepted", "not all names are accepted"),
        };
        set_condition(&mut new, "Established", is_accepted, reason, message, now);
    }
    approve(definition, &mut new, now);
    if new["status"] == definition["status"] {
        return None;
    }
    let mut changed = definition.clone();
    changed["status"] = new["status"].take();
    Some(changed)
}

/// Sets a condition; its time changes only with its status.
pub fn set_condition(
    definition: &mut Value,
    kind: &str,
    holds: bool,
    reason: &str,
    message: &str,
    now: &str,
) {
    let status = if holds { "True" } else { "False" };
    let conditions = &mut meta::entry(definition, "status")["conditions"];
    if !conditions.is_array() {
        *conditions = json!([]);
    }
    let Some(conditions) = conditions.as_array_mut() else {
        return;
    };
    let known = conditions
        .iter_mut()
        .find(|known| meta::text(known, "type") == kind);
    let same_status = known
        .as_ref()
        .is_some_and(|known| meta::text(known, "status") == status);
    let since = known
        .as_ref()
        .map(|known| meta::text(known, "lastTransitionTime").to_owned());
    let time = since
        .filter(|_| same_status)
        .unwrap_or_else(|| now.to_owned());
    let condition = json!({
        "type": kind, "status": status, "lastTransitionTime": time, "reason": reason, "message": message,
    });
    match known {
        Some(known) => *known = condition,
        None => conditions.push(condition),
    }
}

/// Definitions of Kubernetes' own groups say whether they may be.
fn approve(definition: &Value, new: &mut Value, now: &str) {
    const KIND: &str = "KubernetesAPIApprovalPolicyConformant";
    let given = meta::annotation(definition, "api-approved.kubernetes.io").unwrap_or("");
    let group = meta::text(definition, "spec.group");
    let is_protected = group.ends_with(".k8s.io") || group.ends_with(".kubernetes.io");
    if !is_protected {
        return;
    }
    if given.starts_with("http") {
        let message = format!("approved in {given}");
        set_condition(new, KIND, true, "ApprovedAnnotation", &message, now);
    } else if given.starts_with("unapproved") {
        let message = format!("not approved: {given:?}");
        set_condition(new, KIND, false, "UnapprovedAnnotation", &message, now);
    }
}

/// What other definitions of the group are called.
#[derive(Default)]
struct Taken<'a> {
    resources: HashSet<&'a str>,
    kinds: HashSet<&'a str>,
}

impl<'a> Taken<'a> {
    fn by(others: impl Iterator<Item = &'a Value>) -> Self {
        let mut taken = Self::default();
        for other in others {
            let Some(names) = meta::get(other, "status.acceptedNames") else {
                continue;
            };
            taken
                .resources
                .extend([meta::text(names, "plural"), meta::text(names, "singular")]);
            taken.resources.extend(
                meta::items(names, "shortNames")
                    .iter()
                    .filter_map(Value::as_str),
            );
            taken
                .kinds
                .extend([meta::text(names, "kind"), meta::text(names, "listKind")]);
        }
        taken
    }
}

struct Decision {
    /// What is accepted: what it had before, where what it asks for is taken.
    names: Value,
    /// The reason and the message of the last conflict.
    conflict: Option<(&'static str, String)>,
}

fn decide(definition: &Value, taken: &Taken<'_>) -> Decision {
    let wanted = &definition["spec"]["names"];
    let before = &definition["status"]["acceptedNames"];
    let mut names = json!({ "plural": "", "kind": "" });
    let mut conflict = None;
    for (field, taken, reason) in [
        ("plural", &taken.resources, "PluralConflict"),
        ("singular", &taken.resources, "SingularConflict"),
        ("kind", &taken.kinds, "KindConflict"),
        ("listKind", &taken.kinds, "ListKindConflict"),
    ] {
        let (asked, had) = (meta::text(wanted, field), meta::text(before, field));
        let is_free = asked.is_empty() || asked == had || !taken.contains(asked);
        if !is_free {
            conflict = Some((reason, format!("{asked:?} is already in use")));
        }
        let got = if is_free { asked } else { had };
        if !got.is_empty() {
            names[field] = got.into();
        }
    }
    let short = short_names(wanted, before, &taken.resources);
    match short {
        Ok(given) => put_list(&mut names, "shortNames", given),
        Err(message) => {
            conflict = Some(("ShortNamesConflict", message));
            put_list(&mut names, "shortNames", meta::items(before, "shortNames"));
        }
    }
    put_list(&mut names, "categories", meta::items(wanted, "categories"));
    Decision { names, conflict }
}

fn put_list(names: &mut Value, field: &str, list: &[Value]) {
    if !list.is_empty() {
        names[field] = list.into();
    }
}

fn short_names<'v>(
    wanted: &'v Value,
    before: &Value,
    taken: &HashSet<&str>,
) -> Result<&'v [Value], String> {
    let had = meta::items(before, "shortNames");
    let asked = meta::items(wanted, "shortNames");
    let foreign = asked
        .iter()
        .filter(|name| !had.contains(name))
        .filter_map(Value::as_str);
    let refused: Vec<String> = foreign
        .filter(|name| taken.contains(name))
        .map(|name| format!("{name:?} is already in use"))
        .collect();
    match refused.as_slice() {
        [] => Ok(asked),
        [one] => Err(one.clone()),
        several => Err(format!("[{}]", several.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition(plural: &str, kind: &str, short: &str) -> Value {
        json!({"metadata": {"name": format!("{plural}.x.io")}, "spec": {"group": "x.io", "names":
            {"plural": plural, "singular": kind.to_lowercase(), "kind": kind, "listKind": format!("{kind}List"), "shortNames": [short]}}})
    }

    fn conditions(definition: &Value) -> Vec<(String, String, String)> {
        let all = meta::items(definition, "status.conditions").iter();
        let text = |c: &Value, f: &str| meta::text(c, f).to_owned();
        all.map(|c| (text(c, "type"), text(c, "status"), text(c, "reason")))
            .collect()
    }

    #[test]
    fn free_names_are_accepted_once() {
        let new = settle(&definition("ws", "W", "w"), [].into_iter(), "t").expect("changed");
        assert_eq!(
            new["status"]["acceptedNames"],
            json!({"plural": "ws", "singular": "w", "kind": "W", "listKind": "WList", "shortNames": ["w"]})
        );
        let wanted = [
            ("NamesAccepted", "True", "NoConflicts"),
            ("Established", "True", "InitialNamesAccepted"),
        ];
        let wanted = wanted.map(|(a, b, c)| (a.to_owned(), b.to_owned(), c.to_owned()));
        assert_eq!(conditions(&new), wanted);
        assert_eq!(settle(&new, [].into_iter(), "later"), None);
    }

    #[test]
    fn a_taken_name_is_refused_until_it_is_free() {
        let first = settle(&definition("ws", "W", "w"), [].into_iter(), "t").expect("changed");
        let second =
            settle(&definition("vs", "W", "v"), [&first].into_iter(), "t").expect("changed");
        assert_eq!(
            second["status"]["acceptedNames"],
            json!({"plural": "vs", "kind": "", "shortNames": ["v"]}),
            "its singular is taken too"
        );
        assert_eq!(conditions(&second)[1].2, "NotAccepted");
        let freed = settle(&second, [].into_iter(), "t").expect("changed");
        assert_eq!(conditions(&freed)[1].1, "True");
    }
}
