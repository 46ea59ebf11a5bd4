//! Rules of the kinds that projects write: they compile, hold, and are not thought dear.

use expressions::{Budget, Environment, Program, Type, Variables, admission};
use serde_json::{Value, json};

/// The most Kubernetes lets a rule be estimated at.
const LIMIT: u64 = 10_000_000;

fn route() -> Value {
    let text = |most: u64| json!({ "type": "string", "maxLength": most });
    let parent = json!({ "type": "object", "properties": {
        "group": text(253), "kind": text(63), "namespace": text(63), "name": text(253),
        "port": { "type": "integer" },
    } });
    let listener = json!({ "type": "object", "properties": {
        "name": text(253), "port": { "type": "integer" }, "protocol": text(255),
        "hostname": text(253),
        "tls": { "type": "object", "properties": { "mode": { "type": "string", "enum": ["Terminate", "Passthrough"] } } },
    } });
    let rule = json!({ "type": "object", "properties": {
        "filters": { "type": "array", "maxItems": 16, "items": { "type": "object", "properties": {
            "type": text(64), "redirect": { "type": "object", "properties": { "path": text(1024) } },
        } } },
        "matches": { "type": "array", "maxItems": 64, "items": { "type": "object" } },
        "backends": { "type": "array", "maxItems": 16, "items": parent.clone() },
        "timeouts": { "type": "object", "properties": { "request": text(32), "backend": text(32) } },
    } });
    let list =
        |most: u64, items: &Value| json!({ "type": "array", "maxItems": most, "items": items });
    json!({ "type": "object", "properties": {
        "parents": list(32, &parent), "listeners": list(64, &listener), "rules": list(16, &rule),
        "class": text(63), "minReplicas": { "type": "integer" }, "maxReplicas": { "type": "integer" },
        "paused": { "type": "boolean" }, "storage": { "x-kubernetes-int-or-string": true },
        "url": text(2048), "cidrs": list(8, &text(43)), "tags": list(16, &text(64)),
        "labels": { "type": "object", "maxProperties": 32, "additionalProperties": text(63) },
        "schedule": text(100), "startsAt": { "type": "string", "format": "date-time" },
    } })
}

fn object() -> Value {
    json!({
        "parents": [
            { "group": "g", "kind": "Gateway", "name": "a" },
            { "group": "g", "kind": "Gateway", "name": "a", "namespace": "n" },
        ],
        "listeners": [
            { "name": "http", "port": 80, "protocol": "HTTP" },
            { "name": "https", "port": 443, "protocol": "HTTPS", "hostname": "*.example.com", "tls": { "mode": "Terminate" } },
        ],
        "rules": [{
            "filters": [{ "type": "Redirect", "redirect": { "path": "/a" } }],
            "matches": [{}, {}], "timeouts": { "request": "10s", "backend": "1s" },
        }],
        "class": "shared", "minReplicas": 1, "maxReplicas": 3, "paused": false, "storage": "10Gi",
        "url": "https://example.com/x", "cidrs": ["10.0.0.0/8", "fd00::/8"], "tags": ["a", "b"],
        "labels": { "app": "web" }, "schedule": "@daily", "startsAt": "2026-01-01T00:00:00Z",
    })
}

