# make demo: the whole job on this machine. make test: all tests. Both set everything up first.
PYTHON ?= python3
BIN := .venv/bin
# One more than two cores, as many tests wait for processes that they start; the fast ones do not.
WORKERS ?= 3

.PHONY: setup demo quick test fast-test lint format bench fuzz audit vllm vllm-test gpu-test
setup: .venv/.ready

.venv/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $@

demo: setup
	$(BIN)/calibration-tuning run configs/demo.yaml

# The demo's path with a quarter of its questions: a few minutes, rough numbers.
quick: setup
	$(BIN)/calibration-tuning run configs/quick.yaml

# On the CPU on GPU machines too: the tests' expected values and two processes are of CPUs.
test: setup
	CUDA_VISIBLE_DEVICES= OMP_NUM_THREADS=1 $(BIN)/pytest -n $(WORKERS) --dist worksteal

fast-test: WORKERS = 2
fast-test: setup
	CUDA_VISIBLE_DEVICES= OMP_NUM_THREADS=1 $(BIN)/pytest -n $(WORKERS) --dist worksteal -m "not slow"

# Ours and other tools' ways in turn; half an hour with nothing else running.
bench: setup
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[bench]"
	$(BIN)/python -m benchmarks all

# The second environment, with vLLM for GPUs; docs/curation.md says how the two work together.
vllm: .venv-vllm/.ready

.venv-vllm/.ready: pyproject.toml constraints-vllm.txt
	$(PYTHON) -m venv .venv-vllm
	.venv-vllm/bin/pip install --quiet --disable-pip-version-check -c constraints-vllm.txt -e ".[vllm]"
	touch $@

# Real vLLM on the CPU against the model in this process, in an environment that the script sets up; half an hour.
vllm-test: setup
	$(BIN)/python -m tests.vllm

# All checks that need a GPU, in a few minutes; writes gpu.json.
gpu-test: setup
	$(BIN)/python -m tests.gpu

# What reads people's files, for two minutes each.
fuzz: setup
	$(BIN)/pip install --quiet --disable-pip-version-check atheris==3.0.0
	$(BIN)/python -m tests.properties.fuzz question_file -max_total_time=120
	$(BIN)/python -m tests.properties.fuzz settings -max_total_time=120

# Known vulnerabilities of what is installed, by the Python Packaging Advisory Database, and all licences.
audit: setup
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt pip-audit pip-licenses
	$(BIN)/pip freeze --exclude-editable | sed 's/+cpu//' > .venv/installed.txt
	$(BIN)/pip-audit --requirement .venv/installed.txt --disable-pip --no-deps
	$(BIN)/pip-licenses --order=license --from=mixed

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
