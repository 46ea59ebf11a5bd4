//! The baseline level: nothing by which a pod is known to get at the machine.

use apimachinery::meta;
use serde_json::Value;

use super::Violation;
use super::spec::{PodView, containers, plural, quoted, setters, sorted};

const CAPABILITIES: &[&str] = &[
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];
const SELINUX_TYPES: &[&str] = &[
    "",
    "container_t",
    "container_init_t",
    "container_kvm_t",
    "container_engine_t",
];
const SYSCTLS: &[&str] = &[
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_wmem",
];
const APPARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";

/// `is_restricted`: leave out the controls that the restricted level has stricter
/// ones for.
pub fn check(pod: &PodView<'_>, is_restricted: bool, found: &mut Vec<Violation>) {
    let stricter_comes = |v: Option<Violation>| v.filter(|_| !is_restricted);
    let all = [
        app_armor(pod),
        stricter_comes(capabilities(pod)),
        host_namespaces(pod),
        stricter_comes(host_path(pod)),
        host_ports(pod),
        handler_hosts(pod),
        privileged(pod),
        proc_mount(pod),
        selinux(pod),
        stricter_comes(seccomp(pod)),
        sysctls(pod),
        host_process(pod),
    ];
    found.extend(all.into_iter().flatten());
}

fn app_armor(pod: &PodView<'_>) -> Option<Violation> {
    let profile = |of: &Value| {
        let kind = meta::text(of, "appArmorProfile.type").to_owned();
        Some(kind).filter(|k| !matches!(k.as_str(), "" | "RuntimeDefault" | "Localhost"))
    };
    let of_pod = profile(pod.context());
    let by = pod.containers_where(|c| profile(&c["securityContext"]).is_some());
    let of_containers = pod
        .containers()
        .filter_map(|c| profile(&c["securityContext"]));
    let mut values: Vec<String> = sorted(of_containers.chain(of_pod.clone()))
        .into_iter()
        .collect();
    let annotations: Vec<String> = pod
        .annotations
        .into_iter()
        .flatten()
        .filter(|(key, _)| key.starts_with(APPARMOR))
        .filter_map(|(key, value)| {
            let value = value.as_str()?;
            let is_good =
                matches!(value, "" | "runtime/default") || value.starts_with("localhost/");
            (!is_good).then(|| format!("{key}={value:?}"))
        })
        .collect();
    let mut who: Vec<String> = setters(of_pod.is_some(), &by).into_iter().collect();
    if !annotations.is_empty() {
        who.push(plural("annotation", "annotations", annotations.len()).to_owned());
    }
    values.extend(annotations);
    if who.is_empty() {
        return None;
    }
    let reason = plural(
        "forbidden AppArmor profile",
        "forbidden AppArmor profiles",
        values.len(),
    );
    let detail = format!(
        "{} must not set AppArmor profile type to {}",
        who.join(" and "),
        quoted(&values)
    );
    Some(Violation::new(reason, detail))
}

fn added<'a>(container: &'a Value, allowed: &[&str]) -> Vec<&'a str> {
    let added = meta::items(container, "securityContext.capabilities.add").iter();
    let names = added.filter_map(Value::as_str);
    names.filter(|name| !allowed.contains(name)).collect()
}

fn capabilities(pod: &PodView<'_>) -> Option<Violation> {
    let by = pod.containers_where(|c| !added(c, CAPABILITIES).is_empty());
    let bad = sorted(pod.containers().flat_map(|c| added(c, CAPABILITIES)));
    (!by.is_empty()).then(|| {
        let detail = format!(
            "{} must not include {} in securityContext.capabilities.add",
            containers(&by),
            quoted(&bad)
        );
        Violation::new("non-default capabilities", detail)
    })
}

fn host_namespaces(pod: &PodView<'_>) -> Option<Violation> {
    let shared: Vec<String> = ["hostNetwork", "hostPID", "hostIPC"]
        .into_iter()
        .filter(|field| pod.spec[*field] == true)
        .map(|field| format!("{field}=true"))
        .collect();
    (!shared.is_empty()).then(|| Violation::new("host namespaces", shared.join(", ")))
}

fn host_path(pod: &PodView<'_>) -> Option<Violation> {
    let volumes = meta::items(pod.spec, "volumes").iter();
    let bad: Vec<&str> = volumes
        .filter(|v| v["hostPath"].is_object())
        .map(|v| meta::text(v, "name"))
        .collect();
    (!bad.is_empty()).then(|| {
        let word = plural("volume", "volumes", bad.len());
        Violation::new("hostPath volumes", format!("{word} {}", quoted(&bad)))
    })
}

fn host_ports(pod: &PodView<'_>) -> Option<Violation> {
    let ports = |container: &Value| -> Vec<String> {
        let all = meta::items(container, "ports").iter();
        let numbers = all.filter_map(|p| p["hostPort"].as_u64());
        numbers.filter(|n| *n != 0).map(|n| n.to_string()).collect()
    };
    let by = pod.containers_where(|c| !ports(c).is_empty());
    let bad: Vec<String> = sorted(pod.containers().flat_map(ports))
        .into_iter()
        .collect();
    (!by.is_empty()).then(|| {
        let detail = format!(
            "{} {} {} {}",
            containers(&by),
            plural("uses", "use", by.len()),
            plural("hostPort", "hostPorts", bad.len()),
            bad.join(", ")
        );
        Violation::new("hostPort", detail)
    })
}

