#!/usr/bin/env bash
# The main job on the laboratory, from nothing to nothing: a standalone server is moved to two replicas.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/target/debug:$PATH"

dir="$(mktemp -d)/lab"
lab() { clickferry-lab --dir "$dir" "$@"; }
finish() {
  code=$?
  say "Take everything down"
  lab down || true
  rmdir "$(dirname "$dir")" 2>/dev/null || true
  exit "$code"
}
say() { printf '\n\033[1m== %s\033[0m\n' "$*"; }

say "A standalone ClickHouse, two replicas with a Keeper, an S3 bucket: real parts, on this machine"
lab up --detach
trap finish EXIT

say "Two million rows like a tracing product's, on the standalone server"
lab seed tracing

runbook=runbooks/standalone-to-replicated.yaml
version=$(lab query standalone "SELECT version FROM default.schema_migrations ORDER BY sequence DESC LIMIT 1")
arguments=("$runbook" -e "$dir/environment.yaml" -p "migration=$version")

say "The plan: what will happen, and what will be lost (clickferry plan)"
clickferry plan "${arguments[@]}" --summary -o "$dir/plan.json" || [ $? = 2 ]
digest=$(sed -n 's/^  "digest": "\([0-9a-f]\{12\}\).*/\1/p' "$dir/plan.json")

say "Apply exactly that plan, with consent for its digest (clickferry apply)"
clickferry apply "$dir/plan.json" -e "$dir/environment.yaml" --consent "$digest"

say "Ask every node directly, without clickferry"
for node in standalone replica1 replica2; do
  lab query "$node" "SELECT name FROM system.tables WHERE database = 'default' AND NOT startsWith(name, '.inner') AND engine NOT IN ('View', 'Dictionary') ORDER BY name" \
    | while read -r table; do
        printf '%s\t%s\n' "$table" "$(lab query "$node" "SELECT count() FROM default.\`$table\`")"
      done >"$dir/$node.rows"
done
printf '%-24s %12s %12s %12s\n' table standalone replica1 replica2
paste "$dir"/standalone.rows "$dir"/replica1.rows "$dir"/replica2.rows \
  | while IFS=$'\t' read -r table a _ b _ c; do printf '%-24s %12s %12s %12s\n' "$table" "$a" "$b" "$c"; done
cmp "$dir/standalone.rows" "$dir/replica1.rows"
cmp "$dir/standalone.rows" "$dir/replica2.rows"
echo "The same rows in every table on all three."
