#!/usr/bin/env bash
# Prints how long skiff takes to be ready, and a pod from its creation to Running.
# Runs in a network namespace of its own; needs root and ../shared/tools.
set -euo pipefail
cd "$(dirname "$0")/.."
tool=$PWD/../shared/tools/pod_latency.py
if [ ! -e "$tool" ]; then echo "skipped: there is no $tool"; exit 0; fi
skiff=${SKIFF_BIN:-$PWD/target/x86_64-unknown-linux-gnu/debug/skiff}
machine=skiff-latency-$$
dir=$(mktemp -d /var/tmp/skiff-latency.XXXXXX)
cleanup() {
    if [ -n "$pid" ]; then kill "$pid" && wait "$pid" || true; fi
    on_machine "$skiff" reset --yes --data-dir "$dir/data" >/dev/null || true
    ip netns del "$machine"
    rm -rf "$dir"
}
on_machine() { nsenter --net="/run/netns/$machine" -- "$@"; }
ip netns add "$machine"
ip -n "$machine" link set lo up
ip -n "$machine" link add eth0 type veth peer name cable0
ip -n "$machine" addr add 198.18.0.1/24 dev eth0
ip -n "$machine" link set eth0 up
ip -n "$machine" link set cable0 up
ip -n "$machine" route add default via 198.18.0.254
pid=; trap cleanup EXIT
echo 'latency,admin,admin,"system:masters"' >"$dir/tokens"
nsenter --net="/run/netns/$machine" -- "$skiff" up --data-dir "$dir/data" --node-name node --eviction-hard '' --image-gc-high-threshold 100 --token-auth-file "$dir/tokens" >"$dir/log" 2>&1 &
pid=$!
for _ in $(seq 200); do grep -q '^next:' "$dir/log" && break; sleep 0.05; done
grep Ready "$dir/log" || { cat "$dir/log"; exit 1; }
on_machine "$skiff" image build --data-dir "$dir/data" --tag localhost/hello:1 -- hello >/dev/null
latency() { on_machine python3 "$tool" --server https://127.0.0.1:6443 --token latency --image localhost/hello:1 --cmd "/$(basename "$skiff")" hello "$@"; }
latency -n 20
latency -n 50 --burst
