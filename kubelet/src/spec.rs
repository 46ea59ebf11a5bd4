//! The OCI spec of one container, from its pod, image and node.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use images::Image;
use k8s_openapi::api::core::v1::{Container, PodSpec, SeccompProfile};
use oci_spec::runtime::{Capability, LinuxSeccomp, Spec};
use runtime::defaults;
use serde_json::{Value, json};

use crate::expand::expand;
use crate::resources::{self, Qos};

pub mod capabilities;
pub mod mounts;
pub mod user;

use mounts::Bind;
use user::Identity;

/// Everything a spec is made from.
pub struct Inputs<'a> {
    pub pod: &'a PodSpec,
    pub container: &'a Container,
    pub image: &'a Image,
    /// The pod's variables; the image's are below them.
    pub env: &'a BTreeMap<String, String>,
    pub hostname: &'a str,
    pub identity: &'a Identity,
    pub binds: &'a [Bind],
    pub node: &'a NodeLimits,
    /// Profiles of `seccompProfile: {type: Localhost}`.
    pub seccomp_dir: &'a Path,
}

/// What the node itself lets a container have.
#[derive(Clone, Copy, Debug)]
pub struct NodeLimits {
    pub memory: i64,
    /// The agent's bounding set.
    pub capabilities: u64,
    /// Without `CAP_SYS_RESOURCE`, no lower OOM score than the agent's own can be set.
    pub least_oom_score: i32,
}

#[derive(Debug, thiserror::Error)]
pub enum Problem {
    #[error("no command specified")]
    NoCommand,
    #[error("cannot load seccomp profile {name:?}: {detail}")]
    Seccomp { name: String, detail: String },
    #[error(
        "unknown seccomp profile type {0:?}: it must be RuntimeDefault, Localhost or Unconfined"
    )]
    SeccompType(String),
    #[error("make the container's spec: {0}")]
    Spec(#[from] serde_json::Error),
}

/// Makes the spec; namespaces, cgroup path and root are the runtime's matter.
pub fn build(inputs: &Inputs<'_>) -> Result<Spec, Problem> {
    let context = inputs.container.security_context.as_ref();
    let privileged = context.and_then(|c| c.privileged).unwrap_or_default();
    let read_only = context
        .and_then(|c| c.read_only_root_filesystem)
        .unwrap_or_default();
    let spec = json!({
        "ociVersion": "1.2.0",
        "hostname": inputs.hostname,
        "process": process(inputs, privileged)?,
        "root": {"path": "rootfs", "readonly": read_only},
        "mounts": mounts::all(inputs.binds, privileged)?,
        "linux": linux(inputs, privileged)?,
    });
    Ok(serde_json::from_value(spec)?)
}

fn process(inputs: &Inputs<'_>, privileged: bool) -> Result<Value, Problem> {
    let container = inputs.container;
    let context = container.security_context.as_ref();
    let asked = context.and_then(|c| c.capabilities.as_ref());
    let capabilities = capabilities::of_container(asked, privileged, inputs.node.capabilities);
    let escalation = context
        .and_then(|c| c.allow_privilege_escalation)
        .unwrap_or(true);
    let cwd = [
        container.working_dir.as_deref().unwrap_or_default(),
        inputs.image.working_dir(),
        "/",
    ];
    Ok(json!({
        "terminal": container.tty.unwrap_or_default(),
        "user": {"uid": inputs.identity.uid, "gid": inputs.identity.gid, "additionalGids": inputs.identity.groups},
        "args": args(container, inputs.image, inputs.env)?,
        "env": env(inputs),
        "cwd": cwd.into_iter().find(|dir| !dir.is_empty()),
        "capabilities": {"bounding": capabilities, "effective": capabilities, "permitted": capabilities},
        "noNewPrivileges": !escalation && !privileged,
        "oomScoreAdj": oom_score(inputs),
    }))
}

fn oom_score(inputs: &Inputs<'_>) -> i32 {
    let memory = resources::request(inputs.container, "memory").value();
    resources::oom_score(Qos::of(inputs.pod), memory, inputs.node.memory)
        .max(inputs.node.least_oom_score)
}

/// Command and arguments of the pod over those of the image: a command of the
/// pod's own drops the image's arguments too.
fn args(
    container: &Container,
    image: &Image,
    env: &BTreeMap<String, String>,
) -> Result<Vec<String>, Problem> {
    let expand_all = |list: &Option<Vec<String>>| -> Vec<String> {
        list.iter()
            .flatten()
            .map(|arg| expand(arg, |name| env.get(name).map(String::as_str)))
            .collect()
    };
    let (command, args) = (expand_all(&container.command), expand_all(&container.args));
    let (entrypoint, cmd) = image.default_command();
    let (mut all, rest) = match (command.is_empty(), args.is_empty()) {
        (false, _) => (command, args),
        (true, false) => (entrypoint.to_vec(), args),
        (true, true) => (entrypoint.to_vec(), cmd.to_vec()),
    };
    all.extend(rest);
    if all.is_empty() {
        Err(Problem::NoCommand)
    } else {
        Ok(all)
    }
}

