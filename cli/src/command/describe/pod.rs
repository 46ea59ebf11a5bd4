use serde_json::Value;

use super::page::{Page, array, number, or, or_none, pairs, string, time};
use super::{containers, volumes};

pub fn describe(pod: &Value) -> Page {
    let mut page = Page::default();
    head(&mut page, pod);
    for (title, list, statuses) in [
        (
            "Init Containers",
            "/spec/initContainers",
            "/status/initContainerStatuses",
        ),
        (
            "Containers",
            "/spec/containers",
            "/status/containerStatuses",
        ),
        (
            "Ephemeral Containers",
            "/spec/ephemeralContainers",
            "/status/ephemeralContainerStatuses",
        ),
    ] {
        containers::describe(
            &mut page,
            title,
            array(pod, list),
            Some(array(pod, statuses)),
            pod,
        );
    }
    for gate in array(pod, "/spec/readinessGates") {
        page.field(0, "Readiness Gate", string(gate, "/conditionType"));
    }
    volumes::conditions(&mut page, array(pod, "/status/conditions"));
    volumes::describe(&mut page, &pod["spec"], 0);
    page.field(0, "QoS Class", string(pod, "/status/qosClass"));
    page.labels(0, "Node-Selectors", &pod["spec"]["nodeSelector"]);
    volumes::tolerations(&mut page, &pod["spec"], 0);
    page
}

fn head(page: &mut Page, pod: &Value) {
    page.field(0, "Name", string(pod, "/metadata/name"));
    page.field(0, "Namespace", string(pod, "/metadata/namespace"));
    page.field(0, "Priority", &number(pod, "/spec/priority").to_string());
    page.field_if(
        0,
        "Priority Class Name",
        string(pod, "/spec/priorityClassName"),
    );
    page.field_if(
        0,
        "Runtime Class Name",
        string(pod, "/spec/runtimeClassName"),
    );
    page.field(
        0,
        "Service Account",
        string(pod, "/spec/serviceAccountName"),
    );
    let node = string(pod, "/spec/nodeName");
    let at = format!("{node}/{}", string(pod, "/status/hostIP"));
    page.field(0, "Node", if node.is_empty() { "<none>" } else { &at });
    let started = string(pod, "/status/startTime");
    if !started.is_empty() {
        page.field(0, "Start Time", &time(started));
    }
    page.labels(0, "Labels", &pod["metadata"]["labels"]);
    page.annotations(&pod["metadata"]["annotations"]);
    status(page, pod);
    page.field(0, "IP", string(pod, "/status/podIP"));
    ips(page, array(pod, "/status/podIPs"));
    page.controller(pod);
    page.field_if(
        0,
        "NominatedNodeName",
        string(pod, "/status/nominatedNodeName"),
    );
}

fn status(page: &mut Page, pod: &Value) {
    let deleted = string(pod, "/metadata/deletionTimestamp");
    if let Ok(deleted) = deleted.parse::<jiff::Timestamp>() {
        let ago = jiff::Timestamp::now().duration_since(deleted).as_secs();
        let lasts = apimachinery::duration::human(ago.max(0));
        page.field(0, "Status", &format!("Terminating (lasts {lasts})"));
        let grace = number(pod, "/metadata/deletionGracePeriodSeconds");
        page.field(0, "Termination Grace Period", &format!("{grace}s"));
    } else {
        page.field(0, "Status", string(pod, "/status/phase"));
    }
    page.field_if(0, "Reason", string(pod, "/status/reason"));
    page.field_if(0, "Message", string(pod, "/status/message"));
}

fn ips(page: &mut Page, ips: &[Value]) {
    if ips.is_empty() {
        return page.field(0, "IPs", "<none>");
    }
    page.line(0, "IPs:");
    for ip in ips {
        page.field(1, "IP", string(ip, "/ip"));
    }
}

/// The pods that a workload makes.
pub fn template(page: &mut Page, template: &Value) {
    page.line(0, "Pod Template:");
    page.labels(1, "Labels", &template["metadata"]["labels"]);
    let annotations = pairs(&template["metadata"]["annotations"]);
    if !annotations.is_empty() {
        let lines: Vec<String> = annotations
            .iter()
            .map(|a| a.replacen('=', ": ", 1))
            .collect();
        page.list(1, "Annotations", &lines);
    }
    let spec = &template["spec"];
    page.field_if(1, "Service Account", string(spec, "/serviceAccountName"));
    let init = array(spec, "/initContainers");
    if !init.is_empty() {
        containers::describe(page, "Init Containers", init, None, template);
    }
    containers::describe(
        page,
        "Containers",
        array(spec, "/containers"),
        None,
        template,
    );
    volumes::describe(page, spec, 1);
    page.field_if(1, "Priority Class Name", string(spec, "/priorityClassName"));
    page.labels(1, "Node-Selectors", &spec["nodeSelector"]);
    volumes::tolerations(page, spec, 1);
}

/// `2 Running / 0 Waiting / 0 Succeeded / 0 Failed`
pub fn phases(pods: &[Value]) -> String {
    let count = |phase: &str| {
        let is_in = |pod: &&Value| or_none(or(string(pod, "/status/phase"), "Pending")) == phase;
        pods.iter().filter(is_in).count()
    };
    format!(
        "{} Running / {} Waiting / {} Succeeded / {} Failed",
        count("Running"),
        count("Pending"),
        count("Succeeded"),
        count("Failed")
    )
}
