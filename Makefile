# Every target needs only git, make, Python 3.11+ and a package index.
PYTHON ?= python3
UV_VERSION := 0.13.8
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
LOCKS := requirements.lock requirements-dev.lock
STAMP := $(VENV)/.synced

.DEFAULT_GOAL := help
.PHONY: help env demo up test bench gallery check format lock docs clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

env: $(STAMP) ## create or bring up to date the environment in .venv

$(STAMP): $(LOCKS) Makefile
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "make env: $(PYTHON) is older than 3.11; name another with PYTHON=python3.12" >&2; exit 1; }
	@test -x $(BIN)/python || { echo "[1/3] creating $(VENV)"; $(PYTHON) -m venv $(VENV); } \
	  || { rm -rf $(VENV); echo "make env: python3 -m venv failed; on Debian install python3-venv" >&2; exit 1; }
	@$(BIN)/uv --version 2>/dev/null | grep -qF "uv $(UV_VERSION) " \
	  || { echo "[2/3] installing uv $(UV_VERSION)"; \
	       $(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION); }
	@echo "[3/3] installing the locked packages"
# uv does not read pip's configuration: whoever has told pip about a mirror need not say it again.
	@index="$${UV_DEFAULT_INDEX:-$${PIP_INDEX_URL:-$$($(BIN)/python -m pip config get global.index-url 2>/dev/null)}}"; \
	  if [ -n "$$index" ]; then export UV_DEFAULT_INDEX="$$index"; fi; \
	  $(BIN)/uv pip sync --python $(BIN)/python --require-hashes $(LOCKS)
	@touch $@

demo: env ## start the stack and play an incident (ARGS="--no-wait" for unattended)
	@$(BIN)/python starter.py demo $(ARGS)

up: env ## start the stack alone; its data is kept under .forewarn/
	@$(BIN)/python starter.py up $(ARGS)

test: env ## run the whole test suite
	@$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

bench: env ## measure speed beside baselines; ARGS="--quick" or "--only NAME" for a part
	@$(BIN)/python -m benchmarks $(ARGS)

gallery: env ## every message in every language as pages and pictures, in .forewarn/gallery/
	@$(BIN)/python starter.py gallery $(ARGS)

check: env ## format, lint, types, import contracts, generated documentation
	@echo "[1/5] format"; $(BIN)/ruff format --check .
	@echo "[2/5] lint"; $(BIN)/ruff check .
	@echo "[3/5] types"; $(BIN)/mypy
	@echo "[4/5] import contracts"; $(BIN)/lint-imports
	@echo "[5/5] generated documentation"; $(BIN)/python -m runtime.docs --check
	@$(BIN)/python -m runtime.policy_schema --check

format: env ## format the code and apply the safe fixes
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format .

docs: env ## write .env.example, the generated tables of README.md, what is said of the policy file
	@$(BIN)/python -m runtime.docs
	@$(BIN)/python -m runtime.policy_schema

COMPILE := $(BIN)/uv pip compile --python-version 3.11 --universal --generate-hashes \
  --no-emit-index-url --no-header --quiet
lock: env ## compile the lock files anew; ARGS="--upgrade" takes newer versions
	@$(COMPILE) $(ARGS) requirements.in -o requirements.lock
	@$(COMPILE) $(ARGS) -c requirements.lock requirements-dev.in -o requirements-dev.lock
	@! grep -nE '://' $(LOCKS) || { echo "make lock: an address got into a lock file" >&2; exit 1; }

clean: ## remove the environment, caches and the data of the local stack
	rm -rf $(VENV) .forewarn .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
