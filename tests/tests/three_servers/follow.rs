//! Watchers that go on at another server when one is gone.

use std::time::Duration;

use futures::TryStreamExt;
use http::Request;
use kube::Error;
use kube::core::WatchEvent;
use serde_json::Value;
use tokio::time::timeout;

use crate::clients::Clients;

/// Something happens all the time: a watch that is silent for so long is dead.
const SILENCE: Duration = Duration::from_secs(8);
const PAUSE: Duration = Duration::from_millis(100);

/// What a watch tells next.
pub enum Told {
    Put {
        at: u64,
        object: Value,
    },
    Deleted {
        at: u64,
        object: Value,
    },
    /// All up to here was told.
    Progress(u64),
    /// What came after the last change is forgotten; this is all there is now.
    Anew {
        at: u64,
        items: Vec<Value>,
    },
}

pub struct Follower {
    clients: Clients,
    path: String,
    /// Whom it asks first.
    server: usize,
    from: u64,
}

impl Follower {
    pub fn new(clients: Clients, path: &str, server: usize, from: u64) -> Self {
        Self {
            clients,
            path: path.to_owned(),
            server,
            from,
        }
    }

    /// Tells `take` of everything until it has enough.
    pub async fn follow(mut self, mut take: impl FnMut(Told) -> bool) {
        loop {
            match self.follow_one(&mut take).await {
                Ok(true) => return,
                Ok(false) => {}
                Err(Error::Api(status)) if status.code == 410 => {
                    if let Some(told) = self.list().await
                        && take(told)
                    {
                        return;
                    }
                }
                Err(_) => {}
            }
            self.server += 1;
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Follows until one server tells no more; whether that was enough.
    async fn follow_one(&mut self, take: &mut impl FnMut(Told) -> bool) -> Result<bool, Error> {
        let path = format!(
            "{}?watch=1&allowWatchBookmarks=true&resourceVersion={}",
            self.path, self.from
        );
        let client = self.clients.server(self.server);
        let request = Request::get(path).body(Vec::new()).expect("a request");
        let begun = timeout(SILENCE, client.request_events::<Value>(request)).await;
        let Ok(events) = begun else { return Ok(false) };
        let mut events = std::pin::pin!(events?);
        while let Ok(event) = timeout(SILENCE, events.try_next()).await {
            let Some(event) = event? else { break };
            let told = match event {
                WatchEvent::Added(object) | WatchEvent::Modified(object) => Told::Put {
                    at: revision(&object),
                    object,
                },
                WatchEvent::Deleted(object) => Told::Deleted {
                    at: revision(&object),
                    object,
                },
                WatchEvent::Bookmark(mark) => {
                    let at = mark.metadata.resource_version.parse();
                    Told::Progress(at.expect("a bookmark is at a revision"))
                }
                WatchEvent::Error(status) => return Err(Error::Api(status)),
            };
            self.from = told.at();
            if take(told) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn list(&mut self) -> Option<Told> {
        let path = self.path.clone();
        let listed = self.clients.ask(async |client| {
            let request = Request::get(path).body(Vec::new()).expect("a request");
            client.request::<Value>(request).await
        });
        let mut list = listed.await.ok()?;
        self.from = revision(&list);
        let items = list["items"].take();
        Some(Told::Anew {
            at: self.from,
            items: items.as_array().cloned().unwrap_or_default(),
        })
    }
}

impl Told {
    fn at(&self) -> u64 {
        match self {
            Self::Put { at, .. } | Self::Deleted { at, .. } | Self::Anew { at, .. } => *at,
            Self::Progress(at) => *at,
        }
    }
}

pub fn revision(object: &Value) -> u64 {
    let version = object["metadata"]["resourceVersion"].as_str();
    let version = version.and_then(|version| version.parse().ok());
    version.expect("it has a version that is a number")
}
