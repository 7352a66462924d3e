# `make run` and `make test` need Python >= 3.11 and make, nothing else. Every target sets up what it needs
# under .venv once, from hashed pins, and works offline from then on. ARGS="…" goes to the command it runs.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
PYTHON = python3.13 python3.12 python3.11 python3
ARGS =
IMAGE = trunkline
PORT ?= 8000

# What a shell or a pip.conf may hold that would lead an installation elsewhere. Mirrors, proxies and
# certificates are left as they are.
unexport PYTHONHOME PYTHONPATH VIRTUAL_ENV
unexport PIP_CONSTRAINT PIP_PREFIX PIP_PYTHON PIP_REQUIREMENT PIP_ROOT PIP_TARGET
unexport UV_BUILD_CONSTRAINT UV_CONSTRAINT UV_EXCLUDE_NEWER UV_OVERRIDE UV_SYSTEM_PYTHON
# Without compiled modules a gateway takes four times as long to start, and the tests start a hundred of them.
unexport PYTHONDONTWRITEBYTECODE
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_INPUT := 1
export PIP_REQUIRE_HASHES := 0
export PIP_USER := 0
export UV_REQUIRE_HASHES := 0

# ---------------------------------------------------------------------------------------- setting up

# A name on the PATH proves nothing (version managers leave shims): only a Python that runs counts.
PROBE := import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))

$(BIN)/python:
	@for python in $(PYTHON); do \
	  if $$python -c '$(PROBE)' >/dev/null 2>&1; then \
	    echo "Making $(VENV) with $$($$python --version) ..."; \
	    rm -f $(VENV)/.has-*; \
	    exec $$python -m venv $(VENV); \
	  fi; \
	done; \
	{ echo "Trunkline needs Python 3.11 or newer with its venv module. Found here:"; \
	  for python in $(PYTHON); do echo "  $$python: $$($$python --version 2>/dev/null || echo none)"; done; \
	  echo "On Debian and Ubuntu the module is the package python3-venv. A Python that is not on the"; \
	  echo "PATH can be named: make PYTHON=/path/to/python3 $(firstword $(MAKECMDGOALS))"; } >&2; \
	exit 1

# $(call pip-install,python,what): by uv if it is here and can, else by pip, which knows the user's pip settings.
define pip-install
	if ! uv --version >/dev/null 2>&1; then uv=no; \
	elif uv pip install --quiet --python $(1) $(2); then uv=done; \
	else uv=no; echo "uv could not install it; trying pip ..." >&2; fi; \
	if [ $$uv = no ]; then \
	  $(1) -m pip --version >/dev/null 2>&1 || $(1) -m ensurepip >/dev/null; \
	  $(1) -m pip install --quiet $(2); \
	fi
endef

# One stamp for each file of pins, older than none of them and than its Python, so that a Python that was replaced
# gets everything again. The package itself is linked in: a change of it needs no install.
# The files are complete, so nothing is resolved (--no-deps): pip before 23.3 takes an extra of a package, such
# as coverage[toml], for another project than the pinned one, and fails in hash mode as soon as a newer release
# of it exists. `pip check` then proves that nothing is missing and nothing disagrees; a .venv made by uv has no
# pip, so uv is asked there.
define check-installed
	if $(BIN)/python -m pip --version >/dev/null 2>&1; then set -- $(BIN)/python -m pip check; \
	else set -- uv pip check --python $(BIN)/python; fi; \
	"$$@" >/dev/null 2>&1 || "$$@" || { \
	  echo "What is installed in $(VENV) does not fit together. Remove $(VENV) to set it up anew." >&2; exit 1; \
	}
endef

$(VENV)/.has-%: requirements/%.txt requirements/build.txt pyproject.toml $(BIN)/python
	@echo "Installing requirements/$*.txt into $(VENV) ..."
	@$(call pip-install,$(BIN)/python,--no-deps --require-hashes -r requirements/build.txt -r requirements/$*.txt)
	@$(call pip-install,$(BIN)/python,--no-deps --no-build-isolation --editable .)
	@$(call check-installed)
	@touch $@

# ------------------------------------------------------------------------------------------- running

.PHONY: run
run: $(VENV)/.has-runtime ## Start the gateway; makes a configuration and a first key if there is none
	@$(BIN)/trunkline up $(ARGS)

.PHONY: dev
dev: $(VENV)/.has-dev ## Start it for development: no key, this machine only, reload, all logs
	@$(BIN)/trunkline serve --dev --reload --log-level DEBUG $(ARGS)

.PHONY: install
install: $(VENV)/.has-runtime ## Set up what the gateway needs to run

.PHONY: install-dev
install-dev: $(VENV)/.has-dev ## Set up everything: gateway, tests, engine, linters

# ------------------------------------------------------------------------------------------ checking

# One process more than cores (tests/conftest.py); one that has nothing left to do takes tests from another.
PARALLEL = -n auto --maxprocesses 9 --dist worksteal

.PHONY: test
test: $(VENV)/.has-test ## Run the tests
	@$(BIN)/python -m pytest $(PARALLEL) $(ARGS) $(COVERAGE)

.PHONY: test-cov
test-cov: COVERAGE = --cov
test-cov: test ## Run the tests and measure which branches they take

.PHONY: test-full
test-full: $(VENV)/.has-test ## Generate 2,500 examples for each property of the dialects, and 10,000 conversations
	@$(BIN)/python -m pytest $(PARALLEL) --hypothesis-profile=full tests/dialects tests/conversations $(ARGS)