/// `NAME=value`: the image's variables, ours, then the pod's; later ones win.
fn env(inputs: &Inputs<'_>) -> Vec<String> {
    let image = inputs
        .image
        .env()
        .iter()
        .filter_map(|pair| pair.split_once('='));
    let mut all: BTreeMap<&str, &str> = BTreeMap::new();
    all.insert(
        "PATH",
        "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    );
    all.insert("HOME", &inputs.identity.home);
    if inputs.container.tty.unwrap_or_default() {
        all.insert("TERM", "xterm");
    }
    all.extend(image);
    all.insert("HOSTNAME", inputs.hostname);
    all.extend(
        inputs
            .env
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str())),
    );
    all.into_iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect()
}

fn linux(inputs: &Inputs<'_>, privileged: bool) -> Result<Value, Problem> {
    let proc_mount = inputs
        .container
        .security_context
        .as_ref()
        .and_then(|c| c.proc_mount.as_deref());
    let bare = privileged || proc_mount == Some("Unmasked");
    let (masked, read_only) = if bare {
        (json!([]), json!([]))
    } else {
        (
            json!(defaults::MASKED_PATHS),
            json!(defaults::READONLY_PATHS),
        )
    };
    let mut linux = json!({
        "resources": limits(inputs.container, privileged)?,
        "maskedPaths": masked,
        "readonlyPaths": read_only,
        "rootfsPropagation": if inputs.binds.iter().any(|b| b.propagation != "rprivate") { "rslave" } else { "private" },
    });
    if privileged {
        linux["devices"] = serde_json::to_value(defaults::host_devices())?;
    } else if let Some(seccomp) = seccomp(inputs)? {
        linux["seccomp"] = serde_json::to_value(seccomp)?;
    }
    Ok(linux)
}

fn limits(container: &Container, privileged: bool) -> Result<Value, Problem> {
    let cpu_request = resources::request(container, "cpu").milli_value();
    let mut cpu = json!({"shares": resources::cpu_shares(cpu_request), "period": 100_000});
    if let Some(limit) = resources::limit(container, "cpu") {
        cpu["quota"] = json!(resources::cpu_quota(limit.milli_value()));
    }
    let devices = if privileged {
        vec![defaults::all_devices_rule()]
    } else {
        defaults::device_rules(&[])
    };
    let mut all = json!({"cpu": cpu, "devices": serde_json::to_value(devices)?});
    if let Some(limit) = resources::limit(container, "memory") {
        all["memory"] = json!({"limit": limit.value()});
    }
    Ok(all)
}

/// The pod's own limits, around those of its containers.
pub fn pod_limits(spec: &PodSpec) -> Value {
    let cpu_request = resources::pod_request(spec, "cpu").milli_value();
    let mut cpu = json!({"shares": resources::cpu_shares(cpu_request)});
    if let Some(limit) = resources::pod_limit(spec, "cpu") {
        cpu["quota"] = json!(resources::cpu_quota(limit.milli_value()));
        cpu["period"] = json!(100_000);
    }
    let mut all = json!({"cpu": cpu});
    if let Some(limit) = resources::pod_limit(spec, "memory") {
        all["memory"] = json!({"limit": limit.value()});
    }
    all
}

/// The container's own profile, else the pod's; none is unconfined, as in Kubernetes.
fn seccomp(inputs: &Inputs<'_>) -> Result<Option<LinuxSeccomp>, Problem> {
    let own = inputs
        .container
        .security_context
        .as_ref()
        .and_then(|c| c.seccomp_profile.as_ref());
    let pod = inputs
        .pod
        .security_context
        .as_ref()
        .and_then(|c| c.seccomp_profile.as_ref());
    let Some(SeccompProfile {
        type_,
        localhost_profile,
    }) = own.or(pod)
    else {
        return Ok(None);
    };
    match type_.as_str() {
        "RuntimeDefault" => default_seccomp(inputs).map(Some),
        "Localhost" => local_seccomp(
            inputs.seccomp_dir,
            localhost_profile.as_deref().unwrap_or_default(),
        )
        .map(Some),
        "Unconfined" => Ok(None),
        other => Err(Problem::SeccompType(other.to_owned())),
    }
}

fn default_seccomp(inputs: &Inputs<'_>) -> Result<LinuxSeccomp, Problem> {
    let asked = inputs
        .container
        .security_context
        .as_ref()
        .and_then(|c| c.capabilities.as_ref());
    let names = capabilities::of_container(asked, false, inputs.node.capabilities);
    let set: HashSet<Capability> = serde_json::from_value(json!(names))?;
    Ok(defaults::seccomp(&set))
}

fn local_seccomp(dir: &Path, name: &str) -> Result<LinuxSeccomp, Problem> {
    let failed = |detail: String| Problem::Seccomp {
        name: name.to_owned(),
        detail,
    };
    let plain = Path::new(name)
        .components()
        .all(|part| matches!(part, std::path::Component::Normal(_)));
    if name.is_empty() || !plain {
        return Err(failed("must be a relative path without ..".to_owned()));
    }
    let text = std::fs::read(dir.join(name)).map_err(|e| failed(e.to_string()))?;
    serde_json::from_slice(&text).map_err(|e| failed(e.to_string()))
}

#[cfg(test)]
mod tests;
