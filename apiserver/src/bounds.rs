//! How many requests are worked on at once: the server's share for each client,
//! so that none can starve the others, and a time for each request.
//!
//! Kubernetes has FlowSchemas and PriorityLevelConfigurations for this. Here a user
//! has so many requests under way, and some more that wait; beyond that, and after a
//! while of waiting, they are told to come again. The service accounts of a namespace
//! are one user, for who has one makes more. The cluster's own parts have places of
//! their own: whatever others do, nodes are alive and administrators are heard.
//! Logs, exec and the like go on for long and use little, so they take no place, and
//! watches only until they begin; health is told whatever happens.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use apimachinery::{Status, duration};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::query::Query;
use crate::route::{Resource, Route, Target};
use crate::user::{MASTERS, NODES, SERVICE_ACCOUNT_PREFIX, User};

/// As many as kube-apiserver works on by default (`--max-requests-inflight`,
/// `--max-mutating-requests-inflight`), of the cluster's own parts and of everybody else.
const ALL: usize = 600;
/// Of which one user has at most a third.
const OF_ONE: usize = ALL / 3;
/// As many of one user's may wait.
const WAITING: usize = 1000;
/// How long they do: a quarter of a request's time, as in Kubernetes.
const LONGEST_WAIT: Duration = Duration::from_secs(15);
/// How long a request may take, as kube-apiserver's `--request-timeout`.
const LONGEST_REQUEST: Duration = Duration::from_secs(60);
/// How long a write may go on when its client has been told that it took too long.
pub const GRACE: Duration = Duration::from_secs(30);
/// Users that are remembered before those without a request are forgotten.
const REMEMBERED: usize = 1024;

/// Streams below an object.
const LONG: &[&str] = &["attach", "exec", "log", "portforward", "proxy"];

pub struct Bounds {
    own: Arc<Semaphore>,
    others: Arc<Semaphore>,
    users: Mutex<HashMap<Box<str>, Arc<Client>>>,
}

/// One user's share.
struct Client {
    /// Under way or waiting.
    known: Arc<Semaphore>,
    under_way: Arc<Semaphore>,
}

/// A request's place, until it is answered.
pub struct Place {
    _known: OwnedSemaphorePermit,
    _own: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            own: Arc::new(Semaphore::new(ALL)),
            others: Arc::new(Semaphore::new(ALL)),
            users: Mutex::default(),
        }
    }
}

impl Bounds {
    /// Waits for the request's turn.
    ///
    /// # Errors
    /// 429 when the user has too many requests waiting, or this one waited too long.
    pub async fn place(&self, user: &User) -> Result<Place, Status> {
        let client = self.client(&name_of(user));
        let all = if is_own(user) {
            &self.own
        } else {
            &self.others
        };
        let known = client.known.clone().try_acquire_owned();
        let known = known.map_err(|_| too_many())?;
        let turn = async {
            // The own bound first: who waits for that holds nobody up.
            let own = client.under_way.clone().acquire_owned().await.ok()?;
            let all = all.clone().acquire_owned().await.ok()?;
            Some((own, all))
        };
        let turn = timeout(LONGEST_WAIT, turn).await.ok().flatten();
        let (own, all) = turn.ok_or_else(too_many)?;
        Ok(Place {
            _known: known,
            _own: own,
            _all: all,
        })
    }

    fn client(&self, user: &str) -> Arc<Client> {
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = users.get(user) {
            return client.clone();
        }
        if users.len() >= REMEMBERED {
            users.retain(|_, client| client.is_busy());
        }
        let client = Arc::new(Client {
            known: Arc::new(Semaphore::new(OF_ONE + WAITING)),
            under_way: Arc::new(Semaphore::new(OF_ONE)),
        });
        users.insert(user.into(), client.clone());
        client
    }
}

/// Under which name a user's requests are counted.
fn name_of(user: &User) -> Cow<'_, str> {
    match user.as_service_account() {
        Some((namespace, _)) => format!("{SERVICE_ACCOUNT_PREFIX}{namespace}").into(),
        None => user.name.as_str().into(),
    }
}

/// Whether the user is a part of the cluster or its administrator.
fn is_own(user: &User) -> bool {
    let account = user.as_service_account();
    let is_part = account.map_or_else(
        || user.name.starts_with("system:kube-"),
        |(namespace, _)| namespace == "kube-system",
    );
    is_part || user.is_in(MASTERS) || user.is_in(NODES)
}

impl Client {
    fn is_busy(self: &Arc<Self>) -> bool {
        // Somebody is about to take a place, or has one.
        Arc::strong_count(self) > 1 || self.known.available_permits() < OF_ONE + WAITING
    }
}

fn too_many() -> Status {
    Status::too_many_requests("too many requests, please try again later", 1)
}

