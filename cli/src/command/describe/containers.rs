//! The containers of a pod or a template.

use serde_json::Value;

use super::page::{Page, array, fields, number, or, show, string, time, truth};

/// What is shown of a list of containers, `title` above it.
///
/// A template's containers (`statuses` is `None`) stand a blank less deep, and
/// have nothing to tell of what they do.
pub fn describe(
    page: &mut Page,
    title: &str,
    containers: &[Value],
    statuses: Option<&[Value]>,
    pod: &Value,
) {
    // A template is itself shown a level deeper.
    let depth = usize::from(statuses.is_none());
    if containers.is_empty() && statuses.is_some() {
        return;
    }
    page.line(depth, &format!("{title}:"));
    for container in containers {
        let name = string(container, "/name");
        let (head, rest) = if statuses.is_some() {
            ("  ", 2)
        } else {
            ("   ", 2)
        };
        page.line(0, &format!("{head}{name}:"));
        let status = statuses.map(|all| {
            all.iter()
                .find(|s| s["name"] == name)
                .cloned()
                .unwrap_or_default()
        });
        one(page, rest, container, status.as_ref(), pod);
    }
}

fn one(page: &mut Page, depth: usize, container: &Value, status: Option<&Value>, pod: &Value) {
    if let Some(status) = status {
        page.field(depth, "Container ID", string(status, "/containerID"));
    }
    page.field(depth, "Image", string(container, "/image"));
    if let Some(status) = status {
        page.field(depth, "Image ID", string(status, "/imageID"));
    }
    ports(page, depth, container);
    words(page, depth, "Command", array(container, "/command"));
    words(page, depth, "Args", array(container, "/args"));
    if let Some(status) = status {
        states(page, depth, status);
    }
    amounts(page, depth, "Limits", &container["resources"]["limits"]);
    amounts(page, depth, "Requests", &container["resources"]["requests"]);
    for (name, probe) in [
        ("Liveness", "livenessProbe"),
        ("Readiness", "readinessProbe"),
        ("Startup", "startupProbe"),
    ] {
        if container[probe].is_object() {
            page.field(depth, name, &self::probe(&container[probe]));
        }
    }
    env_from(page, depth, container);
    env(page, depth, container, pod);
    mounts(page, depth, container);
}

fn ports(page: &mut Page, depth: usize, container: &Value) {
    let ports = array(container, "/ports");
    let list = |field: &str| {
        let text: Vec<String> = ports
            .iter()
            .map(|port| {
                format!(
                    "{}/{}",
                    number(port, field),
                    or(string(port, "/protocol"), "TCP")
                )
            })
            .collect();
        if text.is_empty() {
            "<none>".into()
        } else {
            text.join(", ")
        }
    };
    let (own, host) = if ports.len() > 1 {
        ("Ports", "Host Ports")
    } else {
        ("Port", "Host Port")
    };
    page.field(depth, own, &list("/containerPort"));
    page.field(depth, host, &list("/hostPort"));
}

fn words(page: &mut Page, depth: usize, name: &str, words: &[Value]) {
    if words.is_empty() {
        return;
    }
    page.line(depth, &format!("{name}:"));
    for line in words
        .iter()
        .map(show)
        .collect::<Vec<_>>()
        .join("\n")
        .lines()
    {
        page.line(depth + 1, line);
    }
}

fn states(page: &mut Page, depth: usize, status: &Value) {
    state(page, depth, "State", &status["state"]);
    if status["lastState"]["terminated"].is_object() {
        state(page, depth, "Last State", &status["lastState"]);
    }
    page.field(depth, "Ready", truth(&status["ready"]));
    page.field(
        depth,
        "Restart Count",
        &number(status, "/restartCount").to_string(),
    );
}

fn state(page: &mut Page, depth: usize, name: &str, state: &Value) {
    if let Some(running) = state.get("running") {
        page.field(depth, name, "Running");
        page.field(depth + 1, "Started", &time(string(running, "/startedAt")));
    } else if let Some(waiting) = state.get("waiting") {
        page.field(depth, name, "Waiting");
        page.field_if(depth + 1, "Reason", string(waiting, "/reason"));
    } else if let Some(ended) = state.get("terminated") {
        page.field(depth, name, "Terminated");
        page.field_if(depth + 1, "Reason", string(ended, "/reason"));
        page.field_if(depth + 1, "Message", string(ended, "/message"));
        page.field(
            depth + 1,
            "Exit Code",
            &number(ended, "/exitCode").to_string(),
        );
        if number(ended, "/signal") > 0 {
            page.field(depth + 1, "Signal", &number(ended, "/signal").to_string());
        }
        page.field(depth + 1, "Started", &time(string(ended, "/startedAt")));
        page.field(depth + 1, "Finished", &time(string(ended, "/finishedAt")));
    } else {
        page.field(depth, name, "Waiting");
    }
}

fn amounts(page: &mut Page, depth: usize, name: &str, amounts: &Value) {
    if amounts.as_object().is_some_and(|a| !a.is_empty()) {
        page.line(depth, &format!("{name}:"));
        for (resource, amount) in fields(amounts) {
            page.field(depth + 1, resource, &show(amount));
        }
    }
}

