//! The pods of a Job.

use serde_json::{Value, json};

use super::plan::NewPod;
use crate::object::{FAILURES, IGNORED_FAILURES, INDEX, Job, TRACKING};
use crate::workload;

const ENVIRONMENT: &str = "JOB_COMPLETION_INDEX";
/// Room for the five characters that make a name unique.
const PREFIX_MAX: usize = 58;

/// The pod that all pods of the Job are made of.
pub fn base(job: &Job) -> Value {
    let mut pod = workload::pod_of(job);
    let finalizers = pod["metadata"]["finalizers"].take();
    let mut finalizers = finalizers.as_array().cloned().unwrap_or_default();
    if !finalizers.iter().any(|f| f == TRACKING) {
        finalizers.push(TRACKING.into());
    }
    pod["metadata"]["finalizers"] = finalizers.into();
    pod["metadata"]["generateName"] = workload::generated_name(job);
    if job.is_indexed() {
        add_environment(&mut pod);
    }
    pod
}

/// Containers are told their index by the label.
fn add_environment(pod: &mut Value) {
    let path = format!("metadata.labels['{INDEX}']");
    let index = json!({ "name": ENVIRONMENT, "valueFrom": { "fieldRef": { "fieldPath": path } } });
    for list in ["initContainers", "containers"] {
        let containers = pod["spec"].get_mut(list).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            match container.get_mut("env").and_then(Value::as_array_mut) {
                Some(env) if env.iter().any(|e| e["name"] == ENVIRONMENT) => {}
                Some(env) => env.push(index.clone()),
                None => container["env"] = json!([index]),
            }
        }
    }
}

/// One pod: of an indexed Job the one of its index.
pub fn pod(base: &Value, job: &Job, new: &NewPod) -> Value {
    let mut pod = base.clone();
    let Some(index) = new.index else {
        return pod;
    };
    let name = job.metadata.name.as_deref().unwrap_or_default();
    let metadata = &mut pod["metadata"];
    metadata["generateName"] = prefix(name, index).into();
    for part in ["labels", "annotations"] {
        metadata[part][INDEX] = index.to_string().into();
    }
    if let Some(failures) = new.failures {
        metadata["annotations"][FAILURES] = failures.counted.to_string().into();
        if failures.ignored > 0 {
            metadata["annotations"][IGNORED_FAILURES] = failures.ignored.to_string().into();
        }
    }
    let hostname = &mut pod["spec"]["hostname"];
    if hostname.as_str().is_none_or(str::is_empty) {
        *hostname = format!("{name}-{index}").into();
    }
    pod
}

fn prefix(name: &str, index: u32) -> String {
    let end = format!("-{index}-");
    let mut cut = name.len().min(PREFIX_MAX.saturating_sub(end.len()));
    while !name.is_char_boundary(cut) {
        cut -= 1;
    }
    format!("{}{end}", &name[..cut])
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::job;
    use super::super::plan::Failures;
    use super::*;

    #[test]
    fn pod_of_an_index_knows_it_by_name_label_annotation_and_environment() {
        let containers = json!([{ "name": "c" }, { "name": "d", "env": [{ "name": ENVIRONMENT, "value": "x" }] }]);
        let template =
            json!({ "metadata": { "labels": { "a": "b" } }, "spec": { "containers": containers } });
        let job =
            job(json!({ "completionMode": "Indexed", "completions": 2, "template": template }));
        let failures = Failures {
            counted: 2,
            ignored: 0,
        };
        let new = NewPod {
            index: Some(1),
            failures: Some(failures),
        };
        let pod = pod(&base(&job), &job, &new);
        let metadata = &pod["metadata"];
        assert_eq!(metadata["generateName"], "j-1-");
        assert_eq!(metadata["labels"], json!({ "a": "b", INDEX: "1" }));
        assert_eq!(
            metadata["annotations"],
            json!({ INDEX: "1", FAILURES: "2" })
        );
        assert_eq!(metadata["finalizers"], json!([TRACKING]));
        assert_eq!(pod["spec"]["hostname"], "j-1");
        let env = &pod["spec"]["containers"][0]["env"][0];
        let path = "metadata.labels['batch.kubernetes.io/job-completion-index']";
        assert_eq!(env["valueFrom"]["fieldRef"]["fieldPath"], path);
        assert_eq!(
            pod["spec"]["containers"][1]["env"]
                .as_array()
                .unwrap()
                .len(),
            1
        );
    }

    #[test]
    fn long_name_leaves_room_for_the_index() {
        let name = "n".repeat(60);
        assert_eq!(prefix(&name, 12).len(), PREFIX_MAX);
        assert!(prefix(&name, 12).ends_with("n-12-"));
    }
}
