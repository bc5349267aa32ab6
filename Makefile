PYTHON ?= python3
BIN := .venv/bin
.DEFAULT_GOAL := help

.PHONY: help install demo test check format lint types generate generate-check regenerate record clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1\t/p' $(MAKEFILE_LIST) | awk -F '\t' '{printf "make %-12s %s\n", $$1, $$2}'

install: .venv/installed ## put the package and everything needed to work on it into .venv

.venv/installed: pyproject.toml .ci/constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make install PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint .ci/constraints.txt --editable '.[dev]'
	@touch $@

demo: install ## start a Request against the embedded sandbox
	$(BIN)/python -m processmaker.sandbox --demo

test: install ## run the tests
	$(BIN)/python -m pytest

check: lint types generate-check test ## everything CI checks

format: install ## format the code
	$(BIN)/ruff format openapi wrapper tests
	$(BIN)/ruff check --fix openapi wrapper tests

lint: install
	$(BIN)/ruff format --check openapi wrapper tests
	$(BIN)/ruff check openapi wrapper tests

types: install
	$(BIN)/mypy

generate: install ## write generated/ from openapi/processmaker.yaml
	$(BIN)/python openapi/generate.py

generate-check: install
	$(BIN)/python openapi/generate.py --check

regenerate: install ## the whole way for a changed API: make regenerate SPEC=<file or URL>
	@$(BIN)/python openapi/regenerate.py "$(SPEC)"

record: install ## record the cassettes anew on a live ProcessMaker (see README)
	$(BIN)/python -m tests.record

clean: ## remove what the other targets made
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist
