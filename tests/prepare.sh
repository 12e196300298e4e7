#!/usr/bin/env bash
# Fetches what the laboratory and the tests need on a Debian machine, by the machine's own package clients.
# Says what it does; does nothing where everything is there.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! command -v cargo >/dev/null; then
  echo "cargo is missing: install Rust 1.95 or newer (the package 'rustup' of your distribution), then run this again" >&2
  exit 1
fi

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }
missing=()
command -v cc >/dev/null || missing+=(build-essential)
python3 -c 'import venv, ensurepip' 2>/dev/null || missing+=(python3 python3-venv)
command -v curl >/dev/null || missing+=(curl)
command -v faketime >/dev/null || missing+=(faketime)
if [ ${#missing[@]} -gt 0 ]; then
  echo "installing ${missing[*]} from the machine's packages"
  as_root apt-get update -qq
  as_root apt-get install -y -qq "${missing[@]}" >/dev/null
fi

# What is built anyway behind this is built here: the laboratory's program alone would want other features of its packages,
# and these would be built twice.
# shellcheck disable=SC2086 # words of one command
cargo ${BUILT_ANYWAY:-build -p clickferry-lab}
target/debug/clickferry-lab install
# A demo runs without it; `make test` has a test of old servers.
target/debug/clickferry-lab install --engine server ||
  echo "go on without an old clickhouse-server: the test lab_server will fail" >&2
