//! Events about pods, told by this node.

use std::borrow::Cow;

pub use events::Level;
use events::Told;
use k8s_openapi::api::core::v1::Pod;

use crate::record::Role;

/// Tells about pods; cheap to clone.
#[derive(Clone)]
pub struct Recorder(events::Recorder);

impl Recorder {
    pub fn new(events: &events::Events, node_name: &str) -> Self {
        Self(events.recorder_on("kubelet", node_name))
    }

    pub fn pod(&self, pod: &Pod, level: Level, reason: &'static str, message: impl Into<String>) {
        self.tell(pod, None, level, reason.into(), message.into());
    }

    /// A pod this node refused; the reason is the refusal's.
    pub fn rejected(&self, pod: &Pod, reason: &str, message: String) {
        let reason = reason.to_owned().into();
        self.tell(pod, None, Level::Warning, reason, message);
    }

    /// An event about one container; `field` is such as `spec.containers{c}`.
    pub fn container(
        &self,
        pod: &Pod,
        field: String,
        level: Level,
        reason: &'static str,
        message: impl Into<String>,
    ) {
        self.tell(pod, Some(field), level, reason.into(), message.into());
    }

    fn tell(
        &self,
        pod: &Pod,
        field_path: Option<String>,
        level: Level,
        reason: Cow<'static, str>,
        message: String,
    ) {
        let mut about = events::reference(pod);
        about.field_path = field_path;
        self.0.tell(Told {
            about,
            level,
            reason,
            action: None,
            message,
        });
    }
}

/// The field of a container that events are about.
pub fn field_of(role: Role, name: &str) -> String {
    match role {
        Role::Init | Role::Sidecar => format!("spec.initContainers{{{name}}}"),
        Role::Main => format!("spec.containers{{{name}}}"),
        Role::Ephemeral => format!("spec.ephemeralContainers{{{name}}}"),
    }
}
