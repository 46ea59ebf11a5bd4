//! The nodes of a cluster together: who is started when, and with what.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::forward;
use super::hub::Hub;
use super::machine::Machine;
use super::ports::{Extra, Ports, Socket};
use crate::Place;
use crate::control::{Action, NodeStatus, Status};
use crate::error::{Error, Result, kernel};
use crate::launch::Go;
use crate::plan::{self, Plan, Role};

const API_PORT: u16 = 6443;

/// For the API of a control plane that was started to answer.
const API_WITHIN: Duration = Duration::from_secs(60);

pub struct Room {
    place: Place,
    plan: Plan,
    hub: Hub,
    /// As the plan has them: the control plane is the first.
    machines: Vec<Mutex<Machine>>,
    ended: CancellationToken,
}

impl Room {
    pub fn new(place: Place, plan: Plan, hub: Hub) -> Arc<Self> {
        let machines = plan
            .nodes
            .iter()
            .cloned()
            .map(|node| Mutex::new(Machine::new(node)));
        Arc::new(Self {
            machines: machines.collect(),
            place,
            plan,
            hub,
            ended: CancellationToken::new(),
        })
    }

    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Starts every node, the workers at once, and opens the ports.
    pub async fn start_all(self: &Arc<Self>, ports: Ports) -> Result<()> {
        let plane = self.start(0).await?;
        self.hub.spawn(forward::tcp(ports.api, plane));
        self.wait_for_api(plane).await?;
        let mut others = tokio::task::JoinSet::new();
        for index in 1..self.machines.len() {
            let room = self.clone();
            others.spawn(async move { room.start(index).await });
        }
        while let Some(started) = others.join_next().await {
            started.map_err(|error| kernel("start a node")(std::io::Error::other(error)))??;
        }
        self.open(ports.extra).await
    }

    async fn open(&self, extra: Vec<Extra>) -> Result<()> {
        for extra in extra {
            let index = self.index(&extra.node)?;
            let Some(address) = self.machines[index].lock().await.address() else {
                continue;
            };
            let to = SocketAddr::new(address.into(), extra.port);
            match extra.socket {
                Socket::Tcp(listener) => drop(self.hub.spawn(forward::tcp(listener, to))),
                Socket::Udp(socket) => drop(self.hub.spawn(forward::udp(socket, to))),
            }
        }
        Ok(())
    }

    /// Ends every node, workers first.
    pub async fn stop_all(&self) {
        let mut all: Vec<_> = self
            .machines
            .iter()
            .map(|machine| async {
                let mut machine = machine.lock().await;
                if let Err(error) = machine.stop(&self.place).await {
                    tracing::warn!("{}", error.chain());
                }
            })
            .collect();
        // What the workers have to say last is said to a server that still runs.
        let plane = all.remove(0);
        for machine in all {
            machine.await;
        }
        plane.await;
        self.ended.cancel();
    }

    /// Until all nodes were ended.
    pub async fn ended(&self) {
        self.ended.cancelled().await;
    }

    pub async fn act(&self, node: &str, action: Action) -> Result<()> {
        let index = self.index(node)?;
        match action {
            Action::Start => self.start(index).await.map(drop),
            Action::Stop => self.machines[index].lock().await.stop(&self.place).await,
            Action::Pause => {
                self.machines[index]
                    .lock()
                    .await
                    .pause(&self.place, true)
                    .await
            }
            Action::Unpause => {
                self.machines[index]
                    .lock()
                    .await
                    .pause(&self.place, false)
                    .await
            }
        }
    }

    pub async fn status(&self) -> Status {
        let mut nodes = Vec::new();
        for machine in &self.machines {
            let mut machine = machine.lock().await;
            nodes.push(NodeStatus {
                name: machine.name().to_owned(),
                state: machine.state(),
                address: machine.address(),
            });
        }
        let api = SocketAddr::new(self.plan.api_address, self.plan.api_port);
        Status { api, nodes }
    }

    fn index(&self, node: &str) -> Result<usize> {
        let found = self.plan.nodes.iter().position(|n| n.name == node);
        found.ok_or_else(|| {
            let names: Vec<_> = self.plan.nodes.iter().map(|n| n.name.as_str()).collect();
            let what = format!(
                "there is no such node; the cluster has {}",
                names.join(", ")
            );
            Error::Node {
                node: node.to_owned(),
                what,
            }
        })
    }

    /// Starts a node; returns where its API is, or would be.
    async fn start(&self, index: usize) -> Result<SocketAddr> {
        let node = &self.plan.nodes[index];
        let mut machine = self.machines[index].lock().await;
        let mut env = Vec::new();
        if node.role == Role::Worker && !self.has_joined(node) {
            env.push(("SKIFF_TOKEN".to_owned(), self.token().await?));
        }
        let plane = match index {
            0 => None,
            _ => self.machines[0].lock().await.address(),
        };
        let args = |own| Go {
            args: arguments(&self.plan, node, own, plane.unwrap_or(own)),
            env,
        };
        let address = machine
            .start(&self.place, &self.plan, &self.hub, args)
            .await?;
        Ok((address, API_PORT).into())
    }

    /// What a node that joined keeps. (Written last: `skiff agent` has it so.)
    fn has_joined(&self, node: &plan::Node) -> bool {
        self.place.data_dir(&node.name).join("pki/ca.crt").exists()
    }

