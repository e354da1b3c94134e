# make demo: watch a study run, then open the report it names.    make test: lint, types, tests.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
WORKERS ?= 2
unexport PYTHONDONTWRITEBYTECODE # else pytest rewrites every test anew, and every process compiles all of us

.DEFAULT_GOAL := help
.PHONY: help demo pneumonia test lint slow faults bench bench-select bench-labels bench-attacks bench-privacy docs pictures stubs clean

help:
	@grep -E '^# make|^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/'

$(READY): pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $(READY)

demo: $(READY) ## four simulated hospitals read an embedded phantom: about a minute after the install
	$(BIN)/wardround simulate demo --arms default,random,full --seeds 2 --workers $(WORKERS) --out runs/demo

pneumonia: $(READY) ## real chest X-rays: make pneumonia DATA=path/to/pneumoniamnist.npz
	$(BIN)/wardround simulate pneumonia --data $(DATA) --arms default,random,full --seeds 6 --workers $(WORKERS) --out runs/pneumonia

lint: $(READY) ## ruff and mypy --strict
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint ## lint, types, and the tests that are not marked slow or browser
	$(BIN)/python -m pytest -q -n $(WORKERS)

slow: $(READY) ## the tests marked slow or browser
	$(BIN)/python -m pytest -q -n $(WORKERS) -m '(slow or browser) and not faults'

faults: $(READY) ## break a real federation on purpose, in every way we know: the better part of an hour
	$(BIN)/python -m pytest -q -s -m faults tests/faults

bench: $(READY) ## every number of docs/benchmarks.md about the engines; installs peers in .bench/
	$(BIN)/python -m simulations.benchmarks.engines

bench-select: $(READY) ## speed of selection against peers in environments of their own
	$(BIN)/python -m simulations.benchmarks.selection $(if $(QUICK),--quick,--million)

bench-labels: $(READY) ## label efficiency of every strategy: hours; QUICK=1 is a check in minutes
	$(BIN)/python -m simulations.benchmarks.labels $(if $(QUICK),--quick,--everything) --workers $(WORKERS)

bench-attacks: $(READY) ## what one dishonest site of six can do, by rule: an hour; QUICK=1 is a check in minutes
	$(BIN)/python -m simulations.benchmarks.attacks $(if $(QUICK),--quick) --workers $(WORKERS)

bench-privacy: $(READY) ## what differential privacy costs in accuracy: an hour; QUICK=1 is a check in a minute
	$(BIN)/python -m simulations.benchmarks.privacy $(if $(QUICK),--quick) --workers $(WORKERS)

docs: $(READY) ## write the generated pages of docs/ anew
	$(BIN)/python -m simulations.documenting

pictures: $(READY) ## take the pictures of docs/room/ anew, by the browser tests
	@mkdir -p docs/room
	ROOM_PICTURES=docs/room $(BIN)/python -m pytest -q -m browser tests/room

stubs: $(READY) ## generate the coordination service's stubs anew from its .proto
	$(BIN)/python -m grpc_tools.protoc -I. --python_out=. --pyi_out=. --grpc_python_out=. protocol/coordination.proto

clean: ## remove the environment and every run
	rm -rf .venv .bench runs build *.egg-info
