//! The store as this server uses it: sealed where the administrator says so.

use std::path::Path;
use std::sync::Arc;

use encryption::{Layer, Resource};
use store::Store;

use crate::Error;

/// Kinds that people encrypt: looked at when nothing is configured.
const OFTEN_SEALED: &[&str] = &["secrets", "configmaps"];

/// # Errors
/// A configuration that cannot be used, or none for a store that needs one.
pub async fn layer(store: Arc<dyn Store>, config: Option<&Path>) -> Result<Arc<dyn Store>, Error> {
    let failed = |source| Error::Encryption { source };
    let Some(path) = config else {
        let checked = encryption::refuse_sealed(&*store, OFTEN_SEALED).await;
        return checked.map(|()| store).map_err(failed);
    };
    let config = encryption::Config::read(path).map_err(failed)?;
    let resources: Vec<Resource> = kinds::all()
        .iter()
        // Another view of stored objects goes by the name they are stored under.
        .filter(|kind| kind.conversion().is_none())
        .filter_map(|kind| {
            Some(Resource {
                group: kind.group.to_owned(),
                plural: kind.plural.to_owned(),
                prefix: kind.prefix()?.to_owned(),
            })
        })
        .collect();
    Ok(Arc::new(Layer::new(store, config, &resources)))
}
