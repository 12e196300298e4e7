# Two commands do everything on a fresh Debian machine: `make demo` and `make test`.
CARGO ?= cargo

.PHONY: demo test torture otel-test fuzz check build prepare generate bench fmt

demo: export BUILT_ANYWAY = build --workspace
test torture: export BUILT_ANYWAY = test --workspace --features torture --no-run

## The main job on the laboratory: seed a standalone server, move it to two replicas, verify, take all down.
demo: prepare build
	tests/demo.sh

## Everything that must hold before a change lands. `cargo test` builds the programs as well; a `cargo build` would build
## half of the packages once more, without the features that tests want of them.
test: prepare
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --features torture -- -D warnings
	$(CARGO) test --workspace --features torture

## Keeper and the store away for as long as it takes, then every runbook killed at every point, and with the answer of
## every changing statement lost. Takes an hour or more;
## TORTURE_EVERY=N takes every N-th point, TORTURE_FROM=N begins at that one.
torture: prepare
	rm -rf target/torture
	CLICKFERRY_TORTURE=1 $(CARGO) test --workspace --features torture --test it -- lab_faults lab_state; \
	  faults=$$?; \
	  $(CARGO) test --workspace --features torture --test it -- --ignored whole_ --test-threads=2; \
	  status=$$?; tests/torture-tables.sh; exit $$((faults + status))

## Builds with the feature `otel`: its lints and the tests of traces. A build of its own, so not part of `test`.
otel-test: prepare
	$(CARGO) clippy --all-targets --features otel,torture -- -D warnings
	$(CARGO) build --workspace
	$(CARGO) test --features otel --test it -- traces architecture

## A fuzz target each, until it is stopped. Needs a nightly compiler and cargo-fuzz.
fuzz:
	$(CARGO) +nightly fuzz run journal

build:
	$(CARGO) build --workspace

## What the laboratory and the tests need: libchdb, ZooKeeper, a Java runtime, an old clickhouse-server.
prepare:
	tests/prepare.sh

## Schemas and reference pages.
generate: build
	target/debug/clickferry dev

## Ratios of one run: own cost per operation, start-up time, resident memory; cost of planning 5,000 tables.
bench:
	$(CARGO) build --release --workspace --bins --example stand_in --example resume
	target/release/examples/resume
	tests/bench/large_plan.py
	tests/bench/run.sh

fmt:
	$(CARGO) fmt --all
