# Yamori. On a fresh Debian 12 machine, as root: `make run` and `make test`. `make help` lists the rest.
SHELL := /bin/bash
.DEFAULT_GOAL := help

VENV ?= .venv
BIN := $(VENV)/bin
export VENV

.PHONY: help setup run simulated test test-full check fmt lint unit lab-test docs lab-up lab-down bench lock clean

help: ## list the recipes
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install what is missing: Debian packages (as root), the Python environment
	@scripts/setup.sh

run: setup ## play the demo on the lab; ONCE=1 ends by itself, JSON=1 tells the story as JSON
	@$(BIN)/yamori demo $(if $(ONCE),--once) $(if $(JSON),--json)

simulated: setup ## play the demo on the simulator: no root, no hypervisor
	@$(BIN)/yamori demo --simulated --once $(if $(JSON),--json)

test: setup ## the tests: checks, unit and scenario tests, the demo, the real lab and the browser, Xen in short, the matrix
	@scripts/test.sh check unit story lab xen matrix

test-full: setup ## make test, and what takes longer: the whole of Xen, a mixed fleet under faults, the demo on Xen
	@scripts/test.sh check unit story lab xen full storyx matrix

check: setup ## lint, types, import contracts, architecture tests: what must hold before a commit
	@scripts/check.sh

fmt: setup ## format the code
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix-only --quiet .

lint: setup ## ruff and shellcheck only
	@scripts/check.sh lint

unit: setup ## tests that need neither root nor a hypervisor
	@scripts/test.sh unit

lab-test: setup ## tests on the real lab and in a real browser
	@scripts/test.sh lab

docs: setup ## write the generated pages of docs/reference afresh
	@$(BIN)/python -m scripts.reference

lab-up: setup ## bring up the virtual hosts and their guests
	@$(BIN)/yamori lab up

lab-down: setup ## take down the lab, and labs whose maker has died
	-@$(BIN)/yamori lab down --yes
	@$(BIN)/yamori lab down --leftovers --yes

bench: setup ## run the benches: NAME=detect|collect|guard
	@$(BIN)/yamori bench $(or $(NAME),detect) $(if $(JSON),--json)

lock: setup ## pin the dependencies afresh; UPGRADE=1 takes newer ones
	@scripts/lock.sh

clean: ## remove the environment and all caches
	@rm -rf -- "$(VENV)" .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage build dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
