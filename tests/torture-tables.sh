#!/usr/bin/env bash
# Shows what `make torture` found. A run of which something was sent twice, or that ended otherwise than an undisturbed
# one, counts as failed.
set -euo pipefail
cd "$(dirname "$0")/../target/torture"

if [ -f killed.txt ]; then
  echo "Killed with SIGKILL at a point (twice: the resume, too), then carried on as the program says:"
  printf '%-26s %6s %6s %6s %6s %7s %5s %7s %6s %6s\n' \
    runbook points rounds killed twice resumed anew unknown again failed
  cat killed.txt
fi
if [ -f lost.txt ]; then
  echo "The answer of each changing statement lost:"
  printf '%-26s %-10s %6s %7s %7s %6s\n' runbook cut rounds resumed unknown failed
  cat lost.txt
fi
