#!/usr/bin/env bash
# Installs what skiff is built with, and with `--tests` what its tests need.
set -euo pipefail
cd "$(dirname "$0")/.."

build=(gcc libc6-dev libprotobuf-dev libseccomp-dev pkg-config protobuf-compiler ca-certificates curl)
tests=(busybox-static containerd crun docker-registry e2fsprogs etcd-server iproute2 mmdebstrap nftables openssl podman python3 python3-pip
    qemu-system-x86 runc skopeo strace umoci util-linux)

wanted=("${build[@]}")
if [ "${1:-}" = --tests ]; then
    wanted+=("${tests[@]}")
    command -v kubectl >/dev/null || wanted+=(kubernetes-client)
    command -v npm >/dev/null || wanted+=(nodejs npm)
fi
missing=()
for package in "${wanted[@]}"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
    [ "$(id -u)" = 0 ] || { echo "run this as root: it installs ${missing[*]}" >&2; exit 1; }
    # containerd, docker-registry and etcd-server would start services of their own; the tests start theirs.
    export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

if ! command -v cargo >/dev/null; then
    echo "skiff needs Rust 1.95 or newer; install it from https://rustup.rs" >&2
    exit 1
fi
if [ "${1:-}" = --tests ] && ! command -v cargo-nextest >/dev/null; then
    cargo install --locked cargo-nextest
fi
