#!/usr/bin/env bash
# Own cost of the engine, as ratios and figures of one run on a laboratory of its own. Needs a release build.
set -euo pipefail
cd "$(dirname "$0")/../.."
export PATH="$PWD/target/release:$PATH"
dir="$(mktemp -d)/lab"
trap 'clickferry-lab --dir "$dir" down >/dev/null 2>&1 || true; rmdir "$(dirname "$dir")" 2>/dev/null || true' EXIT
clickferry-lab --dir "$dir" up --detach >/dev/null
python3 tests/bench/own_cost.py "$dir"
