# Everything a person starts. `make demo` is the first thing to try.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: install lock demo test test-fast lint ui bench attack false-alarms faults clean help

help:            ## list these commands
	@grep -E '^[a-z-]+: .*##|^[a-z-]+:  *##' $(MAKEFILE_LIST) | sed 's/: .*## */\t/' | expand -t 14

install: $(STAMP) ## make the environment from the lock file

# torch comes first and by itself: its version is exact, so that no other package chooses a larger build.
$(STAMP): requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet torch==2.13.0
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

demo: install    ## run the main job on a generated panel of 4,000 customers
	$(BIN)/finai run --profile demo

test: install    ## run all tests
	$(BIN)/python -m pytest -n 2 --dist loadfile

test-fast: install ## run the tests that take seconds
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow"

lint: install    ## check style, types and import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

ui: install      ## open the Dagster UI of the demo on localhost:3000
	$(BIN)/finai ui

bench: install   ## measure features, persistence, checks, Dagster, generator, serving; on a demo C01's false alarms, teacher, students
	@mkdir -p benchmarks/out
	$(BIN)/python -m benchmarks.features --customers 10000 --json benchmarks/out/features.json
	$(BIN)/python -m benchmarks.persistence --json benchmarks/out/persistence.json
	$(BIN)/python -m benchmarks.checks --customers 10000 --json benchmarks/out/checks.json
	$(BIN)/python -m benchmarks.bookkeeping --json benchmarks/out/bookkeeping.json
	$(BIN)/python -m benchmarks.generator 5000
	$(BIN)/python -m benchmarks.scorer --json benchmarks/out/scorer.json
	@test -d $${FINAI_HOME:-.finai/synthetic-demo}/lake || (echo "the benchmarks of teacher, students, stored bytes and C01 need a demo: run make demo first" && false)
	$(BIN)/python -m benchmarks.identifiers --home $${FINAI_HOME:-.finai/synthetic-demo} --json benchmarks/out/identifiers.json
	$(BIN)/python -m benchmarks.bit_flips --home $${FINAI_HOME:-.finai/synthetic-demo} --json benchmarks/out/bit_flips.json
	$(BIN)/python -m benchmarks.teacher --home $${FINAI_HOME:-.finai/synthetic-demo} --json benchmarks/out/teacher.json
	$(BIN)/python -m benchmarks.students time --home $${FINAI_HOME:-.finai/synthetic-demo} --json benchmarks/out/students_time.json
	$(BIN)/python -m benchmarks.students budget --home $${FINAI_HOME:-.finai/synthetic-demo} --json benchmarks/out/students_budget.json

attack: install  ## plant faults in copies of the code and of finished homes, and see which check stops each (some two hours)
	$(BIN)/python -m studies.attacks --home .finai/attacked --json docs/data/attacks.json
	$(BIN)/python -m finai_checks.document

false-alarms: install ## run 30 clean panels of different seeds, and count what each check refuses (some 3 hours)
	$(BIN)/python -m studies.false_alarms --work .finai/false-alarms --json docs/data/false_alarms.json
	$(BIN)/python -m finai_checks.document

faults: install  ## let storage calls of each kind of asset fail, and see that a rerun mends it (an hour at a time)
	$(BIN)/python -m studies.faults --work .finai/faults --json docs/data/faults.json

clean:           ## remove the homes in .finai and the results of benchmarks
	rm -rf .finai benchmarks/out

lock:            ## write the lock file anew, without torch and the CUDA packages of its larger builds
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-emit-find-links --no-header --quiet -o requirements.lock \
		$$(sed -nE 's/^((nvidia|cuda|triton|torch)[a-z0-9-]*)==.*/--no-emit-package \1/p' requirements.lock) --no-emit-package torch
	@! grep -qE '^(nvidia|cuda|triton|torch)' requirements.lock || $(MAKE) lock
