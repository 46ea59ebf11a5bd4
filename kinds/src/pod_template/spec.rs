//! Validation of a pod spec: the table of contents.

use std::collections::HashSet;

use apimachinery::names;

use super::{affinity, container, dns, resources, scheduling, security, volume};
use crate::errors::{Errors, Seen};
use crate::node::Node;

/// Where the spec stands; Pods of their own have a few rules more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Pod,
    Template,
}

/// What containers need to know about the pod around them.
pub struct Around<'a> {
    pub volumes: HashSet<&'a str>,
    /// Volumes that are block devices can only be told from their claims.
    pub claims: HashSet<&'a str>,
    pub host_network: bool,
    pub place: Place,
}

const RESTART_POLICIES: &[&str] = &["Always", "OnFailure", "Never"];
const DEADLINE_MAX: i64 = i32::MAX as i64;

pub fn validate_spec(spec: &Node, place: Place, errors: &mut Errors) {
    let volumes = spec.at("volumes");
    volume::validate_volumes(&volumes, errors);
    let names_of = |claims_only: bool| -> HashSet<&str> {
        let is_wanted = |v: &&serde_json::Value| !claims_only || is_claim(v);
        let list = apimachinery::meta::items(spec.value, "volumes").iter();
        list.filter(is_wanted)
            .filter_map(|v| v.get("name")?.as_str())
            .collect()
    };
    let around = Around {
        volumes: names_of(false),
        claims: names_of(true),
        host_network: spec.at("hostNetwork").is_true(),
        place,
    };
    container::validate_containers(spec, &around, errors);
    lifecycle(spec, errors);
    dns::validate(spec, errors);
    security::validate_pod(spec, errors);
    scheduling::node_selector_map(&spec.at("nodeSelector"), errors);
    accounts_and_names(spec, errors);
    affinity::validate(&spec.at("affinity"), errors);
    scheduling::tolerations(&spec.at("tolerations"), errors);
    scheduling::spread_constraints(&spec.at("topologySpreadConstraints"), errors);
    scheduling::gates(&spec.at("schedulingGates"), errors);
    scheduling::resource_claims(&spec.at("resourceClaims"), errors);
    resources::overhead(&spec.at("overhead"), errors);
    resources::pod_level(&spec.at("resources"), errors);
}

fn is_claim(volume: &serde_json::Value) -> bool {
    volume.get("persistentVolumeClaim").is_some() || volume.get("ephemeral").is_some()
}

fn lifecycle(spec: &Node, errors: &mut Errors) {
    let policy = spec.at("restartPolicy");
    errors.require_one_of(&policy, RESTART_POLICIES);
    let grace = spec.at("terminationGracePeriodSeconds");
    errors.not_negative(&grace);
    errors.in_range(&spec.at("activeDeadlineSeconds"), 1, DEADLINE_MAX);
    readiness_gates(&spec.at("readinessGates"), errors);
    errors.one_of_if_set(
        &spec.at("preemptionPolicy"),
        &["Never", "PreemptLowerPriority"],
    );
    errors.one_of_if_set(&spec.at("os.name"), &["linux", "windows"]);
}

fn readiness_gates(gates: &Node, errors: &mut Errors) {
    for gate in gates.items() {
        errors.follows(&gate.at("conditionType"), names::qualified);
    }
}

fn accounts_and_names(spec: &Node, errors: &mut Errors) {
    errors.follows_if_set(&spec.at("serviceAccountName"), names::dns_subdomain);
    errors.follows_if_set(&spec.at("nodeName"), names::dns_subdomain);
    errors.follows_if_set(&spec.at("priorityClassName"), names::dns_subdomain);
    errors.follows_if_set(&spec.at("runtimeClassName"), names::dns_subdomain);
    errors.follows_if_set(&spec.at("hostname"), names::dns_label);
    errors.follows_if_set(&spec.at("subdomain"), names::dns_label);
    errors.follows_if_set(&spec.at("schedulerName"), names::dns_subdomain);
    host_aliases(&spec.at("hostAliases"), errors);
    pull_secrets(&spec.at("imagePullSecrets"), errors);
}

fn host_aliases(aliases: &Node, errors: &mut Errors) {
    let mut seen = Seen::new();
    for alias in aliases.items() {
        let ip = alias.at("ip");
        errors.ip(&ip);
        errors.unique(&ip, &mut seen);
        for name in alias.at("hostnames").items() {
            errors.follows(&name, names::dns_subdomain);
        }
    }
}

fn pull_secrets(secrets: &Node, errors: &mut Errors) {
    for secret in secrets.items() {
        errors.follows_if_set(&secret.at("name"), names::dns_subdomain);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// What is wrong with a pod of one good container, after a change to its spec.
    fn errors(change: impl FnOnce(&mut Value)) -> Vec<String> {
        let mut pod = json!({"spec": {"containers": [{"name": "c", "image": "i:1"}]}});
        change(&mut pod["spec"]);
        (crate::core::pod::KIND.default)(&mut pod);
        let errors = Errors::in_object(&pod, |pod, errors| {
            validate_spec(&pod.at("spec"), Place::Pod, errors);
        });
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_least_pod_is_valid() {
        assert_eq!(errors(|_| {}), Vec::<String>::new());
    }

    #[test]
    fn a_mount_needs_its_volume_and_a_path_of_its_own() {
        let found = errors(|spec| {
            spec["volumes"] = json!([{"name": "v"}]);
            spec["containers"][0]["volumeMounts"] =
                json!([{"name": "v", "mountPath": "/a"}, {"name": "w", "mountPath": "/a"}]);
        });
        assert_eq!(
            found,
            [
                "spec.containers[0].volumeMounts[1].name: Not found: \"w\"",
                "spec.containers[0].volumeMounts[1].mountPath: Invalid value: \"/a\": must be unique",
            ]
        );
    }

    #[test]
    fn only_sidecars_among_init_containers_have_probes() {
        let probed =
            json!({"name": "i", "image": "i:1", "readinessProbe": {"exec": {"command": ["x"]}}});
        let mut sidecar = probed.clone();
        sidecar["restartPolicy"] = "Always".into();
        assert_eq!(
            errors(|spec| spec["initContainers"] = json!([probed])),
            [
                "spec.initContainers[0].readinessProbe: Forbidden: may not be set for init containers without restartPolicy=Always"
            ]
        );
        assert_eq!(
            errors(|spec| spec["initContainers"] = json!([sidecar])),
            Vec::<String>::new()
        );
    }

    #[test]
    fn extended_resources_are_whole_and_limited() {
        let found = errors(|spec| {
            spec["containers"][0]["resources"] =
                json!({"limits": {"x.io/gpu": "500m"}, "requests": {"x.io/gpu": "1"}});
        });
        assert_eq!(
            found,
            [
                "spec.containers[0].resources.limits[x.io/gpu]: Invalid value: \"500m\": must be an integer",
                "spec.containers[0].resources.requests: Invalid value: \"1\": must be equal to x.io/gpu limit of 500m",
            ]
        );
    }

    #[test]
    fn a_pod_with_dns_policy_none_says_whom_to_ask() {
        assert_eq!(
            errors(|spec| spec["dnsPolicy"] = "None".into()),
            ["spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None"]
        );
    }

    #[test]
    fn privileges_cannot_be_both_given_and_denied() {
        let found = errors(|spec| {
            spec["containers"][0]["securityContext"] =
                json!({"privileged": true, "allowPrivilegeEscalation": false});
        });
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("spec.containers[0].securityContext: Invalid value: "));
    }

    #[test]
    fn a_projected_token_lives_ten_minutes_at_least() {
        let found = errors(|spec| {
            spec["volumes"] = json!([{"name": "t", "projected": {"sources": [
                {"serviceAccountToken": {"path": "t", "expirationSeconds": 60}}]}}]);
        });
        assert_eq!(
            found,
            [
                "spec.volumes[0].projected.sources[0].serviceAccountToken.expirationSeconds: Invalid value: 60: may not specify a duration less than 10 minutes"
            ]
        );
    }

    #[test]
    fn a_pod_spread_twice_over_the_same_key_is_refused() {
        let constraint =
            json!({"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"});
        let found =
            errors(|spec| spec["topologySpreadConstraints"] = json!([constraint, constraint]));
        assert_eq!(
            found,
            [
                "spec.topologySpreadConstraints[1].{topologyKey, whenUnsatisfiable}: Duplicate value: \"{zone, DoNotSchedule}\""
            ]
        );
    }
}
