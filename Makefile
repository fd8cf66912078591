# One command each: `make demo` runs a federation, `make test` checks everything.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OUT ?= runs/demo

.PHONY: demo federation examples chaos test check fuzz test-e2e test-browser test-postgres \
	docker-test bench bench-rounds bench-scale sinusoid sbom dist docs commands figures picture format clean

demo: $(VENV)/.demo
	rm -rf $(OUT)
	$(BIN)/wardround simulate --scenario few-shot --output $(OUT)/few-shot
	$(BIN)/wardround simulate --scenario cross-domain --output $(OUT)/cross-domain

federation: $(VENV)/.demo
	$(BIN)/python -m simulation.federation_demo

# Each ends in a figure and a sentence; docs/python-api.md.
examples: $(VENV)/.demo
	for example in examples/*.py; do echo "== $$example"; $(BIN)/python $$example || exit 1; done

# A case of each of 31 kinds; CHAOS="--cases 4 --seed 100 --jobs 3" for others.
chaos: $(VENV)/.demo
	$(BIN)/python -m simulation.chaos $(CHAOS)

test: $(VENV)/.dev check

check:
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest -n 2 --dist loadfile

# Hostile input for every decoder that faces the network, of a new draw each time.
fuzz: $(VENV)/.dev
	FUZZ=20000 $(BIN)/pytest -n 2 tests/fuzz

test-e2e: $(VENV)/.ray
	$(BIN)/pytest -m e2e

test-browser: $(VENV)/.browser
	$(BIN)/pytest -m browser

# Needs the system's PostgreSQL (Debian: apt-get install postgresql); starts a server of its own.
test-postgres: $(VENV)/.dev
	$(BIN)/pytest -m postgres

# Needs root and podman, or a Docker engine (docs/docker.md); IMAGES=keep does not build them again.
docker-test: $(VENV)/.dev
	$(BIN)/pytest -m containers -v -s -rs tests/docker

bench: $(VENV)/.bench
	$(BIN)/wardround bench

# How long a round takes over TLS on loopback: Flower as it comes, and ours. Ten minutes.
bench-rounds: $(VENV)/.demo
	$(BIN)/python -m simulation.bench.rounds

# A coordinator and a hundred hospitals on one machine: rounds, and whether its memory grows.
# SCALE="--parameters 10000000 --light 8 --rounds 12" for a large model. Ten minutes.
bench-scale: $(VENV)/.demo
	$(BIN)/python -m simulation.bench.load $(SCALE)

sinusoid: $(VENV)/.demo
	$(BIN)/python -m simulation.sinusoid

# What is installed here, as CycloneDX 1.6.
sbom: $(VENV)/.dev
	mkdir -p dist
	$(BIN)/python -m server.publishing.sbom > dist/wardround.cdx.json

# Wheel and source distribution, as tests/test_distribution.py builds them.
dist: $(VENV)/.dev
	$(BIN)/python -m hatchling build

# The site: runs/site/index.html, from these pages and the docstrings; a warning is an error.
docs: $(VENV)/.docs
	$(BIN)/sphinx-build --fail-on-warning --keep-going --quiet --jobs auto --conf-dir docs \
		--doctree-dir runs/doctrees . runs/site

commands: $(VENV)/.dev
	$(BIN)/python docs/commands.py > docs/commands.md

# Of docs/concepts.md; one of them shows what `make demo` has left in $(OUT).
figures: $(VENV)/.demo
	$(BIN)/python -m simulation.concepts --demo $(OUT)

# README's picture of a report, of what `make demo` has left in $(OUT); needs chromium.
PICTURE := docs/pictures/report.png
picture: $(VENV)/.demo
	chromium --headless --no-sandbox --hide-scrollbars --window-size=1000,980 \
		--screenshot=$(PICTURE) file://$(abspath $(OUT))/few-shot/report.html
	$(BIN)/python -c "from PIL import Image; \
		Image.open('$(PICTURE)').convert('P', palette=1, colors=32).save('$(PICTURE)', optimize=True)"

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
$(VENV)/.docs: EXTRAS = demo,dev,docs
$(VENV)/.demo $(VENV)/.dev $(VENV)/.browser $(VENV)/.ray $(VENV)/.bench $(VENV)/.docs: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/pip install --disable-pip-version-check --quiet -c constraints.txt -e '.[$(EXTRAS)]'
	touch $@
