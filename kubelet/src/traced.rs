//! The stages of a pod's start as spans, where the making of the pod was traced.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use traces::{Kind, Parent, Span};

/// Begins a stage; none where the pod's making was not traced.
pub fn stage(pod: &Pod, name: &'static str) -> Option<Span> {
    past_stage(pod, name, Duration::ZERO)
}

/// A stage that began so long ago.
pub fn past_stage(pod: &Pod, name: &'static str, ago: Duration) -> Option<Span> {
    if !traces::is_on() {
        return None;
    }
    let metadata = &pod.metadata;
    let annotations = metadata.annotations.as_ref()?;
    let parent = Parent::Annotated(annotations.get(traces::ANNOTATION).map(String::as_str));
    let span = Span::since(ago, name, Kind::Internal, parent)?;
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.clone());
    for (key, value) in [
        ("k8s.namespace.name", metadata.namespace.clone()),
        ("k8s.pod.name", metadata.name.clone()),
        ("k8s.pod.uid", metadata.uid.clone()),
        ("k8s.node.name", node),
    ] {
        span.set(key, value.unwrap_or_default());
    }
    Some(span)
}
