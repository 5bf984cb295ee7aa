# Every command of the project; `make help` lists them. Each makes what it needs: environment, control plane binaries.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
LOCK := $(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-header --universal --python-version 3.11
export KAI_SCHED_SHARED ?= ../shared

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-zA-Z_-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-14s %s\n", $$1, $$2}'

$(STAMP): requirements.lock pyproject.toml
	@echo "==> installing the locked packages into $(VENV)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

.PHONY: setup
setup: $(STAMP) ## Make the virtual environment from the lock file

.PHONY: controlplane
controlplane: $(STAMP) ## Build etcd, kube-apiserver & co. once, into the user's cache
	@$(BIN)/kai-sched dev build

.PHONY: check
check: $(STAMP) ## Lint, format, types, import contracts, CRD drift (read-only)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/kai-sched crds check

.PHONY: test
test: controlplane ## All tests: unit, properties, scenarios, then the real control plane
	$(BIN)/pytest -m "not cluster" -n 2
	@$(BIN)/python -m tests.fuzz --build-only
	$(BIN)/pytest -m cluster -n 2 --dist worksteal

.PHONY: unit
unit: $(STAMP) ## Only the tests that need no control plane
	$(BIN)/pytest -m "not cluster" -n 2

.PHONY: nightly
nightly: $(STAMP) ## Properties with new seeds, 25 times as many examples (hours; ARGS="-k NAME" for some of them)
	HYPOTHESIS_PROFILE=nightly $(BIN)/pytest tests/properties -n 2 --timeout 0 $(ARGS)

.PHONY: conformance
conformance: $(STAMP) ## Our allocator and CEL beside the Kubernetes reference's tables (cases from KAI_SCHED_SHARED)
	@$(BIN)/python -m tests.conformance

.PHONY: fuzz
fuzz: $(STAMP) ## Random claims answered by us and by the reference allocator (SEED=0 CASES=3000)
	@$(BIN)/python -m tests.fuzz --seed $(or $(SEED),0) --cases $(or $(CASES),3000)

.PHONY: witness
witness: $(STAMP) ## Plans of a corpus by another commit and by this tree, compared (BASE=main, ARGS="--help" for more)
	@$(BIN)/python -m tests.witness --base $(or $(BASE),HEAD) $(ARGS)

.PHONY: tamper
tamper: $(STAMP) ## Every promise of a plan broken once: what the independent judge says
	@$(BIN)/python -m tests.tamper

.PHONY: hostile
hostile: controlplane ## What somebody may send to hurt others, on a real control plane: how long a bystander waits (ARGS="WORLD ...")
	@$(BIN)/python -m tests.hostile $(ARGS)

.PHONY: bench
bench: controlplane ## A benchmark: WHAT=decide, claims, evict, watch, memory or controlplane (ARGS="--help" for its options)
	@$(BIN)/python -m benchmarks.$(or $(WHAT),decide) $(ARGS)

.PHONY: demo
demo: controlplane ## The main job: schedule gangs with topology and claims on a real control plane (KEEP=1 leaves it running)
	@$(BIN)/kai-sched demo $(if $(KEEP),--keep)

.PHONY: crds
crds: $(STAMP) ## Regenerate crds/ from the models
	$(BIN)/kai-sched crds generate

.PHONY: fix
fix: $(STAMP) ## Format and repair what the linter can
	$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

.PHONY: lock
lock: $(STAMP) ## Re-resolve the lock files: of the project, and of its image (a part of the former)
	$(LOCK) --all-extras -o requirements.lock pyproject.toml
	$(LOCK) --extra image --constraints requirements.lock -o manifests/requirements.lock pyproject.toml

.PHONY: clean
clean: ## Remove the virtual environment and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
