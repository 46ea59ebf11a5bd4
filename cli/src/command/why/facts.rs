//! What there is to know about a pod.

use serde_json::Value;

use crate::cluster::{Cluster, encode, text};

/// The pod and what it depends on.
#[derive(Default)]
pub struct Facts {
    pub pod: Value,
    pub events: Vec<Value>,
    /// Those about its controller.
    pub owner_events: Vec<Value>,
    /// `Null` while it has none, or where we may not see it.
    pub node: Value,
    pub claims: Vec<Claim>,
    /// Those of its namespace.
    pub budgets: Vec<Value>,
}

/// A PersistentVolumeClaim that the pod uses; `Null` if it is not there.
pub struct Claim {
    pub name: String,
    pub object: Value,
    pub events: Vec<Value>,
}

impl Facts {
    pub async fn gather(cluster: &Cluster, pod: Value) -> anyhow::Result<Self> {
        let namespace = text(&pod, "/metadata/namespace").to_owned();
        let budgets = format!("/apis/policy/v1/namespaces/{namespace}/poddisruptionbudgets");
        let owner = pod.pointer("/metadata/ownerReferences/0/uid");
        let owner = owner.and_then(Value::as_str).unwrap_or_default();
        let owner_events = match owner {
            "" => Vec::new(),
            uid => events_about(cluster, &namespace, uid).await?,
        };
        let node = match text(&pod, "/spec/nodeName") {
            "" => Value::Null,
            name => seen(cluster, &format!("/api/v1/nodes/{name}")).await,
        };
        Ok(Self {
            events: events_about(cluster, &namespace, text(&pod, "/metadata/uid")).await?,
            owner_events,
            node,
            claims: claims(cluster, &namespace, &pod).await?,
            budgets: items(seen(cluster, &budgets).await),
            pod,
        })
    }

    /// The pod's condition of this type.
    pub fn condition(&self, name: &str) -> Option<&Value> {
        condition(&self.pod, name)
    }

    /// The newest event with one of these reasons.
    pub fn last(&self, reasons: &[&str]) -> Option<&Value> {
        let is_one = |event: &&Value| reasons.contains(&text(event, "/reason"));
        self.events
            .iter()
            .filter(is_one)
            .max_by_key(|event| last_time(event))
    }
}

pub fn condition<'v>(object: &'v Value, name: &str) -> Option<&'v Value> {
    let conditions = object["status"]["conditions"].as_array()?;
    conditions
        .iter()
        .find(|condition| condition["type"] == name)
}

/// When an event was told last; RFC 3339 in UTC compares as text.
pub fn last_time(event: &Value) -> &str {
    let last = [
        "/series/lastObservedTime",
        "/lastTimestamp",
        "/eventTime",
        "/metadata/creationTimestamp",
    ];
    let mut known = last
        .iter()
        .map(|at| text(event, at))
        .filter(|time| !time.is_empty());
    known.next().unwrap_or_default()
}

pub async fn events_about(
    cluster: &Cluster,
    namespace: &str,
    uid: &str,
) -> anyhow::Result<Vec<Value>> {
    // Events about what has no namespace are in `default`.
    let namespace = if namespace.is_empty() {
        "default"
    } else {
        namespace
    };
    let only = encode(&format!("involvedObject.uid={uid}"));
    let path = format!("/api/v1/namespaces/{namespace}/events?fieldSelector={only}");
    Ok(items(cluster.get(&path).await?))
}

async fn claims(cluster: &Cluster, namespace: &str, pod: &Value) -> anyhow::Result<Vec<Claim>> {
    let mut claims = Vec::new();
    for volume in pod["spec"]["volumes"].as_array().into_iter().flatten() {
        let name = match (
            text(volume, "/persistentVolumeClaim/claimName"),
            volume.get("ephemeral"),
        ) {
            ("", None) => continue,
            ("", Some(_)) => format!("{}-{}", text(pod, "/metadata/name"), text(volume, "/name")),
            (name, _) => name.to_owned(),
        };
        let path = format!("/api/v1/namespaces/{namespace}/persistentvolumeclaims/{name}");
        let object = cluster.find(&path).await?.unwrap_or_default();
        let events = match text(&object, "/metadata/uid") {
            "" => Vec::new(),
            uid => events_about(cluster, namespace, uid).await?,
        };
        claims.push(Claim {
            name,
            object,
            events,
        });
    }
    Ok(claims)
}

/// What only helps; who may not read it is told the rest.
async fn seen(cluster: &Cluster, path: &str) -> Value {
    cluster.get(path).await.unwrap_or_default()
}

pub fn items(mut list: Value) -> Vec<Value> {
    match list["items"].take() {
        Value::Array(items) => items,
        _ => Vec::new(),
    }
}
