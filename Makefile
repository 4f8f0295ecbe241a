# The two commands: `make acceptance` and `make test`. Both set up what they need and work again
# without building anything twice.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Options of the run, e.g. PYTEST_ARGS='-k namespace --profile exercise'.
PYTEST_ARGS ?=
# LAB_TESTS=1 first proves on a second lab that nothing is left behind (about five minutes).
LAB_TESTS ?=

help: ## what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

acceptance: setup ## bring up the lab and verify every feature on it
	@$(BIN)/acceptance lab up
	if [ -n "$(LAB_TESTS)" ]; then $(BIN)/pytest lab/tests; fi
	status=0; $(BIN)/pytest features $(PYTEST_ARGS) || status=$$?
	# Allure's report is a second view of the run and decides nothing.
	if [ $$status -le 1 ]; then $(BIN)/acceptance report allure || true; fi
	exit $$status

report: setup ## Allure's report of the last run; needs Node 20 or later
	@$(BIN)/acceptance report allure

test: setup ## the suite's own tests, lints and types; no cluster
	@start=$$SECONDS
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/acceptance lint
	$(BIN)/pytest tests -n 2
	$(BIN)/acceptance figures --record "make test" --seconds $$((SECONDS - start)) >/dev/null

setup: $(VENV)/ready ## the Python environment from requirements.lock

$(VENV)/ready: requirements.lock pyproject.toml
	@echo "Python environment from requirements.lock"
	if ! $(PYTHON) -c 'import sys, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
	  if ! command -v apt-get >/dev/null; then echo "make: Python 3.11 with venv is missing: install it" >&2; exit 2; fi
	  apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends python3-venv
	fi
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

lock: setup ## pin every dependency anew
	@$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet --no-header --no-emit-index-url --generate-hashes --python-version 3.11 \
	  --extra dev pyproject.toml --output-file requirements.lock

down: setup ## remove the lab; the cache stays
	@$(BIN)/acceptance lab down

.PHONY: help acceptance report test setup lock down
