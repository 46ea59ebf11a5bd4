//! Which pods of a node go, which stay, and which keep it from being drained.

use std::collections::BTreeMap;

use anyhow::bail;
use jiff::Timestamp;
use serde_json::Value;

use crate::cluster::text;

/// What the flags allow.
pub struct Rules {
    pub ignore_daemonsets: bool,
    pub delete_emptydir_data: bool,
    pub force: bool,
    /// Seconds; 0 for none.
    pub skip_deleted_for: i64,
    pub now: Timestamp,
}

/// What becomes of a pod, and what is to be told of it.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    Goes(Vec<&'static str>),
    Stays(Option<&'static str>),
    Refused(&'static str),
}

impl Rules {
    /// `is_orphan`: its DaemonSet is gone.
    pub fn verdict(&self, pod: &Value, is_orphan: bool) -> Verdict {
        let mut warnings = Vec::new();
        let is_finished = matches!(text(pod, "/status/phase"), "Succeeded" | "Failed");
        let controller = controller_of(pod);
        let of_daemon_set = controller.is_some_and(|owner| owner["kind"] == "DaemonSet");
        if of_daemon_set && !is_finished && !(is_orphan && self.force) {
            return match (is_orphan, self.ignore_daemonsets) {
                (false, true) => Verdict::Stays(Some("ignoring DaemonSet-managed Pods")),
                (false, false) => {
                    Verdict::Refused("DaemonSet-managed Pods (use --ignore-daemonsets to ignore)")
                }
                (true, _) => {
                    Verdict::Refused("Pods of DaemonSets that are gone (use --force to override)")
                }
            };
        }
        if pod["metadata"]["annotations"]
            .get("kubernetes.io/config.mirror")
            .is_some()
        {
            return Verdict::Stays(None);
        }
        if has_empty_dir(pod) && !is_finished {
            if !self.delete_emptydir_data {
                return Verdict::Refused(
                    "Pods with local storage (use --delete-emptydir-data to override)",
                );
            }
            warnings.push("deleting Pods with local storage");
        }
        if controller.is_none() && !is_finished {
            if !self.force {
                return Verdict::Refused(
                    "Pods that declare no controller (use --force to override)",
                );
            }
            warnings.push("deleting Pods that declare no controller");
        }
        if self.is_long_deleted(pod) {
            return Verdict::Stays(None);
        }
        Verdict::Goes(warnings)
    }

    fn is_long_deleted(&self, pod: &Value) -> bool {
        let deleted = text(pod, "/metadata/deletionTimestamp").parse::<Timestamp>();
        let age = |at: Timestamp| self.now.duration_since(at).as_secs();
        self.skip_deleted_for > 0 && deleted.is_ok_and(|at| age(at) > self.skip_deleted_for)
    }
}

fn controller_of(pod: &Value) -> Option<&Value> {
    let owners = pod["metadata"]["ownerReferences"].as_array()?;
    owners.iter().find(|owner| owner["controller"] == true)
}

/// Where the DaemonSet is that the pod belongs to.
pub fn daemon_set_of(pod: &Value) -> Option<String> {
    let owner = controller_of(pod).filter(|owner| owner["kind"] == "DaemonSet")?;
    let (namespace, name) = (text(pod, "/metadata/namespace"), text(owner, "/name"));
    Some(format!(
        "/apis/apps/v1/namespaces/{namespace}/daemonsets/{name}"
    ))
}

fn has_empty_dir(pod: &Value) -> bool {
    let volumes = pod["spec"]["volumes"].as_array();
    volumes.is_some_and(|volumes| {
        volumes
            .iter()
            .any(|volume| volume.get("emptyDir").is_some())
    })
}

/// A node's pods, judged.
#[derive(Default)]
pub struct Judged<'p> {
    pub doomed: Vec<&'p Value>,
    warned: BTreeMap<&'static str, Vec<String>>,
    refused: BTreeMap<&'static str, Vec<String>>,
}

impl<'p> Judged<'p> {
    pub fn add(&mut self, pod: &'p Value, verdict: Verdict) {
        let name = format!(
            "{}/{}",
            text(pod, "/metadata/namespace"),
            text(pod, "/metadata/name")
        );
        match verdict {
            Verdict::Goes(warnings) => {
                self.doomed.push(pod);
                for warning in warnings {
                    self.warned.entry(warning).or_default().push(name.clone());
                }
            }
            Verdict::Stays(Some(warning)) => self.warned.entry(warning).or_default().push(name),
            Verdict::Stays(None) => {}
            Verdict::Refused(why) => self.refused.entry(why).or_default().push(name),
        }
    }

