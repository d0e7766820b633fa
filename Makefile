# Two commands matter: `make demo` shows it running, `make test` proves it.
# Each makes its own virtual environment in .venv from the lock files; only Python 3.11+ is needed.

PYTHON  ?= $(shell command -v python3.11 || command -v python3)
VENV    := .venv
BIN     := $(VENV)/bin
PHENIX  := $(BIN)/python -m phenix
RUNTIME := $(VENV)/.runtime
DEV     := $(VENV)/.dev
PIP     := $(BIN)/python -m pip --disable-pip-version-check --quiet

.DEFAULT_GOAL := help
.PHONY: help demo test check lint types imports docs docs-check proto proto-check web web-check bench lock clean

help:
	@echo "make demo [SECONDS=30]  stand-in terminal, ingest and serve on a fresh store; prints the address"
	@echo "make test               every test, with the coverage gates"
	@echo "make check              lint, formatting, types, import contracts, rules, generated files"
	@echo "make bench              the figures of bench/, as JSON and a table"
	@echo "make docs proto web     write generated pages, gRPC stubs, the built page"
	@echo "make lock               resolve the dependencies again"

# -- environments: what runs Phenix, and what else its developers need

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# The lock names every package, so nothing is resolved again: a release made since cannot change what is installed.
$(RUNTIME): requirements.lock | $(BIN)/python
	$(PIP) install --require-hashes --no-deps --only-binary :all: -r requirements.lock
	@touch $@

$(DEV): requirements-dev.lock pyproject.toml | $(BIN)/python
	$(PIP) install --require-hashes --no-deps --only-binary :all: -r requirements-dev.lock
	$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@ $(RUNTIME)

# -- running

demo: $(RUNTIME)
	$(PHENIX) demo $(if $(SECONDS),--seconds $(SECONDS))

bench: $(DEV)
	$(BIN)/python -m bench

# -- proving; the gates print nothing when they hold, so that pytest's summary is the last line

GATES := \
	85=phenix/* \
	98=phenix/dsl/* \
	98=phenix/engine/targets/* \
	95=phenix/engine/enrich/*

# Tests here run real processes on a machine that others may use: what failed is run once more by itself, and only a
# second failure counts. What passes then stands in the first summary as a failure and is a bug of the test.
# Files run side by side. A test that no alarm ends takes its worker along (faulthandler_timeout), and ends the run.
WORKERS := 2
PYTEST := $(BIN)/pytest --cov --cov-report=term:skip-covered

test: $(DEV)
	@$(PYTEST) --numprocesses $(WORKERS) --dist loadfile --max-worker-restart 0 $(ARGS) \
		|| { [ $$? -eq 1 ] && echo "once more, what failed:" \
		&& $(PYTEST) --cov-append --last-failed --last-failed-no-failures none $(ARGS); }
	@for gate in $(foreach g,$(GATES),'$(g)'); do \
		$(BIN)/coverage report --include="$${gate#*=}" --fail-under="$${gate%%=*}" > $(VENV)/coverage.txt \
		|| { cat $(VENV)/coverage.txt; echo "coverage of $${gate#*=} is below $${gate%%=*} %"; exit 1; }; done

check: lint types imports rules docs-check proto-check web-check

lint: $(DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(DEV)
	$(BIN)/mypy

imports: $(DEV)
	$(BIN)/lint-imports

.PHONY: rules
rules: $(DEV)
	$(PHENIX) fmt --check rules
	$(PHENIX) lint rules
	$(PHENIX) test rules

docs-check: $(DEV)
	$(PHENIX) docs --check

proto-check: $(DEV)
	@$(BIN)/python -m phenix.server.grpc.schema --check || { echo "proto/ or its stubs are out of date: make proto"; exit 1; }
	@if command -v npm >/dev/null; then sh proto/verify.sh; else echo "style of proto/ not checked: npm is not installed"; fi

# Needs Node, which Python users never do; without npm the committed page is taken as it is.
web-check:
	@if command -v npm >/dev/null; then sh web/verify.sh; else echo "web-check skipped: npm is not installed"; fi

# -- generating

docs: $(DEV)
	$(PHENIX) docs

proto: $(DEV)
	$(BIN)/python -m phenix.server.grpc.schema

web:
	cd web && npm ci --no-audit --no-fund --loglevel=error && npm run --silent build

LOCK := $(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 \
	--custom-compile-command "make lock" pyproject.toml

lock: $(DEV)
	$(LOCK) $(UPGRADE) --output-file requirements.lock
	$(LOCK) $(UPGRADE) --group dev --output-file requirements-dev.lock

clean:
	rm -rf $(VENV) data bench/results dist
