//! All pods, listed whole by one client.

use std::time::{Duration, Instant};

use anyhow::ensure;

use super::{Options, create};
use crate::report::{Line, millis, number};
use crate::server::Server;

const TIMES: usize = 5;
const PEER: f64 = 1.5;

pub fn run(server: &Server, options: &Options) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let request = server.target.request("GET", create::PATH, "");
    let (mut times, mut bytes) = (Vec::new(), 0);
    runtime.block_on(async {
        let mut connection = server.target.connect().await?;
        for _ in 0..TIMES {
            let begun = Instant::now();
            let (status, size) = connection.ask(&request).await?;
            ensure!(status == 200, "the list was answered with {status}");
            times.push(begun.elapsed());
            bytes = size;
        }
        anyhow::Ok(())
    })?;
    times.sort();
    let middle = times[TIMES / 2];
    Line {
        what: "list",
        measured: format!(
            "{} pods, {} MB, in {} (the middle of {}; {} to {})",
            number(options.pods as f64),
            bytes / 1_000_000,
            millis(middle),
            TIMES,
            millis(times[0]),
            millis(times[TIMES - 1]),
        ),
        peer: Some((
            "1.5 to 2.0 s for 28,000",
            PEER / middle.max(Duration::from_nanos(1)).as_secs_f64(),
        )),
        goal: "0.3 s for 28,000",
    }
    .print();
    Ok(())
}
