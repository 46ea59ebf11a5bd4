//! A pod as the controls look at it, and the words in which they name its parts.

use std::collections::BTreeSet;

use apimachinery::meta;
use serde_json::{Map, Value};

const LISTS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];

/// A pod, or the pods that a workload makes.
pub struct PodView<'a> {
    pub annotations: Option<&'a Map<String, Value>>,
    pub spec: &'a Value,
}

impl<'a> PodView<'a> {
    /// None: the object has no pod template (a ReplicationController may lack one).
    pub fn of(plural: &str, object: &'a Value) -> Option<Self> {
        let template = match plural {
            "pods" => object,
            "podtemplates" => &object["template"],
            "cronjobs" => &object["spec"]["jobTemplate"]["spec"]["template"],
            _ => &object["spec"]["template"],
        };
        let spec = template.get("spec")?;
        Some(Self {
            annotations: meta::annotations(template),
            spec,
        })
    }

    pub fn containers(&self) -> impl Iterator<Item = &'a Value> {
        let spec = self.spec;
        LISTS.into_iter().flat_map(move |l| meta::items(spec, l))
    }

    pub fn context(&self) -> &'a Value {
        &self.spec["securityContext"]
    }

    pub fn is_windows(&self) -> bool {
        meta::text(self.spec, "os.name") == "windows"
    }

    /// Root in a user namespace of its own is nobody on the machine.
    pub fn has_own_users(&self) -> bool {
        self.spec["hostUsers"] == false
    }

    /// The names of the containers of which `is_bad` holds.
    pub fn containers_where(&self, is_bad: impl Fn(&'a Value) -> bool) -> Vec<&'a str> {
        let bad = self.containers().filter(|c| is_bad(c));
        bad.map(|c| meta::text(c, "name")).collect()
    }
}

/// `container "a"`, `containers "a", "b"`.
pub fn containers(names: &[&str]) -> String {
    format!(
        "{} {}",
        plural("container", "containers", names.len()),
        quoted(names)
    )
}

pub fn plural<'a>(one: &'a str, many: &'a str, count: usize) -> &'a str {
    if count == 1 { one } else { many }
}

pub fn quoted<T: AsRef<str>>(names: impl IntoIterator<Item = T>) -> String {
    let each = names.into_iter().map(|name| format!("{:?}", name.as_ref()));
    each.collect::<Vec<_>>().join(", ")
}

/// `pod and containers "a", "b"`; None when neither.
pub fn setters(by_pod: bool, by: &[&str]) -> Option<String> {
    match (by_pod, by.is_empty()) {
        (false, true) => None,
        (true, true) => Some("pod".into()),
        (false, false) => Some(containers(by)),
        (true, false) => Some(format!("pod and {}", containers(by))),
    }
}

/// Distinct texts in order.
pub fn sorted<T: Ord>(all: impl IntoIterator<Item = T>) -> BTreeSet<T> {
    all.into_iter().collect()
}

/// Whether a change of a pod touches anything that the controls look at. Most of a
/// pod cannot change; status and labels may, all the time.
pub fn is_significant(new: &Value, old: &Value) -> bool {
    let differs = |path: &str| {
        let key = |object: &Value| meta::get(object, path).cloned();
        key(new) != key(old)
    };
    let annotations = |object: &Value| -> Vec<(String, Value)> {
        let all = meta::annotations(object).into_iter().flatten();
        let relevant = all.filter(|(key, _)| key.contains("apparmor") || key.contains("seccomp"));
        relevant.map(|(k, v)| (k.clone(), v.clone())).collect()
    };
    let containers = |object: &Value| -> Vec<(Value, Value, Value)> {
        let lists = LISTS.into_iter();
        let all = lists.flat_map(|l| meta::items(&object["spec"], l).iter());
        let shown = all.map(|c| {
            let field = |name: &str| c.get(name).cloned().unwrap_or_default();
            (field("name"), field("image"), field("securityContext"))
        });
        shown.collect()
    };
    differs("spec.securityContext")
        || annotations(new) != annotations(old)
        || containers(new) != containers(old)
}
