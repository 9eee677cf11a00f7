# The project's tasks. `make dev` and `make test` are all that a newcomer needs.
VENV   ?= .venv
PYTHON ?= python3
JOBS   ?= 2
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet

.DEFAULT_GOAL := help
.PHONY: help dev demo test check format lock bench clean

help: ## List the tasks.
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

# Stamps, so that a second run starts at once. The lock is installed with hashes, the project itself without
# looking anywhere for dependencies or build tools: nothing unpinned can slip in.
$(VENV)/.run-stamp: requirements/run.txt pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install --require-hashes -r requirements/run.txt
	$(PIP) install --no-deps --no-build-isolation --editable .
	touch $@

$(VENV)/.dev-stamp: requirements/dev.txt pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install --require-hashes -r requirements/dev.txt
	$(PIP) install --no-deps --no-build-isolation --editable .
	touch $@ $(VENV)/.run-stamp

dev: $(VENV)/.run-stamp ## Install, start a dev server, write and read back a first secret; Ctrl-C ends it.
	$(BIN)/python -m contrib.firststeps $(if $(PORT),--port $(PORT))

demo: $(VENV)/.run-stamp ## The same, but stop the server after the first secret.
	$(BIN)/python -m contrib.firststeps --once $(if $(PORT),--port $(PORT))

test: $(VENV)/.dev-stamp ## Install what tests need and run the whole suite.
	$(BIN)/python -m pytest -n $(JOBS) --dist=worksteal

check: $(VENV)/.dev-stamp ## Format, lint, types, import arrows, licences, freshness of generated files.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	@mkdir -p .mypy-path && ln -sfn ../plugins .mypy-path/broker_plugins
	MYPYPATH=.mypy-path $(BIN)/mypy -p broker -p broker_plugins
	$(BIN)/lint-imports --no-cache
	$(BIN)/python -m contrib.checks
	$(BIN)/python -m contrib.apidoc --check

format: $(VENV)/.dev-stamp ## Rewrite the code as the formatter and the linter's safe fixes want it.
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-header --no-annotate pyproject.toml requirements/build.in

lock: $(VENV)/.dev-stamp ## Resolve the dependencies anew (add UPGRADE=--upgrade for newer releases).
	$(LOCK) $(UPGRADE) --all-extras -o requirements/dev.txt >/dev/null
	$(LOCK) $(UPGRADE) -c requirements/dev.txt -o requirements/run.txt >/dev/null

bench: $(VENV)/.dev-stamp ## Measure this server and a real OpenBao side by side (needs wrk).
	$(BIN)/python -m contrib.bench

clean: ## Remove the virtual environment and all caches.
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
