#!/usr/bin/env bash
# Installs what the tests need, then checks format and lints, and runs all tests.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh --tests
cargo fmt --all --check
cargo clippy --workspace --all-targets -- -D warnings
cargo build --workspace --bins
cargo nextest run --workspace "$@"
scripts/latency.sh
