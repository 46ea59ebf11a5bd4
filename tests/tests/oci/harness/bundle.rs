//! A bundle: config.json and a root file system, and the calls about its container.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use super::{Ground, Outcome, cgroups, rootfs};

const CAPS: &[&str] = &[
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
];

pub struct Bundle<'g> {
    pub ground: &'g Ground,
    pub id: String,
    pub dir: PathBuf,
    pub spec: Value,
}

impl<'g> Bundle<'g> {
    pub fn new(ground: &'g Ground, id: String) -> Self {
        let dir = ground.dir.join(&id);
        rootfs::make(&dir.join("rootfs"), &Ground::busybox());
        let spec = default_spec(&id);
        Self {
            ground,
            id,
            dir,
            spec,
        }
    }

    pub fn rootfs(&self) -> PathBuf {
        self.dir.join("rootfs")
    }

    pub fn args(self, args: &[&str]) -> Self {
        self.set("/process/args", json!(args))
    }

    pub fn sh(self, script: &str) -> Self {
        self.args(&["sh", "-c", script])
    }

    /// It lives until it is killed, and takes SIGTERM for that.
    pub fn sleeper(self) -> Self {
        self.sh("trap 'exit 0' TERM; sleep 1000 & wait; wait")
    }

    /// Sets what is at a JSON pointer; objects on the way are made.
    pub fn set(mut self, pointer: &str, value: impl Into<Value>) -> Self {
        let mut at = &mut self.spec;
        for key in pointer.split('/').skip(1) {
            at = match (key.parse::<usize>(), at.is_array()) {
                (Ok(index), true) => &mut at[index],
                _ => {
                    if !at.is_object() {
                        *at = json!({});
                    }
                    &mut at[key]
                }
            };
        }
        *at = value.into();
        self
    }

    /// Appends to the list at a JSON pointer; a missing one is made.
    pub fn push(mut self, pointer: &str, value: Value) -> Self {
        if self.spec.pointer(pointer).is_none() {
            self = self.set(pointer, json!([]));
        }
        let list = self.spec.pointer_mut(pointer).and_then(Value::as_array_mut);
        list.expect("it is a list").push(value);
        self
    }

    pub fn without(mut self, pointer: &str) -> Self {
        let (parent, key) = pointer
            .rsplit_once('/')
            .expect("pointers begin with a slash");
        if let Some(object) = self.spec.pointer_mut(parent).and_then(Value::as_object_mut) {
            object.remove(key);
        }
        self
    }

    pub fn mount(
        self,
        destination: &str,
        kind: &str,
        source: impl AsRef<Path>,
        options: &[&str],
    ) -> Self {
        let source = source.as_ref();
        self.push(
            "/mounts",
            json!({ "destination": destination, "type": kind, "source": source, "options": options }),
        )
    }

    /// Mounts a directory or file of the host.
    pub fn bind(self, source: impl AsRef<Path>, destination: &str, options: &[&str]) -> Self {
        self.mount(destination, "bind", source, &[&["bind"], options].concat())
    }

    pub fn namespace(self, kind: &str) -> Self {
        self.no_namespace(kind)
            .push("/linux/namespaces", json!({ "type": kind }))
    }

    pub fn joined(self, kind: &str, path: impl AsRef<Path>) -> Self {
        self.no_namespace(kind).push(
            "/linux/namespaces",
            json!({ "type": kind, "path": path.as_ref() }),
        )
    }

    pub fn no_namespace(mut self, kind: &str) -> Self {
        let list = self
            .spec
            .pointer_mut("/linux/namespaces")
            .and_then(Value::as_array_mut);
        list.expect("namespaces are a list")
            .retain(|ns| ns["type"] != kind);
        self
    }

    pub fn capabilities(self, caps: &[&str]) -> Self {
        let sets = json!({ "bounding": caps, "effective": caps, "permitted": caps });
        self.set("/process/capabilities", sets)
    }

    /// A user namespace whose root is the host's 100000, to whom the root file system is given.
    pub fn user_namespace(self) -> Self {
        let map = json!([{ "containerID": 0, "hostID": 100_000, "size": 65536 }]);
        give(&self.rootfs(), 100_000);
        self.namespace("user")
            .set("/linux/uidMappings", map.clone())
            .set("/linux/gidMappings", map)
    }

    /// Writes a file into the root file system.
    pub fn file(self, path: &str, content: impl AsRef<[u8]>) -> Self {
        let path = self.rootfs().join(path.trim_start_matches('/'));
        fs::create_dir_all(path.parent().expect("a file is in a directory"))
            .expect("create a directory");
        fs::write(path, content).expect("write a file of the root");
        self
    }

    /// Makes a directory beside the root, to bind from.
    pub fn volume(&self, name: &str) -> PathBuf {
        let path = self.dir.join(name);
        fs::create_dir_all(&path).expect("create a volume");
        path
    }

    pub fn write(&self) {
        fs::write(self.dir.join("config.json"), self.spec.to_string()).expect("write config.json");
    }

    /// The runtime's `command` about this container.
    #[track_caller]
    pub fn call(&self, command: &[&str]) -> Outcome {
        self.ground.call(&[command, &[self.id.as_str()]].concat())
    }

