//! What Prometheus and a collector of OpenTelemetry are told of a cluster.

#[path = "observed/collector.rs"]
mod collector;

use std::time::Duration;

use collector::{Collector, Span};
use e2e::{Kubectl, Machine, Skiff, image, need, run, until};
use serde_json::{Value, json};

const PROGRAMS: &[&str] = &["kubectl", "skopeo", "umoci", "busybox", "nsenter"];
const A_MINUTE: Duration = Duration::from_secs(60);
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

fn pod(name: &str, image: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name }, "spec": {
        "terminationGracePeriodSeconds": 0,
        "containers": [{ "name": "c", "image": image, "imagePullPolicy": "IfNotPresent",
            "command": ["sleep", "1000000"],
            "livenessProbe": { "exec": { "command": ["true"] }, "periodSeconds": 1 } }] } })
}

const BUSYBOX: &str = "docker.io/library/busybox:1";

fn import_busybox(skiff: &Skiff<'_>) {
    run::ok(&mut skiff.command(&["image", "import", &image::busybox().display().to_string()]));
}

fn raw(kubectl: &Kubectl<'_>, path: &str) -> String {
    kubectl.ok(&["get", "--raw", path])
}

/// The sum of the samples whose line begins so.
fn value(text: &str, begin: &str) -> f64 {
    let lines = text.lines().filter(|line| line.starts_with(begin));
    let values = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    values.sum()
}

#[track_caller]
fn has(text: &str, names: &[&str]) {
    for name in names {
        let is_there = text.lines().any(|line| line.starts_with(name));
        assert!(is_there, "no {name} in\n{text}");
    }
}

/// Prometheus' text form, as far as a line can be wrong.
#[track_caller]
fn is_well_formed(text: &str) {
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (series, value) = line.rsplit_once(' ').expect("a name and a value");
        assert!(value.parse::<f64>().is_ok(), "{line}");
        let name = series.split('{').next().unwrap_or_default();
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        assert!(name.chars().all(is_name), "{line}");
        assert_eq!(series.contains('{'), series.ends_with('}'), "{line}");
    }
    let heads = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let mut names: Vec<&str> = heads.filter_map(|head| head.split(' ').next()).collect();
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all, "a metric is told twice\n{text}");
}

#[test]
fn every_part_counts_what_it_does_and_only_those_who_may_see_it() {
    if !need::met(&[PROGRAMS, &["curl"]].concat()) {
        return;
    }
    let (_network, machine) = Machine::alone();
    let skiff = Skiff::up(&machine, &[]);
    import_busybox(&skiff);
    let kubectl = skiff.kubectl();
    kubectl.ok(&[
        "create",
        "deployment",
        "web",
        "--image",
        BUSYBOX,
        "--",
        "sleep",
        "1000000",
    ]);
    kubectl.ok(&["expose", "deployment", "web", "--port", "80"]);
    kubectl.apply(&pod("probed", BUSYBOX));
    kubectl.wait_ready("probed");
    kubectl.ok(&["rollout", "status", "deployment/web", "--timeout=60s"]);

    the_server_tells(&kubectl);
    the_node_tells(&kubectl);
    who_may_see(&kubectl);
    a_token_is_enough(&machine, &kubectl);
}

fn the_server_tells(kubectl: &Kubectl<'_>) {
    let server = until("the server's metrics tell of two pods", A_MINUTE, || {
        let text = raw(kubectl, "/metrics");
        let scheduled =
            "scheduler_schedule_attempts_total{profile=\"default-scheduler\",result=\"scheduled\"}";
        (value(&text, scheduled) >= 2.0).then_some(text)
    });
    is_well_formed(&server);
    has(
        &server,
        &[
            "apiserver_request_total{component=\"apiserver\",verb=\"POST\",group=\"\",version=\"v1\",resource=\"pods\"",
            "apiserver_request_duration_seconds_bucket{",
            "apiserver_current_inflight_requests{request_kind=\"readOnly\"} ",
            "apiserver_resource_objects{group=\"\",resource=\"pods\"} 2",
            "etcd_debugging_mvcc_current_revision ",
            "etcd_disk_wal_fsync_duration_seconds_count ",
            "kubernetes_build_info{git_version=\"v1.",
            "leader_election_master_status{name=\"kube-scheduler\"} 1",
            "process_resident_memory_bytes ",
            "rest_client_requests_total{code=\"201\",host=\"in-process\",method=\"POST\"} ",
            "scheduler_pending_pods{queue=\"active\"} 0",
            "scheduler_pod_scheduling_sli_duration_seconds_count{attempts=\"1\"} ",
            "scheduler_scheduling_attempt_duration_seconds_count{",
            "workqueue_adds_total{name=\"replicaset\"} ",
            "workqueue_depth{name=\"deployment\"} ",
            "workqueue_work_duration_seconds_count{name=\"endpointslice\"} ",
        ],
    );
}

