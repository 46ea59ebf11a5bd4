//! The server is killed again and again while workloads are rolled out, scaled,
//! run to their end and deleted. What it comes to is what it had come to
//! without that: no pod too many, no orphan, no Job that counted twice.
//!
//! `SKIFF_KILLS` says how many kills, `SKIFF_SEED` which; both are printed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use e2e::{HollowNodes, Kubectl, Machine, Skiff, need, run, until};
use serde_json::{Value, json};

const PROGRAMS: &[&str] = &["kubectl", "nsenter"];
const PATIENCE: Duration = Duration::from_secs(180);
const KILLS: u64 = 12;
/// Runs through all kills, and is never deleted.
const LONG_JOB: &str = "counted";
const CASCADES: [&str; 2] = ["--cascade=background", "--cascade=foreground"];

/// Small and repeatable: xorshift64*.
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % sides
    }
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().expect("the variable is a number"))
}

fn template(app: &str, image: &str, restart: &str) -> Value {
    json!({ "metadata": { "labels": { "app": app } }, "spec": { "restartPolicy": restart,
        "terminationGracePeriodSeconds": 0, "containers": [{ "name": "c", "image": image }] } })
}

fn deployment(name: &str, namespace: &str, replicas: u64) -> Value {
    json!({ "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": { "name": name, "namespace": namespace },
        "spec": { "replicas": replicas, "selector": { "matchLabels": { "app": name } },
            "template": template(name, "app:0", "Always") } })
}

fn completions(job: &str) -> u64 {
    if job == LONG_JOB { 60 } else { 6 }
}

fn job(name: &str) -> Value {
    json!({ "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": name }, "spec": {
        "completions": completions(name), "parallelism": 3,
        "template": template(name, "app:0", "Never") } })
}

fn namespace(name: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } })
}

/// What was asked for, and what must come of it.
#[derive(Debug, Default)]
struct Wanted {
    image: u64,
    replicas: u64,
    /// By name, whether it stays.
    jobs: BTreeMap<String, bool>,
    deployments: BTreeSet<String>,
    namespaces: BTreeSet<String>,
}

struct Cluster<'a> {
    kubectl: Kubectl<'a>,
    wanted: Wanted,
    dice: Dice,
}

impl Cluster<'_> {
    /// Repeats it until the server, which may be killed any time, has done it.
    fn insist(&self, args: &[&str]) {
        until(&format!("{args:?} is done"), PATIENCE, || {
            let output = run::output(&mut self.kubectl.command(args));
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            (output.status.success() || said.contains("NotFound")).then_some(())
        });
    }

    fn make(&self, manifest: &Value) {
        self.kubectl.apply(manifest);
    }

    /// One more thing to do; the server was not asked to finish any before.
    fn ask_for_more(&mut self, round: u64) {
        match self.dice.below(6) {
            0 | 1 => {
                self.wanted.image += 1;
                let image = format!("c=app:{}", self.wanted.image);
                self.insist(&["set", "image", "deployment/web", &image]);
            }
            2 => {
                self.wanted.replicas = 1 + self.dice.below(12);
                let replicas = format!("--replicas={}", self.wanted.replicas);
                self.insist(&["scale", "deployment/web", &replicas]);
            }
            3 => {
                let name = format!("job{round}");
                self.make(&job(&name));
                self.wanted.jobs.insert(name, true);
            }
            4 => {
                let name = format!("gone{round}");
                self.make(&deployment(&name, "default", 4));
                self.wanted.deployments.insert(name);
            }
            _ => {
                let name = format!("room{round}");
                self.make(&namespace(&name));
                self.make(&deployment("lodger", &name, 3));
                self.wanted.namespaces.insert(name);
            }
        }
    }

    /// Asks for the end of something that was made before.
    fn ask_for_less(&mut self) {
        let cascade = CASCADES[usize::from(self.dice.below(2) == 0)];
        match self.dice.below(3) {
            0 => {
                if let Some(name) = self.wanted.deployments.pop_first() {
                    self.insist(&["delete", "deployment", &name, cascade, "--wait=false"]);
                }
            }
            1 => {
                let jobs = self.wanted.jobs.iter_mut();
                let mut staying = jobs.filter(|(name, stays)| **stays && *name != LONG_JOB);
                if let Some((name, stays)) = staying.next() {
                    *stays = false;
                    let name = name.clone();
                    self.insist(&["delete", "job", &name, cascade, "--wait=false"]);
                }
            }
            _ => {
                if let Some(name) = self.wanted.namespaces.pop_first() {
                    self.insist(&["delete", "namespace", &name, "--wait=false"]);
                }
            }
        }
    }

    fn list(&self, kinds: &str) -> Vec<Value> {
        let list = self.kubectl.get(&[kinds, "--all-namespaces"]);
        list["items"].as_array().cloned().unwrap_or_default()
    }

    /// What is not as it should come to be.
    fn flaws(&self) -> Vec<String> {
        let sets = self.list("replicasets");
        let (pods, jobs) = (self.list("pods"), self.list("jobs"));
        let deployments = self.list("deployments");
        let mut flaws = Vec::new();
        let owners: Vec<&Value> = sets.iter().chain(&jobs).chain(&deployments).collect();
        for object in pods.iter().chain(&sets) {
            let owner = &object["metadata"]["ownerReferences"][0]["uid"];
            if !owners.iter().any(|o| o["metadata"]["uid"] == *owner) {
                flaws.push(format!("an orphan: {}", name(object)));
            }
            if object["metadata"]["deletionTimestamp"].is_string() {
                flaws.push(format!("not gone yet: {}", name(object)));
            }
        }
        self.web(&deployments, &sets, &pods, &mut flaws);
        self.jobs(&jobs, &pods, &mut flaws);
        let of_app = |app: &str| pods.iter().filter(|p| is_of(p, app)).count();
        for name in &self.wanted.deployments {
            if of_app(name) != 4 {
                flaws.push(format!("{} pods of {name}", of_app(name)));
            }
        }
        let wanted = 1 + self.wanted.deployments.len() + self.wanted.namespaces.len();
        if deployments.len() != wanted {
            flaws.push(format!("{} Deployments of {wanted}", deployments.len()));
        }
        if of_app("lodger") != 3 * self.wanted.namespaces.len() {
            flaws.push(format!("{} lodgers", of_app("lodger")));
        }
        flaws
    }

    fn web(&self, all: &[Value], sets: &[Value], pods: &[Value], flaws: &mut Vec<String>) {
        let Some(web) = all.iter().find(|d| name(d) == "web") else {
            flaws.push("no Deployment web".into());
            return;
        };
        let image = format!("app:{}", self.wanted.image);
        let status = &web["status"];
        if status["observedGeneration"] != web["metadata"]["generation"]
            || ["replicas", "updatedReplicas", "readyReplicas"]
                .iter()
                .any(|count| status[*count] != self.wanted.replicas)
        {
            flaws.push(format!("web says {status}"));
        }
        let of_web = |set: &&Value| is_of(set, "web") && set["spec"]["replicas"] != 0;
        if sets.iter().filter(of_web).count() != 1 {
            flaws.push("web has more than one set with pods".into());
        }
        let ours = pods.iter().filter(|pod| is_of(pod, "web"));
        let images: Vec<&Value> = ours.map(|p| &p["spec"]["containers"][0]["image"]).collect();
        if images.len() as u64 != self.wanted.replicas || images.iter().any(|i| **i != *image) {
            flaws.push(format!("pods of web: {images:?}"));
        }
    }

    fn jobs(&self, jobs: &[Value], pods: &[Value], flaws: &mut Vec<String>) {
        let stay = self.wanted.jobs.iter().filter(|(_, stays)| **stays);
        if jobs.len() != stay.clone().count() {
            flaws.push(format!("{} Jobs", jobs.len()));
        }
        for (wanted, _) in stay {
            let Some(job) = jobs.iter().find(|job| name(job) == wanted) else {
                flaws.push(format!("no {wanted}"));
                continue;
            };
            let status = &job["status"];
            let wanted_of_it = completions(wanted);
            let is_complete = status["succeeded"] == wanted_of_it && status["failed"].is_null();
            let ours = pods.iter().filter(|pod| is_of(pod, wanted));
            let ended = ours.clone().filter(|p| p["status"]["phase"] == "Succeeded");
            let (all, ended) = (ours.count() as u64, ended.count() as u64);
            if !is_complete || all != wanted_of_it || ended != wanted_of_it {
                flaws.push(format!("{wanted}: {all} pods, {ended} ended, {status}"));
            }
        }
    }

    fn uids(&self) -> BTreeSet<String> {
        let pods = self.list("pods");
        pods.iter()
            .map(|p| p["metadata"]["uid"].to_string())
            .collect()
    }
}

fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

fn is_of(object: &Value, app: &str) -> bool {
    object["metadata"]["labels"]["app"] == app
}

#[test]
fn server_that_is_killed_at_random_comes_to_what_was_asked_for() {
    if !need::met(PROGRAMS) {
        return;
    }
    let kills = number("SKIFF_KILLS").unwrap_or(KILLS);
    let seed = number("SKIFF_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    println!("SKIFF_KILLS={kills} SKIFF_SEED={seed}");
    let (_network, machine) = Machine::alone();
    let mut skiff = Skiff::server(&machine, &[]);
    let _nodes = HollowNodes::start(&machine, &skiff, 3);
    let mut cluster = Cluster {
        kubectl: Kubectl::new(&machine, skiff.dir.join("admin.kubeconfig")),
        wanted: Wanted {
            replicas: 6,
            ..Wanted::default()
        },
        // Never zero, and seeds beside each other are no neighbours.
        dice: Dice((seed + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15)),
    };
    cluster.make(&deployment("web", "default", 6));
    cluster.make(&job(LONG_JOB));
    cluster.wanted.jobs.insert(LONG_JOB.into(), true);
    for round in 0..kills {
        cluster.ask_for_more(round);
        cluster.ask_for_more(round + kills);
        cluster.ask_for_less();
        std::thread::sleep(Duration::from_millis(cluster.dice.below(1200)));
        skiff.kill();
        skiff.start();
        if cluster.dice.below(4) == 0 {
            // While it is still coming up.
            std::thread::sleep(Duration::from_millis(cluster.dice.below(300)));
            skiff.kill();
            skiff.start();
        }
        skiff.wait_api();
    }
    settles(&cluster);
    println!("{:?}", cluster.wanted);
}

fn settles(cluster: &Cluster<'_>) {
    let end = Instant::now() + PATIENCE;
    loop {
        let flaws = cluster.flaws();
        if flaws.is_empty() {
            break;
        }
        let (wanted, flaws) = (&cluster.wanted, flaws.join("\n"));
        assert!(Instant::now() < end, "it stays at:\n{flaws}\n{wanted:?}");
        std::thread::sleep(Duration::from_millis(250));
    }
    // And there it stays.
    let before = cluster.uids();
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(cluster.uids(), before);
    assert!(cluster.flaws().is_empty(), "{:?}", cluster.flaws());
}
