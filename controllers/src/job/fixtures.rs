//! Jobs and pods for unit tests.

use serde_json::{Value, json};

use crate::object::{Job, Pod};

/// A job `j` in the namespace `t` with these fields in its spec.
pub fn job(spec: Value) -> Job {
    let mut whole =
        json!({ "template": { "spec": { "restartPolicy": "Never", "containers": [] } } });
    merge(&mut whole, spec);
    let meta = json!({ "name": "j", "namespace": "t", "uid": "job" });
    serde_json::from_value(json!({ "metadata": meta, "spec": whole })).unwrap()
}

/// A job with a status, too.
pub fn job_with(spec: Value, status: Value) -> Job {
    let mut job = job(spec);
    job.status = serde_json::from_value(status).unwrap();
    job
}

/// A pod of that job that is not counted yet; its name is its uid.
pub fn pod(name: &str, meta: Value, status: Value) -> Pod {
    let mut whole = json!({ "name": name, "namespace": "t", "uid": name,
        "finalizers": ["batch.kubernetes.io/job-tracking"],
        "ownerReferences": [{ "apiVersion": "batch/v1", "kind": "Job", "name": "j", "uid": "job", "controller": true }] });
    merge(&mut whole, meta);
    serde_json::from_value(json!({ "metadata": whole, "spec": {}, "status": status })).unwrap()
}

/// The pod of one index.
pub fn indexed(name: &str, index: u32, phase: &str) -> Pod {
    let annotations = json!({ "batch.kubernetes.io/job-completion-index": index.to_string() });
    pod(
        name,
        json!({ "annotations": annotations }),
        json!({ "phase": phase }),
    )
}

fn merge(whole: &mut Value, more: Value) {
    let Value::Object(more) = more else { return };
    for (key, value) in more {
        whole[key] = value;
    }
}
