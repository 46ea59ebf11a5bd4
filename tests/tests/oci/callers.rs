//! The callers that people have: containerd and podman of Debian, with skiff as their `runc`.
//!
//! Each runs in mount, pid and network namespaces of its own, with all its state in one
//! directory, so that nothing of it is left when its script ends.

use std::os::unix::fs::symlink;
use std::process::Command;

use crate::harness::ground::Shared;
use crate::harness::{Ground, Outcome, Runtime, cgroups};

/// What comes before a caller's script: `$RUNC` is skiff by that name, `$NAME` a name for control groups.
const PREFACE: &str = r#"
set -eu
mount -t tmpfs tmpfs /run; mount -t tmpfs tmpfs /dev/shm; ip link set lo up
cd "$DIR"; export XDG_RUNTIME_DIR=$DIR/xdg; mkdir "$XDG_RUNTIME_DIR"
"#;

const CONTAINERD: &str = r#"
cat >config.toml <<X
version = 2
root = "$DIR/root"
state = "$DIR/state"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]
[grpc]
address = "$DIR/socket"
X
containerd --config config.toml >containerd.log 2>&1 &
ctr="ctr --address $DIR/socket --namespace $NAME"
for i in $(seq 100); do $ctr version >/dev/null 2>&1 && break; sleep 0.1; done
$ctr image import "$IMAGE" >/dev/null
image=docker.io/library/busybox:1
run="$ctr run --snapshotter native --runc-binary $RUNC"
$run --rm $image one echo hello
$run --rm $image one sh -c 'exit 3' || echo "exit $?"
$run --detach --memory-limit 67108864 $image two sh -c 'trap "exit 9" TERM; while :; do sleep 0.1; done'
$ctr task ls | awk '$1 == "two" {print $3}'
$ctr task exec --exec-id first two echo inside
$ctr task exec --exec-id second --user 1000:2000 --cwd /tmp two sh -c 'id -u; id -g; pwd; exit 4' || echo "exit $?"
$ctr task ps two | tail -n +2 | wc -l | sed 's/[2-9]/some/'
$ctr task metrics two | grep -q memory && echo metrics
$ctr task pause two; $ctr task ls | awk '$1 == "two" {print $3}'; $ctr task resume two
$ctr task kill --signal TERM two
for i in $(seq 100); do $ctr task ls | grep -q STOPPED && break; sleep 0.1; done
$ctr task ls | awk '$1 == "two" {print $3}'
$ctr task delete two 2>&1 | grep -o 'exit code 9' || true
$ctr container delete two
$ctr container ls --quiet | wc -l
"#;

const CONTAINERD_SAYS: &str = "hello\nexit 3\nRUNNING\ninside\n1000\n2000\n/tmp\nexit 4\nsome\nmetrics\nPAUSED\nSTOPPED\nexit code 9\n0";

const PODMAN: &str = r#"
podman="podman --root $DIR/storage --runroot $DIR/runroot --tmpdir $DIR/tmp --storage-driver vfs \
    --cgroup-manager cgroupfs --events-backend file --runtime $RUNC"
image=docker.io/library/busybox:1
$podman load --quiet --input "$IMAGE" >/dev/null
run="$podman run --network none --cgroup-parent /$NAME"
$run --rm $image sh -c 'echo hello; exit 3' || echo "exit $?"
echo typed | $run --rm --interactive $image cat
$run --rm --tty $image tty | tr -d '\r'
$run --rm --read-only --cap-drop all --user 1000 --tmpfs /scratch --env A=b $image \
    sh -c 'touch /x 2>/dev/null || echo refused; id -u; touch /scratch/x && echo "$A"; grep CapEff /proc/self/status | cut -f 2'
$run --detach --name two --memory 64m --pids-limit 50 $image sh -c 'trap "exit 9" TERM; while :; do sleep 0.1; done' >/dev/null
$podman ps --format '{{.Names}}'; $podman inspect two --format '{{.State.Status}}'
$podman exec two echo inside
$podman exec --user 1000 --workdir /tmp two sh -c 'id -u; pwd; exit 4' || echo "exit $?"
$podman pause two >/dev/null; $podman inspect two --format '{{.State.Status}}'; $podman unpause two >/dev/null
$podman update --memory 32m two >/dev/null 2>&1 || true
$podman stop --time 10 two >/dev/null
$podman inspect two --format '{{.State.Status}} {{.State.ExitCode}}'
$podman start two >/dev/null; $podman kill two >/dev/null; $podman wait two
$podman rm --force two >/dev/null
$podman ps --all --quiet | wc -l
"#;

const PODMAN_SAYS: &str = "hello\nexit 3\ntyped\n/dev/pts/0\nrefused\n1000\nb\n0000000000000000\ntwo\nrunning\ninside\n\
    1000\n/tmp\nexit 4\npaused\nexited 9\n137\n0";

#[test]
fn containerd_runs_execs_and_ends_containers() {
    if e2e::need::met(&[
        "containerd",
        "ctr",
        "containerd-shim-runc-v2",
        "skopeo",
        "umoci",
    ]) {
        plays(CONTAINERD, CONTAINERD_SAYS);
    }
}

#[test]
fn podman_runs_execs_and_ends_containers() {
    if e2e::need::met(&["podman", "conmon", "skopeo", "umoci"]) {
        plays(PODMAN, PODMAN_SAYS);
    }
}

#[track_caller]
fn plays(script: &str, expected: &str) {
    let _shared = Shared::take();
    let ground = Ground::new(Runtime::Skiff);
    let name = ground.bundle().id;
    let outcome = play(&ground, &name, script);
    let groups = cgroups::named(&name);
    groups.iter().for_each(|group| cgroups::remove(group));
    ground.sweep();
    outcome.prints(expected);
}

fn play(ground: &Ground, name: &str, script: &str) -> Outcome {
    let runc = ground.dir.join("runc");
    symlink(e2e::skiff::binary(), &runc).expect("link skiff by the name of runc");
    let mut command = Command::new("unshare");
    command.args([
        "--mount",
        "--net",
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
    ]);
    command.args(["sh", "-c", &format!("{PREFACE}{script}")]);
    command
        .env("DIR", &ground.dir)
        .env("NAME", name)
        .env("RUNC", runc);
    command.env("IMAGE", e2e::image::busybox());
    ground.end(&mut command)
}
