//! From a pod's spec to volumes, namespaces and an address.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Pod, PodSpec};
use nix::mount::MsFlags;
use oci_spec::runtime::LinuxResources;
use runtime::{Namespaces, PidNamespace, Sandbox, SandboxConfig, Scope};

use super::message::Up;
use crate::agent::Agent;
use crate::bound_file;
use crate::dirs::{PodDirs, mount_memory};
use crate::fields::Place;
use crate::hosts_file;
use crate::objects::{Namespace, PodTokens, TokenCache};
use crate::resolv_conf::{self, ResolvConf};
use crate::resources::{self, Qos};
use crate::spec;
use crate::volumes::{self, Host, payload::Sources};

/// Why a pod's surroundings could not be made.
#[derive(Debug)]
pub enum Problem {
    Volume(volumes::Problem),
    Sandbox(String),
}

/// Makes what containers need, or finds it again; doing it twice is harmless.
pub async fn set_up(
    agent: &Agent,
    pod: &Pod,
    tokens: &TokenCache,
    found: Option<Sandbox>,
) -> Result<Up, Problem> {
    let spec = pod.spec.clone().unwrap_or_default();
    let dirs = agent.dirs(pod).and_then(|dirs| dirs.make().map(|()| dirs));
    let dirs = dirs.map_err(|e| Problem::Sandbox(format!("make the pod's directory: {e}")))?;
    let volumes = make_volumes(agent, pod, &dirs, tokens, found.is_some()).await?;
    let is_new = found.is_none();
    let sandbox = match found {
        Some(sandbox) => sandbox,
        None => create(agent, pod, &spec).await.map_err(Problem::Sandbox)?,
    };
    let ip = match address(agent, pod, &spec, &sandbox).await {
        Ok(ip) => ip,
        Err(message) => {
            // A new one without a network is of no use to the next attempt; in one
            // that was found, containers run.
            if is_new && let Err(e) = sandbox.destroy().await {
                tracing::warn!("remove a sandbox without a network: {e}");
            }
            return Err(Problem::Sandbox(message));
        }
    };
    write_files(agent, pod, &spec, &dirs, ip)
        .map_err(|e| Problem::Sandbox(format!("write the pod's files: {e}")))?;
    Ok(Up {
        volumes,
        sandbox,
        ip,
    })
}

/// Where the pod is, before and after it has an address.
pub fn place(agent: &Agent, ip: Option<IpAddr>) -> Place {
    Place {
        node_name: agent.config.node_name.clone(),
        host_ip: Some(agent.config.node_ip),
        pod_ip: ip,
    }
}

async fn make_volumes(
    agent: &Agent,
    pod: &Pod,
    dirs: &PodDirs,
    tokens: &TokenCache,
    is_begun: bool,
) -> Result<volumes::Volumes, Problem> {
    let place = place(agent, None);
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let sources = Sources {
        pod,
        place: &place,
        allocatable: &agent.allocatable,
        lookup: &Namespace {
            client: &agent.client,
            name: namespace,
        },
        tokens: &PodTokens {
            client: &agent.client,
            pod,
            cache: tokens,
        },
    };
    let (node, none) = (agent.node.borrow().clone(), BTreeMap::new());
    let host = Host {
        client: &agent.client,
        storage: &agent.storage,
        node: &agent.config.node_name,
        labels: node.metadata.labels.as_ref().unwrap_or(&none),
        is_begun,
    };
    volumes::set_up(&host, &sources, dirs)
        .await
        .map_err(Problem::Volume)
}

async fn create(agent: &Agent, pod: &Pod, spec: &PodSpec) -> Result<Sandbox, String> {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let sysctls = spec
        .security_context
        .iter()
        .flat_map(|c| c.sysctls.iter().flatten());
    let config = SandboxConfig {
        uid: text(&pod.metadata.uid),
        namespace: text(&pod.metadata.namespace),
        name: text(&pod.metadata.name),
        hostname: Names::of(pod, spec, &agent.config.cluster_domain).kernel,
        namespaces: namespaces(spec),
        sysctls: sysctls
            .map(|s| (s.name.replace('/', "."), s.value.clone()))
            .collect(),
        cgroup_parent: cgroup(pod, spec),
        resources: Some(limits(spec)?),
        labels: BTreeMap::new(),
    };
    let made = agent.runtime.create_sandbox(config).await;
    made.map_err(|e| e.to_string())
}

