//! Lifecycle hooks.

use std::time::Duration;

use k8s_openapi::api::core::v1::{LifecycleHandler, Pod};

use super::launch::describe;
use super::message::Message;
use super::{Owned, Worker};
use crate::action::{self, Answer, Target};
use crate::pod_events::{Level, field_of};
use crate::record::find_container;

/// A hook has no timeout of its own; this one only ends what was forgotten.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// Runs a hook; the error is Kubernetes' message about it.
pub async fn run(handler: &LifecycleHandler, target: &Target, pod: &Pod) -> Result<(), String> {
    let (kind, shown, error) = if let Some(exec) = &handler.exec {
        let command = exec.command.as_deref().unwrap_or_default();
        match action::run(target, command).await {
            Ok((0, _)) => return Ok(()),
            Ok((code, output)) => {
                let error = format!(
                    "command '{}' exited with {code}: {output}, message: {output:?}",
                    command.join(" ")
                );
                ("Exec", format!("[{}]", command.join(" ")), error)
            }
            Err(e) => ("Exec", format!("[{}]", command.join(" ")), e.to_string()),
        }
    } else if let Some(get) = &handler.http_get {
        match action::http_get(target, get, "kube-lifecycle/1.37", LONGEST).await {
            Answer::Success => return Ok(()),
            Answer::Failure(error) | Answer::Error(error) => (
                "HTTP",
                format!("({})", get.path.as_deref().unwrap_or("/")),
                error,
            ),
        }
    } else if let Some(socket) = &handler.tcp_socket {
        match action::tcp(target, socket.host.as_deref(), &socket.port, LONGEST).await {
            Answer::Success => return Ok(()),
            Answer::Failure(error) | Answer::Error(error) => ("TCP", String::new(), error),
        }
    } else if let Some(sleep) = &handler.sleep {
        tokio::time::sleep(Duration::from_secs(sleep.seconds.max(0) as u64)).await;
        return Ok(());
    } else {
        return Err(format!(
            "invalid handler for container {:?}",
            target.container.name
        ));
    };
    let container = &target.container.name;
    Err(format!(
        "{kind} lifecycle hook ({}) for Container {container:?} in Pod {:?} failed - error: {error}",
        shown_inside(&shown),
        describe(pod)
    ))
}

/// The outer parentheses are the message's own.
fn shown_inside(shown: &str) -> &str {
    shown.trim_start_matches('(').trim_end_matches(')')
}

impl Worker {
    /// Runs the container's postStart hook; the container counts as started after it.
    pub(super) fn start_hook(&mut self, name: &str, id: &str) {
        let container = find_container(&self.spec(), name);
        let handler = container.and_then(|c| c.lifecycle?.post_start);
        let (Some(handler), Some(target)) = (handler, self.target(name)) else {
            return self.is_up_and_running(name);
        };
        let (pod, sender, id) = (self.pod.clone(), self.sender.clone(), id.to_owned());
        let task = tokio::spawn(async move {
            let failed = run(&handler, &target, &pod).await.err();
            Self::tell(&sender, Message::Started { id, failed });
        });
        self.helpers.entry(name.to_owned()).or_default().hook = Some(Owned(task));
    }

    pub(super) fn hook_done(&mut self, id: &str, failed: Option<String>) {
        let Some(record) = self.record_of_run(id) else {
            return;
        };
        let (name, field) = (record.name.clone(), field_of(record.role, &record.name));
        let Some(message) = failed else {
            return self.is_up_and_running(&name);
        };
        self.agent.events.container(
            &self.pod,
            field,
            Level::Warning,
            "FailedPostStartHook",
            message,
        );
        self.stop_container(
            &name,
            self.grace(),
            Some(("Killing", "FailedPostStartHook".to_owned())),
        );
    }
}
