PYTHON ?= python3
# Everything runs with the Python of .venv, one command a line: without make, type the commands below. On Windows it is
# .venv\Scripts\python. `make TARGET --dry-run` shows them, too.
BIN := .venv/bin
NPM := $(shell command -v npm 2>/dev/null)
.DEFAULT_GOAL := help

.PHONY: help install demo test test-all oldest bench check format lint types generate generate-check node postman postman-check trim regenerate api-diff record docs build build-check clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1\t/p' $(MAKEFILE_LIST) | awk -F '\t' '{printf "make %-12s %s\n", $$1, $$2}'

install: .venv/installed ## put the package and everything needed to work on it into .venv

.venv/installed: .venv/usable .ci/constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint .ci/constraints.txt --editable ".[dev]"
	@touch $@

# What an application installs, and no more.
.venv/usable: pyproject.toml
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'Python 3.11 or newer is needed: make install PYTHON=python3.11')"
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint .ci/constraints.txt --editable .
	@touch $@

demo: .venv/usable ## lose the answer of a start, find the Request, and follow it to its end
	$(BIN)/python -m processmaker.sandbox --demo

test: install node ## run the tests, all but the long proofs
	$(BIN)/python -m pytest -n auto -m "not proof"

test-all: install node ## run the tests, the long proofs too: kills, faults, job queues
	$(BIN)/python -m pytest -n auto

oldest: install build/oldest/.installed ## run what depends on other packages with their oldest allowed versions
	PYTHONPATH=build/oldest $(BIN)/python -m pytest -n auto -m "not proof" tests/wire/test_auth.py \
		tests/wire/test_connections.py tests/wire/test_instrumentation.py tests/wire/test_sending.py tests/wire/test_wire.py \
		tests/test_client.py tests/journal/test_redis.py tests/cli/test_cli.py tests/cli/test_cli_terminal.py

build/oldest/.installed: .ci/oldest.txt
	rm -rf build/oldest
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --target build/oldest --requirement $<
	@touch $@

bench: install ## measure what starts cost; make bench QUICK=1 only tries whether that works
	$(BIN)/python tests/benchmarks/bench.py $(if $(QUICK),--quick)

check: lint types generate-check postman-check .venv/docs test-all oldest ## everything CI checks

format: install ## format the code
	$(BIN)/python -m ruff format .ci openapi wrapper tests
	$(BIN)/python -m ruff check --fix .ci openapi wrapper tests

lint: install
	$(BIN)/python -m ruff format --check .ci openapi wrapper tests
	$(BIN)/python -m ruff check .ci openapi wrapper tests

types: install
	$(BIN)/python -m mypy

generate: install ## write generated/ from openapi/processmaker.yaml
	$(BIN)/python openapi/generate.py

generate-check: install
	$(BIN)/python openapi/generate.py --check

node: $(if $(NPM),tests/guide/node_modules/.installed) ## install what the guide's recipes and the Postman collection need
	@$(if $(NPM),:,echo "Node.js is not installed here: what needs it is not tested.")

tests/guide/node_modules/.installed: tests/guide/package-lock.json
	@npm ci --prefix tests/guide --loglevel=error && touch $@ || \
		echo "The Node.js packages could not be installed: what needs them is not tested."

postman: install node ## write the Postman collection from openapi/processmaker.yaml
	$(BIN)/python openapi/postman.py

postman-check: install node
	$(BIN)/python openapi/postman.py --check

trim: install ## write openapi/processmaker.yaml from an official document: make trim SPEC=<file or URL>
	$(BIN)/python openapi/trim.py "$(SPEC)" --version="$(VERSION)"

regenerate: install node ## adopt a changed API, with all tests: make regenerate SPEC=<file or URL>
	$(BIN)/python openapi/regenerate.py "$(SPEC)" "$(VERSION)"

api-diff: install ## what changed between two API documents: make api-diff OLD=<file or URL> NEW=<file or URL>
	$(BIN)/python openapi/diff.py "$(OLD)" "$(NEW)"

record: install ## record the cassettes anew on a live ProcessMaker: make record VERSION=4.16.0
	$(BIN)/python -m tests.record $(if $(VERSION),--version $(VERSION)) $(SCENARIOS)

docs: .venv/docs node ## build the guide and the API reference as a site in build/docs
	$(BIN)/python .ci/build_docs.py

.venv/docs: .venv/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint .ci/constraints.txt --editable ".[docs]"
	@touch $@

build: install ## make the wheel and the source distribution in dist; the changelog must tell of the version
	$(BIN)/python -m hatchling build --clean --directory dist
	$(BIN)/python -m twine check --strict dist/*

build-check: build ## try both as users will: a fresh environment, and the whole way with tests; needs a package index
	$(BIN)/python -m tests.distribution

clean: ## remove what the other targets made
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist tests/guide/node_modules
