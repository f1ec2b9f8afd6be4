# What a person does with a clone of epsql. Needs make, and a Python of 3.11 or newer with pip.
# Everything goes into .venv, .clients and .demo in this directory; `make clean` removes them.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Where .venv is activated, python3 is the one in it, which has no pip and may be about to go.
export PATH := $(subst $(CURDIR)/$(BIN):,,$(PATH))
READY := $(VENV)/.ready
# Drivers and client programs that tests drive, kept apart: epsql itself needs none of them.
CLIENTS := .clients
CLIENTS_READY := $(CLIENTS)/.ready
# The pip that is there fills the environment: Debian's Python has venv, but not what pip comes from.
INSTALL := $(PYTHON) -m pip --python $(BIN)/python install --disable-pip-version-check
ONCE ?=
ARGS ?=
# One worker for each core, but no more than four: each starts a Postgres of its own. Each begins with
# its share of the files, since a file's tests share servers; who is done takes from another's end.
# ARGS="-n 0" runs all in one process, as a debugger needs.
WORKERS := -n auto --maxprocesses 4 --dist worksteal

.DEFAULT_GOAL := help
.PHONY: help demo test test-all clients lint bench serve lock clean

help: ## List the targets.
	@echo "make targets:"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | \
		while IFS='|' read -r name text; do printf '  %-10s %s\n' "$$name" "$$text"; done

demo: $(READY) ## Start a Postgres with real patient data, epsql in front of it, and a guided tour (ONCE=1: tour, then stop).
	@$(BIN)/epsql demo $(if $(ONCE),--once) $(ARGS)

test: $(READY) ## Run the tests, without the slow ones.
	@$(BIN)/python -m pytest $(WORKERS) -m "not slow" $(ARGS)

test-all: $(READY) ## Run every test, the slow ones too.
	@$(BIN)/python -m pytest $(WORKERS) $(ARGS)

clients: $(CLIENTS_READY) ## Install the drivers and client programs of tests/clients, and dp-accounting; without them those tests are skipped.

lint: $(READY) ## Check style, format, types and the walls between the rooms.
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

bench: $(READY) ## Measure speed and error against plain SQL; takes some minutes.
	@$(BIN)/python -m benchmarks $(ARGS)

serve: $(READY) ## Serve with the settings of the environment (EPSQL_...); see docs.
	@$(BIN)/epsql serve $(ARGS)

lock: $(READY) ## Write requirements.lock anew from pyproject.toml, and those of tests/clients (asks the package registry).
	@$(INSTALL) --quiet pip pip-tools
	@CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/pip-compile --quiet --upgrade --generate-hashes --allow-unsafe --strip-extras \
		--no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
		--extra demo --extra dev --output-file requirements.lock pyproject.toml
	@CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/pip-compile --quiet --upgrade --generate-hashes --allow-unsafe --strip-extras \
		--no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
		--output-file tests/clients/requirements.lock tests/clients/requirements.in
	@CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/pip-compile --quiet --upgrade --generate-hashes --allow-unsafe --strip-extras \
		--no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
		--output-file tests/clients/superset.lock tests/clients/superset.in
	@echo "the locks are new; read the difference, then run make clients test-all."

clean: ## Remove .venv, .demo and everything that tools leave behind.
	rm -rf $(VENV) $(CLIENTS) .demo .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamp stands for "these exact packages are installed"; a new lock or project file asks again.
$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "epsql needs Python 3.11 or newer, but '$(PYTHON)' is $$($(PYTHON) --version 2>&1)."; \
		echo "If you have a newer one, name it:  make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -c 'import pip, venv' 2>/dev/null || { \
		echo "'$(PYTHON)' has no pip, or no venv module, which setting up needs."; \
		echo "On Debian and Ubuntu:  apt-get install python3-pip python3-venv"; exit 1; }
	@echo "Setting up $(VENV) with the packages of requirements.lock (once, about a minute) ..."
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv --without-pip $(VENV)
	@$(INSTALL) --quiet --require-hashes -r requirements.lock
	@$(INSTALL) --quiet --no-deps --no-build-isolation --editable .
	@touch $(READY)
	@echo "$(VENV) is ready."

$(CLIENTS_READY): tests/clients/requirements.lock tests/clients/superset.lock tests/clients/package.json | $(READY)
	@[ -x $(CLIENTS)/bin/python ] || $(PYTHON) -m venv --without-pip $(CLIENTS)
	@$(PYTHON) -m pip --python $(CLIENTS)/bin/python install --disable-pip-version-check --quiet \
		--require-hashes -r tests/clients/requirements.lock
	@cp tests/clients/package.json $(CLIENTS)/
	@if command -v npm > /dev/null; then \
		npm install --prefix $(CLIENTS) --no-package-lock --no-audit --no-fund --ignore-scripts --loglevel=error; \
	else echo "There is no npm here: the tests of Node's drivers will be skipped."; fi
	@[ -x $(CLIENTS)/superset/bin/python ] || $(PYTHON) -m venv --without-pip $(CLIENTS)/superset
	@$(PYTHON) -m pip --python $(CLIENTS)/superset/bin/python install --disable-pip-version-check --quiet \
		--no-deps --no-compile --require-hashes -r tests/clients/superset.lock \
		|| echo "Superset could not be installed for this Python: its test will be skipped."
	@touch $(CLIENTS_READY)
	@echo "$(CLIENTS) is ready."
