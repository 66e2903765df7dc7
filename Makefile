# make demo   sets up, runs the main job on real images (about 5 minutes on 2 cores), prints two tables and a report's path
# make test   sets up, runs lint and all tests that need pip packages only
# make help   lists everything

PYTHON ?= $(shell for p in python3.11 python3 python; do \
	if command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; \
	then echo $$p; exit; fi; done; echo python3)
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
DEMO := runs/demo
TEST_WORKERS ?= 2
DOCS := .venv-docs
TOOLS := .venv-tools
export TF_CPP_MIN_LOG_LEVEL ?= 3

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-system test-firmware test-aarch64 docs lint format lock audit dist benchmarks clean

help:  ## list the targets
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

setup: $(INSTALLED)  ## create .venv and install the pinned list

$(INSTALLED): requirements.txt pyproject.toml tools/check_platform.py
	@$(PYTHON) tools/check_platform.py
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: $(INSTALLED)  ## the main job: FedAvg and FedCompress on real digits, export, benchmark, report
	$(BIN)/tfc run demo --set method=fedavg --out $(DEMO)/fedavg --force
	$(BIN)/tfc run demo --out $(DEMO)/fedcompress --force
	$(BIN)/tfc data demo --out $(DEMO)/data
	$(BIN)/edge export $(DEMO)/fedavg/model.keras --name fedavg --out $(DEMO)/edge --variants f32,int8
	$(BIN)/edge export $(DEMO)/fedcompress/model.keras --name fedcompress --out $(DEMO)/edge \
		--variants f32,wo8,int8,lut,packed
	$(BIN)/edge inspect $(DEMO)/edge/fedcompress-int8.tflite
	$(BIN)/edge bench $(DEMO)/edge/*.tflite --baseline $(DEMO)/edge/fedavg-f32.tflite --data $(DEMO)/data/test.npz \
		--json $(DEMO)/edge/bench.json
	@echo
	@$(BIN)/tfc compare $(DEMO)/fedavg $(DEMO)/fedcompress --bench $(DEMO)/edge/bench.json --html $(DEMO)/report.html

lint: $(INSTALLED)  ## ruff (lint and format), mypy and the import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy benchmarks
	$(BIN)/lint-imports --no-cache --no-logo

format: $(INSTALLED)  ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(DOCS)/.installed  ## build the documentation in build/site, strictly
	NO_MKDOCS_2_WARNING=1 $(DOCS)/bin/mkdocs build --strict --quiet

$(DOCS)/.installed: requirements-docs.txt
	$(PYTHON) -m venv $(DOCS)
	$(DOCS)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-docs.txt
	@touch $@

test: lint docs  ## lint, documentation, and every test that needs pip packages only
	$(BIN)/python -m pytest -n $(TEST_WORKERS) --dist loadfile

test-system: $(INSTALLED)  ## tests that need system programs, root or other Pythons, and those that take minutes
	$(BIN)/python -m pytest -m "system or slow"

test-firmware: $(INSTALLED)  ## firmware bundles in an emulated Cortex-M4; TFLM_DIR=checkout of tflite-micro
	TFLM_DIR=$(TFLM_DIR) $(BIN)/python -m pytest -m firmware

test-aarch64: $(INSTALLED)  ## the device side in a Debian arm64 userland under qemu (root; about 5 minutes)
	$(BIN)/python -m pytest -m aarch64

benchmarks: $(INSTALLED)  ## repeat the speed figures of docs/results.md (about 5 minutes, machine otherwise idle)
	$(BIN)/python benchmarks/round_overhead.py
	$(BIN)/python benchmarks/clustered_step.py
	$(BIN)/python benchmarks/coding_share.py

dist:  ## sdist and wheel in dist/, built by pinned tools: the same bytes every time
	@tools=$$(mktemp -d) && trap 'rm -rf "$$tools"' EXIT && $(PYTHON) -m venv "$$tools" && \
	"$$tools/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-build.txt && \
	"$$tools/bin/python" tools/make_dist.py dist

$(TOOLS)/.installed: requirements-tools.txt
	$(PYTHON) -m venv $(TOOLS)
	$(TOOLS)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
		-r requirements-tools.txt
	@touch $@

LOCK = $(TOOLS)/bin/uv pip compile --quiet --generate-hashes --python-version 3.11 \
	--python-platform x86_64-manylinux_2_31 --no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock'

lock: $(TOOLS)/.installed  ## make requirements*.txt anew from requirements*.in, with hashes, by pinned tools
	$(LOCK) --override requirements-overrides.txt requirements.in -o requirements.txt
	for list in docs build tools; do $(LOCK) requirements-$$list.in -o requirements-$$list.txt || exit 1; done

audit: $(TOOLS)/.installed  ## look for published vulnerabilities of the pinned packages (asks the package index)
	$(TOOLS)/bin/pip-audit --strict --disable-pip --no-deps --require-hashes -r requirements.txt \
		$$(sed -n 's/^\([A-Z][A-Z]*-[0-9A-Za-z-]*\) .*/--ignore-vuln \1/p' audit-exceptions.txt)

clean:  ## remove the environment and caches (runs/ stays)
	rm -rf $(VENV) $(DOCS) $(TOOLS) .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
