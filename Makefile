.PHONY: check test format look

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

look:
	python benchmarks/look.py $(or $(PAGES),$(error make look PAGES="report.html …")) --folder $(or $(FOLDER),look)
