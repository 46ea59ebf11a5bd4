//! What a newcomer gets wrong first: each gets a clear error and loses nothing.

use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use e2e::{Machine, Skiff, need, run};
use serde_json::json;

const PROGRAMS: &[&str] = &["kubectl", "nsenter"];
const A_MINUTE: Duration = Duration::from_secs(60);

#[test]
fn used_port_is_named_with_the_flag_that_changes_it() {
    if !need::met(PROGRAMS) {
        return;
    }
    let (_network, machine) = Machine::alone();
    let first = Skiff::server(&machine, &[]);
    let dir = first.dir.with_extension("other");
    let mut second = machine.command(e2e::skiff::binary());
    let said = run::fails(second.args(["server", "--data-dir"]).arg(&dir));
    assert!(
        said.contains("6443") && said.contains("--secure-port"),
        "{said}"
    );
    assert!(!dir.exists(), "nothing was made");
}

#[test]
fn data_directory_of_another_version_is_refused_and_kept() {
    if !need::met(PROGRAMS) {
        return;
    }
    let (_network, machine) = Machine::alone();
    let mut skiff = Skiff::server(&machine, &[]);
    skiff.kubectl().ok(&["create", "configmap", "kept"]);
    skiff.stop();
    let version = skiff.dir.join("version");
    let ours = std::fs::read(&version).expect("the data directory has a version");
    std::fs::write(&version, "99").expect("write the version");
    let said = run::fails(&mut skiff.command(&["server"]));
    assert!(
        said.contains("another version") && said.contains("99"),
        "{said}"
    );
    std::fs::write(&version, ours).expect("write the version");
    skiff.start();
    skiff.wait_api();
    skiff.kubectl().ok(&["get", "configmap", "kept"]);
}

#[test]
fn second_skiff_on_one_data_directory_is_refused() {
    if !need::met(PROGRAMS) {
        return;
    }
    let (_network, machine) = Machine::alone();
    let skiff = Skiff::server(&machine, &[]);
    let said = run::fails(&mut skiff.command(&["server", "--secure-port", "7443"]));
    assert!(said.contains("another skiff is running"), "{said}");
}

#[test]
fn unprivileged_user_is_told_to_be_root() {
    if !need::met(PROGRAMS) {
        return;
    }
    // The binary is where nobody may look; a copy is not.
    let copy = std::env::temp_dir().join(format!("skiff-{}", std::process::id()));
    std::fs::copy(e2e::skiff::binary(), &copy).expect("copy the binary");
    let said = run::fails(
        Command::new(&copy)
            .args(["up", "--data-dir", "/tmp/never-made"])
            .uid(65534)
            .gid(65534),
    );
    let _ = std::fs::remove_file(&copy);
    assert!(said.contains("root"), "{said}");
}

#[test]
fn full_disk_refuses_writes_and_keeps_what_was_acknowledged() {
    if !need::met(PROGRAMS) {
        return;
    }
    let (_network, machine) = Machine::alone();
    let skiff = Skiff::server(&machine, &[]);
    skiff
        .kubectl()
        .ok(&["create", "configmap", "kept", "--from-literal=a=b"]);
    let small = SmallDisk::with_copy_of(skiff);
    let kubectl = small.skiff.kubectl();
    let big = "x".repeat(500_000);
    let mut refused = None;
    for i in 0..100 {
        let object = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": format!("big{i}") }, "data": { "v": big } });
        let file = std::env::temp_dir().join(format!("big-{}.json", std::process::id()));
        std::fs::write(&file, object.to_string()).expect("write the manifest");
        let create =
            run::output(&mut kubectl.command(&["create", "-f", &file.display().to_string()]));
        let _ = std::fs::remove_file(&file);
        if !create.status.success() {
            refused = Some((i, String::from_utf8_lossy(&create.stderr).into_owned()));
            break;
        }
    }
    let (at, said) = refused.expect("a small disk gets full");
    assert!(said.contains("full") || said.contains("space"), "{said}");
    assert_eq!(kubectl.get(&["configmap", "kept"])["data"]["a"], "b");
    for i in 0..at {
        kubectl.ok(&["get", "configmap", &format!("big{i}"), "-o", "name"]);
    }
}

