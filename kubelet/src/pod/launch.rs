//! Starting one container: image, configuration, spec, process.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use images::Image;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Pod, PodSpec, VolumeMount};
use runtime::{ContainerConfig, ContainerId, Rootfs, Sandbox, Stdin};
use tokio::time::Instant;

use super::message::Launched;
use super::set_up::{self, Names, hostname_of, place};
use crate::agent::Agent;
use crate::clock::after;
use crate::dirs::PodDirs;
use crate::env::{self, Sources};
use crate::expand::expand;
use crate::objects::Namespace;
use crate::pod_events::{Level, field_of};
use crate::record::{Exit, Role};
use crate::spec::mounts::{Bind, propagation};
use crate::spec::user::{Accounts, Question};
use crate::spec::{self, Inputs};
use crate::volumes::{Volumes, sub_path};
use crate::{metrics, traced};

/// How long a container that lacks something waits before it is tried again.
const RETRY: Duration = Duration::from_secs(3);

/// One attempt to start one container.
pub struct Launch {
    pub agent: Arc<Agent>,
    pub pod: Arc<Pod>,
    pub container: Container,
    pub role: Role,
    pub attempt: u32,
    pub sandbox: Sandbox,
    pub ip: IpAddr,
    pub volumes: Arc<Volumes>,
    /// After failed pulls, the next one waits until then.
    pub pull_not_before: Option<Instant>,
}

/// Why it was not started; it will be tried again.
pub struct Refused {
    pub reason: &'static str,
    pub message: String,
    pub retry_at: Instant,
    pub pull_failed: bool,
}

/// What is known once image and configuration are there.
struct Prepared {
    config: ContainerConfig,
    image_id: String,
}

impl Launch {
    pub async fn run(self) -> Launched {
        let role = self.role;
        let launched = self.launch().await;
        metrics::container(
            role,
            match &launched {
                Launched::Running { .. } => None,
                Launched::Ended { exit, .. } => Some(&exit.reason),
                Launched::Not { reason, .. } => Some(reason),
            },
        );
        launched
    }

    async fn launch(self) -> Launched {
        let prepared = match self.prepare().await {
            Ok(prepared) => prepared,
            Err(Refused {
                reason,
                message,
                retry_at,
                pull_failed,
            }) => {
                return Launched::Not {
                    reason,
                    message,
                    retry_at,
                    pull_failed,
                };
            }
        };
        self.start(prepared).await
    }

    async fn prepare(&self) -> Result<Prepared, Refused> {
        let image = self.image().await?;
        let (configured, held) = tokio::join!(self.configure(&image), self.hold(&image));
        held?;
        let config = configured.map_err(|message| {
            self.tell(Level::Warning, "Failed", format!("Error: {message}"));
            self.refused("CreateContainerConfigError", message)
        })?;
        Ok(Prepared {
            config,
            image_id: image.reported_id().to_owned(),
        })
    }

    /// Keeps the image's layers while the container may need them.
    async fn hold(&self, image: &Image) -> Result<(), Refused> {
        let uid = self.pod.metadata.uid.as_deref().unwrap_or_default();
        let holder = set_up::holder(uid, &self.container.name);
        self.agent.image_garbage.used(image.id.as_str()).await;
        let held = self.agent.images.hold(image, &holder).await;
        held.map_err(|e| {
            let message = format!("hold the image's layers: {}", e.chain());
            self.tell(Level::Warning, "Failed", format!("Error: {message}"));
            self.refused("CreateContainerError", message)
        })
    }

    async fn start(&self, Prepared { config, image_id }: Prepared) -> Launched {
        let (id, name) = (config.id.to_string(), &self.container.name);
        let span = traced::stage(&self.pod, "container start");
        let started = traces::within(span.as_ref(), self.sandbox.start(config)).await;
        if let Some(span) = span {
            span.set("k8s.container.name", name.clone());
            if let Err(error) = &started {
                span.fail(error.to_string());
            }
        }
        match started {
            Ok(started) => {
                self.tell(
                    Level::Normal,
                    "Created",
                    format!("Created container {name}"),
                );
                self.tell(
                    Level::Normal,
                    "Started",
                    format!("Started container {name}"),
                );
                let has_hook = self
                    .container
                    .lifecycle
                    .as_ref()
                    .is_some_and(|l| l.post_start.is_some());
                Launched::Running {
                    id,
                    started_at: started.started_at,
                    image_id,
                    has_hook,
                }
            }
            Err(runtime::Error::Exec { message }) => self.ended_at_once(id, image_id, message),
            Err(e) => {
                let message = e.to_string();
                self.tell(Level::Warning, "Failed", format!("Error: {message}"));
                let refused = self.refused("CreateContainerError", message);
                let Refused {
                    reason,
                    message,
                    retry_at,
                    pull_failed,
                } = refused;
                Launched::Not {
                    reason,
                    message,
                    retry_at,
                    pull_failed,
                }
            }
        }
    }