/// The pod's limits; a pod whose limits cannot be read must not run without.
fn limits(spec: &PodSpec) -> Result<LinuxResources, String> {
    resources::check_limits(spec)?;
    serde_json::from_value(spec::pod_limits(spec)).map_err(|e| format!("the pod's limits: {e}"))
}

fn namespaces(spec: &PodSpec) -> Namespaces {
    let scope = |host: Option<bool>| {
        if host.unwrap_or_default() {
            Scope::Host
        } else {
            Scope::Pod
        }
    };
    let pid = match (
        spec.host_pid.unwrap_or_default(),
        spec.share_process_namespace.unwrap_or_default(),
    ) {
        (true, _) => PidNamespace::Host,
        (false, true) => PidNamespace::Pod,
        (false, false) => PidNamespace::Container,
    };
    Namespaces {
        network: scope(spec.host_network),
        ipc: scope(spec.host_ipc),
        pid,
    }
}

/// `kubepods/burstable/pod<uid>`, as with Kubernetes' own kubelet.
fn cgroup(pod: &Pod, spec: &PodSpec) -> PathBuf {
    let parent = match Qos::of(spec) {
        Qos::Guaranteed => "kubepods",
        Qos::Burstable => "kubepods/burstable",
        Qos::BestEffort => "kubepods/besteffort",
    };
    PathBuf::from(parent).join(format!(
        "pod{}",
        pod.metadata.uid.as_deref().unwrap_or_default()
    ))
}

async fn address(
    agent: &Agent,
    pod: &Pod,
    spec: &PodSpec,
    sandbox: &Sandbox,
) -> Result<IpAddr, String> {
    if spec.host_network.unwrap_or_default() {
        return Ok(agent.config.node_ip);
    }
    let network = agent.network().await.ok_or("the agent is stopping")?;
    let path = sandbox
        .netns()
        .ok_or("the pod's network namespace is gone")?;
    let netns = File::open(&path).map_err(|e| format!("open {}: {e}", path.display()))?;
    let uid = pod.metadata.uid.as_deref().unwrap_or_default();
    let address = network
        .attach(uid, netns.as_fd())
        .await
        .map_err(|e| format!("attach the pod to the network: {e}"))?;
    Ok(IpAddr::V4(address.ip))
}

/// What a pod is called.
pub struct Names {
    pub hostname: String,
    pub fqdn: Option<String>,
    /// What `hostname(1)` says.
    pub kernel: String,
}

impl Names {
    pub fn of(pod: &Pod, spec: &PodSpec, domain: &str) -> Self {
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        let filled = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        if let Some(hostname) = filled(&spec.hostname_override) {
            return Self {
                kernel: hostname.clone(),
                hostname,
                fqdn: None,
            };
        }
        let mut hostname = filled(&spec.hostname).unwrap_or_else(|| name.to_owned());
        // The kernel holds 64 bytes; Kubernetes cuts at a label's 63.
        hostname.truncate(63);
        let hostname = hostname.trim_end_matches(['-', '.']).to_owned();
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        let fqdn =
            filled(&spec.subdomain).map(|sub| format!("{hostname}.{sub}.{namespace}.svc.{domain}"));
        let as_fqdn = spec.set_hostname_as_fqdn.unwrap_or_default();
        let kernel = fqdn
            .clone()
            .filter(|_| as_fqdn)
            .unwrap_or_else(|| hostname.clone());
        Self {
            hostname,
            fqdn,
            kernel,
        }
    }
}

