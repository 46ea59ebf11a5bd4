//! Pods.

use serde_json::{Value, json};

use super::change::Good;

fn pod() -> Good {
    Good::new(
        "v1",
        "Pod",
        json!({"spec": {"serviceAccountName": "default", "containers": [{"name": "c", "image": "i:1"}]}}),
    )
}

/// A pod whose one container is changed.
fn refuses_containers(rows: &[(Value, &[&str])]) {
    let pod = pod();
    for (change, expected) in rows {
        let mut container = json!({"name": "c", "image": "i:1"});
        super::change::merge(&mut container, change.clone());
        let found = pod.errors(json!({"spec": {"containers": [container]}}));
        assert_eq!(&found, expected, "{change}");
    }
}

fn refuses_spec(rows: &[(Value, &[&str])]) {
    let pod = pod();
    for (change, expected) in rows {
        let found = pod.errors(json!({"spec": change}));
        assert_eq!(&found, expected, "{change}");
    }
}

#[test]
fn containers_have_names_images_and_policies() {
    refuses_containers(&[
        (
            json!({"name": null}),
            &["spec.containers[0].name: Required value"],
        ),
        (
            json!({"image": null}),
            &["spec.containers[0].image: Required value"],
        ),
        (
            json!({"image": " i"}),
            &[
                "spec.containers[0].image: Invalid value: \" i\": must not have leading or trailing whitespace",
            ],
        ),
        (
            json!({"imagePullPolicy": "Often"}),
            &[
                "spec.containers[0].imagePullPolicy: Unsupported value: \"Often\": supported values: \"Always\", \"IfNotPresent\", \"Never\"",
            ],
        ),
        (
            json!({"terminationMessagePolicy": "X"}),
            &[
                "spec.containers[0].terminationMessagePolicy: Unsupported value: \"X\": supported values: \"File\", \"FallbackToLogsOnError\"",
            ],
        ),
    ]);
}

#[test]
fn environment_comes_from_one_place_each() {
    let from = |source: Value| json!({"env": [{"name": "A", "valueFrom": source}]});
    refuses_containers(&[
        (
            from(json!({"fieldRef": {"fieldPath": "spec.hostname"}})),
            &[
                "spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Invalid value: \"spec.hostname\": error converting fieldPath: field label not supported: spec.hostname",
            ],
        ),
        (
            from(json!({"fieldRef": {"fieldPath": "status.phase"}})),
            &[
                "spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Unsupported value: \"status.phase\": supported values: \"metadata.name\", \"metadata.namespace\", \"metadata.uid\", \"spec.nodeName\", \"spec.serviceAccountName\", \"status.hostIP\", \"status.hostIPs\", \"status.podIP\", \"status.podIPs\"",
            ],
        ),
        (
            from(json!({"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1k"}})),
            &[
                "spec.containers[0].env[0].valueFrom.resourceFieldRef.divisor: Invalid value: \"limits.cpu\": only divisor's values 1m and 1 are supported with the cpu resource",
            ],
        ),
        (
            from(json!({"configMapKeyRef": {"name": "m"}})),
            &["spec.containers[0].env[0].valueFrom.configMapKeyRef.key: Required value"],
        ),
        (
            json!({"env": [{"name": "A", "value": "v", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]}),
            &[
                "spec.containers[0].env[0].valueFrom: Invalid value: \"\": may not be specified when `value` is not empty",
            ],
        ),
        (
            json!({"envFrom": [{"prefix": "A"}]}),
            &[
                "spec.containers[0].envFrom: Invalid value: \"\": must specify one of: `configMapRef` or `secretRef`",
            ],
        ),
        (
            json!({"envFrom": [{"configMapRef": {}}]}),
            &["spec.containers[0].envFrom[0].configMapRef.name: Required value"],
        ),
    ]);
}

#[test]
fn probes_and_hooks_do_one_thing_and_in_time() {
    let exec = json!({"exec": {"command": ["x"]}});
    refuses_containers(&[
        (
            json!({"livenessProbe": {"exec": {"command": ["x"]}, "tcpSocket": {"port": 80}}}),
            &[
                "spec.containers[0].livenessProbe.tcpSocket: Forbidden: may not specify more than 1 handler type",
            ],
        ),
        (
            json!({"livenessProbe": {"exec": {}}}),
            &["spec.containers[0].livenessProbe.exec.command: Required value"],
        ),
        (
            json!({"startupProbe": {"successThreshold": 2, "exec": exec["exec"]}}),
            &["spec.containers[0].startupProbe.successThreshold: Invalid value: 2: must be 1"],
        ),
        (
            json!({"readinessProbe": {"terminationGracePeriodSeconds": 5, "exec": exec["exec"]}}),
            &[
                "spec.containers[0].readinessProbe.terminationGracePeriodSeconds: Invalid value: 5: must not be set for readinessProbes",
            ],
        ),
        (
            json!({"livenessProbe": {"httpGet": {"port": 0, "scheme": "FTP"}}}),
            &[
                "spec.containers[0].livenessProbe.httpGet.port: Invalid value: 0: must be between 1 and 65535, inclusive",
                "spec.containers[0].livenessProbe.httpGet.scheme: Unsupported value: \"FTP\": supported values: \"HTTP\", \"HTTPS\"",
            ],
        ),
        (
            json!({"lifecycle": {"preStop": {"sleep": {"seconds": 31}}}}),
            &[
                "spec.containers[0].lifecycle.preStop.sleep: Invalid value: 31: must be non-negative and less than terminationGracePeriodSeconds (30)",
            ],
        ),
    ]);
}

