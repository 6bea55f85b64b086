# make demo: the whole job on this machine. make test: all tests. Both set everything up first.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup demo test fast-test lint format
setup: .venv/.ready

.venv/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $@

demo: setup
	$(BIN)/calibration-tuning run configs/demo.yaml

test: setup
	$(BIN)/pytest

fast-test: setup
	$(BIN)/pytest -m "not slow"

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
