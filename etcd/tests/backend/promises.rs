//! The contract of `Store`, kept on etcd.

use std::sync::Arc;

use store::Store;
use store_etcd::{Config, Etcd};

use crate::member::{self, Cluster};

async fn open() -> Option<(Arc<dyn Store>, Cluster)> {
    if !member::is_there() {
        return None;
    }
    let cluster = Cluster::start(1).await;
    let etcd = Etcd::connect(&Config::new(cluster.urls())).await.unwrap();
    Some((etcd, cluster))
}

store_promises::store_promises!(open);
