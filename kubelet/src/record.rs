//! What the agent knows of one container of a pod.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, ContainerRestartRule, Pod, PodSpec};
use tokio::time::Instant;

use crate::back_off::BackOff;

/// What part a container plays in its pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Runs to its end before the next one starts.
    Init,
    /// An init container that stays: restarted always, stopped last.
    Sidecar,
    Main,
    /// Added to a running pod for debugging; never restarted.
    Ephemeral,
}

/// When a container that ended is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestartPolicy {
    Always,
    OnFailure,
    Never,
}

impl RestartPolicy {
    fn parse(name: Option<&str>) -> Self {
        match name {
            Some("Never") => Self::Never,
            Some("OnFailure") => Self::OnFailure,
            _ => Self::Always,
        }
    }

    pub fn of(spec: &PodSpec) -> Self {
        Self::parse(spec.restart_policy.as_deref())
    }
}

/// How one run of a container ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    pub id: String,
    pub code: i32,
    pub reason: String,
    pub message: Option<String>,
    /// `None` if it never came to run.
    pub started_at: Option<Timestamp>,
    pub finished_at: Timestamp,
    /// When it was seen, by the clock that back-offs count by.
    pub seen: Instant,
}

/// Why a container does not run, and what happens next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Kubernetes' word for it; empty is the pod's own default.
    pub reason: String,
    pub message: Option<String>,
    pub next: Next,
}

/// What a waiting container waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Next {
    /// Its turn.
    #[default]
    Turn,
    /// A launch under way reports back.
    Launch,
    /// Nothing is tried before this time.
    Time(Instant),
}

/// A container that has a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Running {
    pub id: String,
    pub started_at: Timestamp,
    /// The same, by the clock that probes count by.
    pub since: Instant,
    pub stage: Stage,
}

/// How far a running container is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Its postStart hook runs; later containers of the pod wait for it.
    Hook,
    Up,
    /// It was told to stop.
    Stopping,
}

/// The life of a container: `Waiting` to `Running` to `Exited`, and from there
/// back to `Waiting` or `Running` if it is started again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    Waiting(Waiting),
    Running(Running),
    Exited(Exit),
}

/// One container of a pod over all its runs.
#[derive(Clone, Debug)]
pub struct Record {
    pub name: String,
    pub role: Role,
    pub restart: RestartPolicy,
    pub rules: Vec<ContainerRestartRule>,
    /// The image as the pod names it, and the one that was found for it.
    pub image: String,
    pub image_id: String,
    /// Runs before this one.
    pub restarts: u32,
    /// Whether any run was ever begun.
    pub ran: bool,
    /// Whether a run was begun in the sandbox that is there now.
    pub begun: bool,
    pub state: State,
    /// How the run before ended.
    pub last: Option<Exit>,
    /// By startup probe or for want of one.
    pub started: bool,
    /// By readiness probe or for want of one.
    pub ready: bool,
    pub back_off: BackOff,
    pub pull_back_off: BackOff,
    /// After a failed pull, the next one waits until then.
    pub pull_retry: Option<Instant>,
}

impl Record {
    fn new(container: &Container, role: Role, pod_policy: RestartPolicy) -> Self {
        let restart = match (role, container.restart_policy.as_deref()) {
            (Role::Ephemeral, _) => RestartPolicy::Never,
            (Role::Sidecar, _) => RestartPolicy::Always,
            // An init container that succeeded is never run again.
            (Role::Init, None) if pod_policy == RestartPolicy::Always => RestartPolicy::OnFailure,
            (_, None) => pod_policy,
            (_, own) => RestartPolicy::parse(own),
        };
        Self {
            name: container.name.clone(),
            role,
            restart,
            rules: container.restart_policy_rules.clone().unwrap_or_default(),
            image: container.image.clone().unwrap_or_default(),
            image_id: String::new(),
            restarts: 0,
            ran: false,
            begun: false,
            state: State::Waiting(Waiting::default()),
            last: None,
            started: false,
            ready: false,
            back_off: BackOff::default(),
            pull_back_off: BackOff::default(),
            pull_retry: None,
        }
    }