    /// The same, with the bundle named.
    #[track_caller]
    fn call_with_bundle(&self, command: &[&str]) -> Outcome {
        self.write();
        let dir = self.dir.to_str().expect("names of tests are text");
        self.ground
            .call(&[command, &["--bundle", dir, &self.id]].concat())
    }

    #[track_caller]
    pub fn run(&self) -> Outcome {
        self.call_with_bundle(&["run"])
    }

    #[track_caller]
    pub fn run_with(&self, flags: &[&str]) -> Outcome {
        self.call_with_bundle(&[&["run"], flags].concat())
    }

    #[track_caller]
    pub fn create(&self) -> Outcome {
        self.call_with_bundle(&["create"])
    }

    #[track_caller]
    pub fn create_with(&self, flags: &[&str]) -> Outcome {
        self.call_with_bundle(&[&["create"], flags].concat())
    }

    #[track_caller]
    pub fn start(&self) -> Outcome {
        self.call(&["start"])
    }

    #[track_caller]
    pub fn delete(&self) -> Outcome {
        self.call(&["delete"])
    }

    #[track_caller]
    pub fn kill(&self, signal: &str) -> Outcome {
        self.ground.call(&["kill", &self.id, signal])
    }

    #[track_caller]
    pub fn exec(&self, args: &[&str]) -> Outcome {
        self.exec_with(&[], args)
    }

    #[track_caller]
    pub fn exec_with(&self, flags: &[&str], args: &[&str]) -> Outcome {
        self.ground
            .call(&[&["exec"], flags, &[self.id.as_str()], args].concat())
    }

    #[track_caller]
    pub fn exec_sh(&self, script: &str) -> Outcome {
        self.exec(&["sh", "-c", script])
    }

    /// Starts it in the background, as a sleeper.
    #[track_caller]
    pub fn up(self) -> Self {
        let bundle = self.sleeper();
        bundle.run_with(&["--detach"]).ok();
        bundle
    }

    /// Tries to make it, which must be refused and leave nothing.
    #[track_caller]
    pub fn is_refused(&self) -> Outcome {
        let outcome = self.run().refused();
        self.ground.is_clean();
        outcome
    }

    #[track_caller]
    pub fn state(&self) -> Value {
        self.call(&["state"]).ok().json()
    }

    #[track_caller]
    pub fn status(&self) -> String {
        self.state()["status"]
            .as_str()
            .expect("a state has a status")
            .to_owned()
    }

    #[track_caller]
    pub fn pid(&self) -> i64 {
        self.state()["pid"].as_i64().expect("a state has a pid")
    }

    #[track_caller]
    pub fn until_stopped(&self) {
        e2e::until("the container stops", Duration::from_secs(30), || {
            (self.status() == "stopped").then_some(())
        });
    }

    /// A file of its group: of that v1 controller, or on v2.
    pub fn group_file(&self, controller: &str, v1: &str, v2: &str) -> PathBuf {
        if cgroups::are_v2() {
            Path::new("/sys/fs/cgroup").join(&self.id).join(v2)
        } else {
            Path::new("/sys/fs/cgroup")
                .join(controller)
                .join(&self.id)
                .join(v1)
        }
    }

    /// What that file says.
    #[track_caller]
    pub fn group_says(&self, controller: &str, v1: &str, v2: &str) -> String {
        let path = self.group_file(controller, v1, v2);
        match fs::read_to_string(&path) {
            Ok(text) => text.trim().to_owned(),
            Err(error) => panic!("{}: {error}", path.display()),
        }
    }
}

/// Gives a tree to another owner.
pub fn give(path: &Path, owner: u32) {
    std::os::unix::fs::lchown(path, Some(owner), Some(owner)).expect("root may give files away");
    let is_dir = path.symlink_metadata().is_ok_and(|data| data.is_dir());
    for entry in is_dir
        .then(|| fs::read_dir(path))
        .into_iter()
        .flatten()
        .flatten()
        .flatten()
    {
        if entry.file_name() != "busybox" {
            give(&entry.path(), owner);
        }
    }
}

fn default_spec(id: &str) -> Value {
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "user": { "uid": 0, "gid": 0 },
            "args": ["true"],
            "env": ["PATH=/bin"],
            "cwd": "/",
            "capabilities": { "bounding": CAPS, "effective": CAPS, "permitted": CAPS },
        },
        "root": { "path": "rootfs" },
        "hostname": "container",
        "mounts": [
            { "destination": "/proc", "type": "proc", "source": "proc" },
            { "destination": "/dev", "type": "tmpfs", "source": "tmpfs",
              "options": ["nosuid", "strictatime", "mode=755", "size=65536k"] },
            { "destination": "/dev/pts", "type": "devpts", "source": "devpts",
              "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"] },
        ],
        "linux": {
            "cgroupsPath": format!("/{id}"),
            "resources": { "devices": [{ "allow": false, "access": "rwm" }] },
            "namespaces": [{ "type": "pid" }, { "type": "ipc" }, { "type": "uts" }, { "type": "mount" }],
        },
    })
}