fn the_node_tells(kubectl: &Kubectl<'_>) {
    let node = "/api/v1/nodes/node/proxy";
    let own = raw(kubectl, &format!("{node}/metrics"));
    is_well_formed(&own);
    has(
        &own,
        &[
            "kubelet_running_pods 2",
            "kubelet_started_containers_total{container_type=\"container\"} 2",
            "kubelet_pod_start_duration_seconds_count 2",
            "kubeproxy_sync_proxy_rules_duration_seconds_count ",
            "process_open_fds ",
        ],
    );
    let probes = until("a probe is counted", A_MINUTE, || {
        let text = raw(kubectl, &format!("{node}/metrics/probes"));
        (value(&text, "prober_probe_total") >= 1.0).then_some(text)
    });
    has(
        &probes,
        &["prober_probe_total{container=\"c\",namespace=\"default\",pod=\"probed\""],
    );
    let containers = raw(kubectl, &format!("{node}/metrics/cadvisor"));
    is_well_formed(&containers);
    has(
        &containers,
        &["container_memory_working_set_bytes{", "machine_cpu_cores "],
    );
    let resource = raw(kubectl, &format!("{node}/metrics/resource"));
    is_well_formed(&resource);
    has(
        &resource,
        &[
            "node_cpu_usage_seconds_total ",
            "container_start_time_seconds{container=\"c\"",
            "pod_memory_working_set_bytes{namespace=\"default\",pod=\"probed\"}",
        ],
    );
}

/// As metrics-server and Prometheus do: straight from the node, by the token of
/// a service account whose role has `nodes/metrics`.
fn a_token_is_enough(machine: &Machine, kubectl: &Kubectl<'_>) {
    kubectl.ok(&["create", "serviceaccount", "scraper"]);
    let role = [
        "create",
        "clusterrole",
        "node-metrics",
        "--verb=get",
        "--resource=nodes/metrics",
    ];
    kubectl.ok(&role);
    let bind = [
        "--clusterrole=node-metrics",
        "--serviceaccount=default:scraper",
    ];
    kubectl.ok(&[&["create", "clusterrolebinding", "node-metrics"], &bind[..]].concat());
    let may = [
        "auth",
        "can-i",
        "get",
        "nodes/node",
        "--subresource=metrics",
    ];
    let may = [&may[..], &["--as=system:serviceaccount:default:scraper"]].concat();
    until("the role is in force", A_MINUTE, || {
        let output = run::output(&mut kubectl.command(&may));
        output.status.success().then_some(())
    });
    let ask = |account: &str, path: &str| {
        let mut curl = machine.command("curl");
        curl.args(["-sk", "-o", "/dev/null", "-w", "%{http_code}"]);
        if !account.is_empty() {
            let token = kubectl.ok(&["create", "token", account]);
            curl.args(["-H", &format!("Authorization: Bearer {}", token.trim())]);
        }
        run::ok(curl.arg(format!("https://127.0.0.1:10250{path}")))
    };
    assert_eq!(ask("scraper", "/metrics/resource"), "200");
    assert_eq!(ask("scraper", "/pods"), "403");
    assert_eq!(ask("default", "/metrics/resource"), "403");
    assert_eq!(ask("", "/metrics/resource"), "401");
}

/// As Kubernetes: whom a role lets GET the path.
fn who_may_see(kubectl: &Kubectl<'_>) {
    let refused = kubectl.fails(&["get", "--raw", "/metrics", "--as", "prometheus"]);
    assert!(refused.contains("orbidden"), "{refused}");
    let role = [
        "create",
        "clusterrole",
        "scrape",
        "--verb=get",
        "--non-resource-url=/metrics",
    ];
    kubectl.ok(&role);
    let bind = [
        "create",
        "clusterrolebinding",
        "scrape",
        "--clusterrole=scrape",
        "--user=prometheus",
    ];
    kubectl.ok(&bind);
    until("the role is in force", A_MINUTE, || {
        let scraped = ["get", "--raw", "/metrics", "--as", "prometheus"];
        let output = run::output(&mut kubectl.command(&scraped));
        output.status.success().then_some(())
    });
}

