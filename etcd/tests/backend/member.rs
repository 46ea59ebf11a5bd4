//! An etcd of one test: processes, ports and directories of its own.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

/// Members that know each other.
pub struct Cluster {
    pub members: Vec<Member>,
    _dir: TempDir,
}

pub struct Member {
    pub url: String,
    command: Command,
    running: Option<Child>,
}

/// Whether the machine has an etcd; prints why a test is skipped if not.
pub fn is_there() -> bool {
    let found = Command::new("etcd").arg("--version").output();
    if found.is_err() {
        println!("skipped: no `etcd` in $PATH (Debian: etcd-server)");
    }
    found.is_ok()
}

impl Cluster {
    /// Starts `size` members and waits until they answer.
    pub async fn start(size: usize) -> Self {
        let cluster = Self::start_with(size, &[]);
        cluster.wait_until_it_answers().await;
        cluster
    }

    /// Starts members with flags of their own; with `--cert-file` they serve TLS.
    pub fn start_with(size: usize, flags: &[String]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ports = free_ports(2 * size);
        let peers: Vec<String> = (0..size)
            .map(|at| format!("m{at}=http://127.0.0.1:{}", ports[size + at]))
            .collect();
        let members = (0..size)
            .map(|at| Member::new(dir.path(), at, ports[at], &peers, flags))
            .collect();
        let mut cluster = Self { members, _dir: dir };
        for member in &mut cluster.members {
            member.start();
        }
        cluster
    }

    pub fn urls(&self) -> Vec<String> {
        self.members
            .iter()
            .map(|member| member.url.clone())
            .collect()
    }

    pub async fn wait_until_it_answers(&self) {
        for member in &self.members {
            member.wait().await;
        }
    }
}

impl Member {
    fn new(dir: &Path, at: usize, port: u16, peers: &[String], flags: &[String]) -> Self {
        let is_tls = flags.iter().any(|flag| flag.starts_with("--cert-file"));
        let scheme = if is_tls { "https" } else { "http" };
        let url = format!("{scheme}://127.0.0.1:{port}");
        let (name, peer) = peers[at].split_once('=').unwrap();
        let log = std::fs::File::create(dir.join(format!("{name}.log"))).unwrap();
        let mut command = Command::new("etcd");
        command
            .arg("--data-dir")
            .arg(dir.join(name))
            .args(["--name", name, "--log-level", "error", "--logger", "zap"])
            .args([
                "--listen-client-urls",
                &url,
                "--advertise-client-urls",
                &url,
            ])
            .args([
                "--listen-peer-urls",
                peer,
                "--initial-advertise-peer-urls",
                peer,
            ])
            .args(["--initial-cluster", &peers.join(",")])
            .args(flags)
            // An election takes a second otherwise.
            .args(["--heartbeat-interval", "50", "--election-timeout", "500"])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        Self {
            url,
            command,
            running: None,
        }
    }

    pub fn start(&mut self) {
        self.running = Some(self.command.spawn().unwrap());
    }

    /// Ends it as power loss would.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.running.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Stops it where it is: its connections stay open and nothing answers.
    pub fn freeze(&self) {
        self.signal("STOP");
    }

    pub fn thaw(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let pid = self.running.as_ref().unwrap().id().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(sent.unwrap().success());
    }

    async fn wait(&self) {
        for _ in 0..400 {
            let mut client = etcd_client::Client::connect([&self.url], None)
                .await
                .unwrap();
            let asked = tokio::time::timeout(Duration::from_secs(1), client.get("/", None)).await;
            if matches!(asked, Ok(Ok(_))) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{} does not answer", self.url);
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        if self.running.is_some() {
            self.signal("CONT");
        }
        self.kill();
    }
}

fn free_ports(count: usize) -> Vec<u16> {
    let held: Vec<_> = (0..count)
        .map(|_| TcpListener::bind("127.0.0.1:0").unwrap())
        .collect();
    held.iter()
        .map(|listener| listener.local_addr().unwrap().port())
        .collect()
}