    /// All was there but a program that runs.
    fn ended_at_once(&self, id: String, image_id: String, message: String) -> Launched {
        let name = &self.container.name;
        self.tell(
            Level::Normal,
            "Created",
            format!("Created container {name}"),
        );
        self.tell(Level::Warning, "Failed", format!("Error: {message}"));
        let exit = Exit {
            id,
            code: 128,
            reason: "StartError".to_owned(),
            message: Some(message),
            started_at: None,
            finished_at: Timestamp::now(),
            seen: Instant::now(),
        };
        Launched::Ended { exit, image_id }
    }

    pub(super) fn tell(&self, level: Level, reason: &'static str, message: impl Into<String>) {
        let field = field_of(self.role, &self.container.name);
        self.agent
            .events
            .container(&self.pod, field, level, reason, message);
    }

    pub(super) fn refused(&self, reason: &'static str, message: String) -> Refused {
        Refused {
            reason,
            message,
            retry_at: after(Instant::now(), RETRY),
            pull_failed: false,
        }
    }

    /// Everything but the process itself. The error is Kubernetes'
    /// `CreateContainerConfigError`.
    async fn configure(&self, image: &Image) -> Result<ContainerConfig, String> {
        let empty = PodSpec::default();
        let pod = self.pod.spec.as_ref().unwrap_or(&empty);
        let accounts = Accounts::read(&image.layers);
        let question = Question {
            pod: &describe(&self.pod),
            container: &self.container.name,
            pod_context: pod.security_context.as_ref(),
            context: self.container.security_context.as_ref(),
            image_user: image.user(),
            accounts: &accounts,
        };
        let identity = question.answer().map_err(|e| e.to_string())?;
        let env = self.env(pod).await.map_err(|e| e.to_string())?;
        let names = Names::of(&self.pod, pod, &self.agent.config.cluster_domain);
        let hostname = hostname_of(&self.agent, pod.host_network.unwrap_or_default(), &names);
        let dirs = self.agent.dirs(&self.pod).map_err(|e| e.to_string())?;
        let files = Files::make(&dirs, &self.container.name, self.attempt)
            .map_err(|e| format!("make the container's directories: {e}"))?;
        let binds = self.binds(pod, &dirs, &files, &env)?;
        let spec = spec::build(&Inputs {
            pod,
            container: &self.container,
            image,
            env: &env,
            hostname: &hostname,
            identity: &identity,
            binds: &binds,
            node: &self.agent.limits,
            seccomp_dir: &self.agent.config.data_dir.join("seccomp"),
        });
        let spec = spec.map_err(|e| e.to_string())?;
        Ok(ContainerConfig {
            id: ContainerId::new(new_id()).map_err(|e| e.to_string())?,
            spec,
            rootfs: Rootfs::Overlay {
                lower: image.layers.clone(),
                upper: files.upper,
                work: files.work,
            },
            log_path: Some(files.log),
            stdin: stdin(&self.container),
            labels: self.labels(image),
        })
    }

    async fn env(&self, pod: &PodSpec) -> Result<BTreeMap<String, String>, env::Problem> {
        let namespace = self.pod.metadata.namespace.as_deref().unwrap_or_default();
        let links = pod.enable_service_links.unwrap_or(true);
        let place = place(&self.agent, Some(self.ip));
        let sources = Sources {
            pod: &self.pod,
            place: &place,
            services: self.agent.services.variables(namespace, links).await,
            allocatable: &self.agent.allocatable,
            lookup: &Namespace {
                client: &self.agent.client,
                name: namespace,
            },
        };
        env::of_container(&self.container, sources).await
    }

    /// What a restarted agent needs to know the container again.
    fn labels(&self, image: &Image) -> BTreeMap<String, String> {
        let pairs = [
            ("name", self.container.name.clone()),
            ("attempt", self.attempt.to_string()),
            ("image-id", image.reported_id().to_owned()),
        ];
        pairs
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect()
    }

