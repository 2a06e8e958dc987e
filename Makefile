# Two commands do all set-up on a fresh machine:
#   make run    open the application (without a display: render the sample clip to out/demo.mp4)
#   make test   style, types, layers and all tests
BIN := .venv/bin

.PHONY: run test check clean

run:
	@.ci/setup run
	@$(BIN)/gaussian-avatar run

test: check
	@$(BIN)/python -m pytest

check:
	@.ci/setup test
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

clean:
	rm -rf .venv out
