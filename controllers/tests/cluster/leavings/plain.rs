//! Lists of objects without what is different each time.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::{Captures, Regex};
use serde_json::{Map, Value};

/// Told by clocks and counters, or decided by the scheduler.
const VOLATILE: [&str; 18] = [
    "resourceVersion",
    "creationTimestamp",
    "managedFields",
    "generation",
    "observedGeneration",
    "lastTransitionTime",
    "lastUpdateTime",
    "lastProbeTime",
    "lastScheduleTime",
    "lastSuccessfulTime",
    "startTime",
    "completionTime",
    "nodeName",
    "hostIP",
    "podIP",
    "podIPs",
    "count",
    "qosClass",
];
/// Labels whose value is a hash of a template.
const HASHES: [&str; 2] = ["pod-template-hash", "controller-revision-hash"];
/// Names that the controllers themselves made up.
const GENERATED: [&str; 4] = [
    "controller-uid",
    "job-name",
    "batch.kubernetes.io/controller-uid",
    "batch.kubernetes.io/job-name",
];

static UID: LazyLock<Regex> = LazyLock::new(|| regex("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"));
static SUFFIX: LazyLock<Regex> = LazyLock::new(|| regex(r"-[bcdfghjklmnpqrstvwxz2456789]{5}\b"));
static MINUTE: LazyLock<Regex> = LazyLock::new(|| regex(r"-\d{8}\b"));
static ADDRESS: LazyLock<Regex> = LazyLock::new(|| regex(r"\b10\.\d+\.\d+\.\d+\b"));
static TIME: LazyLock<Regex> = LazyLock::new(|| regex(r"\d{4}-\d\d-\d\dT[0-9:.]+Z"));
static NODE: LazyLock<Regex> = LazyLock::new(|| regex(r" to hn\d$"));
/// Newer releases tell from how many replicas a set is scaled.
static FROM: LazyLock<Regex> = LazyLock::new(|| regex(r"^(Scaled .*) from \d+ to"));

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).unwrap()
}

/// What the hashes and uids of one dump stand for.
#[derive(Default)]
struct Meaning(BTreeMap<String, String>);

impl Meaning {
    fn of(dump: &Map<String, Value>) -> Self {
        let mut meaning = Self::default();
        for (kind, objects) in dump {
            for object in objects.as_array().into_iter().flatten() {
                meaning.learn(kind, object);
            }
        }
        meaning
    }

    fn learn(&mut self, kind: &str, object: &Value) {
        let templates = [
            "/spec/template/spec/containers/0/image",
            "/spec/containers/0/image",
            "/data/spec/template/spec/containers/0/image",
        ];
        let image = templates
            .iter()
            .find_map(|path| object.pointer(path)?.as_str());
        for label in HASHES {
            let hash = object["metadata"]["labels"][label].as_str();
            // A StatefulSet's hashes are the same on every Kubernetes.
            if let (Some(hash), Some(image)) = (hash, image)
                && !hash.contains('-')
            {
                self.0.insert(hash.to_owned(), format!("<{image}>"));
            }
        }
        if let Some(uid) = object["metadata"]["uid"].as_str() {
            let name = object["metadata"]["name"].as_str().unwrap_or_default();
            self.0.insert(uid.to_owned(), format!("<{kind} {name}>"));
        }
    }

    fn plain(&self, text: &str) -> String {
        let text = UID.replace_all(text, |uid: &Captures<'_>| {
            self.0
                .get(&uid[0])
                .map_or("<uid>", String::as_str)
                .to_owned()
        });
        let mut text = text.into_owned();
        for (hash, image) in self.0.iter().filter(|(hash, _)| !hash.contains('-')) {
            text = text.replace(hash, image);
        }
        let text = text.trim_start_matches("(combined from similar events): ");
        let text = FROM.replace(text, "$1 to");
        let text = NODE.replace(&text, " to <node>");
        let text = ADDRESS.replace_all(&text, "<ip>");
        let text = TIME.replace_all(&text, "<time>");
        let text = MINUTE.replace_all(&text, "-<minute>");
        SUFFIX.replace_all(&text, "-*").into_owned()
    }

    fn strip(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => self.plain(text).into(),
            Value::Array(items) => items.iter().map(|item| self.strip(item)).collect(),
            Value::Object(fields) => {
                let kept = fields
                    .iter()
                    .filter(|(k, _)| !VOLATILE.contains(&k.as_str()));
                let kept = kept.map(|(k, v)| (k.clone(), self.strip(v)));
                Value::Object(kept.collect())
            }
            other => other.clone(),
        }
    }
}

/// The dump with only what should be the same, its lists in an order of their own.
pub fn dump(dump: &Value) -> Value {
    let Some(lists) = dump.as_object() else {
        return dump.clone();
    };
    let meaning = Meaning::of(lists);
    let plain = lists.iter().map(|(kind, objects)| {
        let objects = objects.as_array().into_iter().flatten();
        let objects = objects.map(|object| match kind.as_str() {
            "events" => event(&meaning.strip(object)),
            "pods" => pod(meaning.strip(object)),
            _ => meaning.strip(object),
        });
        let mut objects: Vec<Value> = objects.collect();
        objects.sort_by_cached_key(order);
        if kind == "events" {
            objects.dedup();
        }
        (kind.clone(), objects.into())
    });
    Value::Object(plain.collect())
}

/// By name, and where that is random, by what the object asks for.
fn order(object: &Value) -> String {
    let name = &object["metadata"]["name"];
    let node = &object["spec"]["affinity"];
    format!("{name} {node} {}", object["text"])
}

/// An event in one line.
fn event(event: &Value) -> Value {
    let about = &event["involvedObject"];
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let words = [
        &event["type"],
        &about["kind"],
        &about["name"],
        &event["source"]["component"],
        &event["reason"],
        &event["message"],
    ];
    let words: Vec<String> = words.into_iter().map(text).collect();
    serde_json::json!({ "text": words.join(" ") })
}

/// How a pod runs was made up by those that pretended to run it.
fn pod(mut pod: Value) -> Value {
    if pod["status"]["phase"] != "Pending"
        && let Some(fields) = pod.as_object_mut()
    {
        fields.remove("status");
    }
    pod
}

/// A spec without what was put in by others than its user.
pub fn as_written(mut spec: Value) -> Value {
    if let Some(fields) = spec.as_object_mut() {
        let selector = fields.get("selector");
        let labels = selector.map(|s| &s["matchLabels"]);
        if labels.is_some_and(|l| GENERATED.iter().any(|name| !l[*name].is_null())) {
            fields.remove("selector");
        }
    }
    if let Some(labels) = spec.pointer_mut("/template/metadata/labels") {
        let labels = labels.as_object_mut().unwrap();
        labels.retain(|name, _| !GENERATED.contains(&name.as_str()));
    }
    spec
}
