# Two commands: `make demo` shows the product, `make test` checks it. Both make and reuse .venv.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint soak audit clean

demo: .venv/.ready
	$(BIN)/tenshot demo

WORKERS ?= 2
test: .venv/.ready lint
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile

lint: .venv/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Load, kills and random tests for as long as one likes: make SOAK=3600 KILLS=10000 BODIES=100000 soak
SOAK ?= 600
KILLS ?= 3000
BODIES ?= 50000
soak: .venv/.ready
	$(BIN)/tenshot bench soak --seconds $(SOAK) --clients 64
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 PYTHONPATH=tests/support \
		$(BIN)/python tests/support/kills.py --kills $(KILLS) --pictures-every 25
	$(BIN)/python -m pip install --quiet --editable '.[fuzz]'
	$(BIN)/python tests/fuzz/fuzz_pictures.py -max_total_time=$(SOAK)
	$(BIN)/python tests/fuzz/fuzz_bodies.py --requests $(BODIES)
	OMP_NUM_THREADS=1 PYTHONPATH=tests/support $(BIN)/python tests/fuzz/fuzz_archives.py --seconds $(SOAK)
	TENSHOT_SOAK=$(SOAK) $(BIN)/python -m pytest --long tests/fuzz tests/index/test_an_app_is_what_was_done_to_it.py \
		tests/index/test_oracle.py tests/api/test_keys_open_one_app.py tests/api/test_the_openapi_page_is_true.py

# Known holes in what is installed; asks a public database.
audit: .venv/.ready
	$(BIN)/python -m pip install --quiet pip-audit
	$(BIN)/pip-audit --skip-editable

# faiss-gpu instead of faiss-cpu: make EXTRA=gpu demo
EXTRA ?= cpu
.venv/.ready: pyproject.toml
	@echo "Setting up .venv (a few minutes the first time: PyTorch is large) ..."
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --progress-bar on --editable '.[$(EXTRA),words,demo,dev]'
	touch $@

clean:
	rm -rf .venv build *.egg-info
