//! A pod that lives as long as this terminal looks at it.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::{Restart, Run};
use crate::cluster::{Cluster, text};
use crate::command::session::{self, Streams};
use crate::command::{delete, logs, words};
use crate::print;

/// What a pod came to.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    Running,
    Ended,
}

impl Run {
    /// Creates the pod, joins it, and ends with its exit code.
    pub(super) async fn attached(&self, cluster: &Cluster) -> anyhow::Result<ExitCode> {
        let pods = cluster.resource("pods")?;
        let list = cluster.path(&pods, Some(&cluster.namespace), None);
        let made = cluster
            .create(&format!("{list}?fieldManager=skiff"), &self.pod())
            .await?;
        let path = format!("{list}/{}", self.name);
        let joined = self.join(cluster, &path).await;
        let ended = match (&joined, self.restart) {
            (Ok(()), Restart::Never) => Some(cluster.until(&path, ended).await?),
            _ => None,
        };
        if self.session.rm {
            let options = json!({ "apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background" });
            cluster.delete(&path, &options).await?;
            if !self.session.quiet {
                print::out(&format!("pod \"{}\" deleted\n", self.name));
            }
            delete::until_gone(cluster, &path, text(&made, "/metadata/uid")).await?;
        }
        joined?;
        // A blocked read of stdin would keep this process from ending.
        std::process::exit(self.judge(cluster, ended));
    }

    async fn join(&self, cluster: &Cluster, path: &str) -> anyhow::Result<()> {
        let phase = cluster.until(path, reached).await?;
        let log = format!("{path}/log?container={}&follow=true", self.name);
        if phase == Phase::Ended {
            return logs::show(&cluster.client, &log, "").await;
        }
        if !self.session.quiet {
            eprintln!("If you don't see a command prompt, try pressing enter.");
        }
        let streams = Streams::of(self.session.stdin, self.session.tty);
        let at = (self.name.as_str(), self.name.as_str());
        if let Err(error) = session::attach(cluster, at, streams).await {
            eprintln!(
                "warning: couldn't attach to pod/{}, falling back to streaming logs: {}",
                self.name,
                words(&error).trim_start_matches("error: ")
            );
            return logs::show(&cluster.client, &log, "").await;
        }
        Ok(())
    }

    fn judge(&self, cluster: &Cluster, ended: Option<(i32, String)>) -> i32 {
        match ended {
            Some((code, reason)) if code != 0 => {
                eprintln!(
                    "pod {}/{} terminated ({reason})",
                    cluster.namespace, self.name
                );
                code
            }
            _ => 0,
        }
    }
}

fn reached(pod: &Value) -> Option<Phase> {
    match text(pod, "/status/phase") {
        "Succeeded" | "Failed" => Some(Phase::Ended),
        "Running" => Some(Phase::Running),
        _ => None,
    }
}

/// The exit code and the reason, once there is one.
fn ended(pod: &Value) -> Option<(i32, String)> {
    reached(pod).filter(|phase| *phase == Phase::Ended)?;
    let state = pod.pointer("/status/containerStatuses/0/state/terminated");
    let code = state.and_then(|s| s["exitCode"].as_i64()).unwrap_or(0);
    let reason = state.map_or("", |s| text(s, "/reason"));
    Some((i32::try_from(code).unwrap_or(1), reason.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_code_is_known_only_once_the_pod_has_ended() {
        let pod = |phase: &str| {
            json!({ "status": { "phase": phase, "containerStatuses": [
                { "state": { "terminated": { "exitCode": 4, "reason": "Error" } } }] } })
        };
        assert_eq!(ended(&pod("Running")), None);
        assert_eq!(ended(&pod("Failed")), Some((4, "Error".into())));
        assert_eq!(reached(&pod("Pending")), None);
    }
}
