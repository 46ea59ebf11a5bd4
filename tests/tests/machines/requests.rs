//! Requests to the Service on every node, twice a second: a small steady load, which
//! tells when the Service does not answer.

use e2e::Vm;

use crate::cluster::Cluster;
use crate::web;

const ANSWERS: &str = "/var/tmp/answers";

pub fn start_on_nodes(cluster: &Cluster, ip: &str) {
    cluster.step("requests and writes begin");
    cluster.on_nodes(|node| start(node, ip));
}

/// An answer is a line: when it came, and which pod it is from, if it is from any.
pub fn start(node: &Vm, ip: &str) {
    let ask = web::ask(ip, 80);
    node.ok(&format!(
        "cat >/var/tmp/requests <<'END'\n\
         while sleep 0.5; do echo \"$(cut -d' ' -f1 /proc/uptime) $({ask})\"; done\n\
         END\n\
         setsid sh /var/tmp/requests >{ANSWERS} 2>&1 &\n\
         echo $! >/var/tmp/requests.pid"
    ));
}

pub fn stop(cluster: &Cluster) {
    cluster.on_nodes(|node| {
        node.ok("kill $(cat /var/tmp/requests.pid)");
    });
}

/// A place in the answers of a node.
pub struct Since<'a> {
    node: &'a Vm,
    line: u32,
}

impl<'a> Since<'a> {
    pub fn now(node: &'a Vm) -> Self {
        let line = node.ok(&format!("wc -l <{ANSWERS}"));
        Self {
            node,
            line: line.trim().parse().expect("a number of lines"),
        }
    }

    /// There are some, and each request since then was answered by a pod.
    #[track_caller]
    pub fn all_were_answered(&self, during: &str) {
        let from = self.line + 1;
        let answers = self.node.ok(&format!("tail -n +{from} {ANSWERS}"));
        let lost: Vec<&str> = answers
            .lines()
            .filter(|line| !line.contains(" web-"))
            .collect();
        let name = self.node.name;
        assert!(lost.is_empty(), "{name}, {during}: no answer at {lost:?}");
        assert!(!answers.is_empty(), "{name}, {during}: nothing was asked");
    }

    /// Waits until it is answered (again).
    #[track_caller]
    pub fn is_answered_again(&self) {
        let from = self.line + 1;
        self.node.until(&format!(
            "tail -n +{from} {ANSWERS} | tail -n 1 | grep -q ' web-'"
        ));
    }
}
