# Two commands do everything on a fresh Debian machine: `make demo` and `make test`.
CARGO ?= cargo

.PHONY: demo test check build prepare generate bench fmt

## The main job on the laboratory: seed a standalone server, move it to two replicas, verify, take all down.
demo: prepare build
	tests/demo.sh

## Everything that must hold before a change lands.
test: prepare
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	$(CARGO) build --workspace
	$(CARGO) test --workspace

build:
	$(CARGO) build --workspace

## What the laboratory and the tests need: libchdb, ZooKeeper, a Java runtime, an old clickhouse-server.
prepare:
	tests/prepare.sh

## Schemas and reference pages.
generate: build
	target/debug/clickferry dev

## Ratios of one run: own cost per operation, start-up time, resident memory.
bench:
	$(CARGO) build --release --workspace
	tests/bench/run.sh

fmt:
	$(CARGO) fmt --all