# Clients of other people, as their users have them: a Python for each file of pins, and npm's packages.
CLIENTS := .clients
CLIENT_PYTHONS := $(patsubst requirements/clients/%.txt,$(CLIENTS)/%/.installed,$(wildcard requirements/clients/*.txt))

$(CLIENTS)/%/.installed: requirements/clients/%.txt | $(VENV)/.has-test
	@echo "Installing requirements/clients/$*.txt into $(@D) ..."
	@rm -rf $(@D)
	@$(BIN)/python -m venv $(@D)
	@PATH="$(abspath $(BIN)):$$PATH"; $(call pip-install,$(@D)/bin/python,--no-deps --require-hashes -r $<)
	@touch $@

$(CLIENTS)/node/.installed: tests/clients/package.json
	@rm -rf $(@D) && mkdir -p $(@D) && cp $< $(@D)
	@if npm --version >/dev/null 2>&1; then \
	  echo "Installing $< into $(@D) ..."; \
	  cd $(@D) && npm install --silent --no-audit --no-fund --no-package-lock && touch .installed; \
	else echo "npm is not here: the clients of $< are left out."; fi

.PHONY: test-clients
test-clients: $(VENV)/.has-test $(CLIENT_PYTHONS) $(CLIENTS)/node/.installed ## Run clients of other people, unmodified, in front of strict mocks
	@$(BIN)/python -m pytest $(PARALLEL) $(ARGS) tests/clients

.PHONY: mutation
mutation: $(VENV)/.has-dev ## Change routing, pipeline and policy in thousands of ways: do their tests notice?
	@$(BIN)/python -m tests.mutation $(ARGS)

.PHONY: lint
lint: $(VENV)/.has-dev ## Check style, formatting and who may import whom
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

.PHONY: format
format: $(VENV)/.has-dev ## Sort imports, mend what can be mended, format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: type-check
type-check: $(VENV)/.has-dev ## Check types, strictly
	$(BIN)/mypy

.PHONY: check-all
check-all: lint type-check test-cov ## All of the checks above

# An optimised Python takes a tenth less CPU, so measurements are taken with one where the machine has one, in an
# environment of its own. BENCH_PYTHON=/path/to/python3 names another.
BENCH_PYTHON =
BENCH_VENV := .venv-bench
define with-bench-python
	best=$$($(BIN)/python -m bench.interpreters --best --given "$(BENCH_PYTHON)") || exit 1; \
	python=$(BIN)/python; \
	if [ -n "$$best" ]; then \
	  python=$(BENCH_VENV)/bin/python; \
	  [ "$$($$python -m bench.interpreters --this 2>/dev/null)" = "$$best" ] || rm -rf $(BENCH_VENV); \
	  $(MAKE) --no-print-directory VENV=$(BENCH_VENV) PYTHON="$$best" $(BENCH_VENV)/.has-runtime || exit 1; \
	fi
endef

.PHONY: bench
bench: $(VENV)/.has-dev ## Measure against nginx, stage by stage too, and write bench/RESULTS.md and bench/BUDGET.md
	@$(with-bench-python); \
	$$python -m bench $(ARGS) && $(if $(ARGS),:,$$python -m bench.budget && $$python -m bench.governance)

.PHONY: bench-peers
bench-peers: $(VENV)/.has-dev ## Measure nginx, Olla, LiteLLM and Portkey beside the gateway, and write bench/PEERS.md
	@$(with-bench-python); \
	$$python -m bench.peers $(ARGS)

# ----------------------------------------------------------------------------------------- container

.PHONY: docker-build
docker-build: ## Build the container image
	docker build --tag $(IMAGE) .

# What the container is given of the environment, beside .env. Only names stand in the command, so that no key
# shows in a list of processes; and only those that have a value, because docker takes the others out of .env.
PASSED_ON = OPENROUTER_API_KEY CEREBRAS_API_KEY OPENAI_API_KEY ANTHROPIC_API_KEY \
	ALLOWED_API_KEYS ALLOWED_API_KEYS_RAW OLLAMA_BASE_URL

.PHONY: docker-run
docker-run: ## Run the image; its data stay in the volume trunkline-data, exported keys are passed on
	docker run --rm --name trunkline --publish $(PORT):8000 --volume trunkline-data:/data \
	  $(if $(wildcard .env),--env-file .env) $(foreach name,$(PASSED_ON),$(if $(value $(name)),--env $(name))) \
	  --env HOST=0.0.0.0 --env PORT=8000 $(IMAGE) $(ARGS)

# -------------------------------------------------------------------------------------------- upkeep

# The widest set is resolved first; the others are cut out of it, so that no two files disagree.
COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --custom-compile-command 'make lock' --override requirements/platforms.in

.PHONY: lock
lock: $(VENV)/.has-dev ## Resolve the pins again; ARGS=--upgrade takes the newest versions
	$(COMPILE) $(ARGS) -o requirements/dev.txt pyproject.toml --group dev requirements/build.in
	$(COMPILE) -c requirements/dev.txt -o requirements/build.txt requirements/build.in
	$(COMPILE) -c requirements/dev.txt -o requirements/runtime.txt pyproject.toml --all-extras
	$(COMPILE) -c requirements/dev.txt -o requirements/test.txt pyproject.toml --group test --group engine
	for set in requirements/clients/*.in; do $(COMPILE) $(ARGS) -o $${set%.in}.txt $$set || exit 1; done

.PHONY: help
help: ## Show this
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' Makefile | while IFS='|' read -r name text; do \
	  printf '  %-14s %s\n' "$$name" "$$text"; done