/// In what time the request is to be answered, if it takes a place: `timeout=30s`, as
/// kubectl's `--request-timeout` asks, but a minute at most.
pub fn time_of(route: &Route, query: &Query) -> Option<Duration> {
    let asked = query.text("timeout").and_then(duration::of_go);
    let asked = asked.filter(|asked| !asked.is_zero());
    is_bounded(route).then(|| asked.unwrap_or(LONGEST_REQUEST).min(LONGEST_REQUEST))
}

fn is_bounded(route: &Route) -> bool {
    match &route.target {
        Target::Path => !is_health(&route.path) && !route.path.starts_with("/skiff/"),
        Target::Resource(resource) => !is_long(resource),
    }
}

fn is_health(path: &str) -> bool {
    let root = path.split('/').nth(1).unwrap_or_default();
    matches!(root, "healthz" | "livez" | "readyz")
}

fn is_long(resource: &Resource) -> bool {
    let below = resource.subresource.as_deref();
    below.is_some_and(|below| LONG.contains(&below))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Method;

    fn time(path: &str, query: &str) -> Option<Duration> {
        let query = Query::parse(query);
        time_of(&Route::parse(&Method::GET, path, &query), &query)
    }

    #[test]
    fn streams_and_health_take_no_place() {
        for path in [
            "/livez",
            "/readyz/ping",
            "/api/v1/namespaces/g/pods/p/log",
            "/api/v1/namespaces/g/pods/p/exec",
            "/api/v1/namespaces/g/services/s/proxy/x",
        ] {
            assert_eq!(time(path, ""), None, "{path}");
        }
    }

    #[test]
    fn a_request_may_ask_for_less_time_and_not_for_more() {
        let seconds = |n| Some(Duration::from_secs(n));
        assert_eq!(time("/api/v1/pods", ""), seconds(60));
        assert_eq!(time("/api/v1/pods", "timeout=5s"), seconds(5));
        assert_eq!(time("/api/v1/pods", "timeout=5m"), seconds(60));
        assert_eq!(time("/api/v1/pods", "timeout=0s"), seconds(60));
    }

    fn user(name: &str) -> User {
        User::new(name, [])
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_makes_service_accounts_gets_no_more_places_by_them() {
        let bounds = Bounds::default();
        let mut places = Vec::new();
        for at in 0..OF_ONE {
            let account = User::service_account("shop", &format!("a{at}"), "");
            places.push(bounds.place(&account).await.unwrap());
        }
        let one_more = User::service_account("shop", "one-more", "");
        assert!(bounds.place(&one_more).await.is_err());
        let elsewhere = User::service_account("other", "a1", "");
        assert!(bounds.place(&elsewhere).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn nodes_and_administrators_are_heard_when_others_have_all_places() {
        let bounds = Bounds::default();
        let mut places = Vec::new();
        for at in 0..ALL {
            let name = ["ann", "bob", "cid"][at % 3];
            places.push(bounds.place(&user(name)).await.unwrap());
        }
        assert!(bounds.place(&user("dora")).await.is_err());
        let node = User::new("system:node:n1", [NODES.to_owned()]);
        let parts = [
            node,
            User::admin("root"),
            user("system:kube-scheduler"),
            User::service_account("kube-system", "dns", ""),
        ];
        for part in parts {
            assert!(bounds.place(&part).await.is_ok(), "{part:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_all_places_of_one_waits_and_others_do_not() {
        let bounds = Bounds::default();
        let mut places = Vec::new();
        for _ in 0..OF_ONE {
            places.push(bounds.place(&user("ann")).await.unwrap());
        }
        let other = timeout(Duration::ZERO, bounds.place(&user("bob"))).await;
        assert!(other.unwrap().is_ok());
        let late = bounds.place(&user("ann")).await.err().unwrap();
        assert_eq!(late.code, 429);
        let ann = user("ann");
        let (next, ()) = tokio::join!(bounds.place(&ann), async { drop(places.pop()) });
        assert!(next.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn not_more_wait_than_have_a_chance() {
        let bounds = Bounds::default();
        let mut places = Vec::new();
        for _ in 0..OF_ONE {
            places.push(bounds.place(&user("ann")).await.unwrap());
        }
        let ann = user("ann");
        let mut waiting: Vec<_> = (0..WAITING).map(|_| Box::pin(bounds.place(&ann))).collect();
        for place in &mut waiting {
            assert!(futures::poll!(place).is_pending());
        }
        let refused = timeout(Duration::ZERO, bounds.place(&user("ann")))
            .await
            .unwrap();
        assert_eq!(refused.err().unwrap().code, 429);
    }

    #[tokio::test]
    async fn users_are_forgotten_when_they_ask_no_more() {
        let bounds = Bounds::default();
        let kept = bounds.place(&user("kept")).await.unwrap();
        for at in 0..3 * REMEMBERED {
            bounds.place(&user(&at.to_string())).await.unwrap();
        }
        let users = bounds.users.lock().unwrap();
        assert!(users.len() <= REMEMBERED + 1, "{}", users.len());
        assert!(users.contains_key("kept"));
        drop(kept);
    }
}
