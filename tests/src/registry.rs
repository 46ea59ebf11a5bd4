//! A real registry: Debian's docker-registry, on a machine of a test.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::machine::Machine;
use crate::{run, until};

pub struct Registry<'m> {
    machine: &'m Machine,
    child: Child,
    dir: PathBuf,
    /// `127.0.0.1:5000`, as image names begin.
    pub address: String,
}

impl<'m> Registry<'m> {
    #[track_caller]
    pub fn start(machine: &'m Machine) -> Self {
        let dir = std::env::temp_dir().join(format!(
            "{}-registry-{}",
            crate::machine::PREFIX,
            std::process::id()
        ));
        std::fs::create_dir_all(&dir).expect("create the registry's directory");
        let address = "127.0.0.1:5000".to_owned();
        let config = dir.join("config.yml");
        let root = dir.join("data");
        let text = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}, delete: {{enabled: true}}}}\nhttp: {{addr: \"{address}\"}}\n",
            root.display()
        );
        std::fs::write(&config, text).expect("write the registry's configuration");
        let child = machine
            .command("docker-registry")
            .arg("serve")
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("nsenter is installed");
        let registry = Self {
            machine,
            child,
            dir,
            address,
        };
        registry.wait_ready();
        registry
    }

    /// Pushes an image archive (`oci-archive:FILE:1`) as `name`; returns its full name.
    #[track_caller]
    pub fn push(&self, source: &str, archive: &Path, name: &str) -> String {
        let full = format!("{}/{name}", self.address);
        let mut copy = self.machine.command("skopeo");
        copy.args(["copy", "-q", "--dest-tls-verify=false"]);
        copy.arg(format!("{source}:{}:1", archive.display()))
            .arg(format!("docker://{full}"));
        run::ok(&mut copy);
        full
    }

    #[track_caller]
    fn wait_ready(&self) {
        until("the registry answers", Duration::from_secs(20), || {
            let url = format!("http://{}/v2/", self.address);
            let mut curl: Command = self.machine.command("curl");
            run::output(curl.args(["-sf", &url]))
                .status
                .success()
                .then_some(())
        });
    }
}

impl Drop for Registry<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}
