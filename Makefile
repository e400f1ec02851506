PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test check docs reference lock clean

demo: .venv/installed-demo
	$(BIN)/cxrlens run studies/demo.toml --out runs/demo

test: .venv/installed-dev
	$(BIN)/pytest

# Lint, format, types and layers; each says its own findings, and all four are asked.
check: .venv/installed-dev
	@failed=0; \
	for tool in "ruff check ." "ruff format --check ." "pyrefly check --summary=none" lint-imports; do \
		echo "$$tool"; $(BIN)/$$tool || failed=1; \
	done; exit $$failed

# The documentation's site, strictly, into build/site; its environment is small and has no PyTorch.
docs: build/docs-venv/installed
	build/docs-venv/bin/python tools/docs_site.py

# What docs/ says of keys, commands and functions, anew from the code.
reference: .venv/installed-dev
	for tool in study_schema study_file command_line api_page; do $(BIN)/python tools/$$tool.py || exit 1; done

# The newest releases of everything: renews requirements/, runs check and test on them and says what broke.
lock:
	$(PYTHON) tools/renew_lock.py

# Exactly the versions of the lock, each verified by its hash.
.venv/installed-%: requirements/%.txt pyproject.toml
	@echo "installing into .venv: about 4 minutes and 6 GB, PyTorch's for the most part"
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/$*.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

build/docs-venv/installed: requirements/docs.txt
	$(PYTHON) -m venv build/docs-venv
	build/docs-venv/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/docs.txt
	touch $@

clean:
	rm -rf .venv runs build .cache
