use apimachinery::quantity::Quantity;
use serde_json::Value;

use super::page::{Page, array, fields, or, or_none, show, string, time};

/// The amounts that pods are told apart by.
const SHOWN: [&str; 2] = ["cpu", "memory"];

pub fn describe(node: &Value, lease: Option<&Value>, pods: &[Value]) -> Page {
    let mut page = Page::default();
    head(&mut page, node);
    if let Some(lease) = lease {
        page.line(0, "Lease:");
        page.field(
            1,
            "HolderIdentity",
            or(string(lease, "/spec/holderIdentity"), "<unset>"),
        );
        page.field(1, "AcquireTime", &time(string(lease, "/spec/acquireTime")));
        page.field(1, "RenewTime", &time(string(lease, "/spec/renewTime")));
    }
    conditions(&mut page, node);
    page.line(0, "Addresses:");
    for address in array(node, "/status/addresses") {
        page.field(1, string(address, "/type"), string(address, "/address"));
    }
    for (title, list) in [("Capacity", "capacity"), ("Allocatable", "allocatable")] {
        page.line(0, &format!("{title}:"));
        for (resource, amount) in fields(&node["status"][list]) {
            page.field(1, resource, &show(amount));
        }
    }
    system(&mut page, node);
    page.field_if(0, "PodCIDR", string(node, "/spec/podCIDR"));
    let ranges: Vec<String> = array(node, "/spec/podCIDRs").iter().map(show).collect();
    page.field_if(0, "PodCIDRs", &ranges.join(","));
    page.field_if(0, "ProviderID", string(node, "/spec/providerID"));
    non_terminated(&mut page, node, pods);
    allocated(&mut page, node, pods);
    page
}

fn head(page: &mut Page, node: &Value) {
    const ROLE: &str = "node-role.kubernetes.io/";
    let metadata = &node["metadata"];
    page.field(0, "Name", string(metadata, "/name"));
    let roles: Vec<&str> = fields(&metadata["labels"])
        .filter_map(|(label, _)| label.strip_prefix(ROLE))
        .collect();
    page.field(0, "Roles", or_none(&roles.join(",")));
    page.labels(0, "Labels", &metadata["labels"]);
    page.annotations(&metadata["annotations"]);
    page.field(
        0,
        "CreationTimestamp",
        &time(string(metadata, "/creationTimestamp")),
    );
    let taint = |taint: &Value| {
        let value = match string(taint, "/value") {
            "" => String::new(),
            value => format!("={value}"),
        };
        format!(
            "{}{value}:{}",
            string(taint, "/key"),
            string(taint, "/effect")
        )
    };
    let taints: Vec<String> = array(node, "/spec/taints").iter().map(taint).collect();
    page.list(0, "Taints", &taints);
    page.field(
        0,
        "Unschedulable",
        &(node["spec"]["unschedulable"] == true).to_string(),
    );
}

fn conditions(page: &mut Page, node: &Value) {
    let names = [
        "Type",
        "Status",
        "LastHeartbeatTime",
        "LastTransitionTime",
        "Reason",
        "Message",
    ];
    page.line(0, "Conditions:");
    page.line(1, &names.join("\t"));
    page.line(1, &names.map(|name| "-".repeat(name.len())).join("\t"));
    for condition in array(node, "/status/conditions") {
        let of = |field| string(condition, field);
        let cells = [
            format!("{} ", of("/type")),
            format!("{} ", of("/status")),
            format!("{} ", time(of("/lastHeartbeatTime"))),
            format!("{} ", time(of("/lastTransitionTime"))),
            format!("{} ", of("/reason")),
            of("/message").to_owned(),
        ];
        page.line(1, cells.join("\t").trim_end());
    }
}

fn system(page: &mut Page, node: &Value) {
    page.line(0, "System Info:");
    for (title, field) in [
        ("Machine ID", "machineID"),
        ("System UUID", "systemUUID"),
        ("Boot ID", "bootID"),
        ("Kernel Version", "kernelVersion"),
        ("OS Image", "osImage"),
        ("Operating System", "operatingSystem"),
        ("Architecture", "architecture"),
        ("Container Runtime Version", "containerRuntimeVersion"),
        ("Kubelet Version", "kubeletVersion"),
    ] {
        page.field(1, title, &show(&node["status"]["nodeInfo"][field]));
    }
    page.field_if(
        1,
        "Kube-Proxy Version",
        string(node, "/status/nodeInfo/kubeProxyVersion"),
    );
}

