# Everything below sets up what it needs: a virtual environment in .venv with every version pinned by constraints.txt.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# uv reads find-links from its own variable only; honour pip's.
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)

.PHONY: demo test slow test-cluster lint bench airflow cluster cluster-down clean

demo: $(VENV)/.installed
	$(BIN)/seedbed demo --out seedbed-demo

# Three processes of one thread each: with threads of their own they wait for each other (3 min where 5 were).
test: $(VENV)/.installed
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder

slow: $(VENV)/.installed
	$(BIN)/pytest -m slow

# Skipped, saying why, where no cluster can stand.
test-cluster: $(VENV)/.installed
	$(BIN)/pytest -m "cluster and not slow" --durations=5 $(wildcard tests/test_cluster*.py tests/test_flink*.py)

lint: $(VENV)/.installed
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

bench: $(VENV)/.installed
	$(BIN)/python -m tests.bench

# A Flink cluster of two workers on this machine: needs root, Java 17, Maven and iproute2.
cluster:
	@$(PYTHON) -m tests.cluster.needs
	@$(MAKE) --no-print-directory $(VENV)/.installed
	$(BIN)/python -m tests.cluster up

cluster-down: $(VENV)/.installed
	$(BIN)/python -m tests.cluster down

airflow: airflow/.venv/.installed airflow/home/arboretum
	airflow/airflow.sh standalone

clean:
	rm -rf $(VENV) airflow/.venv airflow/home seedbed-demo build *.egg-info

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Seedbed needs Python 3.11 or newer: make PYTHON=python3.11 …")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt uv
	VIRTUAL_ENV='$(CURDIR)/$(VENV)' $(BIN)/uv pip install --quiet --compile-bytecode --constraint constraints.txt --group test --editable '.[all]'
	touch $@

# Airflow has an environment of its own: it and Beam want other versions of the same packages.
airflow/.venv/.installed: airflow/requirements.txt $(VENV)/.installed
	$(PYTHON) -m venv --without-pip airflow/.venv
	VIRTUAL_ENV='$(CURDIR)/airflow/.venv' $(BIN)/uv pip install --quiet --compile-bytecode --requirement $<
	touch $@

airflow/home/arboretum: | $(VENV)/.installed
	$(BIN)/python -m crawl.demo.folder $@.part
	mv $@.part $@
