.PHONY: check test format

check:
	ruff format --check .
	ruff check .
	lint-imports
	mypy

test:
	pytest

format:
	ruff format .
	ruff check --fix .