/// `/etc/hosts`, `/etc/hostname`, `/etc/resolv.conf` and `/dev/shm` of the pod.
fn write_files(
    agent: &Agent,
    pod: &Pod,
    spec: &PodSpec,
    dirs: &PodDirs,
    ip: IpAddr,
) -> io::Result<()> {
    let names = Names::of(pod, spec, &agent.config.cluster_domain);
    let aliases = spec.host_aliases.as_deref().unwrap_or_default();
    let host_network = spec.host_network.unwrap_or_default();
    let hosts = if host_network {
        hosts_file::of_host_network(
            &std::fs::read_to_string("/etc/hosts").unwrap_or_default(),
            aliases,
        )
    } else {
        hosts_file::of_pod(ip, &names.hostname, names.fqdn.as_deref(), aliases)
    };
    let hostname = format!("{}\n", hostname_of(agent, host_network, &names));
    let resolv_conf = resolv_conf_of(agent, pod, spec);
    bound_file::write(&dirs.file("etc-hosts"), hosts.as_bytes())?;
    bound_file::write(&dirs.file("hostname"), hostname.as_bytes())?;
    bound_file::write(&dirs.file("resolv.conf"), resolv_conf.as_bytes())?;
    if spec.host_ipc.unwrap_or_default() {
        return Ok(());
    }
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount_memory(&dirs.shm(), flags, "mode=1777,size=64m")
}

/// Pods in the node's network have the node's name.
pub fn hostname_of(agent: &Agent, host_network: bool, names: &Names) -> String {
    match nix::unistd::gethostname() {
        Ok(name) if host_network => name.to_string_lossy().into_owned(),
        Err(_) if host_network => agent.config.node_name.clone(),
        _ => names.kernel.clone(),
    }
}

fn resolv_conf_of(agent: &Agent, pod: &Pod, spec: &PodSpec) -> String {
    let text = std::fs::read_to_string(&agent.config.resolv_conf).unwrap_or_default();
    let cluster = resolv_conf::Cluster {
        nameservers: &agent.config.cluster_dns,
        domain: &agent.config.cluster_domain,
    };
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    resolv_conf::of_pod(spec, namespace, &ResolvConf::parse(&text), &cluster).render()
}

/// A sandbox that was being made when its pod was condemned.
async fn stray(agent: &Agent, uid: &str) -> Option<Sandbox> {
    let all = agent.runtime.sandboxes().await.unwrap_or_default();
    all.into_iter().find(|sandbox| sandbox.uid() == uid)
}

/// The name under which a container holds its image's layers.
pub fn holder(uid: &str, container: &str) -> String {
    format!("{uid}.{container}")
}

/// Undoes all of it but the logs; what was never made is no error.
pub async fn tear_down(
    agent: &Arc<Agent>,
    uid: &str,
    dirs: &PodDirs,
    sandbox: Option<Sandbox>,
) -> Result<(), String> {
    let sandbox = match sandbox {
        Some(sandbox) => Some(sandbox),
        None => stray(agent, uid).await,
    };
    if let Some(sandbox) = sandbox {
        sandbox
            .destroy()
            .await
            .map_err(|e| format!("destroy the sandbox: {e}"))?;
    }
    let network = agent.network.borrow().clone();
    if let Some(network) = network {
        network
            .detach(uid)
            .await
            .map_err(|e| format!("detach from the network: {e}"))?;
    }
    for container in dirs.containers() {
        let released = agent.images.release(&holder(uid, &container)).await;
        released.map_err(|e| format!("release an image: {}", e.chain()))?;
    }
    let dirs = dirs.clone();
    let removed = tokio::task::spawn_blocking(move || dirs.remove_files()).await;
    removed
        .map_err(|e| e.to_string())?
        .map_err(|e| format!("remove the pod's files: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn limits_that_cannot_be_read_are_an_error() {
        let made = |resource: &str, text: &str| {
            let resources = json!({"limits": {resource: text}});
            let spec = json!({"containers": [{"name": "c", "resources": resources}]});
            limits(&serde_json::from_value(spec).unwrap())
        };
        let memory = made("memory", "1Mi").unwrap().memory().unwrap();
        assert_eq!(memory.limit(), Some(1 << 20));
        for resource in ["cpu", "memory"] {
            let refused = made(resource, "lots").unwrap_err();
            assert!(refused.contains(resource) && refused.contains("lots"));
        }
        assert!(made("cpu", &i64::MAX.to_string()).is_ok());
    }
}