    fn binds(
        &self,
        pod: &PodSpec,
        dirs: &PodDirs,
        files: &Files,
        env: &BTreeMap<String, String>,
    ) -> Result<Vec<Bind>, String> {
        let read_only = self
            .container
            .security_context
            .as_ref()
            .and_then(|c| c.read_only_root_filesystem)
            .unwrap_or_default();
        let shm = if pod.host_ipc.unwrap_or_default() {
            PathBuf::from("/dev/shm")
        } else {
            dirs.shm()
        };
        let message_path = self
            .container
            .termination_message_path
            .as_deref()
            .unwrap_or("/dev/termination-log");
        let mut binds = vec![
            Bind::new("/etc/hosts", &dirs.file("etc-hosts"), false),
            Bind::new("/etc/hostname", &dirs.file("hostname"), read_only),
            Bind::new("/etc/resolv.conf", &dirs.file("resolv.conf"), read_only),
            Bind::new("/dev/shm", &shm, false),
            Bind::new(message_path, &files.message, false),
        ];
        let mounts = self.container.volume_mounts.as_deref().unwrap_or_default();
        binds.retain(|bind| {
            !mounts
                .iter()
                .any(|mount| mount.mount_path.trim_end_matches('/') == bind.target)
        });
        for (index, mount) in mounts.iter().enumerate() {
            binds.push(self.volume_bind(dirs, index, mount, env)?);
        }
        Ok(binds)
    }

    fn volume_bind(
        &self,
        dirs: &PodDirs,
        index: usize,
        mount: &VolumeMount,
        env: &BTreeMap<String, String>,
    ) -> Result<Bind, String> {
        let (volume_name, container) = (&mount.name, &self.container.name);
        let volume = self.volumes.get(volume_name);
        let volume = volume.ok_or_else(|| {
            format!("cannot find volume {volume_name:?} to mount into container {container:?}")
        })?;
        let lookup = |name: &str| env.get(name).map(String::as_str);
        let expression = mount.sub_path_expr.as_deref().filter(|e| !e.is_empty());
        let part = expression
            .map(|e| expand(e, lookup))
            .or_else(|| mount.sub_path.clone());
        let source = match part.filter(|part| !part.is_empty()) {
            None => volume.path.clone(),
            Some(part) => {
                let target = dirs.sub_path(container, self.attempt, index);
                sub_path::bind(&volume.path, &part, &target).map_err(|e| {
                    format!("failed to prepare subPath for volumeMount {volume_name:?} of container {container:?}: {e}")
                })?;
                target
            }
        };
        let recursive = matches!(
            mount.recursive_read_only.as_deref(),
            Some("Enabled" | "IfPossible")
        );
        let read_only = volume.read_only || mount.read_only.unwrap_or_default();
        let propagation = propagation(mount.mount_propagation.as_deref());
        Ok(Bind {
            propagation,
            recursive,
            ..Bind::new(mount.mount_path.clone(), &source, read_only)
        })
    }
}

/// `name_namespace(uid)`, as Kubernetes' messages name a pod.
pub fn describe(pod: &Pod) -> String {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    format!(
        "{}_{}({})",
        text(&pod.metadata.name),
        text(&pod.metadata.namespace),
        text(&pod.metadata.uid)
    )
}

/// 64 hexadecimal digits, as other runtimes have them.
fn new_id() -> String {
    let bytes: [u8; 32] = rand::random();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn stdin(container: &Container) -> Stdin {
    match (
        container.stdin.unwrap_or_default(),
        container.stdin_once.unwrap_or_default(),
    ) {
        (false, _) => Stdin::Closed,
        (true, false) => Stdin::Open,
        (true, true) => Stdin::Once,
    }
}

/// One run's own files.
struct Files {
    upper: PathBuf,
    work: PathBuf,
    message: PathBuf,
    log: PathBuf,
}

impl Files {
    /// Makes them anew: what an attempt that failed left behind goes.
    fn make(dirs: &PodDirs, name: &str, attempt: u32) -> io::Result<Self> {
        use std::os::unix::fs::PermissionsExt as _;
        dirs.remove_container(name, attempt)?;
        let root = dirs.container(name, attempt);
        let files = Self {
            upper: root.join("upper"),
            work: root.join("work"),
            message: root.join("termination-log"),
            log: dirs.log(name, attempt),
        };
        std::fs::create_dir_all(&root)?;
        std::fs::create_dir(&files.upper)?;
        std::fs::create_dir(&files.work)?;
        std::fs::create_dir_all(dirs.log_dir(name))?;
        std::fs::write(&files.message, "")?;
        // Whoever the container runs as may say why it ended.
        std::fs::set_permissions(&files.message, std::fs::Permissions::from_mode(0o666))?;
        Ok(files)
    }
}
