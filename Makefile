# Amends: `make demo` plays the whole journey, `make test` proves it. Both set everything up first.
PYTHON ?= $(or $(shell command -v python3.11),python3)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PEERS := $(VENV)/.peers

# Prefect must not phone home from a build, and must not read another project's profile.
export DO_NOT_TRACK := 1
export PREFECT_SERVER_ANALYTICS_ENABLED := false

KILLS ?= 1000

.PHONY: demo serve test chaos bench bench-full lint audit fuzz fuzz-deep lock format clean
.DEFAULT_GOAL := demo

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Amends needs Python 3.11 or newer with venv; set PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	# The lock is complete, so nothing is resolved here: quicker, and pip cannot pick what the lock did not.
	$(BIN)/pip install --quiet --no-deps --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

# What the benchmarks measure beside Amends; no other target needs it, and it changes no version of ours.
$(PEERS): benchmarks/requirements.lock $(READY)
	$(BIN)/pip install --quiet --no-deps --require-hashes -r benchmarks/requirements.lock
	@touch $@

demo: $(READY)  ## play 14 days of the shipped reviews through the real flow
	$(BIN)/amends demo

serve: $(READY)  ## Prefect's server with the deployments and their schedules
	$(BIN)/amends serve

# Kept bytecode serves every worker and the hundred processes they start; rewriting asserts alone costs 5 s a worker.
test: export PYTHONDONTWRITEBYTECODE :=
# Three workers for two cores: tests wait for other processes a quarter of their time.
test: $(READY)  ## the whole suite, SQLite and PostgreSQL
	$(BIN)/pytest -n 3 --dist worksteal

chaos: $(READY)  ## kill the real sweep KILLS times on both databases, and count at the vendor's side
	$(BIN)/python -m tests.chaos --kills $(KILLS)

bench: $(PEERS)  ## speed beside other engines, growth, latency: tables, docs/performance.md, latest.json
	$(BIN)/python -m benchmarks

bench-full: $(PEERS)  ## the same with the large sizes
	$(BIN)/python -m benchmarks --size full

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

audit: $(READY)  ## do the locked versions fit together, and is a weakness known of any of them?
	$(BIN)/uv pip check --python $(BIN)/python
	# This one asks a vulnerability service outside, so it is no part of lint or test. --strict: what could not be
	# asked about is a failure, not a pass.
	$(BIN)/uv tool run --from 'pip-audit>=2.10,<3' \
	  pip-audit --requirement requirements.lock --require-hashes --disable-pip --strict

fuzz: $(READY)  ## the fuzz tests with a hundred times the examples; half an hour
	AMENDS_FUZZ_EXAMPLES=2500 $(BIN)/pytest -n 2 tests/fuzz

SECONDS := 120
fuzz-deep: $(READY)  ## guided by coverage: SECONDS for each of six doors; needs `pip install atheris`
	@$(BIN)/python -c 'import atheris' || { echo "fuzz-deep needs atheris: $(BIN)/pip install atheris"; exit 1; }
	for target in files journeys webhooks contacts dates templates; do \
	  $(BIN)/python -m tests.fuzz.deep $$target $(SECONDS) || exit 1; done

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: $(READY)  ## resolve the dependencies again (hashes, no host names)
	$(BIN)/uv pip compile pyproject.toml --extra dev --quiet --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --upgrade -o requirements.lock
	$(BIN)/uv pip compile benchmarks/requirements.in --constraint requirements.lock --quiet --universal \
	  --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --upgrade \
	  -o benchmarks/requirements.lock

clean:
	rm -rf $(VENV) .amends .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