    async fn wait_for_api(&self, api: SocketAddr) -> Result<()> {
        let answers = self.hub.spawn(async move {
            while TcpStream::connect(api).await.is_err() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
        match tokio::time::timeout(API_WITHIN, answers).await {
            Ok(_) => Ok(()),
            Err(_) => {
                let node = self.plan.control_plane().name.clone();
                let log = self.place.node_log(&node);
                let what = format!(
                    "its API does not answer within a minute; see {}",
                    log.display()
                );
                Err(Error::Node { node, what })
            }
        }
    }

    /// A token to join with, made by the control plane's own command.
    async fn token(&self) -> Result<String> {
        let plane = self.plan.control_plane().name.clone();
        let Some(netns) = self.machines[0].lock().await.network()? else {
            let what = "it must run for a new node to join".to_owned();
            return Err(Error::Node { node: plane, what });
        };
        let program = self.place.program_dir().join("skiff");
        let data_dir = self.place.data_dir(&plane);
        let end = Instant::now() + API_WITHIN;
        loop {
            let made = run_create_token(netns.try_clone(), &program, &data_dir).await?;
            if made.status.success() {
                return Ok(String::from_utf8_lossy(&made.stdout).trim().to_owned());
            }
            // A server answers before it has all that a node joins by.
            if Instant::now() > end {
                let said = String::from_utf8_lossy(&made.stderr);
                let what = format!("it makes no token to join with: {}", said.trim());
                return Err(Error::Node { node: plane, what });
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

async fn run_create_token(
    netns: std::io::Result<std::fs::File>,
    program: &Path,
    data_dir: &Path,
) -> Result<std::process::Output> {
    let netns = netns.map_err(kernel("keep a node's network"))?;
    let (program, data_dir) = (program.to_owned(), data_dir.to_owned());
    let made = tokio::task::spawn_blocking(move || create_token(&netns, &program, &data_dir));
    made.await
        .map_err(|error| kernel("make a token")(std::io::Error::other(error)))?
}

/// A thread of its own enters the node's network; its child is in it then.
fn create_token(
    netns: &std::fs::File,
    program: &Path,
    data_dir: &Path,
) -> Result<std::process::Output> {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            nix::sched::setns(netns, nix::sched::CloneFlags::CLONE_NEWNET)?;
            let mut command = std::process::Command::new(program);
            command
                .args(["token", "create", "--data-dir"])
                .arg(data_dir)
                // Whoever started the cluster may have another one in mind.
                .env_clear()
                .env("KUBECONFIG", data_dir.join("admin.kubeconfig"));
            command.stdin(std::process::Stdio::null()).output()
        });
        let output = thread.join().expect("running a command does not panic");
        output.map_err(kernel(format!("run {}", program.display())))
    })
}

/// The command line of a node's skiff.
fn arguments(
    plan: &Plan,
    node: &plan::Node,
    own: std::net::Ipv4Addr,
    plane: std::net::Ipv4Addr,
) -> Vec<String> {
    let mut args = match node.role {
        Role::ControlPlane => vec!["up".to_owned()],
        Role::Worker => vec![
            "agent".to_owned(),
            format!("--server=https://{plane}:{API_PORT}"),
        ],
    };
    args.extend([
        format!("--node-name={}", node.name),
        format!("--node-ip={own}"),
        format!("--cluster-cidr={}", plan.pods),
        format!("--service-cluster-ip-range={}", plan.services),
        format!("--cluster-dns={}", plan.dns()),
        // How full this machine's disk is says nothing about a node of a cluster to try things on.
        "--eviction-hard=".to_owned(),
        "--image-gc-high-threshold=100".to_owned(),
    ]);
    if !node.labels.is_empty() {
        let labels: Vec<_> = node
            .labels
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        args.push(format!("--node-labels={}", labels.join(",")));
    }
    if node.role == Role::ControlPlane && plan.nodes.len() > 1 {
        args.push(
            "--register-with-taints=node-role.kubernetes.io/control-plane:NoSchedule".to_owned(),
        );
    }
    args
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    #[test]
    fn a_control_plane_takes_pods_where_it_is_alone() {
        let own = std::net::Ipv4Addr::new(198, 19, 0, 2);
        let alone = config::default(None).unwrap();
        let args = arguments(&alone, &alone.nodes[0], own, own);
        assert_eq!(args[0], "up");
        assert!(!args.iter().any(|arg| arg.contains("taints")), "{args:?}");
        let text = "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nnodes: [{}, {role: worker, labels: {a: b}}]\n";
        let two = config::read(text, None, Path::new("/")).unwrap().plan;
        let plane = arguments(&two, &two.nodes[0], own, own);
        assert!(plane.iter().any(|arg| arg.contains("taints")), "{plane:?}");
        let worker = arguments(
            &two,
            &two.nodes[1],
            std::net::Ipv4Addr::new(198, 19, 0, 3),
            own,
        );
        assert_eq!(
            worker[..3],
            [
                "agent",
                "--server=https://198.19.0.2:6443",
                "--node-name=skiff-worker"
            ]
        );
        assert!(
            worker.contains(&"--node-labels=a=b".to_owned()),
            "{worker:?}"
        );
    }
}
