//! Clients that write and read ConfigMaps through any server, and note everything.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{DeleteParams, ListParams, PostParams, Preconditions, VersionMatch};
use kube::{Api, Client};

use crate::check::COUNTERS;
use crate::clients::{Clients, Failure};
use crate::record::{Floor, Found, List, Outcome, Read, Record, What, Write};
use crate::witness::END;

pub const NAMESPACE: &str = "load";
/// Every namespace has this one, of a controller.
pub const NOT_OURS: &str = "kube-root-ca.crt";
pub const PATH: &str = "/api/v1/namespaces/load/configmaps";
/// Keys that one client has to itself, of each.
const KEYS: usize = 6;
const COUNTER_KEYS: usize = 3;
const PAGE: u32 = 7;
/// Nothing here waits for anything else: it leaves the machine some time.
const BREATH: Duration = Duration::from_millis(15);

#[derive(Clone)]
pub struct Load {
    pub clients: Clients,
    pub record: Arc<Record>,
    pub stop: Rc<dyn Fn() -> bool>,
}

/// A key as its client left it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Unknown,
    Absent,
    There { revision: u64, number: u64 },
}

impl Load {
    /// The same as another client.
    pub fn another(&self, seed: u64) -> Self {
        Self {
            clients: self.clients.another(seed),
            ..self.clone()
        }
    }

    /// Creates, changes and deletes keys that nobody else writes.
    pub async fn own(self, who: usize) {
        let mut states = BTreeMap::new();
        while !(self.stop)() {
            let key = format!("own-{who}-{}", self.roll(KEYS));
            let state = states.entry(key.clone()).or_insert(State::Unknown);
            *state = match *state {
                State::Unknown => self.look(&key).await,
                State::Absent => self.put(&key, None).await,
                State::There { revision, .. } if self.roll(5) == 0 => {
                    self.delete(&key, revision).await
                }
                State::There { revision, number } => self.put(&key, Some((revision, number))).await,
            };
            tokio::time::sleep(BREATH).await;
        }
    }

    /// Counts up what others count up too.
    pub async fn count(self) {
        while !(self.stop)() {
            let key = format!("{COUNTERS}{}", self.roll(COUNTER_KEYS));
            match self.look(&key).await {
                State::Unknown => {}
                State::Absent => drop(self.put(&key, None).await),
                State::There { revision, number } => {
                    self.put(&key, Some((revision, number))).await;
                }
            }
            tokio::time::sleep(BREATH).await;
        }
    }

    /// Reads what others write, in every way.
    pub async fn read(self) {
        while !(self.stop)() {
            match self.roll(8) {
                0 => drop(self.list(ListParams::default()).await),
                1 => {
                    // Not older than what somebody knows, by the server's own word.
                    let floor = self.record.floor().to_string();
                    let params = ListParams::default().at(&floor);
                    drop(self.list(params.matching(VersionMatch::NotOlderThan)).await);
                }
                2 => drop(self.list(ListParams::default().limit(PAGE)).await),
                3 => {
                    self.glance(&format!("{COUNTERS}{}", self.roll(COUNTER_KEYS)))
                        .await
                }
                _ => {
                    let key = format!("own-{}-{}", self.roll(3), self.roll(KEYS));
                    self.glance(&key).await;
                }
            }
            tokio::time::sleep(BREATH).await;
        }
    }

    fn roll(&self, sides: usize) -> usize {
        self.clients.dice().below(sides)
    }

    /// A read that is only noted.
    async fn glance(&self, key: &str) {
        self.look(key).await;
    }

    async fn look(&self, key: &str) -> State {
        let floor = self.record.floor();
        let got = self.clients.ask(async |c| maps(c).get_opt(key).await).await;
        let Ok(found) = got else {
            return State::Unknown;
        };
        let state = found.as_ref().map_or(State::Absent, state_of);
        let revision = found.as_ref().map(revision_of);
        self.learn(revision);
        self.record.kept().reads.push(Read {
            floor,
            key: key.to_owned(),
            found: revision,
        });
        state
    }

    /// Makes the key, or changes the version of this revision and number.
    async fn put(&self, key: &str, on: Option<(u64, u64)>) -> State {
        let op = self.record.next_op();
        let (what, number) = match on {
            None => (What::Create, 0),
            Some((revision, number)) => (What::Update(revision), number + 1),
        };
        let map = map(key, op, number, on.map(|(revision, _)| revision));
        let params = PostParams::default();
        let floor = self.record.floor();
        let answer = self.clients.ask(async |client| match on {
            None => maps(client).create(&params, &map).await,
            Some(_) => maps(client).replace(key, &params, &map).await,
        });
        let answer = answer.await;
        let state = answer.as_ref().map_or(State::Unknown, state_of);
        let outcome = outcome(answer.map(|map| Some(revision_of(&map))));
        self.note(floor, key, op, what, outcome);
        state
    }

