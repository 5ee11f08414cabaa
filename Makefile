# covey from a fresh clone: `make demo` answers with a real model, `make test` tests, `make lint` reads the code.
# Everything lives in .venv; the stamp files in it keep anything from being done twice.

PYTHON ?= python3
# Two files at a time, each worker with one thread: most tests are of tiny models, which two threads do not help.
PYTEST_ARGS ?= -n 2 --dist loadfile
BIN := .venv/bin
# Through the constraints, so that everyone runs the tested versions (and torch's build is the one that pip finds for that version).
INSTALL := $(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo test lint format docs clean

demo: .venv/.installed
	$(BIN)/covey demo

# The tests of the real model want it in the cache, and skip with a reason where it cannot be had.
test: .venv/.installed-dev
	-@$(BIN)/covey fetch smollm2
	$(BIN)/python -m pytest $(PYTEST_ARGS)

lint: .venv/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: .venv/.installed-dev
	$(BIN)/python -m covey.cli.reference docs/cli.md

clean:
	rm -rf .venv build dist .pytest_cache .ruff_cache .mypy_cache .hypothesis

.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.exit("covey needs Python 3.11 or newer: make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv

.venv/.installed: pyproject.toml constraints.txt | .venv/bin/python
	@echo "installing covey into .venv (torch and transformers: some minutes the first time)"
	$(INSTALL) -e .
	@touch $@

.venv/.installed-dev: pyproject.toml constraints.txt | .venv/bin/python
	@echo "installing covey and its test tools into .venv (torch and transformers: some minutes the first time)"
	$(INSTALL) -e '.[dev]'
	@touch $@ .venv/.installed
