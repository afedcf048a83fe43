# Everything is done in a virtual environment in .venv; nothing else on the machine is touched.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/installed
DEVELOPING := .venv/developing

# Where nothing compiled is kept, every process of the service and of the tests compiles all of it again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help run test test-long bench check format screenshots storm clean

help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(INSTALLED) ## Set up if need be, then serve on http://127.0.0.1:8000
	@$(BIN)/pocketwire serve

test: $(DEVELOPING) ## Set up if need be, then run the tests
	@$(BIN)/python -m pytest -n 3 --dist worksteal -m "not long"

test-long: $(DEVELOPING) ## Run the tests that take longer: PostgreSQL, crashes, storms
	@$(BIN)/python -m pytest -n 2 -m long

bench: $(INSTALLED) ## Measure what this machine can do; benchmarks/README.md has what others did
	@$(BIN)/pocketwire bench

check: $(DEVELOPING) ## Format, lint, types and layers, all as in CI
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(DEVELOPING) ## Format the code and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

storm: $(DEVELOPING) ## 10,000 deliveries in a minute to services in trouble; prints what came of it
	@$(BIN)/python -m tests.storm

screenshots: $(DEVELOPING) ## Make README's pictures anew from real pages (needs Chromium)
	$(BIN)/python -m tests.browser.screenshots

clean: ## Remove the virtual environment and caches; data/ stays
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=python3.12 …"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"

$(INSTALLED): .venv/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(DEVELOPING): $(INSTALLED) pyproject.toml
	$(BIN)/python -m pip install --quiet --group dev
	@touch $@