const RULES: &[&str] = &[
    "self.listeners.all(l, l.protocol in ['HTTP', 'TCP', 'UDP'] ? !has(l.tls) : true)",
    "self.listeners.all(l, (l.protocol == 'HTTPS' && has(l.tls)) ? (l.tls.mode == '' || l.tls.mode == 'Terminate') : true)",
    "self.listeners.all(l1, self.listeners.exists_one(l2, l1.name == l2.name))",
    "self.listeners.all(l1, self.listeners.exists_one(l2, l1.port == l2.port && l1.protocol == l2.protocol && \
     (has(l1.hostname) && has(l2.hostname) ? l1.hostname == l2.hostname : !has(l1.hostname) && !has(l2.hostname))))",
    "self.parents.all(p1, self.parents.exists_one(p2, p1.group == p2.group && p1.kind == p2.kind && p1.name == p2.name && \
     (((!has(p1.__namespace__) || p1.__namespace__ == '') && (!has(p2.__namespace__) || p2.__namespace__ == '')) || \
     (has(p1.__namespace__) && has(p2.__namespace__) && p1.__namespace__ == p2.__namespace__))))",
    "(self.rules.size() > 0 ? self.rules[0].matches.size() : 0) + (self.rules.size() > 1 ? self.rules[1].matches.size() : 0) + \
     (self.rules.size() > 2 ? self.rules[2].matches.size() : 0) <= 128",
    "self.rules.all(r, r.filters.filter(f, f.type == 'Redirect').size() <= 1)",
    "self.rules.all(r, (has(r.backends) && r.backends.size() > 0) ? (!has(r.filters) || r.filters.all(f, !has(f.redirect))) : true)",
    "self.rules.all(r, !(has(r.timeouts) && has(r.timeouts.request) && has(r.timeouts.backend) && \
     duration(r.timeouts.request) != duration('0s') && duration(r.timeouts.backend) > duration(r.timeouts.request)))",
    "self.rules.all(r, r.timeouts.request.matches('^([0-9]{1,5}(h|m|s|ms)){1,4}$'))",
    "self.listeners.all(l, !has(l.hostname) || l.hostname.matches(r\"\"\"^(\\*\\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$\"\"\"))",
    "self.rules.all(r, r.filters.all(f, f.redirect.path.matches('^(?:[-A-Za-z0-9/._~!$&\\'()*+,;=:@]|[%][0-9a-fA-F]{2})+$')))",
    "self == oldSelf && self.class == oldSelf.class",
    "!has(oldSelf.class) || has(self.class)",
    "has(self.class) == has(oldSelf.class)",
    "oldSelf.tags.all(t, t in self.tags)",
    "oldSelf.labels.all(k, k in self.labels && self.labels[k] == oldSelf.labels[k])",
    "self.labels.all(k, size(k) <= 63 && !k.startsWith('kubernetes.io/'))",
    "self.minReplicas <= self.maxReplicas && (self.paused || self.maxReplicas > 0)",
    "self.storage == quantity('10Gi') || quantity(self.storage).isLessThan(quantity('20Gi'))",
    "type(self.storage) == string ? self.storage.endsWith('Gi') : self.storage > 0",
    "isURL(self.url) && url(self.url).getScheme() in ['http', 'https'] && url(self.url).getHostname() != ''",
    "self.cidrs.all(c, isCIDR(c)) && self.cidrs.filter(c, cidr(c).ip().family() == 4).size() <= 1",
    "self.tags.all(t, self.tags.filter(o, o == t).size() == 1) && self.tags.isSorted()",
    "self.startsAt < timestamp('2030-01-01T00:00:00Z') && self.startsAt.getFullYear() >= 2026",
    "self.schedule.startsWith('@') || self.schedule.split(' ').size() == 5",
    "'app' in self.labels ? self.labels['app'] != '' : false",
    "self.labels.exists(k, k == 'app') && !('other' in self.labels)",
    "[has(self.class), has(self.paused)].filter(x, x).size() == 2",
    "[has(self.class), has(self.paused)].exists_one(x, !x) == false",
    "self.?class.orValue('') != '' && self.listeners[?0].?tls.hasValue() == false",
    "self.class.lowerAscii() == self.class && !self.class.contains(' ')",
    "string(self.minReplicas) + '/' + string(self.maxReplicas) == '1/3'",
    "!format.dns1123Label().validate(self.class).hasValue()",
    "(\n  self.minReplicas > 0 // at least one\n  && self.maxReplicas < 100\n)",
];

#[test]
fn rules_of_definitions_compile_and_hold() {
    let kind = Type::of_schema(&route());
    let environment = Environment::new()
        .with("self", kind.clone())
        .with("oldSelf", kind.clone())
        .returning(Type::Bool);
    let object = object();
    for source in RULES {
        let program =
            Program::compile(source, &environment).unwrap_or_else(|e| panic!("{source}: {e}"));
        let mut variables = Variables::new();
        variables.bind_typed("self", &object, &kind);
        variables.bind_typed("oldSelf", &object, &kind);
        let mut budget = Budget::default();
        let held = program.evaluate_bool(&mut variables, &mut budget);
        assert_eq!(held, Ok(true), "{source}");
        let estimate = program.estimated_cost();
        assert!(estimate < LIMIT, "{source} is thought to cost {estimate}");
        let spent = Budget::PER_OBJECT - budget.left();
        assert!(
            spent <= estimate + 500,
            "{source} cost {spent} of {estimate}"
        );
    }
}