#[test]
fn resources_are_known_whole_and_within_their_limits() {
    let asks = |resources: Value| json!({"resources": resources});
    refuses_containers(&[
        (
            asks(json!({"requests": {"tea": "1"}})),
            &[
                "spec.containers[0].resources.requests[tea]: Invalid value: \"tea\": must be a standard resource type or fully qualified",
                "spec.containers[0].resources.requests[tea]: Invalid value: \"tea\": must be a standard resource for containers",
            ],
        ),
        (
            asks(json!({"requests": {"pods": "1"}})),
            &[
                "spec.containers[0].resources.requests[pods]: Invalid value: \"pods\": must be a standard resource for containers",
            ],
        ),
        (
            asks(json!({"limits": {"cpu": "-1"}, "requests": {"cpu": "-2"}})),
            &[
                "spec.containers[0].resources.limits[cpu]: Invalid value: \"-1\": must be greater than or equal to 0",
                "spec.containers[0].resources.requests[cpu]: Invalid value: \"-2\": must be greater than or equal to 0",
            ],
        ),
        (
            asks(json!({"requests": {"example.com/gpu": "1"}})),
            &[
                "spec.containers[0].resources.limits: Required value: Limit must be set for non overcommitable resources",
            ],
        ),
        (
            asks(json!({"limits": {"hugepages-2Mi": "3Mi", "cpu": "1"}})),
            &[
                "spec.containers[0].resources.limits[hugepages-2Mi]: Invalid value: \"3Mi\": 3Mi is not positive integer multiple of hugepages-2Mi",
                "spec.containers[0].resources.requests[hugepages-2Mi]: Invalid value: \"3Mi\": 3Mi is not positive integer multiple of hugepages-2Mi",
            ],
        ),
        (
            asks(json!({"limits": {"hugepages-2Mi": "2Mi"}})),
            &["spec.containers[0].resources: Forbidden: HugePages require cpu or memory"],
        ),
        (
            asks(json!({"claims": [{"name": "gpu"}]})),
            &[
                "spec.containers[0].resources.claims[0]: Not found: \"gpu\": must be one of the names in pod.spec.resourceClaims which is empty",
            ],
        ),
        (
            json!({"resizePolicy": [{"resourceName": "disk", "restartPolicy": "NotRequired"}]}),
            &[
                "spec.containers[0].resizePolicy: Unsupported value: \"disk\": supported values: \"cpu\", \"memory\"",
            ],
        ),
    ]);
}

#[test]
fn a_pod_has_as_much_as_its_containers_ask_for() {
    refuses_spec(&[
        (
            json!({"resources": {"requests": {"cpu": "1"}}, "containers": [
                {"name": "c", "image": "i:1", "resources": {"requests": {"cpu": "2"}}}]}),
            &[
                "spec.resources.requests[cpu]: Invalid value: \"1\": must be greater than or equal to aggregate container requests of 2",
            ],
        ),
        (
            json!({"resources": {"limits": {"ephemeral-storage": "1Gi"}}}),
            &[
                "spec.resources.limits[ephemeral-storage]: Unsupported value: \"ephemeral-storage\": supported values: \"cpu\", \"hugepages-\", \"memory\"",
            ],
        ),
    ]);
}

#[test]
fn a_container_restarts_by_rules_that_make_sense() {
    refuses_containers(&[
        (
            json!({"restartPolicy": "Sometimes"}),
            &[
                "spec.containers[0].restartPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", \"Never\", \"OnFailure\"",
            ],
        ),
        (
            json!({"restartPolicyRules": [{"action": "Restart", "exitCodes": {"operator": "In", "values": [1]}}]}),
            &[
                "spec.containers[0].restartPolicy: Required value: must specify restartPolicy when restart rules are used",
            ],
        ),
        (
            json!({"restartPolicy": "Never", "restartPolicyRules": [{"action": "Restart", "exitCodes": {"operator": "Near", "values": []}}]}),
            &[
                "spec.containers[0].restartPolicyRules[0].exitCodes.operator: Unsupported value: \"Near\": supported values: \"In\", \"NotIn\"",
                "spec.containers[0].restartPolicyRules[0].exitCodes.values: Required value: must specify at least one value",
            ],
        ),
    ]);
}

