# Everything runs in .venv, which uv builds from uv.lock; uv itself is put into .uv by pip.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
UV := $(abspath .uv/bin/uv)
RUN := $(UV) run --frozen --no-sync
export HEADRACE_UV := $(UV)
# Bytecode is kept, for a demo starts dozens of Pythons, and away from the sources.
export PYTHONPYCACHEPREFIX := $(abspath .cache/bytecode)
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo demo-records test check fix audit fault soak recovery bench bench-dag bench-compare docs pictures clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: .venv/.stamp ## build the environment (uv, then everything in uv.lock)

.uv/bin/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "headrace needs Python >= 3.11; say which with make PYTHON=..." >&2; exit 2; }
	@echo "setting up uv" >&2
	@$(PYTHON) -m venv .uv && .uv/bin/python -m pip install --quiet --disable-pip-version-check uv

.venv/.stamp: .uv/bin/uv uv.lock pyproject.toml
	@echo "setting up the environment" >&2
	@$(UV) sync --frozen --quiet --python $(PYTHON)
	@touch $@

demo: setup ## translate 1,000 tweets, exactly once, and again while workers are killed
	@$(RUN) python examples/tweets/demo.py

demo-records: setup ## code 200 charts of scanned pages with sixteen models
	@$(RUN) python examples/records/demo.py

test: setup ## every test, on a real Kafka and a real model server
	$(RUN) pytest -q -n 3 tests/unit tests/property --cov-fail-under=100 \
		--cov=headrace.core --cov=headrace.spec --cov-branch --cov-report=term:skip-covered
	$(RUN) pytest -q -n 3 --no-loadscope-reorder --ignore=tests/unit --ignore=tests/property

check: setup ## format, lint, types, import contracts
	$(RUN) ruff format --check .
	$(RUN) ruff check .
	$(RUN) mypy
	$(RUN) lint-imports

fix: setup ## format and repair what ruff can repair
	$(RUN) ruff format .
	$(RUN) ruff check --fix .

audit: setup ## look at every dependency: source, hash, licence, known vulnerabilities
	@$(RUN) python tools/audit.py

fault: setup ## mixed faults on real processes, seed after seed: SEEDS=200 MINUTES=60 JOBS=2
	@$(UV) sync --frozen --quiet --group fault
	@$(RUN) python -m tests.fault.campaign --seeds $(or $(SEEDS),200) --minutes $(or $(MINUTES),60) \
		--jobs $(or $(JOBS),2) $(ARGS)

soak: setup ## a steady load under faults for half an hour: is a worker's size flat?
	@$(UV) sync --frozen --quiet --group fault
	@$(RUN) python -m tests.fault.soak --minutes $(or $(MINUTES),30) $(ARGS)

recovery: setup ## how long partitions are silent when workers come, go and die
	@$(UV) sync --frozen --quiet --group fault
	@$(RUN) python -m tests.fault.recovery $(ARGS)

bench: setup ## throughput, latency and CPU beside a bare loop
	@$(UV) sync --frozen --quiet --group bench
	$(RUN) python benchmarks/run.py $(ARGS)

bench-dag: setup ## what hops, fused stages, joins and fields of a DAG cost
	@$(UV) sync --frozen --quiet --group bench
	$(RUN) python benchmarks/dag.py $(ARGS)

bench-compare: setup ## the same job on peers, side by side; goes on where it ended: MINUTES=60
	$(RUN) python -m benchmarks.compare --minutes $(or $(MINUTES),60) $(ARGS)

docs: setup ## regenerate the reference pages and build the site into build/site
	$(RUN) python -m headrace.spec.reference > docs/reference/pipeline.md
	$(RUN) python -m headrace.spec.reference --cases > docs/reference/test-file.md
	$(RUN) python -m headrace.cli.reference docs/reference
	$(RUN) python -m tests.docs.guarantees > docs/reference/guarantees.md
	$(RUN) python -m tests.fault.page > docs/reference/faults.md
	$(RUN) zensical build --clean --strict

pictures: setup ## redo the pictures of the README: the demo in a terminal, the chart
	$(RUN) python tools/cast.py docs/assets/demo.svg make demo
	$(RUN) python tools/ratios.py

clean: ## remove environments and caches
	rm -rf .venv .uv .cache build .mypy_cache .ruff_cache .pytest_cache .hypothesis dist
