//! Validation of a pod spec: the table of contents.

use std::collections::HashSet;

use apimachinery::field::Error;
use apimachinery::names;

use super::{affinity, container, dns, os, ports, resources, scheduling, security, volume};
use crate::errors::Errors;
use crate::node::Node;

/// Where the spec stands; Pods of their own have a few rules more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place<'a> {
    /// In a Pod of this name.
    Pod(&'a str),
    Template,
}

impl<'a> Place<'a> {
    pub fn is_pod(self) -> bool {
        self != Place::Template
    }

    /// The name of the pod, where there is one with a name.
    pub fn pod_name(self) -> Option<&'a str> {
        match self {
            Place::Pod(name) if !name.is_empty() => Some(name),
            _ => None,
        }
    }
}

/// What containers need to know about the pod around them.
pub struct Around<'a> {
    pub volumes: volume::Known<'a>,
    /// Names of the pod's resource claims.
    pub claims: Vec<&'a str>,
    pub place: Place<'a>,
    pub restarts: &'a str,
    /// The seconds the pod has to stop.
    pub grace: Option<i64>,
    /// Users of the pod are users of the host.
    pub host_users: bool,
}

const RESTART_POLICIES: &[&str] = &["Always", "OnFailure", "Never"];
const DEADLINE_MAX: i64 = i32::MAX as i64;

pub fn validate_spec(spec: &Node, place: Place, errors: &mut Errors) {
    validate_spec_with(spec, place, &HashSet::new(), errors);
}

/// As [`validate_spec`], where there will be more volumes than the spec names.
pub fn validate_spec_with(
    spec: &Node,
    place: Place,
    more_volumes: &HashSet<String>,
    errors: &mut Errors,
) {
    let volumes = spec.at("volumes");
    let mut known = volume::validate_volumes(&volumes, place, errors);
    let more = more_volumes.iter().map(String::as_str);
    known.names.extend(more.clone());
    known.claims.extend(more);
    let claims = spec.at("resourceClaims");
    scheduling::resource_claims(&claims, errors);
    let around = Around {
        volumes: known,
        claims: claims
            .items()
            .map(|claim| claim.at("name").text())
            .collect(),
        place,
        restarts: spec.at("restartPolicy").text(),
        grace: spec.at("terminationGracePeriodSeconds").int(),
        host_users: spec.at("hostUsers").value.as_bool() != Some(false),
    };
    container::validate_containers(spec, &around, errors);
    resources::pod_level(spec, &around, errors);
    if spec.at("hostNetwork").is_true() {
        ports::on_host_network(spec, place, errors);
    }
    errors.require_one_of(&spec.at("restartPolicy"), RESTART_POLICIES);
    dns::policy(&spec.at("dnsPolicy"), errors);
    scheduling::node_selector_map(&spec.at("nodeSelector"), errors);
    security::validate_pod(spec, errors);
    affinity::validate(&spec.at("affinity"), errors);
    dns::config(spec, errors);
    readiness_gates(&spec.at("readinessGates"), errors);
    scheduling::gates(&spec.at("schedulingGates"), errors);
    scheduling::spread_constraints(&spec.at("topologySpreadConstraints"), errors);
    os::host_process(spec, errors);
    security::host_users(spec, errors);
    accounts_and_names(spec, errors);
    resources::overhead(&spec.at("overhead"), &around, errors);
    os::validate(spec, errors);
}

fn readiness_gates(gates: &Node, errors: &mut Errors) {
    for gate in gates.items() {
        errors.follows(&gate.at("conditionType"), names::qualified);
    }
}

fn accounts_and_names(spec: &Node, errors: &mut Errors) {
    errors.follows_if_set(&spec.at("serviceAccountName"), names::dns_subdomain);
    errors.follows_if_set(&spec.at("nodeName"), names::dns_subdomain);
    errors.in_range(&spec.at("activeDeadlineSeconds"), 1, DEADLINE_MAX);
    errors.follows_if_set(&spec.at("hostname"), names::dns_label);
    hostname_override(spec, errors);
    errors.follows_if_set(&spec.at("subdomain"), names::dns_label);
    scheduling::tolerations(&spec.at("tolerations"), errors);
    host_aliases(&spec.at("hostAliases"), errors);
    errors.follows_if_set(&spec.at("priorityClassName"), names::dns_subdomain);
    let class = spec.at("runtimeClassName");
    if class.exists() {
        errors.follows(&class, names::dns_subdomain);
    }
    let policies = &["PreemptLowerPriority", "Never"];
    errors.one_of_if_set(&spec.at("preemptionPolicy"), policies);
}

const HOSTNAME_MAX: usize = 64;

/// A hostname of one's own stands alone: nothing else may name the pod.
fn hostname_override(spec: &Node, errors: &mut Errors) {
    let name = spec.at("hostnameOverride");
    if !name.exists() {
        return;
    }
    if name.len() > HOSTNAME_MAX {
        errors.push(Error::too_long(&name.path, HOSTNAME_MAX));
    }
    errors.follows(&name, names::dns_subdomain);
    if spec.at("setHostnameAsFQDN").is_true() {
        let why = "may not be specified when `setHostnameAsFQDN` is true";
        errors.forbidden(&name, why);
    }
    if spec.at("hostNetwork").is_true() {
        errors.forbidden(&name, "may not be specified when `hostNetwork` is true");
    }
}

fn host_aliases(aliases: &Node, errors: &mut Errors) {
    for alias in aliases.items() {
        errors.ip(&alias.at("ip"));
        for name in alias.at("hostnames").items() {
            errors.follows(&name, names::dns_subdomain);
        }
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
            validate_spec(&pod.at("spec"), Place::Pod("p"), errors);
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
                "spec.topologySpreadConstraints[0].{topologyKey, whenUnsatisfiable}: Duplicate value: \"{zone, DoNotSchedule}\""
            ]
        );
    }
}
