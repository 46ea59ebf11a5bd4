//! Makes claims and Services agree again: a Service without its claim gets it,
//! and a claim without its Service is removed.
//!
//! A claim is written before its Service, so one without a Service may only be
//! early: it goes when it is found a second time, unchanged, later than any
//! write takes.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use store::{Expect, Range, Revision};
use tokio_util::sync::CancellationToken;

use super::Services;
use super::claim::{self, Claim, Owner, claims_of};
use crate::api::Api;
use crate::keys;

/// The second look after a start, then the others.
const SECOND: Duration = Duration::from_secs(60);
const EVERY: Duration = Duration::from_secs(300);

/// Claims without a Service at the last look.
#[derive(Default)]
pub struct Suspects(HashSet<(Claim, Revision)>);

/// A claim as it is stored.
struct Stored {
    revision: Revision,
    /// None: somebody else's IPAddress.
    owner: Option<String>,
}

/// Looks again and again until `stop`.
pub async fn run(api: Arc<Api>, stop: CancellationToken) {
    let mut suspects = Suspects::default();
    let mut pause = SECOND;
    while stop
        .run_until_cancelled(look(&api.services, &mut suspects, pause))
        .await
        .is_some()
    {
        pause = EVERY;
    }
}

async fn look(services: &Services, suspects: &mut Suspects, pause: Duration) {
    if let Err(error) = services.repair(suspects).await {
        tracing::warn!(%error, "compare the addresses and ports of Services with their claims");
    }
    tokio::time::sleep(pause).await;
}

impl Services {
    pub async fn repair(&self, suspects: &mut Suspects) -> Result<(), store::Error> {
        // Claims first: the Service of one that is read here is either there by
        // the time that Services are read, or the claim is early.
        let stored = self.stored().await?;
        let wanted = self.wanted().await?;
        for (claim, owners) in &wanted {
            self.adopt(*claim, owners, stored.get(claim)).await?;
        }
        let mut early = HashSet::new();
        for (claim, found) in stored {
            if found.owner.is_none() || wanted.contains_key(&claim) {
                continue;
            }
            let suspect = (claim, found.revision);
            if suspects.0.contains(&suspect) {
                tracing::info!(%claim, "a claim without a Service is removed");
                self.remove(claim, found.revision).await?;
            } else {
                early.insert(suspect);
            }
        }
        suspects.0 = early;
        Ok(())
    }

    async fn adopt(
        &self,
        claim: Claim,
        owners: &[Owner],
        stored: Option<&Stored>,
    ) -> Result<(), store::Error> {
        if owners.len() > 1 {
            let names = owners.iter().map(|o| format!("{}/{}", o.namespace, o.name));
            let names: Vec<String> = names.collect();
            tracing::warn!(%claim, services = names.join(", "), "Services share what each should have alone: delete all but one");
        }
        let expect = match stored {
            None => Expect::Absent,
            Some(Stored { owner: None, .. }) => return Ok(()),
            Some(Stored {
                owner: Some(uid), ..
            }) if owners.iter().any(|owner| owner.uid == *uid) => return Ok(()),
            Some(Stored { revision, .. }) => Expect::At(*revision),
        };
        let Some(owner) = owners.first() else {
            return Ok(());
        };
        let (key, value) = (claim.key(), claim::value(claim, owner));
        match self.store.put(&key, value, expect).await {
            Ok(_) | Err(store::Error::Conflict { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn stored(&self) -> Result<HashMap<Claim, Stored>, store::Error> {
        let mut stored = HashMap::new();
        for prefix in [claim::ADDRESSES, claim::PORTS] {
            let under = keys::kind(prefix);
            let page = self.store.range(Range::prefix(&under)).await?;
            for entry in page.entries {
                let name = String::from_utf8_lossy(&entry.key[under.len()..]).into_owned();
                let Some(claim) = parse(prefix, &name) else {
                    continue;
                };
                let found = Stored {
                    revision: entry.modified,
                    owner: claim::owner_of(claim, &entry.value),
                };
                stored.insert(claim, found);
            }
        }
        Ok(stored)
    }

    /// What Services hold, and who they are.
    async fn wanted(&self) -> Result<BTreeMap<Claim, Vec<Owner>>, store::Error> {
        let page = self
            .store
            .range(Range::prefix(keys::kind("services")))
            .await?;
        let mut wanted: BTreeMap<Claim, Vec<Owner>> = BTreeMap::new();
        for entry in &page.entries {
            let Ok(service) = serde_json::from_slice::<Value>(&entry.value) else {
                continue;
            };
            for claim in claims_of(&service) {
                wanted.entry(claim).or_default().push(Owner::of(&service));
            }
        }
        Ok(wanted)
    }
}

fn parse(prefix: &str, name: &str) -> Option<Claim> {
    match prefix {
        claim::PORTS => name.parse().ok().map(Claim::Port),
        _ => name.parse().ok().map(Claim::Address),
    }
}