    /// Whether a run that ended with `code` is followed by another.
    pub fn restarts_after(&self, code: i32) -> bool {
        if let Some(matched) = self.rules.iter().find(|rule| rule_matches(rule, code)) {
            return matched.action != "Terminate";
        }
        match self.restart {
            RestartPolicy::Always => true,
            RestartPolicy::OnFailure => code != 0,
            RestartPolicy::Never => false,
        }
    }

    pub fn running(&self) -> Option<&Running> {
        match &self.state {
            State::Running(running) => Some(running),
            _ => None,
        }
    }

    pub fn exit(&self) -> Option<&Exit> {
        match &self.state {
            State::Exited(exit) => Some(exit),
            _ => None,
        }
    }

    /// How its latest run ended, also while it waits for the next one.
    pub fn latest_exit(&self) -> Option<&Exit> {
        match &self.state {
            State::Exited(exit) => Some(exit),
            State::Waiting(_) => self.last.as_ref(),
            State::Running(_) => None,
        }
    }

    /// Why it has no run now, if one is still to come.
    pub fn waiting_reason(&self) -> Option<&str> {
        match &self.state {
            State::Waiting(waiting) => Some(&waiting.reason),
            _ => None,
        }
    }

    /// Makes it wait, remembering how its latest run ended.
    pub fn wait(&mut self, waiting: Waiting) {
        if let State::Exited(exit) = std::mem::replace(&mut self.state, State::Waiting(waiting)) {
            self.last = Some(exit);
        }
    }

    /// Ended for good, with nothing left to do.
    pub fn is_done(&self) -> bool {
        self.exit()
            .is_some_and(|exit| !self.restarts_after(exit.code))
    }
}

fn rule_matches(rule: &ContainerRestartRule, code: i32) -> bool {
    rule.exit_codes.as_ref().is_some_and(|codes| {
        let listed = codes.values.iter().flatten().any(|value| *value == code);
        listed == (codes.operator == "In")
    })
}

/// The records of a pod nothing was started of yet, in the order of starting.
pub fn records_of(pod: &Pod) -> Vec<Record> {
    let Some(spec) = &pod.spec else {
        return Vec::new();
    };
    let policy = RestartPolicy::of(spec);
    let init = spec
        .init_containers
        .iter()
        .flatten()
        .map(|c| Record::new(c, init_role(c), policy));
    let main = spec
        .containers
        .iter()
        .map(|c| Record::new(c, Role::Main, policy));
    let ephemeral = ephemeral_containers(spec).map(|c| Record::new(&c, Role::Ephemeral, policy));
    init.chain(main).chain(ephemeral).collect()
}

fn init_role(container: &Container) -> Role {
    match container.restart_policy.as_deref() {
        Some("Always") => Role::Sidecar,
        _ => Role::Init,
    }
}

/// A pod's ephemeral containers, as ordinary ones.
pub fn ephemeral_containers(spec: &PodSpec) -> impl Iterator<Item = Container> + '_ {
    spec.ephemeral_containers
        .iter()
        .flatten()
        .map(|e| Container {
            name: e.name.clone(),
            image: e.image.clone(),
            image_pull_policy: e.image_pull_policy.clone(),
            command: e.command.clone(),
            args: e.args.clone(),
            env: e.env.clone(),
            env_from: e.env_from.clone(),
            working_dir: e.working_dir.clone(),
            resources: e.resources.clone(),
            security_context: e.security_context.clone(),
            stdin: e.stdin,
            stdin_once: e.stdin_once,
            tty: e.tty,
            termination_message_path: e.termination_message_path.clone(),
            termination_message_policy: e.termination_message_policy.clone(),
            volume_mounts: e.volume_mounts.clone(),
            ..Container::default()
        })
}

/// The container of this name, of whatever role.
pub fn find_container(spec: &PodSpec, name: &str) -> Option<Container> {
    let mut listed = spec
        .init_containers
        .iter()
        .flatten()
        .chain(&spec.containers);
    listed
        .find(|c| c.name == name)
        .cloned()
        .or_else(|| ephemeral_containers(spec).find(|c| c.name == name))
}
