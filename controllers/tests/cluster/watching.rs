//! A watch of the API, one change after the other.

use std::pin::Pin;
use std::time::Duration;

use futures::{AsyncBufReadExt, Stream, StreamExt};
use http::Request;
use serde_json::Value;
use tokio::time::timeout;

use crate::world::World;

const PATIENCE: Duration = Duration::from_secs(60);

pub struct Watching {
    lines: Pin<Box<dyn Stream<Item = std::io::Result<String>> + Send>>,
}

impl World {
    /// Watches a list from now on; `query` may select.
    pub async fn watch(&self, list: &str, query: &str) -> Watching {
        let now = self.ask(http::Method::GET, list, Value::Null).await;
        let version = now["metadata"]["resourceVersion"].as_str().unwrap();
        let uri = format!("{list}?watch=1&resourceVersion={version}&{query}");
        let request = Request::get(uri).body(Vec::new()).unwrap();
        let stream = self.client.request_stream(request).await.unwrap();
        Watching {
            lines: Box::pin(stream.lines()),
        }
    }
}

impl Watching {
    /// The object of the next change of this type that is as wanted; other
    /// changes are passed over.
    pub async fn until(&mut self, type_: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        let found = timeout(PATIENCE, async {
            loop {
                let line = self.lines.next().await.expect("the watch goes on").unwrap();
                let mut change: Value = serde_json::from_str(&line).unwrap();
                if change["type"] == type_ && is_it(&change["object"]) {
                    return change["object"].take();
                }
            }
        });
        found
            .await
            .unwrap_or_else(|_| panic!("waited in vain for a change {type_}"))
    }
}
