//! Pod Security Standards: what pods of a namespace may ask for, by the
//! namespace's labels `pod-security.kubernetes.io/{enforce,audit,warn}`.
//!
//! Pods that break the enforced level are refused; those that break the other two,
//! and workloads whose pods would, are told in a warning or in the audit log. All
//! versions of the standards are judged by the newest rules.

mod baseline;
mod configuration;
mod namespace;
mod policy;
mod restricted;
mod spec;

use apimachinery::{Status, meta};
use serde_json::Value;

use super::{Admission, refusal};
use crate::registry::Registry;
use crate::registry::update::Part;
pub use configuration::Configuration;
use policy::{Level, Policy};
use spec::PodView;

/// What one control has against a pod.
#[derive(Debug, PartialEq, Eq)]
struct Violation {
    reason: &'static str,
    detail: String,
}

impl Violation {
    fn new(reason: &'static str, detail: String) -> Self {
        Self { reason, detail }
    }
}

/// Every control of the level, in the order Kubernetes names them.
fn violations(level: Level, pod: &PodView<'_>) -> Vec<Violation> {
    let mut found = Vec::new();
    if level >= Level::Baseline {
        baseline::check(pod, level == Level::Restricted, &mut found);
    }
    if level == Level::Restricted {
        restricted::check(pod, &mut found);
    }
    found
}

fn details(violations: &[Violation]) -> String {
    let texts = violations
        .iter()
        .map(|v| format!("{} ({})", v.reason, v.detail));
    texts.collect::<Vec<_>>().join(", ")
}

/// Whether only the pods of the object are to be judged, or it is a pod itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subject {
    Pod,
    Workload,
}

impl Admission {
    pub(super) async fn check_pod_security(
        &self,
        registry: &Registry<'_>,
        object: &Value,
        old: &Value,
        part: Part,
    ) -> Result<(), Status> {
        let subject = match (registry.kind.group(), registry.kind.plural(), part) {
            ("", "namespaces", Part::Main) => {
                return namespace::check(registry, &self.pod_security, object, old).await;
            }
            ("", "pods", Part::Status | Part::Binding) => return Ok(()),
            ("", "pods", _) => Subject::Pod,
            ("", "replicationcontrollers" | "podtemplates", Part::Main)
            | ("apps", "replicasets" | "deployments" | "statefulsets" | "daemonsets", Part::Main)
            | ("batch", "jobs" | "cronjobs", Part::Main) => Subject::Workload,
            _ => return Ok(()),
        };
        let namespace = self.live_namespace(registry).await?;
        let told = &self.pod_security;
        let labels = meta::labels(&namespace);
        if told.is_plain() && !Policy::is_in(labels) {
            return Ok(());
        }
        let (policy, mistakes) = Policy::of_labels(labels, &told.defaults);
        if policy.is_privileged(subject == Subject::Pod) && mistakes.is_empty() {
            return Ok(());
        }
        let Some(pod) = PodView::of(registry.kind.plural(), object) else {
            return Ok(());
        };
        if subject == Subject::Pod && old.is_object() && !spec::is_significant(object, old) {
            return Ok(());
        }
        let runtime_class = meta::text(pod.spec, "runtimeClassName");
        let (namespace, user) = (meta::name(&namespace), &registry.call.user.name);
        if let Some(why) = told.exempt(namespace, user, runtime_class) {
            let notes = &registry.call.notes;
            notes.annotate("pod-security.kubernetes.io/exempt", why);
            return Ok(());
        }
        judge(registry, object, &pod, &policy, subject)
    }
}

fn judge(
    registry: &Registry<'_>,
    object: &Value,
    pod: &PodView<'_>,
    policy: &Policy,
    subject: Subject,
) -> Result<(), Status> {
    let notes = &registry.call.notes;
    let audited = violations(policy.audit.level, pod);
    if !audited.is_empty() {
        let text = format!(
            "would violate PodSecurity \"{}\": {}",
            policy.audit,
            details(&audited)
        );
        notes.annotate("pod-security.kubernetes.io/audit-violations", text);
    }
    if subject == Subject::Pod {
        let enforced = policy.enforce.to_string();
        notes.annotate("pod-security.kubernetes.io/enforce-policy", enforced);
        let broken = violations(policy.enforce.level, pod);
        if !broken.is_empty() {
            let why = format!(
                "violates PodSecurity \"{}\": {}",
                policy.enforce,
                details(&broken)
            );
            return Err(refusal(registry, object, &why));
        }
    }
    let warned = violations(policy.warn.level, pod);
    if !warned.is_empty() {
        notes.warn(format!(
            "would violate PodSecurity \"{}\": {}",
            policy.warn,
            details(&warned)
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
