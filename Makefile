# Needs Python >= 3.11 and make. Everything else is installed into .venv, from pinned and hashed requirements.
.DEFAULT_GOAL := help
.PHONY: help up test coverage check bench prove lock clean

export PIP_DISABLE_PIP_VERSION_CHECK := 1
VENV := .venv
BIN := $(VENV)/bin
RUNNING := $(VENV)/.running
READY := $(VENV)/.ready

# The newest Python that can make an environment with pip in it; `make PYTHON=/path/to/python` names another.
PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3; do \
	$$python -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)

help: ## show this list
	@sed -n 's/^\([a-z]*\):[^#]*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

up: $(RUNNING) ## run all of tailrace here; Ctrl-C stops it (UP="--data DIR" for its options)
	@exec $(BIN)/tailrace up $(UP)

test: $(READY) system ## run the checks and the tests (TESTS="tests/wire -k cursor" for some of them)
	@$(MAKE) --no-print-directory check
	$(BIN)/pytest $(or $(TESTS),--numprocesses 2 --dist loadfile)

coverage: $(READY) system ## run the tests traced, but for the trials, which are about time, and show what no test runs
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest --ignore tests/prove/test_trials.py $(TESTS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

check: $(READY) ## lint, formatting, types, rules of architecture, dependencies
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/deptry .
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.compose-spec compose.yaml

bench: $(READY) ## measure against the goals; prints what it measured
	@$(BIN)/python -m tests.benchmarks $(BENCH)

prove: $(READY) system ## run the long tier, and keep its record in docs/internals/reliability.md (PROVE="--list" for what there is)
	$(if $(PROVE),,$(BIN)/pytest -m prove)
	$(BIN)/python -m tests.prove --write $(PROVE)

lock: $(READY) ## pin the newest allowed versions anew in requirements/
	@requirements/lock

clean: ## remove all that was made here, .venv included
	rm -rf $(VENV) build dist htmlcov .coverage .coverage.* .hypothesis .import_linter_cache .*_cache
	find services workers shared tests -name __pycache__ -prune -exec rm -rf {} +

# What running needs, and nothing else: `make up` is quick on a fresh machine.
$(RUNNING): pyproject.toml requirements/all.txt requirements/build.txt
	@test -n "$(PYTHON)" || { echo 'No Python >= 3.11 with venv and pip found (Debian: apt-get install python3-venv).' >&2; exit 1; }
	@test -x $(BIN)/python || { echo 'Making $(VENV) with $(PYTHON)'; $(PYTHON) -m venv $(VENV); }
	@echo 'Installing what tailrace runs on'
	@$(BIN)/python -m pip install --quiet --require-hashes -r requirements/build.txt -r requirements/all.txt
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

# The same and what tests and checks need.
$(READY): $(RUNNING) requirements/dev.txt
	@echo 'Installing what checks and tests need'
	@$(BIN)/python -m pip install --quiet --require-hashes -r requirements/dev.txt
	@touch $@

# What some tests want from Debian. Without it they are skipped, and say why.
.PHONY: system
system:
	@requirements/system
