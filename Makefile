# Two commands do everything on a fresh Debian machine: `make demo` and `make test`.
CARGO ?= cargo

.PHONY: demo test torture check build prepare generate bench fmt

## The main job on the laboratory: seed a standalone server, move it to two replicas, verify, take all down.
demo: prepare build
	tests/demo.sh

## Everything that must hold before a change lands.
test: prepare
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --features torture -- -D warnings
	$(CARGO) build --workspace --features torture
	$(CARGO) test --workspace --features torture

## Every runbook killed at every point, and with the answer of every changing statement lost. Takes an hour or more;
## TORTURE_EVERY=N takes every N-th point, TORTURE_FROM=N begins at that one.
torture: prepare
	$(CARGO) build --workspace --features torture
	rm -rf target/torture
	$(CARGO) test --features torture --test it -- --ignored whole_ --test-threads=2; \
	  status=$$?; tests/torture-tables.sh; exit $$status

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
