//! How fast the store is here, and what it holds:
//! `cargo run -p store --example load [dir]`.

use std::{sync::Arc, time::Instant};

use store::{Expect, Log, Options, Range, Revision, Signal, Store, Value};

const WRITERS: usize = 64;
const PODS: usize = 28_000;
const POD: usize = 1500;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let scratch = tempfile::tempdir()?;
    let dir = std::env::args()
        .nth(1)
        .map_or(scratch.path().to_owned(), Into::into);
    let log = Log::open(&dir, Options::default())?;
    let before = resident()?;
    let watch = log.watch(b"/pods/", Revision(0)).await?;
    let watcher = tokio::spawn(follow(watch));
    rate(
        "puts of new keys",
        PODS,
        write_all(&log, Expect::Absent).await?,
    );
    println!("{} changes were watched", watcher.await?);
    println!(
        "{} MiB for {PODS} values of {POD} bytes",
        (resident()? - before) >> 20
    );
    rate(
        "puts over old keys",
        PODS,
        write_all(&log, Expect::Any).await?,
    );
    println!(
        "{} MiB after writing each again",
        (resident()? - before) >> 20
    );
    log.compact(log.revision()).await?;
    println!("{} MiB after compaction", (resident()? - before) >> 20);
    for prefix in 0..5_000 {
        let watch = log
            .watch(format!("/other/{prefix}/").as_bytes(), log.revision())
            .await?;
        tokio::spawn(follow(watch));
    }
    rate(
        "puts beside 5000 watches",
        PODS,
        write_all(&log, Expect::Any).await?,
    );
    read(&log).await?;
    log.close().await;
    drop(log);
    let start = Instant::now();
    let log = Log::open(&dir, Options::default())?;
    println!(
        "opened at revision {} in {:?}",
        log.revision(),
        start.elapsed()
    );
    Ok(())
}

async fn write_all(log: &Arc<Log>, expect: Expect) -> Result<Instant, store::Error> {
    let start = Instant::now();
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| tokio::spawn(write(Arc::clone(log), writer, expect)))
        .collect();
    for writer in writers {
        writer.await.expect("the writer does not panic")?;
    }
    Ok(start)
}

async fn write(log: Arc<Log>, writer: usize, expect: Expect) -> Result<(), store::Error> {
    for pod in (writer..PODS).step_by(WRITERS) {
        let value = Value::with_revision_at(vec![b'x'; POD], POD / 2);
        log.put(
            format!("/pods/default/pod-{pod:08}").as_bytes(),
            value,
            expect,
        )
        .await?;
    }
    Ok(())
}

async fn read(log: &Arc<Log>) -> Result<(), store::Error> {
    let start = Instant::now();
    for pod in 0..PODS {
        log.get(format!("/pods/default/pod-{pod:08}").as_bytes())
            .await?;
    }
    rate("gets", PODS, start);
    let start = Instant::now();
    let page = log.range(Range::prefix("/pods/")).await?;
    println!("range of {} in {:?}", page.entries.len(), start.elapsed());
    Ok(())
}

/// Answers how many of the first `PODS` changes came.
async fn follow(mut watch: store::Watch) -> usize {
    let mut seen = 0;
    while seen < PODS {
        match watch.next().await {
            Some(Ok(Signal::Change(_))) => seen += 1,
            Some(Ok(Signal::Progress(_))) => {}
            Some(Err(_)) | None => break,
        }
    }
    seen
}

fn rate(what: &str, count: usize, start: Instant) {
    let seconds = start.elapsed().as_secs_f64();
    println!("{what}: {:.0}/s", count as f64 / seconds);
}

/// Bytes of memory this process has.
fn resident() -> std::io::Result<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm")?;
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok());
    Ok(pages.unwrap_or(0) * 4096)
}
