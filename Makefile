# make demo    sets everything up (once) and judges the example files
# make test    sets everything up (once) and runs the tests

.PHONY: setup demo test check

setup:
	@bash scripts/setup.sh

demo: setup
	@bash scripts/demo.sh

test: setup
	.venv/bin/python -m pytest

check: setup
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy
