//! Of the servers that share a datastore one runs the scheduler and one the
//! controllers, as Kubernetes has it: who holds a Lease in kube-system.
//!
//! A holder that cannot renew its Lease stops its work before another can take
//! over. Clocks are not compared between machines: a Lease is free when nobody
//! has renewed it for as long as it lasts, as seen from here.
//!
//! A holder that was stopped itself (a machine that was suspended, a process
//! that was paused) cannot stop in time. So whoever takes over also writes the
//! key `/leaders/NAME`, and the holder before cannot write any more: each of its
//! writes expects that key as it was when it took over ([`store::fence`]).

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::PostParams;
use kube::{Api, Client};
use metrics::{Family, Gauge, SERVER};
use store::{Expect, Fence, Store, Value};
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;

const NAMESPACE: &str = "kube-system";
const LASTS: Duration = Duration::from_secs(15);
/// The holder stops its work when it has not renewed for so long.
const RENEW_WITHIN: Duration = Duration::from_secs(10);
const RETRY: Duration = Duration::from_secs(2);

static LEADS: Family<Gauge> = Family::gauge(
    "leader_election_master_status",
    "Gauge of if the reporting system is master of the relevant lease, 0 indicates backup, 1 indicates master.",
    &["name"],
);

/// Tells by metrics whether this server does what `name` does.
pub fn leads(name: &str, is_so: bool) {
    SERVER.add(&[&LEADS]);
    LEADS.with(&[name]).set(i64::from(is_so));
}

pub struct Election {
    leases: Api<Lease>,
    store: Arc<dyn Store>,
    name: &'static str,
    identity: String,
    /// The Lease as last seen, and since when it has not changed.
    seen: Option<(Option<String>, Instant)>,
}

/// The time from taking over until another server does.
struct Term {
    since: Instant,
    fence: Fence,
}

impl Election {
    /// `identity` is this server's alone, and new at each start.
    pub fn new(
        client: Client,
        store: Arc<dyn Store>,
        name: &'static str,
        identity: String,
    ) -> Self {
        Self {
            leases: Api::namespaced(client, NAMESPACE),
            store,
            name,
            identity,
            seen: None,
        }
    }

    /// Runs `work` whenever this server holds the Lease, until `shutdown` or
    /// until the work ends by itself.
    pub async fn run<F>(
        mut self,
        shutdown: CancellationToken,
        mut work: impl FnMut(CancellationToken, Fence) -> F,
    ) -> anyhow::Result<()>
    where
        F: Future<Output = anyhow::Result<()>>,
    {
        while let Some(term) = shutdown.run_until_cancelled(self.acquire()).await {
            tracing::info!(lease = self.name, "this server leads");
            leads(self.name, true);
            let stop = shutdown.child_token();
            let work = work(stop.clone(), term.fence);
            tokio::pin!(work);
            tokio::select! {
                ended = &mut work => {
                    leads(self.name, false);
                    self.release().await;
                    return ended;
                }
                () = self.renew(term.since) => {
                    tracing::warn!(lease = self.name, "this server does not lead any more");
                    leads(self.name, false);
                    stop.cancel();
                    work.await?;
                }
            }
        }
        Ok(())
    }

    async fn acquire(&mut self) -> Term {
        loop {
            match self.try_take().await {
                Ok(Some(term)) => return term,
                Ok(None) => {}
                Err(error) => tracing::debug!(%error, lease = self.name, "try to lead"),
            }
            sleep(RETRY).await;
        }
    }

    /// Takes the Lease if it is free, then the office's key.
    async fn try_take(&mut self) -> anyhow::Result<Option<Term>> {
        let key = format!("/leaders/{}", self.name);
        // Read before the Lease is taken: whoever takes that while this server
        // stands still between the two has written the key meanwhile.
        let before = self.store.get(key.as_bytes()).await;
        let before = before.context("read who leads")?;
        let since = Instant::now();
        if !self.try_hold().await? {
            return Ok(None);
        }
        let expect = before.map_or(Expect::Absent, |entry| Expect::At(entry.modified));
        let holder = Value::plain(self.identity.clone());
        match self.store.put(key.as_bytes(), holder, expect).await {
            Ok(entry) => {
                let (key, at) = (key.into(), entry.modified);
                let fence = Fence { key, at };
                Ok(Some(Term { since, fence }))
            }
            Err(store::Error::Conflict { .. }) => Ok(None),
            Err(error) => Err(error).context("note who leads"),
        }
    }

    /// Renews until that fails for too long, or somebody else has the Lease.
    /// What others have seen of a renewal is no older than when it was sent.
    async fn renew(&mut self, since: Instant) {
        let mut deadline = since + RENEW_WITHIN;
        loop {
            sleep(RETRY).await;
            let sent = Instant::now();
            match timeout_at(deadline, self.try_hold()).await {
                Ok(Ok(true)) => deadline = sent + RENEW_WITHIN,
                Ok(Ok(false)) | Err(_) => return,
                Ok(Err(error)) => tracing::debug!(%error, lease = self.name, "renew"),
            }
            if Instant::now() >= deadline {
                return;
            }
        }
    }

    /// Whether this server has the Lease now.
    async fn try_hold(&mut self) -> anyhow::Result<bool> {
        let now = MicroTime(Timestamp::now());
        let Some(mut lease) = self.leases.get_opt(self.name).await? else {
            let lease = self.first(now);
            let made = self.leases.create(&PostParams::default(), &lease).await;
            return written(made).context("create the Lease");
        };
        self.look(&lease);
        let spec = lease.spec.get_or_insert_default();
        let holder = spec.holder_identity.clone().unwrap_or_default();
        if holder != self.identity {
            if !holder.is_empty() && !self.is_free() {
                return Ok(false);
            }
            spec.lease_transitions = Some(spec.lease_transitions.unwrap_or(0) + 1);
            spec.acquire_time = Some(now.clone());
        }
        self.fill(spec, now);
        let made = self
            .leases
            .replace(self.name, &PostParams::default(), &lease)
            .await;
        written(made).context("update the Lease")
    }

    fn first(&self, now: MicroTime) -> Lease {
        let mut spec = LeaseSpec {
            acquire_time: Some(now.clone()),
            lease_transitions: Some(0),
            ..LeaseSpec::default()
        };
        self.fill(&mut spec, now);
        Lease {
            metadata: ObjectMeta {
                name: Some(self.name.to_owned()),
                ..ObjectMeta::default()
            },
            spec: Some(spec),
        }
    }

    fn fill(&self, spec: &mut LeaseSpec, now: MicroTime) {
        spec.holder_identity = Some(self.identity.clone());
        spec.lease_duration_seconds = i32::try_from(LASTS.as_secs()).ok();
        spec.renew_time = Some(now);
    }

    fn look(&mut self, lease: &Lease) {
        let version = lease.metadata.resource_version.clone();
        if self.seen.as_ref().is_none_or(|(seen, _)| *seen != version) {
            self.seen = Some((version, Instant::now()));
        }
    }

    fn is_free(&self) -> bool {
        self.seen
            .as_ref()
            .is_some_and(|(_, since)| since.elapsed() >= LASTS)
    }

    /// Lets the next one begin at once. That it fails costs only time.
    async fn release(&mut self) {
        let released = async {
            let mut lease = self.leases.get(self.name).await?;
            let spec = lease.spec.get_or_insert_default();
            if spec.holder_identity.as_deref() == Some(&self.identity) {
                spec.holder_identity = None;
                let params = PostParams::default();
                self.leases.replace(self.name, &params, &lease).await?;
            }
            Ok::<_, kube::Error>(())
        };
        if let Err(error) = released.await {
            tracing::debug!(%error, lease = self.name, "let the next server lead");
        }
    }
}

/// The host's name, and what tells this run of the server from every other.
pub fn identity() -> String {
    let host = nix::unistd::gethostname().unwrap_or_default();
    format!("{}_{}", host.to_string_lossy(), apimachinery::random::uid())
}

/// Somebody else was faster: no error, but not held either.
fn written(made: Result<Lease, kube::Error>) -> Result<bool, kube::Error> {
    match made {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
        Err(error) => Err(error),
    }
}