    /// # Errors
    /// Some pods may not go as the flags are: then none does.
    pub fn refuse(&self) -> anyhow::Result<()> {
        let why = |(why, pods): (&&str, &Vec<String>)| {
            format!("cannot delete {why}: {}", pods.join(", "))
        };
        let all: Vec<String> = self.refused.iter().map(why).collect();
        match all.as_slice() {
            [] => Ok(()),
            [one] => bail!("{one}"),
            several => bail!("[{}]", several.join(", ")),
        }
    }

    pub fn warnings(&self) -> impl Iterator<Item = String> {
        let words = |(what, pods): (&&str, &Vec<String>)| format!("{what}: {}", pods.join(", "));
        self.warned.iter().map(words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rules(allow: bool) -> Rules {
        Rules {
            ignore_daemonsets: allow,
            delete_emptydir_data: allow,
            force: allow,
            skip_deleted_for: 60,
            now: "2024-01-01T00:02:00Z".parse().unwrap(),
        }
    }

    fn pod(change: Value) -> Value {
        let mut pod = json!({ "metadata": { "namespace": "d", "name": "p",
            "ownerReferences": [{ "kind": "ReplicaSet", "name": "r", "controller": true }] } });
        json_patch_merge(&mut pod, &change);
        pod
    }

    fn json_patch_merge(into: &mut Value, from: &Value) {
        match from.as_object() {
            Some(fields) => {
                for (key, value) in fields {
                    json_patch_merge(&mut into[key], value);
                }
            }
            None => *into = from.clone(),
        }
    }

    #[test]
    fn what_a_controller_brings_back_goes() {
        assert_eq!(
            rules(false).verdict(&pod(json!({})), false),
            Verdict::Goes(vec![])
        );
    }

    #[test]
    fn what_would_be_lost_goes_only_when_it_is_said() {
        let alone = pod(json!({ "metadata": { "ownerReferences": null } }));
        let with_data = pod(json!({ "spec": { "volumes": [{ "emptyDir": {} }] } }));
        for doomed in [alone, with_data] {
            assert!(matches!(
                rules(false).verdict(&doomed, false),
                Verdict::Refused(_)
            ));
            let allowed = rules(true).verdict(&doomed, false);
            assert!(
                matches!(&allowed, Verdict::Goes(warned) if warned.len() == 1),
                "{allowed:?}"
            );
            let finished = {
                let mut pod = doomed;
                pod["status"]["phase"] = json!("Failed");
                pod
            };
            assert_eq!(
                rules(false).verdict(&finished, false),
                Verdict::Goes(vec![])
            );
        }
    }

    #[test]
    fn pods_of_daemon_sets_stay_and_those_of_lost_ones_need_force() {
        let owner = json!([{ "kind": "DaemonSet", "name": "ds", "controller": true }]);
        let daemon = pod(json!({ "metadata": { "ownerReferences": owner } }));
        assert_eq!(
            daemon_set_of(&daemon).unwrap(),
            "/apis/apps/v1/namespaces/d/daemonsets/ds"
        );
        assert!(matches!(
            rules(false).verdict(&daemon, false),
            Verdict::Refused(_)
        ));
        assert!(matches!(
            rules(true).verdict(&daemon, false),
            Verdict::Stays(Some(_))
        ));
        assert!(matches!(
            rules(false).verdict(&daemon, true),
            Verdict::Refused(_)
        ));
        assert_eq!(rules(true).verdict(&daemon, true), Verdict::Goes(vec![]));
    }

    #[test]
    fn a_pod_deleted_long_ago_is_not_waited_for() {
        let deleted = pod(json!({ "metadata": { "deletionTimestamp": "2024-01-01T00:00:00Z" } }));
        assert_eq!(rules(true).verdict(&deleted, false), Verdict::Stays(None));
    }

    #[test]
    fn refusals_name_every_pod_and_the_flag_that_helps() {
        let alone = pod(json!({ "metadata": { "ownerReferences": null } }));
        let mut judged = Judged::default();
        judged.add(&alone, rules(false).verdict(&alone, false));
        assert_eq!(
            judged.refuse().unwrap_err().to_string(),
            "cannot delete Pods that declare no controller (use --force to override): d/p"
        );
    }
}
