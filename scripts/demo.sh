#!/usr/bin/env bash
# Builds skiff, starts a cluster on this machine, runs a Deployment behind a
# Service, and shows that it answers. Needs no network but for the build.
# The cluster lives in .demo/ and is removed at the end; `--keep` leaves it running.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh
cargo build --release -p skiff
skiff=$PWD/target/x86_64-unknown-linux-gnu/release/skiff
export SKIFF_DATA_DIR=$PWD/.demo

cleanup() {
    kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null || true
    "$skiff" reset --yes
}
# How full this machine's disk is does not matter to a demonstration.
"$skiff" up --eviction-hard '' --image-gc-high-threshold 100 >.demo.log 2>&1 &
pid=$!
[ "${1:-}" = --keep ] || trap cleanup EXIT

for _ in $(seq 100); do
    if grep -q '^next:' .demo.log; then break; fi
    kill -0 "$pid" 2>/dev/null || { cat .demo.log >&2; exit 1; }
    sleep 0.1
done
cat .demo.log

set -x
"$skiff" image build --tag localhost/hello:1 -- hello --port 8080
"$skiff" create deployment hello --image=localhost/hello:1 --replicas=3
"$skiff" rollout status deployment/hello
"$skiff" expose deployment hello --port=80 --target-port=8080
"$skiff" get deployments,pods,services -o wide
{ set +x; } 2>/dev/null
address=$("$skiff" get service hello | awk 'NR == 2 { print $3 }')
echo "the Service hello is at $address; it answers:"
for _ in 1 2 3 4 5; do curl -sS --retry 20 --retry-all-errors --retry-delay 0 -m 5 "http://$address/"; done
if [ "${1:-}" = --keep ]; then
    echo "the cluster goes on running (process $pid); export KUBECONFIG=$SKIFF_DATA_DIR/admin.kubeconfig"
    echo "to remove it: kill $pid; SKIFF_DATA_DIR=$SKIFF_DATA_DIR $skiff reset --yes"
fi
