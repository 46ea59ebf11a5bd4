//! What the server holds with all pods: the store, and what scheduler and
//! controllers keep of them.

use std::time::Duration;

use super::Options;
use crate::report::{Line, number};
use crate::server::Server;

/// Kubernetes' API server and etcd, without scheduler and controllers.
const PEER_MB: f64 = 1170.0 + 227.0;
/// Until what the creates left to do is done.
const SETTLE: Duration = Duration::from_secs(3);

pub fn run(server: &Server, options: &Options) -> anyhow::Result<()> {
    let at_once = server.usage()?.resident_kib / 1024;
    std::thread::sleep(SETTLE);
    let resident = server.usage()?.resident_kib as f64 / 1024.0;
    Line {
        what: "memory",
        measured: format!(
            "{resident:.0} MB resident with {} pods ({at_once} MB when the last was created)",
            number(options.pods as f64)
        ),
        peer: Some((
            "1,170 MB API server and 227 MB etcd with 28,000",
            PEER_MB / resident,
        )),
        goal: "200 MB with 28,000",
    }
    .print();
    Ok(())
}