/// A server whose store is on a file system of 16 MB.
struct SmallDisk<'m> {
    skiff: Skiff<'m>,
}

impl<'m> SmallDisk<'m> {
    fn with_copy_of(mut skiff: Skiff<'m>) -> Self {
        skiff.stop();
        let store = skiff.dir.join("store");
        let aside = skiff.dir.join("aside");
        std::fs::rename(&store, &aside).expect("move the store aside");
        std::fs::create_dir(&store).expect("make the mount point");
        run::ok(
            Command::new("mount")
                .args(["-t", "tmpfs", "-o", "size=16m,mode=0700", "tmpfs"])
                .arg(&store),
        );
        run::ok(
            Command::new("cp")
                .args(["-a"])
                .arg(aside.join("."))
                .arg(&store),
        );
        skiff.start();
        skiff.wait_api();
        Self { skiff }
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        self.skiff.stop();
        let _ = Command::new("umount")
            .arg(self.skiff.dir.join("store"))
            .output();
    }
}

#[test]
fn unknown_image_and_broken_manifest_say_what_is_wrong() {
    if !need::met(PROGRAMS) {
        return;
    }
    let (_network, machine) = Machine::alone();
    let skiff = Skiff::up(&machine, &[]);
    let kubectl = skiff.kubectl();
    kubectl.ok(&["run", "typo", "--image=127.0.0.1:9/no/such:image"]);
    let pod = kubectl.wait(&["pod", "typo"], A_MINUTE, |pod| {
        let reason = &pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"];
        reason == "ErrImagePull" || reason == "ImagePullBackOff"
    });
    let waiting = &pod["status"]["containerStatuses"][0]["state"]["waiting"];
    assert!(
        waiting["message"]
            .as_str()
            .is_some_and(|m| m.contains("no/such")),
        "{waiting}"
    );

    let manifest = std::env::temp_dir().join(format!("broken-{}.yaml", std::process::id()));
    std::fs::write(
        &manifest,
        "apiVersion: v1\nkind: Pod\nmetadata: {name: broken}\nspec: {containers: [{name: C_1}]}\n",
    )
    .expect("write the manifest");
    let said = kubectl.fails(&[
        "create",
        "--validate=false",
        "-f",
        &manifest.display().to_string(),
    ]);
    assert!(
        said.contains("spec.containers[0].image: Required value"),
        "{said}"
    );
    assert!(
        said.contains("spec.containers[0].name: Invalid value"),
        "{said}"
    );
    std::fs::write(&manifest, "apiVersion: v1\nkind: [\n").expect("write the manifest");
    kubectl.fails(&["create", "-f", &manifest.display().to_string()]);
    let _ = std::fs::remove_file(&manifest);
    assert_eq!(
        kubectl.get(&["pods"])["items"].as_array().map(Vec::len),
        Some(1)
    );
}

#[test]
fn missing_kernel_feature_is_named_before_anything_is_made() {
    if !need::met(PROGRAMS) {
        return;
    }
    let (_network, machine) = Machine::alone();
    let dir = std::env::temp_dir().join(format!("{}-featureless", std::process::id()));
    // A machine without control groups, as far as its processes can see.
    let hide = format!(
        "mount -t tmpfs none /sys/fs/cgroup && exec {} up --node-ip {} --data-dir {}",
        e2e::skiff::binary().display(),
        machine.ip,
        dir.display()
    );
    let said = run::fails(
        machine
            .command("unshare")
            .args(["--mount", "sh", "-c", &hide]),
    );
    assert!(said.contains("no control groups"), "{said}");
    assert!(!dir.exists(), "nothing was made");
}
