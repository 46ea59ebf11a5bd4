#!/usr/bin/env bash
# Installs what the tests need, then checks format and lints, and runs all tests.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh --tests
# Nothing is built twice here; without the caches for that, all is smaller and faster.
if [ -n "${CI:-}" ]; then export CARGO_INCREMENTAL=0; fi
cargo fmt --all --check
cargo clippy --workspace --all-targets -- -D warnings
cargo build --workspace --bins
cargo nextest run --workspace "$@"
scripts/latency.sh