/// A probe of another host is a request that the kubelet makes for the pod.
fn handler_hosts(pod: &PodView<'_>) -> Option<Violation> {
    const HANDLERS: [&str; 5] = [
        "livenessProbe",
        "readinessProbe",
        "startupProbe",
        "lifecycle.postStart",
        "lifecycle.preStop",
    ];
    fn hosts(container: &Value) -> Vec<&str> {
        let handlers = HANDLERS.iter().filter_map(|h| meta::get(container, h));
        handlers
            .flat_map(|h| ["httpGet.host", "tcpSocket.host"].map(|path| meta::text(h, path)))
            .filter(|host| !host.is_empty())
            .collect()
    }
    let by = sorted(pod.containers_where(|c| !hosts(c).is_empty()));
    let bad = sorted(pod.containers().flat_map(hosts));
    (!by.is_empty()).then(|| {
        let names: Vec<&str> = by.into_iter().collect();
        let detail = format!(
            "{} {} {} {}",
            containers(&names),
            plural("uses", "use", names.len()),
            plural(
                "probe or lifecycle host",
                "probe or lifecycle hosts",
                bad.len()
            ),
            quoted(&bad)
        );
        Violation::new("probe or lifecycle host", detail)
    })
}

fn privileged(pod: &PodView<'_>) -> Option<Violation> {
    let by = pod.containers_where(|c| c["securityContext"]["privileged"] == true);
    (!by.is_empty()).then(|| {
        let detail = format!(
            "{} must not set securityContext.privileged=true",
            containers(&by)
        );
        Violation::new("privileged", detail)
    })
}

fn proc_mount(pod: &PodView<'_>) -> Option<Violation> {
    fn wanted(container: &Value) -> Option<&str> {
        let mount = meta::text(container, "securityContext.procMount");
        (!matches!(mount, "" | "Default")).then_some(mount)
    }
    let by = pod.containers_where(|c| wanted(c).is_some());
    let bad = sorted(pod.containers().filter_map(wanted));
    (!by.is_empty() && !pod.has_own_users()).then(|| {
        let detail = format!(
            "{} must not set securityContext.procMount to {}",
            containers(&by),
            quoted(&bad)
        );
        Violation::new("procMount", detail)
    })
}

fn selinux(pod: &PodView<'_>) -> Option<Violation> {
    fn field<'a>(context: &'a Value, name: &str) -> &'a str {
        context["seLinuxOptions"][name].as_str().unwrap_or("")
    }
    let is_bad = |context: &Value| {
        !SELINUX_TYPES.contains(&field(context, "type"))
            || !field(context, "user").is_empty()
            || !field(context, "role").is_empty()
    };
    let by = pod.containers_where(|c| is_bad(&c["securityContext"]));
    let who = setters(is_bad(pod.context()), &by)?;
    let of_containers = pod.containers().map(|c| &c["securityContext"]);
    let contexts: Vec<&Value> = of_containers.chain([pod.context()]).collect();
    let types = contexts.iter().map(|c| field(c, "type"));
    let types = sorted(types.filter(|t| !SELINUX_TYPES.contains(t)));
    let sets = |name: &str| contexts.iter().any(|c| !field(c, name).is_empty());
    let mut what = Vec::new();
    if !types.is_empty() {
        what.push(format!(
            "{} {}",
            plural("type", "types", types.len()),
            quoted(&types)
        ));
    }
    for name in ["user", "role"] {
        if sets(name) {
            what.push(format!("{name} may not be set"));
        }
    }
    let detail = format!(
        "{who} set forbidden securityContext.seLinuxOptions: {}",
        what.join("; ")
    );
    Some(Violation::new("seLinuxOptions", detail))
}

/// The type of a seccomp profile that is set and not allowed.
pub fn bad_seccomp(context: &Value) -> Option<&str> {
    let kind = meta::text(context, "seccompProfile.type");
    (context["seccompProfile"].is_object() && !matches!(kind, "RuntimeDefault" | "Localhost"))
        .then_some(kind)
}

pub fn seccomp(pod: &PodView<'_>) -> Option<Violation> {
    let by = pod.containers_where(|c| bad_seccomp(&c["securityContext"]).is_some());
    let of_pod = bad_seccomp(pod.context());
    let who = setters(of_pod.is_some(), &by)?;
    let of_containers = pod
        .containers()
        .filter_map(|c| bad_seccomp(&c["securityContext"]));
    let bad = sorted(of_containers.chain(of_pod));
    let detail = format!(
        "{who} must not set securityContext.seccompProfile.type to {}",
        quoted(&bad)
    );
    Some(Violation::new("seccompProfile", detail))
}

fn sysctls(pod: &PodView<'_>) -> Option<Violation> {
    let all = meta::items(pod.context(), "sysctls").iter();
    let bad: Vec<&str> = all
        .map(|s| meta::text(s, "name"))
        .filter(|name| !SYSCTLS.contains(name))
        .collect();
    (!bad.is_empty()).then(|| Violation::new("forbidden sysctls", bad.join(", ")))
}

fn host_process(pod: &PodView<'_>) -> Option<Violation> {
    let is_set = |context: &Value| context["windowsOptions"]["hostProcess"] == true;
    let by = pod.containers_where(|c| is_set(&c["securityContext"]));
    let who = setters(is_set(pod.context()), &by)?;
    let detail = format!("{who} must not set securityContext.windowsOptions.hostProcess=true");
    Some(Violation::new("hostProcess", detail))
}