#[test]
fn security_contexts_do_not_contradict_themselves() {
    refuses_containers(&[
        (
            json!({"securityContext": {"privileged": true, "allowPrivilegeEscalation": false}}),
            &[
                "spec.containers[0].securityContext: Invalid value: {\"allowPrivilegeEscalation\":false,\"privileged\":true}: cannot set `allowPrivilegeEscalation` to false and `privileged` to true",
            ],
        ),
        (
            json!({"securityContext": {"runAsUser": -1}}),
            &[
                "spec.containers[0].securityContext.runAsUser: Invalid value: -1: must be between 0 and 2147483647, inclusive",
            ],
        ),
        (
            json!({"securityContext": {"procMount": "Unmasked"}}),
            &[
                "spec.containers[0].securityContext.procMount: Invalid value: \"Unmasked\": `hostUsers` must be false to use `Unmasked`",
            ],
        ),
        (
            json!({"securityContext": {"seccompProfile": {"type": "Localhost"}}}),
            &[
                "spec.containers[0].securityContext.seccompProfile.localhostProfile: Required value: must be set when seccomp type is Localhost",
            ],
        ),
        (
            json!({"securityContext": {"appArmorProfile": {"type": "RuntimeDefault", "localhostProfile": "x"}}}),
            &[
                "spec.containers[0].securityContext.appArmorProfile.localhostProfile: Invalid value: \"x\": can only be set when AppArmor type is Localhost",
            ],
        ),
    ]);
}

#[test]
fn what_a_pod_shares_with_its_host_is_all_or_nothing() {
    refuses_spec(&[
        (
            json!({"hostUsers": false, "hostPID": true}),
            &["spec.HostPID: Forbidden: when `pod.Spec.HostUsers` is false"],
        ),
        (
            json!({"hostPID": true, "shareProcessNamespace": true}),
            &[
                "spec.securityContext.shareProcessNamespace: Invalid value: true: ShareProcessNamespace and HostPID cannot both be enabled",
            ],
        ),
        (
            json!({"hostNetwork": true, "containers": [{"name": "c", "image": "i:1", "ports": [{"containerPort": 80, "hostPort": 81}]}]}),
            &[
                "spec.containers[0].ports[0].hostPort: Invalid value: 81: must match `containerPort` when `hostNetwork` is true",
            ],
        ),
        (
            json!({"securityContext": {"sysctls": [{"name": "kernel.shmmax", "value": "1"}]}, "hostIPC": true}),
            &[
                "spec.securityContext.sysctls[0].name: Invalid value: \"kernel.shmmax\": may not be specified when 'hostIPC' is true",
            ],
        ),
    ]);
}