/// POSTs a pod as part of the trace.
fn create_traced(machine: &Machine, pod: &Value) {
    let body = pod.to_string();
    let token = format!("Authorization: Bearer {}", e2e::skiff::TOKEN);
    let parent = format!("traceparent: 00-{TRACE}-00f067aa0ba902b7-01");
    let mut curl = machine.command("curl");
    curl.args([
        "-sSkf",
        "--retry-connrefused",
        "--retry",
        "5",
        "-H",
        &token,
        "-H",
        &parent,
    ]);
    curl.args(["-H", "Content-Type: application/json", "-d", &body]);
    curl.arg("https://127.0.0.1:6443/api/v1/namespaces/default/pods");
    run::ok(&mut curl);
}

#[test]
fn a_pods_creation_is_one_trace_from_the_request_to_the_running_container() {
    if !need::met(&[PROGRAMS, &["curl"]].concat()) {
        return;
    }
    let (_network, machine) = Machine::alone();
    let collector = Collector::on(&machine);
    let dir = tempfile::tempdir().expect("make a directory");
    let file = dir.path().join("tracing.yaml");
    let config = format!(
        "apiVersion: apiserver.config.k8s.io/v1\nkind: TracingConfiguration\nendpoint: 127.0.0.1:{}\n",
        collector.port
    );
    std::fs::write(&file, config).expect("write the configuration");
    let skiff = Skiff::up(
        &machine,
        &["--tracing-config-file", &file.display().to_string()],
    );
    import_busybox(&skiff);
    let kubectl = skiff.kubectl();
    kubectl.wait(&["serviceaccount", "default"], A_MINUTE, |_| true);
    create_traced(&machine, &pod("traced", BUSYBOX));
    // Nobody listens at port 9: the pull is tried, and fails.
    create_traced(&machine, &pod("pulled", "127.0.0.1:9/none:1"));
    kubectl.apply(&pod("untraced", BUSYBOX));
    kubectl.wait_ready("traced");
    kubectl.wait_ready("untraced");

    let spans = all_stages(&collector);
    are_one_trace(&spans);
    assert_eq!(collector.service().as_deref(), Some("skiff"));
    let untraced = kubectl.get(&["pod", "untraced"]);
    assert_eq!(
        untraced["metadata"]["annotations"]["skiff.dev/traceparent"],
        Value::Null
    );
}

const STAGES: [&str; 4] = [
    "schedule pod",
    "pod sandbox",
    "container start",
    "pod start",
];

/// The spans once those of both pods have come, whatever came first.
fn all_stages(collector: &Collector) -> Vec<Span> {
    until("all stages of the trace arrive", A_MINUTE, || {
        let spans = collector.spans();
        let of = |name: &str, pod: &str| {
            let is_it = |span: &Span| span.name == name && span.about("k8s.pod.name") == Some(pod);
            spans.iter().any(is_it)
        };
        let count = |name: &str| spans.iter().filter(|span| span.name == name).count();
        let is_whole = STAGES.iter().all(|stage| of(stage, "traced"))
            && of("schedule pod", "pulled")
            && of("image pull", "pulled")
            && count("create pods") >= 2
            && count("create pods/binding") >= 2
            && count("store put") >= 2;
        is_whole.then_some(spans)
    })
}

#[track_caller]
fn are_one_trace(spans: &[Span]) {
    for span in spans {
        assert_eq!(span.trace, TRACE, "{span:?} was asked for by nobody");
        assert!(span.start <= span.end, "{span:?}");
        assert_ne!(span.about("k8s.pod.name"), Some("untraced"));
    }
    let of = |name: &str, pod: &str| {
        let found = spans
            .iter()
            .find(|s| s.name == name && s.about("k8s.pod.name") == Some(pod));
        found.unwrap_or_else(|| panic!("no {name} of {pod} in {spans:#?}"))
    };
    let made = spans
        .iter()
        .find(|span| span.name == "create pods")
        .expect("looked for above");
    assert_eq!(made.parent, "00f067aa0ba902b7");
    for stage in STAGES {
        let span = of(stage, "traced");
        let is_made_by = |one: &Span| one.name == "create pods" && one.id == span.parent;
        assert!(
            spans.iter().any(is_made_by),
            "{span:?} is part of the request"
        );
    }
    let bound = spans.iter().find(|span| span.name == "create pods/binding");
    let bound = bound.expect("looked for above");
    assert!(
        spans
            .iter()
            .any(|span| span.name == "schedule pod" && span.id == bound.parent)
    );
    assert!(of("image pull", "pulled").failed);
}
