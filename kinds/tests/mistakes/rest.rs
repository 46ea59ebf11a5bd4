//! Events, slices of endpoints, and flow control.

use serde_json::{Value, json};

use super::change::Good;

fn schema() -> Good {
    Good::new(
        "flowcontrol.apiserver.k8s.io/v1",
        "FlowSchema",
        json!({"spec": {"priorityLevelConfiguration": {"name": "p"}, "rules": [rule(json!({}))]}}),
    )
}

fn rule(change: Value) -> Value {
    let mut rule = json!({
        "subjects": [{"kind": "User", "user": {"name": "*"}}],
        "resourceRules": [{"verbs": ["get"], "apiGroups": ["*"], "resources": ["*"], "namespaces": ["*"]}],
    });
    super::change::merge(&mut rule, change);
    rule
}

#[test]
fn a_flow_schema_is_of_somebody_who_asks_for_something() {
    let with = |change: Value| json!({"spec": {"rules": [rule(change)]}});
    let subject = |subject: Value| with(json!({"subjects": [subject]}));
    let resource = |verbs: Value, namespaces: Value| {
        with(json!({"resourceRules": [
            {"verbs": verbs, "apiGroups": [""], "resources": ["pods"], "namespaces": namespaces}
        ]}))
    };
    let rules = "spec.rules[0]";
    let rows: Vec<(Value, String)> = vec![
        (json!({"spec": {"matchingPrecedence": 1}}),
            "spec.matchingPrecedence: Invalid value: 1: only the schema named 'exempt' may have matchingPrecedence 1".into()),
        (json!({"spec": {"matchingPrecedence": 10_001}}),
            "spec.matchingPrecedence: Invalid value: 10001: must not be greater than 10000".into()),
        (with(json!({"subjects": []})),
            format!("{rules}.subjects: Required value: subjects must contain at least one value")),
        (subject(json!({"kind": "Group"})),
            format!("{rules}.subjects[0].group: Required value: group is required when subject kind is 'Group'")),
        (subject(json!({"kind": "Group", "group": {"name": "g"}, "user": {"name": "u"}})),
            format!("{rules}.subjects[0].user: Forbidden: user is forbidden when subject kind is not 'User'")),
        (subject(json!({"kind": "ServiceAccount", "serviceAccount": {"name": "*"}})),
            format!("{rules}.subjects[0].serviceAccount.namespace: Required value: must specify namespace for service account")),
        (resource(json!(["get", "*"]), json!(["*"])),
            format!("{rules}.resourceRules[0].verbs: Invalid value: [\"get\",\"*\"]: if '*' is present, must not specify other verbs")),
        (resource(json!(["get"]), json!([])),
            format!("{rules}.resourceRules[0].namespaces: Required value: resource rules that are not cluster scoped must supply at least one namespace")),
        (with(json!({"nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["/a*"]}]})),
            format!("{rules}.nonResourceRules[0].nonResourceURLs[0]: Invalid value: \"/a*\": wildcard can only do suffix matching")),
    ];
    for (change, expected) in rows {
        assert_eq!(schema().errors(change.clone()), [expected], "{change}");
    }
}

#[test]
fn a_priority_level_is_limited_or_exempt_and_deals_what_it_can() {
    let level = Good::new(
        "flowcontrol.apiserver.k8s.io/v1",
        "PriorityLevelConfiguration",
        json!({"spec": {"type": "Limited", "limited": {"limitResponse": {"type": "Queue"}}}}),
    );
    let queuing =
        |queuing: Value| json!({"spec": {"limited": {"limitResponse": {"queuing": queuing}}}});
    level.refuses(&[
        (
            json!({"spec": {"type": "Exempt", "limited": null}}),
            &["spec.type: Invalid value: \"Exempt\": type must be 'Exempt' if and only if name is 'exempt'"],
        ),
        (
            json!({"spec": {"exempt": {}}}),
            &["spec.exempt: Forbidden: must be nil if the type is Limited"],
        ),
        (
            json!({"spec": {"limited": {"lendablePercent": 101}}}),
            &["spec.limited.lendablePercent: Invalid value: 101: must be between 0 and 100, inclusive"],
        ),
        (
            queuing(json!({"queues": 4})),
            &["spec.limited.limitResponse.queuing.handSize: Invalid value: 8: should not be greater than queues (4)"],
        ),
        (
            queuing(json!({"queues": 1000, "handSize": 7})),
            &["spec.limited.limitResponse.queuing.handSize: Invalid value: 7: required entropy bits of deckSize 1000 and handSize 7 should not be greater than 60"],
        ),
    ]);
}

#[test]
fn an_event_tells_who_what_and_why_and_stays_what_it_was() {
    let event = Good::new(
        "events.k8s.io/v1",
        "Event",
        json!({"eventTime": "2026-01-01T00:00:00.000000Z", "reportingController": "a/b",
            "reportingInstance": "i", "action": "a", "reason": "r", "type": "Normal",
            "regarding": {"namespace": "n"}}),
    );
    event.refuses(&[
        (
            json!({"type": "Bad"}),
            &["type: Invalid value: \"\": has invalid value: Bad"],
        ),
        (
            json!({"deprecatedCount": 2}),
            &["count: Invalid value: \"\": needs to be unset"],
        ),
        (
            json!({"series": {"count": 1, "lastObservedTime": "2026-01-01T00:00:00.000000Z"}}),
            &["series.count: Invalid value: \"\": should be at least 2"],
        ),
        (
            json!({"regarding": {"namespace": null}}),
            &["involvedObject.namespace: Invalid value: \"\": does not match event.namespace"],
        ),
        (json!({"action": null}), &["action: Required value"]),
    ]);
    assert_eq!(
        event.update_errors(json!({}), json!({"reason": "other"})),
        ["reason: Invalid value: \"other\": field is immutable"]
    );
    let old = Good::new("v1", "Event", json!({"involvedObject": {"namespace": "n"}}));
    old.refuses(&[(
        json!({"involvedObject": {"namespace": "m"}}),
        &["involvedObject.namespace: Invalid value: \"m\": does not match event.namespace"],
    )]);
}

#[test]
fn endpoints_are_hinted_at_once_and_names_are_whole() {
    let slice = |kind: &str, address: &str| {
        Good::new(
            "discovery.k8s.io/v1",
            "EndpointSlice",
            json!({"addressType": kind, "endpoints": [{"addresses": [address]}]}),
        )
    };
    let endpoint =
        |hints: Value| json!({"endpoints": [{"addresses": ["10.0.0.1"], "hints": hints}]});
    slice("IPv4", "10.0.0.1").refuses(&[
        (
            endpoint(json!({"forZones": [{"name": "a"}, {"name": "a"}]})),
            &["endpoints[0].hints.forZones[1].name: Duplicate value: \"a\""],
        ),
        (
            json!({"ports": [{"name": "a"}, {"name": "a"}]}),
            &["ports[1].name: Duplicate value: \"a\""],
        ),
    ]);
    slice("FQDN", "a.b.c").refuses(&[(
        json!({"endpoints": [{"addresses": ["a.b"]}]}),
        &["endpoints[0].addresses[0]: Invalid value: \"a.b\": should be a domain with at least three segments separated by dots"],
    )]);
}

#[test]
fn a_claim_asks_for_devices_by_names_that_it_gives() {
    let claim = Good::new(
        "resource.k8s.io/v1",
        "ResourceClaim",
        json!({"spec": {"devices": {"requests": [{"name": "r", "exactly": {"deviceClassName": "c"}}]}}}),
    );
    let devices = |devices: Value| json!({"spec": {"devices": devices}});
    let name = "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'";
    claim.refuses(&[
        (
            devices(json!({"constraints": [{"requests": ["r", "x"], "matchAttribute": "a"}]})),
            &[
                &format!("spec.devices.constraints[0].requests[1]: Invalid value: \"x\": {name}"),
                "spec.devices.constraints[0].matchAttribute: Invalid value: \"a\": must include a domain",
            ],
        ),
        (
            devices(json!({"config": [{"requests": ["r"]}]})),
            &["spec.devices.config[0].opaque: Required value"],
        ),
        (
            devices(json!({"requests": [{"name": "r"}]})),
            &["spec.devices.requests[0]: Required value: exactly one of `exactly` or `firstAvailable` must be specified"],
        ),
    ]);
    let user = json!({"resource": "pods", "name": "p", "uid": "u"});
    assert_eq!(
        claim.status_errors(json!({}), json!({"status": {"reservedFor": [user, user]}})),
        [
            "status.reservedFor[1].uid: Duplicate value: \"u\"",
            "status.reservedFor: Forbidden: may not be specified when `allocated` is not set",
        ]
    );
}

#[test]
fn a_slice_of_devices_is_in_one_place() {
    let slice = Good::new(
        "resource.k8s.io/v1",
        "ResourceSlice",
        json!({"spec": {"driver": "d.io", "nodeName": "n",
            "pool": {"name": "p", "resourceSliceCount": 1}}}),
    );
    let one = "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required";
    slice.refuses(&[
        (json!({"spec": {"nodeName": null}}), &[&format!("spec: Required value: {one}")]),
        (
            json!({"spec": {"allNodes": true}}),
            &[&format!("spec: Invalid value: \"{{`nodeName`, `allNodes`}}\": {one}, but multiple fields are set")],
        ),
        (
            json!({"spec": {"devices": [{"name": "a", "attributes": {"x": {}}}]}}),
            &["spec.devices[0].attributes[x]: Invalid value: {}: exactly one value must be specified"],
        ),
    ]);
}