fn non_terminated(page: &mut Page, node: &Value, pods: &[Value]) {
    page.line(
        0,
        &format!("Non-terminated Pods:\t({} in total)", pods.len()),
    );
    let names = [
        "Namespace",
        "Name\t",
        "CPU Requests",
        "CPU Limits",
        "Memory Requests",
        "Memory Limits",
        "Age",
    ];
    page.line(1, &names.join("\t"));
    // The rule below Age is as short as kubectl's.
    let rule = |name: &str| {
        if name == "Age" {
            "---".to_owned()
        } else {
            "-".repeat(name.trim_end().len()) + if name.ends_with('\t') { "\t" } else { "" }
        }
    };
    page.line(1, &names.map(rule).join("\t"));
    let now = jiff::Timestamp::now();
    for pod in pods {
        let mut cells = vec![
            string(pod, "/metadata/namespace").to_owned(),
            format!("{}\t", string(pod, "/metadata/name")),
        ];
        for resource in SHOWN {
            for list in ["requests", "limits"] {
                cells.push(share(of_pod(pod, list, resource), node, resource));
            }
        }
        let created = string(pod, "/metadata/creationTimestamp");
        cells.push(apimachinery::duration::age(Some(created), now));
        page.line(1, &cells.join("\t"));
    }
}

fn allocated(page: &mut Page, node: &Value, pods: &[Value]) {
    page.line(0, "Allocated resources:");
    page.line(
        1,
        "(Total limits may be over 100 percent, i.e., overcommitted.)",
    );
    page.line(1, "Resource\tRequests\tLimits");
    page.line(1, "--------\t--------\t------");
    let others = fields(&node["status"]["allocatable"])
        .map(|(name, _)| name.as_str())
        .filter(|name| !SHOWN.contains(name) && *name != "pods");
    for resource in SHOWN.into_iter().chain(others) {
        let total = |list| {
            pods.iter()
                .map(|pod| of_pod(pod, list, resource))
                .sum::<i64>()
        };
        let cells = [
            resource.to_owned(),
            share(total("requests"), node, resource),
            share(total("limits"), node, resource),
        ];
        page.line(1, &cells.join("\t"));
    }
}

/// `10m (0%)` of what the node has.
fn share(milli: i64, node: &Value, resource: &str) -> String {
    let has = milli_of(&node["status"]["allocatable"][resource]);
    let percent = if has == 0 {
        0
    } else {
        i128::from(milli) * 100 / i128::from(has)
    };
    format!("{} ({percent}%)", amount(milli, resource))
}

/// An amount in the unit that people use for it.
fn amount(milli: i64, resource: &str) -> String {
    if resource == "cpu" {
        return if milli % 1000 == 0 {
            (milli / 1000).to_string()
        } else {
            format!("{milli}m")
        };
    }
    let bytes = milli / 1000;
    let units = [("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10)];
    let fits = units
        .iter()
        .find(|(_, size)| bytes > 0 && bytes % size == 0);
    match fits {
        Some((unit, size)) => format!("{}{unit}", bytes / size),
        None => bytes.to_string(),
    }
}

/// What a pod asks for: its containers together, or its largest init container.
fn of_pod(pod: &Value, list: &str, resource: &str) -> i64 {
    let of = |container: &Value| milli_of(&container["resources"][list][resource]);
    let init = array(pod, "/spec/initContainers");
    let stays = |container: &&Value| string(container, "/restartPolicy") == "Always";
    let sidecars: i64 = init.iter().filter(stays).map(of).sum();
    let together: i64 = array(pod, "/spec/containers").iter().map(of).sum::<i64>() + sidecars;
    let largest = init.iter().filter(|c| !stays(c)).map(of).max().unwrap_or(0);
    together.max(largest) + milli_of(&pod["spec"]["overhead"][resource])
}

fn milli_of(amount: &Value) -> i64 {
    let parsed = Quantity::from_json(amount);
    parsed.map_or(0, Quantity::milli_value)
}

/// Pods that have not ended: those that hold what the node has.
pub fn holds(pod: &Value) -> bool {
    !["Succeeded", "Failed"].contains(&string(pod, "/status/phase"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn pod_asks_for_its_containers_together_or_its_largest_init_container() {
        let asks = |cpu: &str| json!({ "resources": { "requests": { "cpu": cpu } } });
        let pod = json!({ "spec": { "containers": [asks("100m"), asks("0.2")], "initContainers": [asks("1")] } });
        assert_eq!(of_pod(&pod, "requests", "cpu"), 1000);
        let pod = json!({ "spec": { "containers": [asks("100m"), asks("0.2")] } });
        assert_eq!(of_pod(&pod, "requests", "cpu"), 300);
    }

    #[test]
    fn amounts_are_told_in_the_unit_they_fit() {
        assert_eq!(amount(1500, "cpu"), "1500m");
        assert_eq!(amount(2000, "cpu"), "2");
        assert_eq!(amount((10 << 20) * 1000, "memory"), "10Mi");
    }
}
