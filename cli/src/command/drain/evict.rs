//! Evicting pods, all at once; each is asked for again while its budget forbids it.

use std::time::Duration;

use anyhow::{Context, anyhow};
use futures::future::join_all;
use serde_json::{Value, json};

use super::super::delete::until_gone;
use super::super::key_values::DryRun;
use crate::cluster::{Cluster, has_code, is_conflict, is_not_found, text, when};
use crate::print;

/// An eviction that a budget forbids is asked for again after this long.
const AGAIN: Duration = Duration::from_secs(5);
/// One that met another change of the same objects, after this long.
const SOON: Duration = Duration::from_millis(200);
const NAMESPACE_ENDS: &str = "because it is being terminated";

pub struct Evictions<'c> {
    pub cluster: &'c Cluster,
    pub grace: i64,
    pub timeout: Duration,
    /// Delete rather than evict.
    pub deletes: bool,
    pub dry_run: Option<DryRun>,
}

/// A pod on its way out.
struct Pod<'p> {
    namespace: &'p str,
    name: &'p str,
    uid: &'p str,
    path: String,
}

impl Evictions<'_> {
    /// Returns when all are gone.
    pub async fn run(&self, doomed: &[&Value]) -> anyhow::Result<()> {
        let all = join_all(doomed.iter().map(|pod| self.remove(Pod::of(pod))));
        let ended = if self.timeout.is_zero() {
            all.await
        } else {
            let ended = tokio::time::timeout(self.timeout, all).await;
            ended.with_context(|| format!("global timeout reached: {:?}", self.timeout))?
        };
        let failed: Vec<String> = ended
            .into_iter()
            .filter_map(|ended| Some(format!("{:#}", ended.err()?)))
            .collect();
        match failed.as_slice() {
            [] => Ok(()),
            failed => Err(anyhow!("{}", failed.join("; "))),
        }
    }

    async fn remove(&self, pod: Pod<'_>) -> anyhow::Result<()> {
        let (doing, done) = if self.deletes {
            ("deleting", "deleted")
        } else {
            ("evicting", "evicted")
        };
        let note = DryRun::note(self.dry_run);
        print::out(&format!(
            "{doing} pod {}/{}{note}\n",
            pod.namespace, pod.name
        ));
        if self.dry_run == Some(DryRun::Client) {
            return Ok(());
        }
        if !self.ask(&pod).await? || self.dry_run == Some(DryRun::Server) {
            return Ok(());
        }
        let waited = until_gone(self.cluster, &pod.path, pod.uid).await;
        waited
            .with_context(|| format!("error when waiting for pod {:?} to terminate", pod.name))?;
        print::out(&format!("pod/{} {done}\n", pod.name));
        Ok(())
    }

    /// Asks until it is granted; false if the pod is gone already.
    async fn ask(&self, pod: &Pod<'_>) -> anyhow::Result<bool> {
        loop {
            let tried = format!(
                "error when evicting pods/{:?} -n {:?}",
                pod.name, pod.namespace
            );
            match self.ask_once(pod).await {
                Ok(()) => return Ok(true),
                Err(error) if is_not_found(&error) => return Ok(false),
                // Another pod has its name by now, or somebody was quicker by a moment.
                Err(error) if is_conflict(&error) => {
                    if !self.is_there(pod).await? {
                        return Ok(false);
                    }
                    tokio::time::sleep(SOON).await;
                }
                Err(error) if is_for_later(&error) => {
                    eprintln!("{tried} (will retry after {AGAIN:?}): {}", message(&error));
                    tokio::time::sleep(AGAIN).await;
                }
                Err(error) => return Err(when(error, &tried)),
            }
        }
    }

    async fn is_there(&self, pod: &Pod<'_>) -> anyhow::Result<bool> {
        let found = self.cluster.find(&pod.path).await?;
        Ok(found.is_some_and(|found| text(&found, "/metadata/uid") == pod.uid))
    }

    async fn ask_once(&self, pod: &Pod<'_>) -> anyhow::Result<()> {
        let options = self.options(pod);
        let query = DryRun::query(self.dry_run);
        if self.deletes {
            let path = format!("{}{query}", pod.path);
            return self.cluster.delete(&path, &options).await.map(drop);
        }
        let eviction = json!({
            "apiVersion": "policy/v1", "kind": "Eviction",
            "metadata": { "name": pod.name, "namespace": pod.namespace },
            "deleteOptions": options,
        });
        let path = format!("{}/eviction{query}", pod.path);
        self.cluster.create(&path, &eviction).await.map(drop)
    }

    fn options(&self, pod: &Pod<'_>) -> Value {
        let mut options = json!({ "preconditions": { "uid": pod.uid } });
        if self.deletes {
            options["apiVersion"] = "v1".into();
            options["kind"] = "DeleteOptions".into();
        }
        if self.grace >= 0 {
            options["gracePeriodSeconds"] = self.grace.into();
        }
        options
    }
}

impl<'p> Pod<'p> {
    fn of(pod: &'p Value) -> Self {
        let (namespace, name) = (
            text(pod, "/metadata/namespace"),
            text(pod, "/metadata/name"),
        );
        Self {
            namespace,
            name,
            uid: text(pod, "/metadata/uid"),
            path: format!("/api/v1/namespaces/{namespace}/pods/{name}"),
        }
    }
}

/// A budget forbids it now, or its namespace ends anyway.
fn is_for_later(error: &anyhow::Error) -> bool {
    has_code(error, 429) || has_code(error, 403) && error.to_string().contains(NAMESPACE_ENDS)
}

/// The server's own words, without where they come from.
fn message(error: &anyhow::Error) -> String {
    let said = error.to_string();
    match said.split_once("): ") {
        Some((_, message)) => message.to_owned(),
        None => said,
    }
}