#[test]
fn scheduling_rules_can_be_kept() {
    refuses_spec(&[
        (
            json!({"tolerations": [{"operator": "Equal"}]}),
            &[
                "spec.tolerations[0].operator: Invalid value: \"Equal\": operator must be Exists when `key` is empty, which means \"match all values and all keys\"",
            ],
        ),
        (
            json!({"tolerations": [{"key": "k", "operator": "Exists", "effect": "NoSchedule", "tolerationSeconds": 1}]}),
            &[
                "spec.tolerations[0].effect: Invalid value: \"NoSchedule\": effect must be 'NoExecute' when `tolerationSeconds` is set",
            ],
        ),
        (
            json!({"topologySpreadConstraints": [{"maxSkew": 0, "topologyKey": "z", "whenUnsatisfiable": "Wait", "labelSelector": {}}]}),
            &[
                "spec.topologySpreadConstraints[0].maxSkew: Invalid value: 0: must be greater than zero",
                "spec.topologySpreadConstraints[0].whenUnsatisfiable: Unsupported value: \"Wait\": supported values: \"DoNotSchedule\", \"ScheduleAnyway\"",
            ],
        ),
        (
            json!({"topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "z", "whenUnsatisfiable": "DoNotSchedule",
                "labelSelector": {"matchLabels": {"a": "b"}}, "matchLabelKeys": ["a"]}]}),
            &[
                "spec.topologySpreadConstraints[0].matchLabelKeys[0]: Invalid value: \"a\": exists in both matchLabelKeys and labelSelector",
            ],
        ),
        (
            json!({"affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 101, "preference": {}}]}}}),
            &[
                "spec.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].weight: Invalid value: 101: must be in the range 1-100",
            ],
        ),
        (
            json!({"affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "z", "matchLabelKeys": ["a"]}]}}}),
            &[
                "spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].matchLabelKeys: Forbidden: must not be specified when labelSelector is not set",
            ],
        ),
        (
            json!({"schedulingGates": [{"name": "a"}, {"name": "a"}]}),
            &["spec.schedulingGates[1]: Duplicate value: \"a\""],
        ),
        (
            json!({"schedulingGates": [{"name": "a"}], "nodeName": "n"}),
            &[
                "spec.nodeName: Forbidden: cannot be set until all schedulingGates have been cleared",
            ],
        ),
    ]);
}

#[test]
fn names_are_resolved_by_few_servers_and_searches() {
    refuses_spec(&[
        (
            json!({"dnsPolicy": "None"}),
            &["spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None"],
        ),
        (
            json!({"dnsConfig": {"nameservers": ["1.1.1.1", "1.1.1.2", "1.1.1.3", "1.1.1.4"]}}),
            &[
                "spec.dnsConfig.nameservers: Invalid value: [\"1.1.1.1\",\"1.1.1.2\",\"1.1.1.3\",\"1.1.1.4\"]: must not have more than 3 nameservers",
            ],
        ),
        (
            json!({"dnsConfig": {"options": [{"value": "2"}]}}),
            &["spec.dnsConfig.options[0]: Required value: must not be empty"],
        ),
        (
            json!({"hostAliases": [{"ip": "here"}]}),
            &[
                "spec.hostAliases[0].ip: Invalid value: \"here\": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
            ],
        ),
    ]);
}

#[test]
fn a_pod_is_for_one_operating_system() {
    refuses_spec(&[
        (
            json!({"os": {"name": "beos"}}),
            &["spec.os: Unsupported value: \"beos\": supported values: \"linux\", \"windows\""],
        ),
        (
            json!({"os": {"name": "linux"}, "securityContext": {"windowsOptions": {}}}),
            &[
                "spec.securityContext.windowsOptions: Forbidden: windows options cannot be set for a linux pod",
            ],
        ),
        (
            json!({"os": {"name": "windows"}, "securityContext": {"runAsUser": 1}}),
            &["spec.securityContext.runAsUser: Forbidden: cannot be set for a windows pod"],
        ),
        (
            json!({"securityContext": {"windowsOptions": {"hostProcess": true}}}),
            &[
                "spec.hostNetwork: Invalid value: false: hostNetwork must be true if pod contains any hostProcess containers",
            ],
        ),
    ]);
}

#[test]
fn init_containers_run_first_and_guests_come_later() {
    refuses_spec(&[
        (
            json!({"initContainers": [{"name": "c", "image": "i:1"}]}),
            &["spec.initContainers[0].name: Duplicate value: \"c\""],
        ),
        (
            json!({"initContainers": [{"name": "i", "image": "i:1", "livenessProbe": {"exec": {"command": ["x"]}}}]}),
            &[
                "spec.initContainers[0].livenessProbe: Forbidden: may not be set for init containers without restartPolicy=Always",
            ],
        ),
        (
            json!({"ephemeralContainers": [{"name": "e", "image": "i:1", "targetContainerName": "gone", "ports": [{"containerPort": 1}]}]}),
            &[
                "spec.ephemeralContainers[0].targetContainerName: Not found: \"gone\"",
                "spec.ephemeralContainers[0].ports: Forbidden: cannot be set for an Ephemeral Container",
                "spec.ephemeralContainers: Forbidden: cannot be set on create",
            ],
        ),
    ]);
}

#[test]
fn annotations_mean_what_the_fields_say() {
    pod().refuses(&[
        (
            json!({"metadata": {"annotations": {"kubernetes.io/config.mirror": "x"}}}),
            &["metadata.annotations[kubernetes.io/config.mirror]: Invalid value: \"x\": must set spec.nodeName if mirror pod annotation is set"],
        ),
        (
            json!({"metadata": {"annotations": {"controller.kubernetes.io/pod-deletion-cost": "+5"}}}),
            &["metadata.annotations[controller.kubernetes.io/pod-deletion-cost]: Invalid value: \"+5\": must be a 32bit integer"],
        ),
        (
            json!({"metadata": {"annotations": {"seccomp.security.alpha.kubernetes.io/pod": "unconfined"}},
                "spec": {"securityContext": {"seccompProfile": {"type": "RuntimeDefault"}}}}),
            &["spec.securityContext.seccompProfile.type: Forbidden: seccomp type in annotation and field must match"],
        ),
        (
            json!({"metadata": {"annotations": {"container.apparmor.security.beta.kubernetes.io/d": "mine"}}}),
            &[
                "metadata.annotations[container.apparmor.security.beta.kubernetes.io/d]: Invalid value: \"d\": container not found",
                "metadata.annotations[container.apparmor.security.beta.kubernetes.io/d]: Invalid value: \"mine\": invalid AppArmor profile name: \"mine\"",
            ],
        ),
    ]);
}
