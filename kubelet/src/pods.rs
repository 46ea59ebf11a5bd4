//! From the API's watch to one task a pod.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::runtime::{WatchStreamExt as _, watcher};
use nix::sys::signal::Signal;
use runtime::{Sandbox, Status};
use tokio::task::JoinHandle;

use crate::agent::Agent;
use crate::dirs;
use crate::machine_stop;
use crate::pod::message::Message;
use crate::pod::{self, Sender};

/// What runs of a pod that no longer exists gets to stop by itself.
const ORPHANS_GRACE: Duration = Duration::from_secs(5);

/// The pods' tasks by uid.
pub struct Pods {
    agent: Arc<Agent>,
    tasks: HashMap<String, (Sender, JoinHandle<()>)>,
    /// Sandboxes an agent before this one left, until their pod is seen.
    found: HashMap<String, Sandbox>,
    /// Uids seen since the watch began anew.
    seen: HashSet<String>,
}

impl Pods {
    pub fn new(agent: Arc<Agent>, found: Vec<Sandbox>) -> Self {
        let found = found
            .into_iter()
            .map(|sandbox| (sandbox.uid().to_owned(), sandbox))
            .collect();
        Self {
            agent,
            tasks: HashMap::new(),
            found,
            seen: HashSet::new(),
        }
    }

    /// Runs the node's pods until the agent shuts down; containers go on running.
    pub async fn run(mut self) {
        let config = watcher::Config::default()
            .fields(&format!("spec.nodeName={}", self.agent.config.node_name));
        let mut events = watcher(Api::<Pod>::all(self.agent.client.clone()), config)
            .default_backoff()
            .boxed();
        let shutdown = self.agent.shutdown.clone();
        let mut stopping: Option<JoinHandle<()>> = None;
        loop {
            let event = tokio::select! {
                event = events.next() => event,
                () = self.agent.config.machine_stop.begun(), if stopping.is_none() => {
                    stopping = Some(tokio::spawn(self.stop_all()));
                    continue;
                }
                () = shutdown.cancelled() => break,
            };
            match event {
                Some(Ok(event)) => self.handle(event),
                Some(Err(e)) => tracing::debug!("watch pods: {e}"),
                None => break,
            }
        }
        if let Some(stopping) = stopping {
            stopping.abort();
        }
        for (_, (_, task)) in self.tasks {
            // A task ends by itself on shutdown; an error is one that was gone already.
            let _ = task.await;
        }
    }

    /// Stops all pods, for the machine stops.
    fn stop_all(&self) -> impl Future<Output = ()> + use<> {
        let agent = self.agent.clone();
        let tasks = self.tasks.iter();
        let tasks = tasks
            .map(|(uid, (sender, _))| (uid.clone(), sender.clone()))
            .collect();
        async move {
            let (stop, grace) = (
                agent.config.machine_stop.clone(),
                agent.config.shutdown_grace,
            );
            machine_stop::stop_pods(stop, grace, tasks, &agent.pods).await;
        }
    }

    fn handle(&mut self, event: watcher::Event<Pod>) {
        match event {
            watcher::Event::Init => self.seen.clear(),
            watcher::Event::InitApply(pod) => {
                self.seen.extend(pod.metadata.uid.clone());
                self.apply(pod);
            }
            watcher::Event::InitDone => self.sweep(),
            watcher::Event::Apply(pod) => self.apply(pod),
            watcher::Event::Delete(pod) => self.remove(&pod),
        }
        self.tasks.retain(|_, (_, task)| !task.is_finished());
    }

    fn apply(&mut self, pod: Pod) {
        let Some(uid) = pod.metadata.uid.clone() else {
            return;
        };
        let pod = Arc::new(pod);
        if let Some((sender, task)) = self.tasks.get(&uid)
            && !task.is_finished()
        {
            // A task that just ended has seen the object go.
            let _ = sender.send(Message::Changed(pod));
            return;
        }
        if self.agent.config.machine_stop.has_begun() {
            return; // It starts when the machine is back.
        }
        let found = self.found.remove(&uid);
        match pod::spawn(self.agent.clone(), pod, found) {
            Ok(task) => {
                self.tasks.insert(uid, task);
            }
            Err(e) => tracing::error!(pod = uid, "the pod is not run: {e}"),
        }
    }

    fn remove(&mut self, pod: &Pod) {
        let task = pod
            .metadata
            .uid
            .as_ref()
            .and_then(|uid| self.tasks.get(uid));
        if let Some((sender, _)) = task {
            let _ = sender.send(Message::Changed(Arc::new(pod.clone())));
            let _ = sender.send(Message::Removed);
        }
    }

    /// All pods are known: what belongs to none of them goes.
    fn sweep(&mut self) {
        for (uid, (sender, _)) in &self.tasks {
            if !self.seen.contains(uid) {
                let _ = sender.send(Message::Removed);
            }
        }
        for (_, sandbox) in self.found.drain() {
            tokio::spawn(end_orphan(self.agent.clone(), sandbox));
        }
        tokio::spawn(remove_strays(self.agent.clone(), self.seen.clone()));
    }
}

/// Stops what runs of a pod that is gone from the API, and removes all of it.
async fn end_orphan(agent: Arc<Agent>, sandbox: Sandbox) {
    let uid = sandbox.uid().to_owned();
    tracing::info!(pod = uid, "stop a pod that is no longer in the API");
    if let Ok(states) = sandbox.list().await {
        let running: Vec<_> = states
            .into_iter()
            .filter(|state| matches!(state.status, Status::Running(_)))
            .collect();
        for state in &running {
            if let Err(e) = sandbox.signal(&state.id, Signal::SIGTERM).await {
                tracing::debug!("stop container {}: {e}", state.id);
            }
        }
        let ended = async {
            let Ok(mut events) = sandbox.events().await else {
                return;
            };
            for _ in &running {
                if events.next().await.is_err() {
                    return;
                }
            }
        };
        // Those that do not stop by themselves are killed with the sandbox.
        let _ = tokio::time::timeout(ORPHANS_GRACE, ended).await;
    }
    let config = sandbox.config();
    let dirs = dirs::PodDirs::new(
        &agent.config.data_dir,
        &agent.config.log_dir,
        &config.namespace,
        &config.name,
        &uid,
    );
    let dirs = match dirs {
        Ok(dirs) => dirs,
        Err(e) => return tracing::error!(pod = uid, "the pod's files are not removed: {e}"),
    };
    let torn_down = pod::set_up::tear_down(&agent, &uid, &dirs, Some(sandbox)).await;
    let logs = dirs
        .remove_logs()
        .map_err(|e| format!("remove the logs: {e}"));
    if let Err(e) = torn_down.and(logs) {
        tracing::warn!(pod = uid, "{e}");
    }
}

/// Removes directories and addresses of pods that are gone.
async fn remove_strays(agent: Arc<Agent>, live: HashSet<String>) {
    let running = agent.runtime.sandboxes().await.unwrap_or_default();
    let is_live = |uid: &str| {
        live.contains(uid)
            || running.iter().any(|sandbox| sandbox.uid() == uid)
            || agent.pods.has(uid)
    };
    for entry in std::fs::read_dir(dirs::pods(&agent.config.data_dir))
        .into_iter()
        .flatten()
        .flatten()
    {
        let uid = entry.file_name().to_string_lossy().into_owned();
        if !is_live(&uid)
            && let Err(e) = dirs::remove(&entry.path())
        {
            tracing::warn!(pod = uid, "remove the files of a pod that is gone: {e}");
        }
    }
    let Some(network) = agent.network().await else {
        return;
    };
    for uid in network.pods() {
        if !is_live(&uid)
            && let Err(e) = network.detach(&uid).await
        {
            tracing::warn!(
                pod = uid,
                "take back the address of a pod that is gone: {e}"
            );
        }
    }
}
