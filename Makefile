# Everything runs in .venv, which these targets build by themselves from a bare Python (>= 3.11).
#   make test ARGS="tests/rc_core -x"     make sweep ARGS="--seeds 42"     make test PYTHON=python3.12

PYTHON ?= python3
ARGS ?=
BIN := .venv/bin
INSTALLED := .venv/.installed
# Tests at a time; Ray's tests start several processes each, so more than a few would not be faster.
PROCESSES := --numprocesses auto --maxprocesses 4
BENCH_RESULTS := docs/results/performance.json

define CREATE_VENV
command -v $(PYTHON) >/dev/null || { \
	echo "No '$(PYTHON)' on the PATH. Install Python 3.11 or newer, or name one: make PYTHON=/path/to/python3" >&2; exit 1; }; \
$(PYTHON) -c 'import sys; v = sys.version.split()[0]; sys.exit(0 if sys.version_info >= (3, 11) else \
	"rcsweep needs Python 3.11 or newer; $(PYTHON) is " + v + ". Name another: make PYTHON=python3.11")' || exit 1; \
echo "Creating .venv with $(PYTHON)"; $(PYTHON) -m venv .venv
endef

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help sweep test test-slow test-browser test-cluster chaos bench bench-quick lint format clean distclean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo '  ARGS="..." goes to rcsweep or pytest; PYTHON=python3.12 picks the interpreter for a new .venv'

# The stamp is written last, so that an install that failed or was interrupted is done again.
$(INSTALLED): pyproject.toml constraints.txt
	@rm -f $@
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || { $(CREATE_VENV); }
	@echo "Installing into .venv (the versions of constraints.txt; a few minutes the first time)"
	@$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[all,dev]'
	@touch $@

sweep: $(INSTALLED) ## run the default sweep on scikit-learn's digits and write its report
	$(BIN)/rcsweep run digits $(ARGS)

test: $(INSTALLED) ## run the default tests
	$(BIN)/python -m pytest $(PROCESSES) $(ARGS)

test-slow: $(INSTALLED) ## run the tests marked slow, too
	$(BIN)/python -m pytest -m 'not cluster and not browser and not gpu' $(PROCESSES) $(ARGS)

test-browser: $(INSTALLED) ## drive the dashboard and the report in Chromium; needs chromium
	$(BIN)/python -m pytest -m browser $(ARGS)

.venv/.installed-cluster: $(INSTALLED)
	@$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[cluster]'
	@touch $@

test-cluster: .venv/.installed-cluster ## sweeps on several hosts made of network namespaces; needs root, iproute2, sshd, rsync
	$(BIN)/python -m pytest -m cluster -ra tests/cluster $(ARGS)

chaos: $(INSTALLED) ## disturb sweeps by 20 random faults each, for 5 seeds; about half an hour
	$(BIN)/python -m chaos $(ARGS)

bench: $(INSTALLED) ## measure steps, sweeps, profiles, results and dashboard into docs/results; about 75 minutes
	$(BIN)/python -m benchmarks.steps --out $(BENCH_RESULTS)
	$(BIN)/python -m benchmarks.sweeps --out $(BENCH_RESULTS)
	$(BIN)/python -m benchmarks.sweeps --num-seeds 10 --out $(BENCH_RESULTS)
	$(BIN)/python -m benchmarks.step_profile --out $(BENCH_RESULTS)
	$(BIN)/python -m benchmarks.analysis_scale --out docs/results/analysis-scale.json
	$(BIN)/python -m benchmarks.dashboard_scale --out docs/results/dashboard.json
	$(BIN)/python -m benchmarks.table --results $(BENCH_RESULTS)

bench-quick: $(INSTALLED) ## see that the benchmarks work; the figures mean nothing and are not kept
	$(BIN)/python -m benchmarks.steps --quick
	$(BIN)/python -m benchmarks.sweeps --quick
	$(BIN)/python -m benchmarks.step_profile --quick

lint: $(INSTALLED) ## check style, formatting and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(INSTALLED) ## repair style and formatting where a tool can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## remove build outputs and caches; results/ and .venv stay
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . \( -path ./.venv -o -path ./results \) -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean ## remove .venv, too
	rm -rf .venv