fn probe(probe: &Value) -> String {
    let times = format!(
        "delay={}s timeout={}s period={}s #success={} #failure={}",
        number(probe, "/initialDelaySeconds"),
        number(probe, "/timeoutSeconds"),
        number(probe, "/periodSeconds"),
        number(probe, "/successThreshold"),
        number(probe, "/failureThreshold"),
    );
    let how = if let Some(exec) = probe.get("exec") {
        let command: Vec<String> = array(exec, "/command").iter().map(show).collect();
        format!("exec [{}]", command.join(" "))
    } else if let Some(get) = probe.get("httpGet") {
        let scheme = or(string(get, "/scheme"), "HTTP").to_lowercase();
        let path = string(get, "/path").trim_start_matches('/');
        format!(
            "http-get {scheme}://{}:{}/{path}",
            string(get, "/host"),
            show(&get["port"])
        )
    } else if let Some(socket) = probe.get("tcpSocket") {
        format!(
            "tcp-socket {}:{}",
            string(socket, "/host"),
            show(&socket["port"])
        )
    } else if let Some(grpc) = probe.get("grpc") {
        format!(
            "grpc <pod>:{} {}",
            number(grpc, "/port"),
            string(grpc, "/service")
        )
    } else {
        "unknown".into()
    };
    format!("{how} {times}")
}

fn env_from(page: &mut Page, depth: usize, container: &Value) {
    let sources = array(container, "/envFrom");
    if sources.is_empty() {
        return;
    }
    page.line(depth, "Environment Variables from:");
    for source in sources {
        let (kind, from) = match source.get("configMapRef") {
            Some(map) => ("ConfigMap", map),
            None => ("Secret", &source["secretRef"]),
        };
        let prefix = match string(source, "/prefix") {
            "" => String::new(),
            prefix => format!(" with prefix '{prefix}'"),
        };
        let is_optional = from["optional"] == true;
        let text = format!(
            "{}\t{kind}{prefix}\tOptional: {is_optional}",
            string(from, "/name")
        );
        page.line(depth + 1, &text);
    }
}

fn env(page: &mut Page, depth: usize, container: &Value, pod: &Value) {
    let variables = array(container, "/env");
    if variables.is_empty() {
        return page.field(depth, "Environment", "<none>");
    }
    page.line(depth, "Environment:");
    for variable in variables {
        let text = match variable.get("valueFrom") {
            None => string(variable, "/value").replace('\n', "\n\t"),
            Some(from) => value_from(from, container, pod),
        };
        page.field(depth + 1, string(variable, "/name"), &text);
    }
}

fn value_from(from: &Value, container: &Value, pod: &Value) -> String {
    if let Some(field) = from.get("fieldRef") {
        let path = string(field, "/fieldPath");
        let value = field_value(path, pod);
        return format!(
            "{value} ({}:{path})",
            or(string(field, "/apiVersion"), "v1")
        );
    }
    if let Some(resource) = from.get("resourceFieldRef") {
        let name = string(resource, "/resource");
        return format!(
            "{} ({name})",
            resource_value(name, string(resource, "/divisor"), container)
        );
    }
    let (kind, key) = match from.get("configMapKeyRef") {
        Some(key) => ("config map", key),
        None => ("secret", &from["secretKeyRef"]),
    };
    format!(
        "<set to the key '{}' of {kind} '{}'>\tOptional: {}",
        string(key, "/key"),
        string(key, "/name"),
        key["optional"] == true
    )
}

/// Only what is in the metadata is known here for certain.
fn field_value<'a>(path: &str, pod: &'a Value) -> &'a str {
    match path {
        "metadata.name" => string(pod, "/metadata/name"),
        "metadata.namespace" => string(pod, "/metadata/namespace"),
        "metadata.uid" => string(pod, "/metadata/uid"),
        _ => "",
    }
}

fn resource_value(name: &str, divisor: &str, container: &Value) -> String {
    let amount = name.split_once('.').map_or("", |(list, resource)| {
        container["resources"][list][resource]
            .as_str()
            .unwrap_or_default()
    });
    let parse = |text: &str| text.parse::<apimachinery::quantity::Quantity>().ok();
    let divisor = parse(divisor).map_or(0, |d| d.milli_value());
    match parse(amount) {
        Some(amount) => {
            let divisor = if divisor == 0 { 1000 } else { divisor };
            let rounded = (amount.milli_value() + divisor - 1) / divisor;
            rounded.to_string()
        }
        None => "node allocatable".into(),
    }
}

fn mounts(page: &mut Page, depth: usize, container: &Value) {
    let mounts = array(container, "/volumeMounts");
    if mounts.is_empty() {
        return page.field(depth, "Mounts", "<none>");
    }
    page.line(depth, "Mounts:");
    let mut lines: Vec<String> = mounts.iter().map(mount).collect();
    lines.sort();
    lines.iter().for_each(|line| page.line(depth + 1, line));
}

fn mount(mount: &Value) -> String {
    let mode = if mount["readOnly"] == true {
        "ro"
    } else {
        "rw"
    };
    let path = match string(mount, "/subPath") {
        "" => String::new(),
        path => format!(",path={path:?}"),
    };
    format!(
        "{} from {} ({mode}{path})",
        string(mount, "/mountPath"),
        string(mount, "/name")
    )
}
