# Every target installs what it needs first; a second run only checks, in milliseconds.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

JOBS ?= $(shell nproc)
BUILD := build/release
PYTHON := .venv/bin/python

.PHONY: help
help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | \
	  while IFS=$$'\t' read -r name text; do printf '  make %-11s %s\n' "$$name" "$$text"; done

.PHONY: demo
demo: packages venv configure ## Fit real data as durable jobs, and kill the server while it works
	@cmake --build $(BUILD) --parallel $(JOBS) --target costated
	@$(PYTHON) client/python/examples/durable_fit.py --output build/demo

.PHONY: build
build: packages configure ## Build everything into build/release
	@cmake --build $(BUILD) --parallel $(JOBS)

.PHONY: test
test: packages ## Build and run every test: C++, Python, layout, README
	@/usr/bin/env python3 deploy/ci/test --jobs $(JOBS)

.PHONY: check
check: packages ## The same without the tests marked slow; about a minute
	@/usr/bin/env python3 deploy/ci/test --jobs $(JOBS) --fast

.PHONY: bench
bench: packages configure ## Measure, and print each figure beside its reference
	@cmake --build $(BUILD) --parallel $(JOBS) --target benchmarks
	@deploy/ci/bench

.PHONY: figures
figures: packages venv configure ## Draw what gradient methods cost and how right they are
	@cmake --build $(BUILD) --parallel $(JOBS) --target costated
	@$(PYTHON) tests/figures/gradients.py --output build/figures

.PHONY: white-dwarf
white-dwarf: packages venv configure ## Train a neural ODE with every gradient method, a published experiment
	@cmake --build $(BUILD) --parallel $(JOBS) --target costated
	@$(PYTHON) client/python/examples/white_dwarf.py --output build/white_dwarf

.PHONY: format
format: lint-packages venv ## Format the C++ and Python files
	@deploy/ci/format

.PHONY: lint
lint: packages lint-packages venv build ## Formatting, layout, ruff, clang-tidy on changed sources (ALL=1: all)
	@JOBS=$(JOBS) deploy/ci/lint

.PHONY: sanitize
sanitize: packages ## The C++ tests under ASan with UBSan, and under TSan
	@JOBS=$(JOBS) deploy/ci/sanitize

.PHONY: image
image: packages venv ## Build the container image and try it, without a daemon
	@deploy/ci/install-packages image
	@deploy/ci/image

.PHONY: packages lint-packages venv configure
packages:
	@deploy/ci/install-packages build

lint-packages:
	@deploy/ci/install-packages lint

venv: packages
	@deploy/ci/make-venv

# CMake configures again by itself when a list has changed.
configure: packages
	@test -f $(BUILD)/build.ninja || cmake --preset release
