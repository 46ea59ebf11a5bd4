//! Work for the controllers, and all that they ever made of it: nothing twice.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use http::Request;
use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::clients::Clients;
use crate::follow::{Follower, Told};

pub const NAMESPACE: &str = "work";
const STEP: Duration = Duration::from_secs(3);
const MOST_REPLICAS: i32 = 40;
/// What is looked at, and where its objects are.
const KINDS: [(&str, &str); 4] = [
    ("pods", "/api/v1/namespaces/work/pods"),
    ("jobs", "/apis/batch/v1/namespaces/work/jobs"),
    ("replicasets", "/apis/apps/v1/namespaces/work/replicasets"),
    ("events", "/api/v1/namespaces/work/events"),
];

fn template(app: &str, restart: &str) -> Value {
    json!({ "metadata": { "labels": { "app": app } }, "spec": { "restartPolicy": restart,
        "terminationGracePeriodSeconds": 0, "containers": [{ "name": "c", "image": "app:0" }] } })
}

fn deployment(name: &str, replicas: i32) -> Value {
    json!({ "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": { "name": name, "namespace": NAMESPACE },
        "spec": { "replicas": replicas, "revisionHistoryLimit": 1000,
            "selector": { "matchLabels": { "app": name } },
            "template": template(name, "Always") } })
}

/// What the controllers are given to do.
pub fn manifest(completions: u64) -> Value {
    let job = json!({ "apiVersion": "batch/v1", "kind": "Job",
        "metadata": { "name": "counted", "namespace": NAMESPACE },
        "spec": { "completions": completions, "parallelism": 2,
            "template": template("counted", "Never") } });
    let cron = json!({ "apiVersion": "batch/v1", "kind": "CronJob",
        "metadata": { "name": "minutely", "namespace": NAMESPACE },
        "spec": { "schedule": "* * * * *", "successfulJobsHistoryLimit": 1000,
            "jobTemplate": { "spec": { "template": template("minutely", "Never") } } } });
    json!({ "apiVersion": "v1", "kind": "List",
        "items": [deployment("grow", 2), deployment("roll", 3), job, cron] })
}

/// One object, as it was seen last.
#[derive(Clone, Debug)]
pub struct Object {
    pub name: String,
    /// The name and the uid of its controller.
    pub owner: (String, String),
    pub value: Value,
}

