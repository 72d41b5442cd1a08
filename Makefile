# Weir: `make demo` and `make test` work on a bare machine with Python 3.11 to 3.13 and make.

PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
	"$$p" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null \
	&& echo $$p && break; done)
BIN := .venv/bin
SETUP := .venv/.set-up
export DO_NOT_TRACK := 1
export DAGSTER_DISABLE_TELEMETRY := true
export DBT_SEND_ANONYMOUS_USAGE_STATS := false
export GX_ANALYTICS_ENABLED := false
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help demo test test-slow check up docs clean lock setup

help: ## say what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: $(SETUP) ## install the locked dependencies into .venv

$(SETUP): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "no Python 3.11 to 3.13 found; expected one as python3 or in PYTHON="; exit 1; }
	@echo "setting up .venv with $(PYTHON) (about two minutes the first time)"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@$(BIN)/dbt parse --quiet --project-dir dbt_project --profiles-dir dbt_project
	@touch $@

demo: $(SETUP) ## simulate 48 hours of traffic, run the whole job, show it beside the truth
	@$(BIN)/weir demo

test: $(SETUP) check ## lint, type check, import rules and the default tests
	@$(BIN)/python -m pytest -n 2

test-slow: $(SETUP) ## the tests that take minutes
	@$(BIN)/python -m pytest -m slow -n 2 --dist loadfile

check: $(SETUP) ## ruff, mypy strict, import rules
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

up: $(SETUP) ## the Dagster UI, its daemon and the dbt docs on loopback; Ctrl-C stops all
	@$(BIN)/weir up

lock: ## resolve requirements.lock anew (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
		--no-annotate --no-strip-extras --group dev pyproject.toml -o requirements.lock

clean: ## remove what was built and the demo's lake; keeps .venv and your own .weir
	rm -rf .weir/demo dbt_project/target dbt_project/logs .mypy_cache .ruff_cache .pytest_cache \
		.hypothesis build *.egg-info
