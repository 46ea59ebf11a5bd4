//! Waiting for what an object becomes.

use anyhow::bail;
use futures::{AsyncBufReadExt, TryStreamExt};
use http::Request;
use serde_json::Value;

use super::{Cluster, encode, refused, text};

impl Cluster {
    /// Shows `seen` the object at `path` as it is, then each time it changes,
    /// until `seen` has an answer.
    pub async fn until<T>(
        &self,
        path: &str,
        mut seen: impl FnMut(&Value) -> Option<T>,
    ) -> anyhow::Result<T> {
        let (list, name) = path.rsplit_once('/').unwrap_or_default();
        let only = encode(&format!("metadata.name={name}"));
        loop {
            let object = self.get(path).await?;
            if let Some(answer) = seen(&object) {
                return Ok(answer);
            }
            let version = text(&object, "/metadata/resourceVersion");
            let watch = format!("{list}?watch=true&fieldSelector={only}&resourceVersion={version}");
            let request = Request::get(watch).body(Vec::new())?;
            let stream = self.client.request_stream(request).await.map_err(refused)?;
            let mut lines = stream.lines();
            // A watch ends now and then; the object is then looked at anew.
            while let Some(line) = lines.try_next().await? {
                let event: Value = serde_json::from_str(&line)?;
                match event["type"].as_str() {
                    Some("DELETED") => bail!("object has been deleted"),
                    Some("ERROR") => break,
                    _ => {}
                }
                if let Some(answer) = seen(&event["object"]) {
                    return Ok(answer);
                }
            }
        }
    }
}
