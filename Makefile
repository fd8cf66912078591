# One command each: `make demo` runs a federation, `make test` checks everything.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OUT ?= runs/demo

.PHONY: demo federation chaos test check test-e2e test-postgres test-browser bench bench-rounds sinusoid format clean

demo: $(VENV)/.demo
	rm -rf $(OUT)
	$(BIN)/wardround simulate --scenario few-shot --output $(OUT)/few-shot
	$(BIN)/wardround simulate --scenario cross-domain --output $(OUT)/cross-domain

federation: $(VENV)/.demo
	$(BIN)/python -m simulation.federation_demo

# A case of each of 31 kinds; CHAOS="--cases 4 --seed 100 --jobs 3" for others.
chaos: $(VENV)/.demo
	$(BIN)/python -m simulation.chaos $(CHAOS)

test: $(VENV)/.dev check

check:
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest -n 2 --dist loadfile

test-e2e: $(VENV)/.ray
	$(BIN)/pytest -m e2e

test-browser: $(VENV)/.browser
	$(BIN)/pytest -m browser

# Needs the system's PostgreSQL (Debian: apt-get install postgresql); starts a server of its own.
test-postgres: $(VENV)/.dev
	$(BIN)/pytest -m postgres

bench: $(VENV)/.bench
	$(BIN)/wardround bench

# How long a round takes over TLS on loopback: Flower as it comes, and ours. Ten minutes.
bench-rounds: $(VENV)/.demo
	$(BIN)/python -m simulation.bench.rounds

sinusoid: $(VENV)/.demo
	$(BIN)/python -m simulation.sinusoid

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV)

# A stamp per set of extras: a second call does not install again.
$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: EXTRAS = demo
$(VENV)/.dev: EXTRAS = demo,dev
$(VENV)/.browser: EXTRAS = demo,dev,browser
$(VENV)/.ray: EXTRAS = demo,dev,ray
$(VENV)/.bench: EXTRAS = demo,bench
$(VENV)/.demo $(VENV)/.dev $(VENV)/.browser $(VENV)/.ray $(VENV)/.bench: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/pip install --disable-pip-version-check --quiet -c constraints.txt -e '.[$(EXTRAS)]'
	touch $@
