//! What is mounted in a container, and with which options.

use std::path::Path;

use serde_json::{Value, json};

/// One of the pod's own paths bound into a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bind {
    pub target: String,
    pub source: String,
    pub read_only: bool,
    /// `rprivate`, `rslave` or `rshared`.
    pub propagation: &'static str,
    /// Read-only also in what is mounted below.
    pub recursive: bool,
}

impl Bind {
    pub fn new(target: impl Into<String>, source: &Path, read_only: bool) -> Self {
        let source = source.to_string_lossy().into_owned();
        Self {
            target: target.into(),
            source,
            read_only,
            propagation: "rprivate",
            recursive: false,
        }
    }

    fn to_json(&self) -> Value {
        let access = match (self.read_only, self.recursive) {
            (false, _) => "rw",
            (true, false) => "ro",
            (true, true) => "rro",
        };
        let options = ["rbind", self.propagation, access];
        json!({"destination": self.target, "type": "bind", "source": self.source, "options": options})
    }
}

/// Kubernetes' names for mount propagation.
pub fn propagation(name: Option<&str>) -> &'static str {
    match name {
        Some("HostToContainer") => "rslave",
        Some("Bidirectional") => "rshared",
        _ => "rprivate",
    }
}

/// The kernel's file systems of every container, then `binds`, outer ones first.
pub fn all(binds: &[Bind], privileged: bool) -> Result<Value, serde_json::Error> {
    let is_bound = |mount: &Value| {
        binds
            .iter()
            .any(|bind| mount["destination"] == bind.target.trim_end_matches('/'))
    };
    let mut mounts = Vec::new();
    for mount in runtime::defaults::mounts() {
        let mut mount = serde_json::to_value(mount)?;
        if privileged {
            make_writable(&mut mount);
        }
        if !is_bound(&mount) {
            mounts.push(mount);
        }
    }
    let mut binds: Vec<&Bind> = binds.iter().collect();
    binds.sort_by_key(|bind| Path::new(&bind.target).components().count());
    mounts.extend(binds.into_iter().map(Bind::to_json));
    Ok(Value::Array(mounts))
}

fn make_writable(mount: &mut Value) {
    for option in mount["options"].as_array_mut().into_iter().flatten() {
        if option == "ro" {
            *option = json!("rw");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outer_binds_come_before_inner_ones() {
        let binds = [
            Bind::new("/a/b/c", Path::new("/1"), false),
            Bind::new("/a", Path::new("/2"), true),
        ];
        let mounts = all(&binds, false).unwrap();
        let own = mounts
            .as_array()
            .unwrap()
            .iter()
            .filter(|m| m["type"] == "bind");
        let targets: Vec<_> = own.map(|m| m["destination"].clone()).collect();
        assert_eq!(targets, ["/a", "/a/b/c"]);
    }

    #[test]
    fn a_volume_on_a_kernel_path_replaces_what_would_be_there() {
        let binds = [Bind::new("/sys", Path::new("/sys"), false)];
        let mounts = all(&binds, false).unwrap();
        let on_sys = mounts
            .as_array()
            .unwrap()
            .iter()
            .filter(|m| m["destination"] == "/sys");
        assert_eq!(
            on_sys.map(|m| m["type"].clone()).collect::<Vec<_>>(),
            ["bind"]
        );
    }
}
