//! The recording, and the differences from it that are known.

use std::path::PathBuf;

use serde_json::Value;

pub struct Recording {
    steps: Vec<Value>,
    known: Vec<Known>,
}

/// A line `STEP: PATH # REASON`; with `sometimes ` before it, of what differs
/// only where the timing is so.
struct Known {
    step: String,
    path: String,
    is_certain: bool,
}

impl Recording {
    /// From beside the checkout.
    pub fn read() -> Option<Self> {
        let manifest = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let shared = manifest.parent()?.parent()?.join("shared");
        let file = shared.join("reference/kubernetes-v1.23.16/recordings/controllers.json");
        let Ok(text) = std::fs::read_to_string(&file) else {
            println!("skipped: there is no recording at {}", file.display());
            return None;
        };
        let recording = Self {
            steps: serde_json::from_str(&text).unwrap(),
            known: include_str!("known.txt").lines().map(known).collect(),
        };
        for known in &recording.known {
            recording.step(&known.step);
        }
        Some(recording)
    }

    fn step(&self, name: &str) -> &Value {
        let mut steps = self.steps.iter();
        steps
            .find(|step| step["step"] == name)
            .unwrap_or_else(|| panic!("no step {name} was recorded"))
    }

    /// Lists of objects by the plurals of their kinds.
    pub fn after(&self, step: &str) -> &Value {
        &self.step(step)["after"]
    }

    pub fn response(&self, step: &str) -> &Value {
        &self.step(step)["response"]
    }

    pub fn object(&self, step: &str, kind: &str, name: &str) -> &Value {
        let mut objects = self.after(step)[kind].as_array().unwrap().iter();
        let found = objects.find(|object| object["metadata"]["name"] == name);
        found.unwrap_or_else(|| panic!("no {kind} {name} was recorded"))
    }

    /// The differences that are not on the list, and what is on the list and
    /// does not differ.
    pub fn surprises(&self, step: &str, differences: &[String]) -> Vec<String> {
        let known: Vec<&Known> = self.known.iter().filter(|k| k.step == step).collect();
        let is_known = |difference: &&String| known.iter().any(|k| difference.starts_with(&k.path));
        let unknown = differences.iter().filter(|d| !is_known(d)).cloned();
        let certain = known.iter().filter(|k| k.is_certain);
        let idle = certain.filter(|k| !differences.iter().any(|d| d.starts_with(&k.path)));
        let idle = idle.map(|k| format!("{}: differs no more; take it off known.txt", k.path));
        unknown.chain(idle).collect()
    }
}

fn known(line: &str) -> Known {
    let (what, why) = line
        .split_once(" # ")
        .expect("every difference has a reason");
    assert!(!why.trim().is_empty(), "no reason: {line}");
    let (step, path) = what.split_once(": ").expect("a step and a path");
    let sometimes = step.strip_prefix("sometimes ");
    Known {
        step: sometimes.unwrap_or(step).to_owned(),
        path: path.to_owned(),
        is_certain: sometimes.is_none(),
    }
}
