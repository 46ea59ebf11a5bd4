#!/usr/bin/env bash
# Builds skiff and its benchmark as they are released, and measures.
# scripts/bench.sh [api] [create|get|list|watch|memory|all] [options; see --help]
# scripts/bench.sh scheduling [place|hold|all] [options; see --help]
# scripts/bench.sh runtime [options; see --help]
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh
cargo build --release -p skiff -p bench
cargo build --release -p scheduler --example alone
[ $# -gt 0 ] || set -- api all
exec target/x86_64-unknown-linux-gnu/release/bench "$@"