const POLICIES: &[&str] = &[
    "object.kind != 'Pod' || object.spec.containers.all(c, has(c.resources) && has(c.resources.requests) && int(c.resources.requests.cpu) <= params.settings.max)",
    "['Deployment', 'Job'].all(kind, object.kind != kind) || object.spec.template.spec.containers.all(c, c.image != '')",
    "object.spec.containers.all(c, params.settings.registries.exists(r, c.image.startsWith(r)))",
    "object.spec.containers.all(c, c.image.matches('^.+@sha256:[a-f0-9]{4,64}$'))",
    "!has(object.spec.volumes) || object.spec.volumes.all(v, !has(v.hostPath))",
    "object.spec.?securityContext.?runAsNonRoot.orValue(false) || object.spec.containers.all(c, c.?securityContext.?runAsNonRoot.orValue(false))",
    "(has(object.spec.initContainers) ? object.spec.initContainers : []) + object.spec.containers != []",
    "!('system:masters' in request.userInfo.groups) && request.userInfo.username.startsWith('system:serviceaccount:')",
    "request.operation in ['CREATE', 'UPDATE'] && request.kind.kind == 'Pod' && request.resource.resource == 'pods'",
    "'environment' in namespaceObject.metadata.labels && namespaceObject.metadata.labels['environment'] == 'test'",
    "oldObject == null || object.metadata.labels == oldObject.metadata.labels",
    "object.metadata.?annotations[?'example.com/owner'].orValue('nobody') == 'nobody'",
    "has(object.metadata.labels) && 'app' in object.metadata.labels && object.metadata.labels.app == 'web'",
    "quantity(object.spec.containers[0].resources.limits.memory).isLessThan(quantity('2Gi'))",
    "object.spec.containers.map(c, c.name).all(n, object.spec.containers.filter(c, c.name == n).size() == 1)",
    "!(request.resource.group == \"coordination.k8s.io\" && request.resource.resource == \"leases\")",
    "size(object.spec.containers.filter(c, !('livenessProbe' in c))) <= params.settings.max",
    "object.spec.containers.map(c, c.image.split('@')[0]).join(',').contains('registry')",
    "request.dryRun || string(request.options.kind) == 'CreateOptions'",
];

#[test]
fn policies_compile_and_hold() {
    let environment = admission::policy(true).returning(Type::Bool);
    let object = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": "p", "namespace": "n", "labels": { "app": "web" }, "annotations": {} },
        "spec": {
            "containers": [{
                "name": "a", "image": "registry.example.com/a@sha256:0123", "securityContext": { "runAsNonRoot": true },
                "resources": { "requests": { "cpu": "1" }, "limits": { "memory": "1Gi" } },
            }],
            "volumes": [{ "name": "v", "emptyDir": {} }],
        },
    });
    let request = json!({
        "operation": "CREATE", "name": "p", "namespace": "n", "dryRun": false,
        "kind": { "group": "", "version": "v1", "kind": "Pod" },
        "resource": { "group": "", "version": "v1", "resource": "pods" },
        "userInfo": { "username": "system:serviceaccount:n:s", "groups": ["system:authenticated"] },
        "options": { "kind": "CreateOptions" },
    });
    let namespace = json!({ "metadata": { "name": "n", "labels": { "environment": "test" } } });
    let params = json!({ "settings": { "max": 2, "registries": ["registry.example.com/"] } });
    for source in POLICIES {
        let program =
            Program::compile(source, &environment).unwrap_or_else(|e| panic!("{source}: {e}"));
        let mut variables = Variables::new();
        variables.bind("object", &object);
        variables.bind_null("oldObject");
        variables.bind("request", &request);
        variables.bind("namespaceObject", &namespace);
        variables.bind("params", &params);
        let held = program.evaluate_bool(&mut variables, &mut Budget::default());
        assert_eq!(held, Ok(true), "{source}");
    }
}
