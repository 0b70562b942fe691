# The short targets. CI calls the same ones (.ci/run).
#
#   make run                   serve examples/flask_app on port 8000 with two workers
#   make test                  the whole test suite        (make test ARGS="-k reload -x")
#   make check                 ruff and mypy --strict
#   make bench                 wrk against Ostler and its peers, WSGI and ASGI, side by side
#   make fuzz                  try every mutant, find the planted bugs, then fuzz each target (make fuzz SECONDS=600)
#   make faults                reloads, recycles, re-execs, stops and kills under load: Ostler beside its peers, one table
#                              (make faults ARGS="--scenario reload,term --server ostler,gunicorn --count 10")
#   make docs                  write the reference, refresh the code blocks of the Markdown pages, check their links
#   make clean                 remove what the targets above made
#
# PYTHON=python3.13 picks an interpreter; it then has a virtual environment of its own (.venv-3.13).

ifneq ($(filter command line environment,$(origin PYTHON)),)
VENV ?= .venv-$(patsubst python%,%,$(notdir $(PYTHON)))
CANDIDATES := $(PYTHON)
else
VENV ?= .venv
CANDIDATES := python3 python3.11 python3.12 python3.13 python3.14
endif

BIN := $(VENV)/bin
READY := $(VENV)/.installed
# True when the interpreter exists, is new enough and can make a virtual environment.
SUITABLE := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))

.PHONY: run test check bench fuzz faults docs clean

run: $(READY)
	cd examples/flask_app && exec $(abspath $(BIN))/ostler --config ostler.conf.py app:app

# Compiled once: the servers that tests start write no bytecode themselves.
test: $(READY)
	@$(BIN)/python -m compileall -q src tests/apps
	$(BIN)/python -m pytest $(ARGS)

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: $(READY)
	$(BIN)/python benchmarks/run.py $(ARGS)

fuzz: $(READY)
	OSTLER_MUTATION=full $(BIN)/python -m pytest tests/mutation
	$(BIN)/python -m fuzz --seconds $(or $(SECONDS),60) $(ARGS)

faults: $(READY)
	@$(BIN)/python -m tests.faults $(ARGS)

docs: $(READY)
	$(BIN)/python -m docs.refresh

clean:
	rm -rf .venv .venv-* build dist src/*.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis fuzz/learnt
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): pyproject.toml
	@if [ ! -x $(BIN)/python ]; then \
	  for candidate in $(CANDIDATES); do \
	    if $$candidate -c '$(SUITABLE)' >/dev/null 2>&1; then chosen=$$candidate; break; fi; \
	  done; \
	  if [ -z "$$chosen" ]; then \
	    echo "make: expected Python 3.11 or later with venv, found none among: $(CANDIDATES);" \
	         "install python3 and python3-venv, or say make PYTHON=/path/to/python3" >&2; exit 1; \
	  fi; \
	  echo "making $(VENV) with $$chosen"; \
	  $$chosen -m venv $(VENV); \
	fi
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@