    async fn delete(&self, key: &str, revision: u64) -> State {
        let op = self.record.next_op();
        let params = DeleteParams::default().preconditions(Preconditions {
            resource_version: Some(revision.to_string()),
            uid: None,
        });
        let floor = self.record.floor();
        let answer = self
            .clients
            .ask(async |c| maps(c).delete(key, &params).await);
        let answer = answer.await;
        let state = if answer.is_ok() {
            State::Absent
        } else {
            State::Unknown
        };
        self.note(
            floor,
            key,
            op,
            What::Delete(revision),
            outcome(answer.map(|_| None)),
        );
        state
    }

    fn note(&self, floor: Floor, key: &str, op: u64, what: What, outcome: Outcome) {
        if let Outcome::Done(revision) = outcome {
            self.learn(revision);
        }
        self.record.kept().writes.push(Write {
            floor,
            key: key.to_owned(),
            op,
            what,
            outcome,
        });
    }

    fn learn(&self, revision: Option<u64>) {
        if let Some(revision) = revision {
            self.record.learn(revision);
        }
    }

    /// Lists, each page through another server if there are several.
    pub async fn list(&self, params: ListParams) -> Option<List> {
        let floor = self.record.floor();
        let mut params = params;
        let mut list = List::default();
        loop {
            let page = self
                .clients
                .ask(async |c| maps(c).list(&params).await)
                .await;
            let page = match page {
                Ok(page) => page,
                Err(failure) => {
                    self.check_list_failure(&failure, floor);
                    return None;
                }
            };
            let at = page.metadata.resource_version.as_deref();
            list.at = at
                .and_then(|at| at.parse().ok())
                .expect("a list has a version");
            list.items.extend(page.items.iter().filter_map(found));
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params = ListParams::default().limit(PAGE).continue_token(&token),
                None => break,
            }
        }
        list.floor = floor;
        self.record.learn(list.at);
        self.record.kept().lists.push(list.clone());
        Some(list)
    }

    /// The last write of all.
    pub async fn write_end(&self) -> bool {
        self.put(END, None).await != State::Unknown
            || matches!(self.look(END).await, State::There { .. })
    }

    /// Lists all through this server.
    pub async fn list_at(&self, server: usize) -> Option<()> {
        let floor = self.record.floor();
        let listing = maps(self.clients.server(server));
        let list = listing.list(&ListParams::default()).await.ok()?;
        let at = list.metadata.resource_version?.parse().ok()?;
        let items = list.items.iter().filter_map(found).collect();
        self.record.kept().lists.push(List { floor, at, items });
        Some(())
    }

    /// What one server has told is no server's future.
    fn check_list_failure(&self, failure: &Failure, floor: Floor) {
        if let Failure::Told(_, message) = failure {
            let is_future = message.contains("Too large resource version");
            assert!(!is_future, "{message}, though {floor} was known");
        }
    }
}

fn outcome(answer: Result<Option<u64>, Failure>) -> Outcome {
    match answer {
        Ok(revision) => Outcome::Done(revision),
        Err(failure) => failure.refusal().map_or(Outcome::InDoubt, Outcome::Refused),
    }
}

fn maps(client: Client) -> Api<ConfigMap> {
    Api::namespaced(client, NAMESPACE)
}

fn map(key: &str, op: u64, number: u64, on: Option<u64>) -> ConfigMap {
    let data = [("op", op), ("number", number)];
    let data = data.map(|(name, value)| (name.to_owned(), value.to_string()));
    ConfigMap {
        metadata: ObjectMeta {
            name: Some(key.to_owned()),
            resource_version: on.map(|revision| revision.to_string()),
            ..ObjectMeta::default()
        },
        data: Some(data.into()),
        ..ConfigMap::default()
    }
}

fn revision_of(map: &ConfigMap) -> u64 {
    let version = map.metadata.resource_version.as_deref();
    let version = version.and_then(|version| version.parse().ok());
    version.expect("an object has a version that is a number")
}

fn state_of(map: &ConfigMap) -> State {
    let number = map.data.as_ref().and_then(|data| data.get("number"));
    State::There {
        revision: revision_of(map),
        number: number.and_then(|n| n.parse().ok()).unwrap_or(0),
    }
}

fn found(map: &ConfigMap) -> Option<Found> {
    let name = map.metadata.name.clone()?;
    (name != NOT_OURS).then(|| (name, revision_of(map)))
}
