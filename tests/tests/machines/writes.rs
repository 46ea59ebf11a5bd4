//! Writes that go on all the time, and what must have come of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{DeleteParams, PostParams};
use serde_json::json;
use tokio::task::JoinHandle;

use crate::api::Api;

const LABEL: &str = "written=steadily";
const PAUSE: Duration = Duration::from_millis(200);

/// What was acknowledged: whether each object is there, or was deleted.
type Acknowledged = Arc<Mutex<BTreeMap<u32, bool>>>;

pub struct Writes {
    acknowledged: Acknowledged,
    task: JoinHandle<()>,
}

impl Writes {
    pub fn start(api: &Api) -> Self {
        let acknowledged = Acknowledged::default();
        let task = api.runtime.spawn(write(api.of(), acknowledged.clone()));
        Self { acknowledged, task }
    }

    pub fn count(&self) -> usize {
        lock(&self.acknowledged).len()
    }

    pub fn stop_and_check(self, api: &Api) {
        self.task.abort();
        // One that was on its way counts for nothing.
        let _ = api.runtime.block_on(self.task);
        let found = api.list(&api.of::<ConfigMap>(), LABEL);
        let found: BTreeMap<u32, ConfigMap> = found.into_iter().filter_map(numbered).collect();
        let acknowledged = lock(&self.acknowledged);
        println!("{} writes were acknowledged", acknowledged.len());
        assert!(acknowledged.len() > 100, "there were hardly any writes");
        for (n, is_there) in acknowledged.iter() {
            assert_eq!(
                found.contains_key(n),
                *is_there,
                "object {n} was acknowledged as there or not"
            );
        }
    }
}

fn lock(acknowledged: &Acknowledged) -> std::sync::MutexGuard<'_, BTreeMap<u32, bool>> {
    acknowledged.lock().unwrap_or_else(PoisonError::into_inner)
}

fn numbered(object: ConfigMap) -> Option<(u32, ConfigMap)> {
    let n = object.metadata.name.as_deref()?.strip_prefix("write-")?;
    let n = n.parse().ok()?;
    let data = object.data.as_ref()?.get("n")?;
    assert_eq!(*data, format!("{n}"), "its contents are what was written");
    Some((n, object))
}

/// Makes one object after the other, and deletes each fourth again.
async fn write(api: kube::Api<ConfigMap>, acknowledged: Acknowledged) {
    for n in 0.. {
        let name = format!("write-{n}");
        let object = json!({ "metadata": { "name": name, "labels": { "written": "steadily" } },
            "data": { "n": format!("{n}") } });
        let object = serde_json::from_value(object).expect("it is a ConfigMap");
        if api.create(&PostParams::default(), &object).await.is_ok() {
            lock(&acknowledged).insert(n, true);
            if n % 4 == 0 {
                // Until it is acknowledged, it may be there or not.
                lock(&acknowledged).remove(&n);
                if api.delete(&name, &DeleteParams::default()).await.is_ok() {
                    lock(&acknowledged).insert(n, false);
                }
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}
