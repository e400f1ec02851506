PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test clean

demo: .venv/installed-demo
	$(BIN)/cxrlens run studies/demo.toml --out runs/demo

test: .venv/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyrefly check
	$(BIN)/lint-imports
	$(BIN)/pytest

.venv/installed-demo: pyproject.toml
	@echo "installing into .venv: about 4 minutes and 6 GB, PyTorch's for the most part"
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet -e .
	touch $@

.venv/installed-test: pyproject.toml
	@echo "installing into .venv: about 4 minutes and 6 GB, PyTorch's for the most part"
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet -e ".[dev,dicom]"
	touch $@

clean:
	rm -rf .venv runs
