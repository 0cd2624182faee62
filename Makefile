# Every target with its purpose: `make help`.

# Where rustup puts cargo, for shells that do not know it yet.
export PATH := $(PATH):$(HOME)/.cargo/bin
BLOOM := $${CARGO_TARGET_DIR:-target}/release/bloom
# The same without optimisations: builds in less than half of the time.
QUICK := $${CARGO_TARGET_DIR:-target}/debug/bloom
# More arguments for the program: make run ARGS='--listen 127.0.0.1:8080'
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup build quick run demo demo-claude test test-api test-otel test-pg18 bench-build bench bench-smoke bench-peers bench-summary screenshots chaos-smoke chaos fuzz bless fmt lint deny sbom doc fresh ci clean

help: ## list all targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-13s %s\n", $$1, $$2 }' Makefile

setup: ## check for Rust and a C compiler, install the PostgreSQL server if it is missing
	@scripts/setup.sh

build: setup ## build the program as it is to be installed: target/release/bloom
	cargo build --release --locked --bin bloom

quick: setup ## build the program for trying it out: target/debug/bloom
	cargo build --locked --bin bloom

run: quick ## serve on http://127.0.0.1:5000 with a private Postgres (or DATABASE_URL)
	@exec env BLOOM_DATA_DIR="$$(scripts/data-dir.sh)" $(QUICK) serve $(ARGS)

demo: quick ## submit real texts, run a worker over them, show the results
	@exec $(QUICK) demo $(ARGS) "$$(scripts/data-dir.sh)/demo"

demo-claude: quick ## conversations through the real Claude CLI, with a stand-in for the model
	@exec $(QUICK) demo --claude --claude-bin "$$(scripts/claude-cli.sh)" $(ARGS) "$$(scripts/data-dir.sh)/demo-claude"

test: ## install what the tests need, and run them all on Postgres clusters of their own
	@scripts/setup.sh tests
	cargo test --locked

test-api: ## hold every answer against the description of the API (schemathesis)
	@scripts/setup.sh tests
	@cargo build --locked --bin bloom
	@scripts/test-api.sh

test-otel: ## build with spans for OpenTelemetry, and follow one trace through all parts
	@scripts/setup.sh tests
	cargo test --locked --features otel --test otel

test-pg18: ## run the tests of the queue's SQL on PostgreSQL 18
	@scripts/setup.sh tests
	BLOOM_TEST_PG_BIN="$$(scripts/pg18.sh)" cargo test --locked --test it -- \
		state_matrix sql_ races isolation model history install list_plans longpoll pool listen peers_bugs

BENCH = $${CARGO_TARGET_DIR:-target}/release/bloom-bench --bloom $(BLOOM) --commit "$$(git rev-parse --short HEAD)"

bench-build: build ## build what measures
	@cargo build --release --locked --bin bloom-bench

bench: bench-build ## measure the service (scenarios: make bench ARGS='cycle-64 wake-1000'; list: ARGS=--list)
	@exec $(BENCH) $(ARGS)

bench-smoke: quick ## fail where the service has become much slower than the machine's own floor
	@cargo build --locked --bin bloom-bench
	@exec $${CARGO_TARGET_DIR:-target}/debug/bloom-bench --bloom $(QUICK) --seconds 3 --smoke

bench-peers: bench-build ## measure other queues on the same Postgres in the same run, and compare
	@bench/field/install.sh
	@exec $(BENCH) --peers $(ARGS)

bench-summary: bench-build ## make tables and plots from the figures in bench/results
	@exec $(BENCH) --summary bench/results

screenshots: ## take the pictures of docs/screenshots anew
	@scripts/setup.sh tests
	BLOOM_SCREENSHOTS=1 cargo test --locked --test it ui::screenshots

chaos-smoke: ## faults for 90 s against the real parts, and what they left behind, judged
	@scripts/setup.sh tests
	@cargo build --locked --bin bloom --bin bloom-chaos
	@exec $${CARGO_TARGET_DIR:-target}/debug/bloom-chaos run --bloom $${CARGO_TARGET_DIR:-target}/debug/bloom --minutes 1.5 $(ARGS)

chaos: ## controls, faults for an hour, a page of figures (make chaos ARGS='--minutes 60 --seed 7')
	@scripts/setup.sh tests
	@cargo build --release --locked --bin bloom --bin bloom-chaos
	@exec chaos/publish.sh $(ARGS)

fuzz: setup ## fuzz the readers of bodies, paths, addresses and streams (make fuzz ARGS='300 router')
	@exec fuzz/run.sh $(ARGS)

bless: setup ## write the generated pages of docs/reference anew
	BLOOM_BLESS=1 cargo test --locked --test it reference::

fmt: ## format the sources
	cargo fmt

lint: ## what CI refuses: unformatted sources, warnings of the compiler and of clippy
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings

deny: setup ## hold what the program is made of against deny.toml (make deny ARGS=advisories)
	@$$(scripts/cargo-tool.sh cargo-deny 0.20.2) --locked check $(or $(ARGS),bans licenses sources)

sbom: setup ## write a bill of materials (CycloneDX) to target/sbom
	@scripts/sbom.sh

doc: ## build the documentation of the code
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --no-deps

fresh: setup ## do what a newcomer does: clone, make run, submit, stop, make run again
	scripts/check-fresh-clone.sh

ci: ## all that CI does
	.ci/run

clean: ## remove what was built (data directories stay)
	cargo clean