/// All objects that ever were, by kind and uid.
#[derive(Clone, Debug, Default)]
pub struct Seen(pub BTreeMap<&'static str, BTreeMap<String, Object>>);

impl Seen {
    fn note(&mut self, kind: &'static str, object: Value) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let meta = &object["metadata"];
        let owner = &meta["ownerReferences"][0];
        let uid = text(&meta["uid"]);
        let object = Object {
            name: text(&meta["name"]),
            owner: (text(&owner["name"]), text(&owner["uid"])),
            value: object,
        };
        self.0.entry(kind).or_default().insert(uid, object);
    }

    pub fn of(&self, kind: &str) -> impl Iterator<Item = &Object> {
        self.0.get(kind).into_iter().flat_map(BTreeMap::values)
    }

    fn labelled(&self, kind: &'static str, app: &str) -> Vec<&Object> {
        let is_of = |object: &&Object| object.value["metadata"]["labels"]["app"] == app;
        self.of(kind).filter(is_of).collect()
    }

    /// What was made more than once, or never.
    pub fn flaws(&self, completions: u64) -> Vec<String> {
        let mut flaws = Vec::new();
        let counted = self.labelled("pods", "counted").len() as u64;
        if counted != completions {
            flaws.push(format!("{counted} pods for {completions} completions"));
        }
        self.check_cron(&mut flaws);
        let sets = |app| self.labelled("replicasets", app);
        if sets("grow").len() != 1 {
            flaws.push(format!("ReplicaSets of grow: {:?}", sets("grow")));
        }
        let wanted = sets("grow")
            .first()
            .map(|set| set.value["spec"]["replicas"].clone());
        let grown = self.labelled("pods", "grow").len();
        if wanted != Some(grown.into()) {
            flaws.push(format!(
                "{grown} pods were made for {wanted:?} replicas of grow"
            ));
        }
        let image = |set: &&Object| {
            set.value["spec"]["template"]["spec"]["containers"][0]["image"].to_string()
        };
        let images: BTreeSet<String> = sets("roll").iter().map(image).collect();
        if images.len() != sets("roll").len() {
            flaws.push(format!("{} ReplicaSets for {images:?}", sets("roll").len()));
        }
        flaws
    }

    /// Each minute once, each of one pod.
    fn check_cron(&self, flaws: &mut Vec<String>) {
        let mut minutes = BTreeSet::new();
        for (uid, job) in self.0.get("jobs").into_iter().flatten() {
            if job.owner.0 != "minutely" {
                continue;
            }
            let annotations = &job.value["metadata"]["annotations"];
            let minute = &annotations["batch.kubernetes.io/cronjob-scheduled-timestamp"];
            if !minutes.insert(minute.to_string()) {
                flaws.push(format!("two Jobs of the minute {minute}"));
            }
            let pods = self.of("pods").filter(|pod| pod.owner.1 == *uid).count();
            if pods > 1 {
                flaws.push(format!("{pods} pods of {}", job.name));
            }
        }
        if minutes.is_empty() {
            flaws.push("minutely never ran".into());
        }
    }

    /// Events that tell of one making more than once.
    pub fn doubled_events(&self) -> Vec<String> {
        let mut told: BTreeMap<String, u64> = BTreeMap::new();
        for event in self.of("events").map(|event| &event.value) {
            let message = event["message"].as_str().unwrap_or_default();
            // Many alike are told as one, which has the last one's message.
            if event["reason"] == "SuccessfulCreate" && !message.starts_with("(combined") {
                let times = event["count"].as_u64().unwrap_or(1);
                *told.entry(message.to_owned()).or_default() += times;
            }
        }
        let doubled = told.into_iter().filter(|(_, times)| *times > 1);
        doubled
            .map(|(message, times)| format!("{message}: {times}"))
            .collect()
    }
}

pub struct Work {
    pub clients: Clients,
    pub seen: Rc<RefCell<Seen>>,
    pub stop: Rc<dyn Fn() -> bool>,
}

impl Work {
    /// Watchers of all that is made, from `from` on; they never end by themselves.
    pub fn watch(&self, from: u64) {
        for (at, (kind, path)) in KINDS.into_iter().enumerate() {
            let follower = Follower::new(self.clients.another(at as u64), path, at, from);
            let seen = self.seen.clone();
            let follow = follower.follow(move |told| {
                match told {
                    Told::Put { object, .. } => seen.borrow_mut().note(kind, object),
                    Told::Anew { items, .. } => {
                        for object in items {
                            seen.borrow_mut().note(kind, object);
                        }
                    }
                    Told::Deleted { .. } | Told::Progress(_) => {}
                }
                false
            });
            tokio::task::spawn_local(follow);
        }
    }

    /// Asks for more, a step at a time.
    pub async fn ask_for_more(self) {
        while !(self.stop)() {
            self.step("grow", |grow| {
                let replicas = grow.spec.replicas?;
                let more = replicas + 1;
                (more <= MOST_REPLICAS).then(|| json!({ "replicas": more }))
            })
            .await;
            self.step("roll", |roll| {
                let image = is_rolled_out(roll).then(|| image_number(roll))??;
                let container = json!({ "name": "c", "image": format!("app:{}", image + 1) });
                Some(json!({ "template": { "spec": { "containers": [container] } } }))
            })
            .await;
            tokio::time::sleep(STEP).await;
        }
    }

    /// Changes the Deployment as it is; if anything fails, the next step will do.
    async fn step(&self, name: &str, change: impl Fn(&Deployment) -> Option<Value>) {
        let api = |client| Api::<Deployment>::namespaced(client, NAMESPACE);
        let got = self.clients.ask(async |c| api(c).get(name).await).await;
        let Ok(deployment) = got else { return };
        let Some(spec) = change(&deployment) else {
            return;
        };
        let version = deployment.metadata.resource_version;
        let patch =
            Patch::Merge(json!({ "metadata": { "resourceVersion": version }, "spec": spec }));
        let params = PatchParams::default();
        let _ = self
            .clients
            .ask(async |c| api(c).patch(name, &params, &patch).await)
            .await;
    }
}

/// What there is now and was never seen; `None` if that cannot be asked.
pub async fn missing(clients: &Clients, seen: &RefCell<Seen>) -> Option<Vec<String>> {
    let mut missing = Vec::new();
    for (kind, path) in KINDS {
        let listed = clients.ask(async |client| {
            let request = Request::get(path).body(Vec::new()).expect("a request");
            client.request::<Value>(request).await
        });
        let list = listed.await.ok()?;
        for item in list["items"].as_array().into_iter().flatten() {
            let uid = item["metadata"]["uid"].as_str().unwrap_or_default();
            let known = &seen.borrow().0;
            if !known.get(kind).is_some_and(|known| known.contains_key(uid)) {
                missing.push(format!("{kind} {}", item["metadata"]["name"]));
            }
        }
    }
    Some(missing)
}

fn is_rolled_out(deployment: &Deployment) -> bool {
    let Some(status) = &deployment.status else {
        return false;
    };
    status.observed_generation == deployment.metadata.generation
        && [
            status.replicas,
            status.updated_replicas,
            status.ready_replicas,
        ]
        .iter()
        .all(|count| *count == deployment.spec.replicas)
}

fn image_number(deployment: &Deployment) -> Option<u64> {
    let pod = deployment.spec.template.spec.as_ref()?;
    let image = pod.containers.first()?.image.as_ref()?;
    image.strip_prefix("app:")?.parse().ok()
}
