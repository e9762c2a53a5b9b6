# Two commands: `make demo` shows the product, `make test` checks it. Both make and reuse .venv.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint soak clean

demo: .venv/.ready
	$(BIN)/tenshot demo

test: .venv/.ready lint
	$(BIN)/python -m pytest

# What `make test` does for seconds: ten minutes of load, thousands of kills.
KILLS ?= 3000
soak: .venv/.ready
	$(BIN)/tenshot bench soak --seconds 600 --clients 64
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 PYTHONPATH=tests/support \
		$(BIN)/python tests/support/kills.py --kills $(KILLS) --pictures-every 25

lint: .venv/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# faiss-gpu instead of faiss-cpu: make EXTRA=gpu demo
EXTRA ?= cpu
.venv/.ready: pyproject.toml
	@echo "Setting up .venv (a few minutes the first time: PyTorch is large) ..."
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --progress-bar on --editable '.[$(EXTRA),words,demo,dev]'
	touch $@

clean:
	rm -rf .venv build *.egg-info
