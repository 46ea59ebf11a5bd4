//! The end of a volume that this node keeps.

use std::io::ErrorKind;
use std::sync::Arc;

use http::StatusCode;

use super::{Answer, text};
use crate::agent::Agent;

/// Removes the directory of a volume; one that is not there counts as removed.
pub async fn remove(agent: &Arc<Agent>, name: &str) -> Answer {
    let (storage, name) = (agent.storage.clone(), name.to_owned());
    let path = storage.root().join(&name);
    let removed = tokio::task::spawn_blocking(move || storage.remove(&name)).await;
    match removed {
        Ok(Ok(())) => text(StatusCode::OK, "removed"),
        Ok(Err(e)) if e.kind() == ErrorKind::InvalidInput => {
            text(StatusCode::BAD_REQUEST, e.to_string())
        }
        Ok(Err(e)) => {
            let message = format!("remove {}: {e}", path.display());
            text(StatusCode::INTERNAL_SERVER_ERROR, message)
        }
        Err(e) => text(StatusCode::INTERNAL_SERVER_ERROR, e.to_string()),
    }
}
