use super::*;
use crate::plan::Protocol;

const HEAD: &str = "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\n";

fn of(rest: &str) -> Result<Read> {
    read(&format!("{HEAD}{rest}"), None, Path::new("/work"))
}

#[track_caller]
fn refused(rest: &str, word: &str) {
    let error = of(rest).unwrap_err().chain();
    assert!(error.contains(word), "{error}");
}

#[test]
fn a_file_without_nodes_is_one_control_plane_on_loopback() {
    let plan = of("").unwrap().plan;
    assert_eq!(plan.name, "skiff");
    assert_eq!(plan.nodes.len(), 1);
    assert_eq!(plan.control_plane().name, "skiff-control-plane");
    assert_eq!(
        (plan.api_address.to_string().as_str(), plan.api_port),
        ("127.0.0.1", 0)
    );
    assert_eq!(plan.dns().to_string(), "10.96.0.10");
}

#[test]
fn nodes_are_called_as_kind_calls_them_and_the_control_plane_is_first() {
    let plan = of("name: lab\nnodes: [{role: worker}, {role: control-plane}, {role: worker}]\n")
        .unwrap()
        .plan;
    let names: Vec<_> = plan.nodes.iter().map(|n| n.name.as_str()).collect();
    assert_eq!(names, ["lab-control-plane", "lab-worker", "lab-worker2"]);
}

#[test]
fn a_name_on_the_command_line_wins() {
    let text = format!("{HEAD}name: lab\n");
    assert_eq!(
        read(&text, Some("mine"), Path::new("/")).unwrap().plan.name,
        "mine"
    );
}

#[test]
fn ports_and_mounts_are_those_of_the_file() {
    let plan = of("nodes:\n- role: control-plane\n  labels: {zone: a}\n  extraPortMappings:\n  \
        - {containerPort: 30080, hostPort: 8080, listenAddress: 127.0.0.1}\n  - {containerPort: 53, protocol: udp}\n  \
        extraMounts:\n  - {hostPath: ./data, containerPath: /data, readOnly: true}\n").unwrap().plan;
    let node = plan.control_plane();
    assert_eq!(
        (node.ports[0].host_port, node.ports[0].node_port),
        (8080, 30080)
    );
    assert_eq!(
        (node.ports[1].host_port, node.ports[1].protocol),
        (0, Protocol::Udp)
    );
    assert_eq!(node.mounts[0].host_path, Path::new("/work/./data"));
    assert_eq!(node.mounts[0].container_path, Path::new("data"));
    assert!(node.mounts[0].is_read_only);
    assert_eq!(node.labels["zone"], "a");
}

#[test]
fn what_is_unknown_is_refused_by_its_name() {
    refused("nodez: []\n", "nodez");
    refused("nodes: [{rolle: worker}]\n", "rolle");
    refused(
        "networking: {disableDefaultCni: true}\n",
        "disableDefaultCni",
    );
}

#[test]
fn what_cannot_be_had_is_refused_by_its_name() {
    refused("kubeadmConfigPatches: ['x']\n", "kubeadmConfigPatches");
    refused(
        "nodes: [{kubeadmConfigPatches: ['x']}]\n",
        "nodes[0].kubeadmConfigPatches",
    );
    refused(
        "containerdConfigPatches: ['x']\n",
        "containerdConfigPatches",
    );
    refused("featureGates: {A: true}\n", "featureGates");
    refused("runtimeConfig: {a: b}\n", "runtimeConfig");
    refused(
        "networking: {disableDefaultCNI: true}\n",
        "disableDefaultCNI",
    );
    refused("networking: {ipFamily: dual}\n", "ipFamily");
    refused("networking: {kubeProxyMode: none}\n", "kubeProxyMode");
    refused("nodes: [{}, {}]\n", "control-plane");
    refused("nodes: [{role: worker}]\n", "control-plane");
    refused(
        "nodes: [{extraPortMappings: [{containerPort: 1, protocol: SCTP}]}]\n",
        "SCTP",
    );
    refused(
        "nodes: [{extraMounts: [{hostPath: /a, containerPath: /a, propagation: Bidirectional}]}]\n",
        "Bidirectional",
    );
}

#[test]
fn paths_of_skiffs_own_and_above_the_root_are_no_mounts() {
    for path in ["/", "/../x", "/proc/x", "/var", "/var/lib/skiff/x"] {
        refused(
            &format!("nodes: [{{extraMounts: [{{hostPath: /a, containerPath: {path}}}]}}]\n"),
            "containerPath",
        );
    }
}

#[test]
fn what_means_nothing_here_is_noted() {
    let notes = of("nodes: [{image: kindest/node}]\nnetworking: {kubeProxyMode: ipvs}\n")
        .unwrap()
        .notes;
    assert_eq!(notes.len(), 2, "{notes:?}");
}

#[test]
fn ranges_must_have_room_and_not_overlap() {
    refused(
        "networking: {podSubnet: 10.0.0.0/8, serviceSubnet: 10.96.0.0/16}\n",
        "overlap",
    );
    refused(
        "networking: {podSubnet: 10.1.0.0/24}\nnodes: [{}, {role: worker}]\n",
        "podSubnet",
    );
    refused(
        "networking: {serviceSubnet: 10.1.0.0/30}\n",
        "serviceSubnet",
    );
    refused("networking: {podSubnet: fd00::/64}\n", "podSubnet");
    let plan = of("networking: {podSubnet: 198.18.0.0/15}\n").unwrap().plan;
    assert_eq!(plan.node_range().to_string(), "192.168.219.0/24");
}

#[test]
fn one_port_of_this_machine_leads_to_one_place() {
    let ports = "[{containerPort: 1, hostPort: 80}, {containerPort: 2, hostPort: 80}]";
    refused(
        &format!("nodes: [{{extraPortMappings: {ports}}}]\n"),
        "twice",
    );
}

#[test]
fn names_that_fit_no_host_name_are_refused() {
    for name in ["", "A", "a.b", "../x", &"a".repeat(41)] {
        assert!(check_name(name).is_err(), "{name}");
    }
}
