//! The server that is measured.

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use base64::Engine as _;
use nix::sys::statfs::{TMPFS_MAGIC, statfs};
use tempfile::TempDir;

use crate::client::Target;
use crate::process::{stop, usage};

pub use crate::process::Usage;

const START_LIMIT: Duration = Duration::from_secs(30);

/// A running `skiff server`, stopped and removed when dropped.
pub struct Server {
    process: Child,
    pub target: Target,
    /// What it was started with, for the record.
    pub command: String,
    binary: PathBuf,
    /// Those that every start has.
    args: Vec<OsString>,
    dir: TempDir,
}

impl Server {
    /// Starts `binary` with a data directory of its own below `parent`.
    pub fn start(binary: &Path, parent: &Path, extra: &[String]) -> anyhow::Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix("skiff-bench-")
            .tempdir_in(parent);
        let dir = dir.with_context(|| format!("make a directory in {}", parent.display()))?;
        if statfs(dir.path())?.filesystem_type() == TMPFS_MAGIC {
            bail!(
                "{} is in memory: choose a --data-dir on a disk",
                parent.display()
            );
        }
        let token = format!("{:032x}", rand::random::<u128>());
        let tokens = dir.path().join("tokens");
        std::fs::write(&tokens, format!("{token},bench,bench,\"system:masters\"\n"))?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
        let data = dir.path().join("data");
        let mut args: Vec<OsString> = [
            "server",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
        ]
        .map(OsString::from)
        .into();
        args.push(format!("--secure-port={}", address.port()).into());
        args.extend(["--data-dir".into(), data.clone().into()]);
        args.extend(["--token-auth-file".into(), tokens.into()]);
        let (process, shown) = spawn(binary, &args, extra, dir.path())?;
        let mut process = Guard(Some(process));
        let ca = wait_for_ca(&data.join("admin.kubeconfig"), dir.path(), &mut process)?;
        let target = Target::new(address, &token, &ca)?;
        wait_for_answers(&target)?;
        Ok(Self {
            process: process.0.take().expect("it was just put there"),
            target,
            command: shown,
            binary: binary.to_owned(),
            args,
            dir,
        })
    }

    /// Stops it and starts it again with what it keeps on disk.
    pub fn restart(&mut self, extra: &[String]) -> anyhow::Result<()> {
        stop(&mut self.process);
        let (process, shown) = spawn(&self.binary, &self.args, extra, self.dir.path())?;
        self.process = process;
        self.command = shown;
        wait_for_answers(&self.target)
    }

    /// Where all is that it and others leave.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The administrator's, which it writes.
    pub fn kubeconfig(&self) -> OsString {
        self.dir.path().join("data/admin.kubeconfig").into()
    }

    pub fn usage(&self) -> anyhow::Result<Usage> {
        usage(self.process.id())
    }
}

fn spawn(
    binary: &Path,
    args: &[OsString],
    extra: &[String],
    dir: &Path,
) -> anyhow::Result<(Child, String)> {
    let mut command = Command::new(binary);
    command.args(args).args(extra);
    let shown = format!("{command:?}").replace('"', "");
    let log = std::fs::File::create(dir.join("log"))?;
    let process = command.stdout(Stdio::null()).stderr(log).spawn();
    let process = process.with_context(|| format!("start {}", binary.display()))?;
    Ok((process, shown))
}

impl Drop for Server {
    fn drop(&mut self) {
        stop(&mut self.process);
    }
}

/// Ends what was started when the start goes wrong.
struct Guard(Option<Child>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.iter_mut().for_each(stop);
    }
}

fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("find a free port")?;
    Ok(listener.local_addr()?.port())
}

/// The certificate authority, from the kubeconfig that the server writes, once
/// it answers.
fn wait_for_ca(kubeconfig: &Path, dir: &Path, process: &mut Guard) -> anyhow::Result<Vec<u8>> {
    let deadline = Instant::now() + START_LIMIT;
    loop {
        if let Ok(text) = std::fs::read(kubeconfig)
            && let Ok(config) = serde_json::from_slice::<serde_json::Value>(&text)
        {
            let cluster = &config["clusters"][0]["cluster"];
            let ca = cluster["certificate-authority-data"].as_str();
            let ca = ca.context("the admin kubeconfig has no certificate authority")?;
            return Ok(base64::engine::general_purpose::STANDARD.decode(ca)?);
        }
        let ended = process
            .0
            .as_mut()
            .is_some_and(|p| !matches!(p.try_wait(), Ok(None)));
        if ended || Instant::now() > deadline {
            let log = std::fs::read_to_string(dir.join("log")).unwrap_or_default();
            bail!("the server did not start: {log}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What says that the server is ready, and that a controller has made what each pod needs.
const NEEDED: [&str; 2] = [
    "/readyz",
    "/api/v1/namespaces/default/serviceaccounts/default",
];

/// Until all that is [`NEEDED`] is there.
fn wait_for_answers(target: &Target) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let deadline = Instant::now() + START_LIMIT;
    runtime.block_on(async {
        for path in NEEDED {
            wait_for(target, path, deadline).await?;
        }
        Ok(())
    })
}

async fn wait_for(target: &Target, path: &str, deadline: Instant) -> anyhow::Result<()> {
    let request = target.request("GET", path, "");
    loop {
        let asked = async { target.connect().await?.ask(&request).await };
        match asked.await {
            Ok((200, _)) => return Ok(()),
            Err(error) if Instant::now() > deadline => return Err(error),
            Ok((status, _)) if Instant::now() > deadline => bail!("{path} answers {status}"),
            _ => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}
