# make demo    sets everything up (once) and judges the example files
# make test    sets everything up (once) and runs the tests

.PHONY: setup setup-tests demo test check

setup:
	@bash scripts/setup.sh

setup-tests:
	@bash scripts/setup.sh tests

demo: setup
	@bash scripts/demo.sh

test: setup-tests
	.venv/bin/python -m pytest -n 2 --dist loadfile

check: setup-tests
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy
