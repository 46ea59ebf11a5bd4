//! The pods of all hollow nodes: one watch, and a bounded number of requests
//! on their way for what it shows.

use std::collections::{HashSet, VecDeque};
use std::net::Ipv4Addr;

use futures::StreamExt;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client};
use tokio::task::JoinSet;

use crate::node::{self, patiently};
use crate::pod::{self, Pod, Spec};
use crate::{Config, api};

/// Requests on their way at once.
const AT_ONCE: usize = 64;
/// What the watch has shown that is taken in at once; it must not fall behind.
const SEEN_AT_ONCE: usize = 256;
/// Addresses of pods: 10.128.0.0/9.
const FIRST_ADDRESS: u32 = u32::from_be_bytes([10, 128, 0, 0]);
const ADDRESSES: u32 = 1 << 23;

/// What is to be done for one pod.
#[derive(Debug, PartialEq, Eq, Hash, Clone, Copy)]
enum Step {
    Start,
    Finish,
    End,
}

struct Work {
    step: Step,
    namespace: String,
    name: String,
    uid: String,
    spec: Spec,
    host: String,
    address: Ipv4Addr,
}

pub struct Runner<'a> {
    config: &'a Config,
    client: &'a Client,
    waiting: VecDeque<Work>,
    /// What is waiting or on its way, so that nothing is done twice.
    known: HashSet<(String, Step)>,
    running: JoinSet<(String, Step)>,
    /// Pods that run for a while before they finish.
    finishing: JoinSet<Work>,
    next_address: u32,
}

impl<'a> Runner<'a> {
    pub fn new(config: &'a Config, client: &'a Client) -> Self {
        Self {
            config,
            client,
            waiting: VecDeque::new(),
            known: HashSet::new(),
            running: JoinSet::new(),
            finishing: JoinSet::new(),
            next_address: 0,
        }
    }

    /// Runs for ever.
    pub async fn run(mut self) {
        let pods: Api<Pod> = Api::all(self.client.clone());
        // Pods without a node are none of ours, and many come and go.
        let config = watcher::Config::default().fields("spec.nodeName!=");
        let events = watcher(pods, config).default_backoff();
        let events = events.ready_chunks(SEEN_AT_ONCE);
        let mut events = std::pin::pin!(events);
        loop {
            while self.running.len() < AT_ONCE
                && let Some(work) = self.waiting.pop_front()
            {
                self.running.spawn(work.run(self.client.clone()));
            }
            tokio::select! {
                Some(events) = events.next() => events.into_iter().for_each(|event| match event {
                    Ok(Event::InitApply(pod) | Event::Apply(pod)) => self.see(pod),
                    Ok(_) => {}
                    Err(error) => tracing::warn!("watch of pods broke; listing again: {error}"),
                }),
                Some(Ok(done)) = self.running.join_next() => {
                    self.known.remove(&done);
                }
                Some(Ok(work)) = self.finishing.join_next() => self.waiting.push_back(work),
            }
        }
    }

    fn see(&mut self, pod: Pod) {
        if let Some(address) = pod.status.pod_ip {
            let used = u32::from(address).wrapping_sub(FIRST_ADDRESS);
            if used < ADDRESSES {
                self.next_address = self.next_address.max(used + 1);
            }
        }
        let node = pod.spec.node_name.as_deref().unwrap_or_default();
        let Some(number) = self.config.number(node) else {
            return;
        };
        let Some(step) = self.step(&pod) else {
            return;
        };
        let uid = pod.metadata.uid.unwrap_or_default();
        if !self.known.insert((uid.clone(), step)) {
            return;
        }
        let address = self.address();
        let work = Work {
            step,
            namespace: pod.metadata.namespace.unwrap_or_default(),
            name: pod.metadata.name.unwrap_or_default(),
            uid,
            spec: pod.spec,
            host: node::address(number),
            address,
        };
        match self.config.finish_after.filter(|_| step == Step::Finish) {
            None => self.waiting.push_back(work),
            Some(after) => {
                self.finishing.spawn(async move {
                    tokio::time::sleep(after).await;
                    work
                });
            }
        }
    }

    fn step(&self, pod: &Pod) -> Option<Step> {
        if pod.is_ending() {
            return Some(Step::End);
        }
        if pod.is_finished() {
            return None;
        }
        if pod.is_pending() {
            return Some(Step::Start);
        }
        (self.config.finish_after.is_some() && pod.may_finish()).then_some(Step::Finish)
    }

    fn address(&mut self) -> Ipv4Addr {
        let address = FIRST_ADDRESS + self.next_address % ADDRESSES;
        self.next_address = self.next_address.wrapping_add(1);
        address.into()
    }
}

impl Work {
    async fn run(self, client: Client) -> (String, Step) {
        let pods = format!("/api/v1/namespaces/{}/pods", self.namespace);
        match self.step {
            Step::Start => {
                let status = || {
                    let status = pod::running(&self.spec, &self.host, self.address);
                    api::patch_status(&client, &pods, &self.name, status)
                };
                patiently("start a pod", status).await;
            }
            Step::Finish => {
                let status = || {
                    let status = pod::succeeded(&self.spec);
                    api::patch_status(&client, &pods, &self.name, status)
                };
                patiently("finish a pod", status).await;
            }
            Step::End => {
                let end = || api::delete_now(&client, &pods, &self.name, &self.uid);
                patiently("end a pod", end).await;
            }
        }
        (self.uid, self.step)
    }
}

#[cfg(test)]
mod tests;
